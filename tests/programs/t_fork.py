"""Programs that fork: what languages bring along for it, and network programs that do."""

import signal
import time

from lab import check, has, test, url
from t_lang import upper
from t_servers import fetch_many, write
from t_tcp import body_file, echo

PY_POOL = """
import multiprocessing as mp, multiprocessing.managers as managers, os, socket, sys, time
host, kind = sys.argv[1], sys.argv[2]
family = socket.AF_INET6 if ":" in host else socket.AF_INET

def worker(l, q):
    while True:
        c, _ = l.accept()
        data = c.recv(100)
        if data == b"stop":
            c.close()
            return
        time.sleep(0.01)
        c.sendall(b"%d %s" % (os.getpid(), data.upper()))
        c.close()
        q.put(os.getpid())

def ask(i):
    s = socket.create_connection((host, 8095), 20)
    s.sendall(b"hello %d" % i)
    data = b""
    while more := s.recv(100): data += more
    return data.decode()

class Manager(managers.BaseManager): pass

if __name__ == "__main__":
    mp.set_start_method(kind)
    l = socket.create_server((host, 8095), family=family, backlog=100)
    q = mp.Queue()
    workers = [mp.Process(target=worker, args=(l, q)) for _ in range(4)]
    [w.start() for w in workers]
    # Clients in processes of their own, which the kernel is shared with too.
    with mp.Pool(3) as pool:
        answers = pool.map(ask, range(60))
    assert sorted(a.split(" ", 1)[1] for a in answers) == sorted(f"HELLO {i}" for i in range(60)), answers
    pids = {q.get(timeout=20) for _ in range(60)}
    print("workers", len(pids & {w.pid for w in workers}) == len(pids) and len(pids) > 1)
    for _ in workers: socket.create_connection((host, 8095)).sendall(b"stop")
    [w.join(20) for w in workers]
    print("ended", [w.exitcode for w in workers])
    # A manager: objects behind a TCP connection.
    d = {}
    Manager.register("get", callable=lambda: d)
    at = ("127.0.0.1" if ":" in host else host, 8096)
    m = Manager(address=at, authkey=b"k")
    if kind == "fork":
        m.start()
        c = Manager(address=at, authkey=b"k")
        c.connect()
        c.get().update({"a": 1})
        print("manager", m.get().copy())
        m.shutdown()
"""


@test(v=(4, 6))
def python_multiprocessing(lab, v):
    """Workers that share a listening socket, by fork and as new programs."""
    lab.tap()
    for kind in ("fork", "forkserver", "spawn"):
        done = lab.ours("python3", write(lab, "pool.py", PY_POOL), lab.me[v], kind)
        want = "workers True\nended [0, 0, 0, 0]\n" + ("manager {'a': 1}\n" if kind == "fork" else "")
        check(done.out == want, kind, done)


@test(v=(4, 6))
def python_subprocess(lab, v):
    """Sockets as standard input and output of children, and handed over by number."""
    lab.tap()
    port = lab.server(v, echo)
    done = lab.python(
        """
import asyncio, os, socket, subprocess, sys
host, port, me = sys.argv[1], int(sys.argv[2]), sys.argv[3]
family = socket.AF_INET6 if ":" in host else socket.AF_INET
# By number.
s = socket.create_connection((host, port))
code = "import socket, sys; s = socket.socket(fileno=int(sys.argv[1])); s.sendall(b'child'); print(s.recv(5), s.family.name)"
print(subprocess.run([sys.executable, "-c", code, str(s.fileno())], pass_fds=[s.fileno()], capture_output=True, text=True, timeout=30).stdout.strip())
s.sendall(b"parent"); print(s.recv(6))
# As standard input and output of a program that knows of no sockets.
l = socket.create_server((me, 8097), family=family)
c = socket.create_connection((me, 8097)); a, _ = l.accept()
p = subprocess.Popen(["tr", "a-z", "A-Z"], stdin=a, stdout=a); a.close()
c.sendall(b"upper case"); c.shutdown(socket.SHUT_WR)
data = b""
while more := c.recv(100): data += more
print(data, p.wait(20))
# A shell, with an empty environment.
print(subprocess.run("cat /proc/net/dev | grep -c eth0; exec ip -o link show eth0 | grep -c eth0", shell=True, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=30).stdout.split())
print(os.popen("ip -o addr show eth0 | grep -c ' %s/'" % me).read().strip(), os.system("ip link show lo >/dev/null"))
async def main():
    server = await asyncio.start_server(answer, me, 8098)
    ps = [await asyncio.create_subprocess_exec(sys.executable, "-c", "import socket, sys; s = socket.create_connection((sys.argv[1], 8098)); s.sendall(b'x' * 50000); s.shutdown(1); print(s.recv(10))", me, stdout=-1) for _ in range(5)]
    outs = await asyncio.wait_for(asyncio.gather(*(p.communicate() for p in ps)), 60)
    print({o for o, _ in outs})
    server.close()
async def answer(r, w):
    n = len(await r.read(-1))
    w.write(b"%d" % n); await w.drain(); w.close()
asyncio.run(main())
""",
        lab.peer[v],
        port,
        lab.me[v],
        seconds=100,
    )
    want = f"b'child' {'AF_INET6' if v == 6 else 'AF_INET'}\nb'parent'\nb'UPPER CASE' 0\n['1', '1']\n1 0\n{{b\"b'50000'\\n\"}}\n"
    check(done.out == want, want, done)


PERL_FORK = """
use strict; use warnings; use IO::Socket::IP;
$SIG{CHLD} = 'IGNORE';
my $l = IO::Socket::IP->new(LocalHost => $ARGV[0], LocalPort => 8092, Listen => 50, Type => SOCK_STREAM, ReuseAddr => 1) or die "listen: $@";
$| = 1;
print "listening\\n";
while (1) {
    my $s = $l->accept or next;
    if (!fork) { close $l; while (sysread $s, my $data, 65536) { syswrite $s, uc $data } exit 0 }
    close $s;
}
"""

RUBY_FORK = """
require 'socket'
l = TCPServer.new(ARGV[0], 8093)
pids = 3.times.map { fork { loop { c = l.accept; begin; loop { c.write(c.readpartial(65536).upcase) }; rescue EOFError; c.close; end } } }
$stdout.sync = true
puts 'listening'
trap('TERM') { pids.each { |p| Process.kill('TERM', p) }; exit 0 }
Process.waitall
"""


@test(v=(4, 6), need="perl")
def perl_forks(lab, v):
    """A process for each connection, which has closed the listening socket, as its parent the connection."""
    lab.tap()
    p = lab.spawn("perl", write(lab, "p.pl", PERL_FORK), lab.me[v], ours=True)
    p.wait_for("listening")
    upper(lab, v, 8092)
    upper(lab, v, 8092)


@test(v=(4, 6), need="ruby")
def ruby_forks(lab, v):
    lab.tap()
    p = lab.spawn("ruby", write(lab, "p.rb", RUBY_FORK), lab.me[v], ours=True)
    p.wait_for("listening")
    for _ in range(5):
        upper(lab, v, 8093, 1)
    p.send(signal.SIGTERM)
    p.wait(20)


NODE_CLUSTER = """
const cluster = require('cluster'), http = require('http'), { execFileSync } = require('child_process');
if (cluster.isPrimary) {
  for (let i = 0; i < 3; i++) cluster.fork();
  let n = 0;
  cluster.on('listening', () => { if (++n === 3) console.log('listening'); });
  process.on('SIGTERM', () => { for (const w of Object.values(cluster.workers)) w.kill(); setTimeout(() => process.exit(0), 200); });
} else {
  http.createServer((q, r) => r.end(q.url === '/ip' ? execFileSync('ip', ['-o', 'addr', 'show', 'eth0']) : `${process.pid}`)).listen(8090, process.argv[2]);
}
"""


@test(v=(4, 6), need=("node", "curl"))
def node_cluster(lab, v):
    """The primary accepts and hands connections to workers over unix sockets; or they share the listening socket."""
    lab.tap()
    for policy in ("rr", "none"):
        p = lab.spawn("node", write(lab, "cluster.js", NODE_CLUSTER), lab.me[v], ours=True, env={"NODE_CLUSTER_SCHED_POLICY": policy})
        p.wait_for("listening", 30)
        base = f"http://{url(lab.me[v])}:8090"
        pids = {lab.run("curl", "-sS", "-m", 20, f"{base}/").out for _ in range(9)}
        check(len(pids) == 3 if policy == "rr" else len(pids) >= 1, "workers", pids, p)
        check(all(x.isdigit() for x in pids), "what they say", pids)
        has(lab.run("curl", "-sS", "-m", 20, f"{base}/ip").out, rf" {lab.me[v]}/")
        p.send(15)
        p.wait(20)


@test(v=(4, 6), need=("php", "curl"))
def php_workers(lab, v):
    lab.tap()
    digest = body_file(lab)
    write(lab, "pid.php", "<?php usleep(600000); echo getmypid();")
    p = lab.spawn("php", "-n", "-S", f"{url(lab.me[v])}:8094", "-t", lab.dir, ours=True, env={"PHP_CLI_SERVER_WORKERS": "4"})
    lab.connect(v, 8094).close()
    base = f"http://{url(lab.me[v])}:8094"
    fetch_many(lab, f"{base}/file.bin", digest, 8)
    # Each is taken while the process that took the one before is busy.
    all_ = []
    for _ in range(3):
        all_.append(lab.spawn("curl", "-sS", f"{base}/pid.php"))
        time.sleep(0.1)
    pids = {one.wait(20).out for one in all_}
    check(len(pids) == 3 and all(pid.isdigit() for pid in pids), "several processes", pids, p)


@test(v=(4, 6), need=("dnsmasq", "dig"))
def dnsmasq_forks(lab, v):
    """As a daemon does: a process for each TCP connection."""
    lab.tap()
    lab.spawn(
        "dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", f"--listen-address={lab.me[v]}", "--bind-interfaces",
        "--port=53", "--user=root", "--pid-file=", "--address=/name.test/10.7.0.77", "--log-facility=-", ours=True,
    )
    lab.connect(v, 53).close()
    ask = ["dig", f"@{lab.me[v]}", "+tries=2", "+time=3", "+short", "name.test"]
    for _ in range(3):
        check(lab.run(*ask, "+tcp").out == "10.7.0.77\n", "over TCP")
        check(lab.run(*ask).out == "10.7.0.77\n", "over UDP")


@test(v=(4, 6), need=("mtr", "mtr-packet"))
def mtr(lab, v):
    """It sends by a second program."""
    lab.tap()
    done = lab.ours("mtr", f"-{v}", "-n", "-r", "-c", 2, "-i", 0.2, "-G", 1, lab.peer[v], seconds=30)
    has(done.out, rf"1\.\|-- {lab.peer[v]} +0\.0% +2 ")
