"""Programs that talk TCP, as clients and as servers."""

import hashlib
import os
import socket
import subprocess
import threading
import time

from lab import check, has, lacks, test, until, url

BODY = bytes(range(256)) * 4096


def body_file(lab, name="file.bin"):
    with open(lab.path(name), "wb") as f:
        f.write(BODY)
    return hashlib.sha256(BODY).hexdigest()


def http_peer(lab, v):
    """A native HTTP server over the lab's folder; answers its port."""
    lab.spawn("python3", "-m", "http.server", "8000", "--bind", lab.peer[v], "--directory", lab.dir)
    lab.connect(v, 8000, "peer").close()
    return 8000


def sha(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


@test(v=(4, 6), need="curl")
def curl(lab, v):
    lab.tap()
    digest, port = body_file(lab), http_peer(lab, v)
    done = lab.ours("curl", "-sS", "-o", "got", "-w", "%{http_code} %{size_download} %{remote_ip}", f"http://{url(lab.peer[v])}:{port}/file.bin")
    check(done.out == f"200 {len(BODY)} {lab.peer[v]}", "what curl says", done)
    check(sha(lab.path("got")) == digest, "contents")
    done = lab.ours("curl", "-sS", f"http://{url(lab.peer[v])}:9/", status=7)
    has(done.err, r"Connection refused|Failed to connect")
    # Many at once, in one process.
    done = lab.ours("curl", "-sS", "-Z", *[a for i in range(10) for a in ("-o", f"got{i}", f"http://{url(lab.peer[v])}:{port}/file.bin")])
    check(all(sha(lab.path(f"got{i}")) == digest for i in range(10)), "contents of the parallel ones", done)


@test(v=(4, 6), need="wget")
def wget(lab, v):
    lab.tap()
    digest, port = body_file(lab), http_peer(lab, v)
    done = lab.ours("wget", "-nv", "-O", "got", f"http://{url(lab.peer[v])}:{port}/file.bin")
    has(done.err, r'-> "got"')
    check(sha(lab.path("got")) == digest, "contents")


@test(v=(4, 6), need=("nc", "curl"))
def http_server(lab, v):
    lab.tap()
    digest = body_file(lab)
    p = lab.spawn("python3", "-m", "http.server", "8080", "--bind", "::" if v == 6 else "0.0.0.0", ours=True)
    lab.connect(v, 8080).close()
    for _ in range(3):
        lab.run("curl", "-sS", "-o", "got", f"http://{url(lab.me[v])}:8080/file.bin")
        check(sha(lab.path("got")) == digest, "contents")
    has(p.err, rf'{lab.peer[v]} - - .*"GET /file\.bin HTTP/1\.1" 200')


@test(v=(4, 6), need="nc")
def nc_with_a_pipe(lab, v):
    """Standard input is a pipe of the host's: both in one poll."""
    lab.tap()
    got = []
    port = lab.server(v, lambda c: got.append(receive_all(c, answer=b"bye\n")))
    done = lab.ours("nc", f"-{v}", "-N", lab.peer[v], port, input="hello\n" * 1000)
    check(done.out == "bye\n", "the answer", done)
    until(lambda: got == [b"hello\n" * 1000], what="what the server got")


def receive_all(c, answer=b""):
    data = b""
    while True:
        more = c.recv(65536)
        if not more:
            break
        data += more
    c.sendall(answer)
    c.close()
    return data


@test(v=(4, 6), need="nc")
def nc_with_a_terminal(lab, v):
    lab.tap()
    port = lab.server(v, echo)
    master, slave = os.openpty()
    p = lab.spawn("nc", f"-{v}", lab.peer[v], port, ours=True, stdin=slave)
    os.close(slave)
    for word in (b"one\n", b"two\n"):
        os.write(master, word)
        p.wait_for(word.decode().strip())
    os.write(master, b"\x04")
    time.sleep(0.2)
    p.send(2)
    p.wait(status=None)
    os.close(master)


def echo(c):
    try:
        while data := c.recv(65536):
            c.sendall(data)
    except ConnectionError:
        pass
    c.close()


@test(v=(4, 6), need="nc")
def nc_listens(lab, v):
    lab.tap()
    p = lab.spawn("nc", f"-{v}", "-l", "-N", 4000, ours=True, stdin=subprocess.PIPE)
    c = lab.connect(v, 4000)
    c.sendall(b"from the peer\n")
    p.wait_for("from the peer")
    p.stdin.write(b"from here\n")
    p.stdin.flush()
    check(c.recv(100) == b"from here\n", "what the peer got")
    p.stdin.close()
    check(c.recv(100) == b"", "end of file")
    c.close()
    p.wait()


@test(v=(4, 6), need="nc")
def nc_udp(lab, v):
    lab.tap()
    s = socket.socket(socket.AF_INET if v == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
    s.bind((lab.peer[v], 4001))
    s.settimeout(10)
    p = lab.spawn("nc", f"-{v}", "-u", lab.peer[v], 4001, ours=True, stdin=subprocess.PIPE)
    p.stdin.write(b"ping\n")
    p.stdin.flush()
    data, who = s.recvfrom(100)
    check(data == b"ping\n" and who[0] == lab.me[v], "the datagram", data, who)
    s.sendto(b"pong\n", who)
    p.wait_for("pong")
    p.kill()


@test(v=(4, 6), need="socat")
def socat(lab, v):
    lab.tap()
    name = "TCP4" if v == 4 else "TCP6"
    lab.spawn("socat", f"{name}-LISTEN:4002,reuseaddr", "PIPE", ours=True)
    c = lab.connect(v, 4002)
    c.settimeout(10)
    c.sendall(b"back\n")
    check(c.recv(100) == b"back\n", "echo")
    c.close()
    port = lab.server(v, echo)
    done = lab.ours("socat", "-t", 5, "-", f"{name}:{url(lab.peer[v])}:{port}", input=b"x" * 100000)
    check(done.out == "x" * 100000, "echo of the peer", len(done.out), done.err)


@test(v=(4, 6), need="socat")
def socat_udp(lab, v):
    lab.tap()
    name = "UDP4" if v == 4 else "UDP6"
    p = lab.spawn("socat", f"{name}-LISTEN:4003", "PIPE", ours=True)
    s = socket.socket(socket.AF_INET if v == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
    s.connect((lab.me[v], 4003))
    s.settimeout(0.5)

    def echoed():
        try:
            s.send(b"datagram")
            return s.recv(100) == b"datagram"
        except OSError:
            return False

    until(echoed, what=lambda: f"no echo\n{p}")


@test(v=(4, 6), need="telnet")
def telnet(lab, v):
    lab.tap()

    def greet(c):
        c.sendall(b"login: ")
        c.recv(100)
        c.sendall(b"welcome\r\n")
        c.close()

    port = lab.server(v, greet)
    p = lab.spawn("telnet", f"-{v}", lab.peer[v], port, ours=True, stdin=subprocess.PIPE)
    p.wait_for("login: ")
    p.stdin.write(b"me\n")
    p.stdin.flush()
    p.wait_for("welcome")
    done = p.wait(status=None)
    has(done.err + done.out, r"Connection closed by foreign host")


@test(v=(4, 6), need="iperf3", seconds=180)
def iperf3_client(lab, v):
    lab.tap()
    lab.spawn("iperf3", "-s", "-B", lab.peer[v], "-p", 5201)
    lab.wait_peer_port(5201)
    for more in ([], ["-R"], ["--bidir"], ["-P", "8"], ["-P", "8", "-R"]):
        done = lab.ours("iperf3", "-c", lab.peer[v], "-t", 1, "-f", "m", *more)
        rate = [float(r) for r in __import__("re").findall(r"([\d.]+) Mbits/sec.*(?:sender|receiver)", done.out)]
        check(rate and all(r > 20 for r in rate[-2:]), f"too slow: {more}", done)
        has(done.out, r"iperf Done\.")
    done = lab.ours("iperf3", "-c", lab.peer[v], "-t", 1, "-u", "-b", "50M")
    has(done.out, r"\(0%\)|\(0\.\d+%\)|\([0-4](\.\d+)?%\)")
    done = lab.ours("iperf3", "-c", lab.peer[v], "-t", 1, "-u", "-b", "50M", "-R")
    has(done.out, r"iperf Done\.")


@test(v=(4, 6), need="iperf3", seconds=180)
def iperf3_server(lab, v):
    lab.tap()
    p = lab.spawn("iperf3", "-s", "-B", lab.me[v], "--forceflush", ours=True)
    p.wait_for("listening")
    time.sleep(0.2)
    for more in ([], ["-R"], ["-P", "8"], ["-u", "-b", "50M"]):
        done = lab.run("iperf3", "-c", lab.me[v], "-t", 1, *more)
        has(done.out, r"iperf Done\.")


@test(v=(4, 6), seconds=180)
def python_asyncio(lab, v):
    """Hundreds of connections at once, both as client and as server."""
    lab.tap()
    port = lab.server(v, echo)
    done = lab.python(
        """
import asyncio, sys
async def one(host, port, i):
    r, w = await asyncio.open_connection(host, port)
    data = b"%d " % i * 2000
    w.write(data)
    await w.drain()
    assert await r.readexactly(len(data)) == data
    w.close()
    await w.wait_closed()
async def main(host, port):
    await asyncio.gather(*(one(host, port, i) for i in range(300)))
    async def echo(r, w):
        while data := await r.read(65536):
            w.write(data)
            await w.drain()
        w.close()
    server = await asyncio.start_server(echo, sys.argv[3], 4005)
    await asyncio.gather(*(one(sys.argv[3], 4005, i) for i in range(300)))
    server.close()
    print("all")
asyncio.run(main(sys.argv[1], int(sys.argv[2])))
""",
        lab.peer[v],
        port,
        lab.me[v],
        seconds=120,
    )
    check(done.out == "all\n", "all", done)


@test(v=(4, 6))
def python_urllib(lab, v):
    lab.tap()
    digest, port = body_file(lab), http_peer(lab, v)
    done = lab.python(
        "import hashlib, sys, urllib.request as r\n"
        "for i in range(5): print(hashlib.sha256(r.urlopen(sys.argv[1], timeout=20).read()).hexdigest())",
        f"http://{url(lab.peer[v])}:{port}/file.bin",
    )
    check(done.out.split() == [digest] * 5, "contents", done)


@test(v=(4, 6), need=("redis-server", "redis-cli", "redis-benchmark"), seconds=180)
def redis(lab, v):
    lab.tap()
    config = ["--bind", lab.me[v], "--protected-mode", "no", "--save", "", "--appendonly", "no", "--daemonize", "no"]
    lab.spawn("redis-server", *config, ours=True)
    lab.connect(v, 6379).close()
    check(lab.run("redis-cli", "-h", lab.me[v], "set", "k", "value").out == "OK\n", "set")
    check(lab.run("redis-cli", "-h", lab.me[v], "get", "k").out == "value\n", "get")
    done = lab.run("redis-benchmark", "-h", lab.me[v], "-n", 20000, "-c", 50, "-P", 4, "-t", "set,get,lpush", "-q", seconds=90)
    check(done.out.count("requests per second") >= 3, "benchmark", done)


@test(v=(4, 6), need=("redis-server", "redis-cli", "redis-benchmark"), seconds=180)
def redis_clients(lab, v):
    lab.tap()
    lab.spawn("redis-server", "--bind", lab.peer[v], "--port", 6380, "--protected-mode", "no", "--save", "", "--appendonly", "no")
    lab.connect(v, 6380, "peer").close()
    check(lab.ours("redis-cli", "-h", lab.peer[v], "-p", 6380, "set", "k", "value").out == "OK\n", "set")
    check(lab.ours("redis-cli", "-h", lab.peer[v], "-p", 6380, "get", "k").out == "value\n", "get")
    done = lab.ours("redis-benchmark", "-h", lab.peer[v], "-p", 6380, "-n", 20000, "-c", 50, "-t", "set,get", "-q", seconds=90)
    check(done.out.count("requests per second") >= 2, "benchmark", done)
    done = lab.ours("redis-benchmark", "-h", lab.peer[v], "-p", 6380, "-n", 5000, "-c", 20, "--threads", 2, "-t", "get", "-q", seconds=90)
    has(done.out, "requests per second")


@test(v=(4, 6), need=("nginx", "curl"))
def nginx(lab, v):
    lab.tap()
    digest = body_file(lab)
    with open(lab.path("nginx.conf"), "w") as f:
        f.write(
            f"daemon off; master_process off; pid {lab.dir}/pid; error_log {lab.dir}/error.log; user root;\n"
            "events { worker_connections 512; }\n"
            f"http {{ access_log off; sendfile on; server {{ listen {url(lab.me[v])}:8081; root {lab.dir}; }} }}\n"
        )
    p = lab.spawn("nginx", "-c", lab.path("nginx.conf"), "-p", lab.dir, ours=True)
    lab.connect(v, 8081).close()
    for _ in range(20):
        lab.run("curl", "-sS", "-o", "got", f"http://{url(lab.me[v])}:8081/file.bin")
        check(sha(lab.path("got")) == digest, "contents", p)
    done = lab.run("curl", "-sS", "-Z", *[a for i in range(20) for a in ("-o", f"got{i}", f"http://{url(lab.me[v])}:8081/file.bin")])
    check(all(sha(lab.path(f"got{i}")) == digest for i in range(20)), "contents of the parallel ones", done)
    p.send(15)
    p.wait(10, status=None)


@test(v=(4, 6), need="memcached")
def memcached(lab, v):
    lab.tap()
    lab.spawn("memcached", "-u", "root", "-l", lab.me[v], "-p", 11211, "-t", 4, ours=True)
    c = lab.connect(v, 11211)
    f = c.makefile("rwb")
    for i in range(50):
        value = b"%d" % i * 100
        f.write(b"set k%d 0 0 %d\r\n" % (i, len(value)) + value + b"\r\n")
        f.flush()
        check(f.readline() == b"STORED\r\n", "stored")
        f.write(b"get k%d\r\n" % i)
        f.flush()
        f.readline()
        check(f.readline().strip() == value, "value")
        f.readline()
    c.close()


@test(v=(4, 6), need=("sshd", "ssh", "ssh-keygen"))
def ssh(lab, v):
    lab.tap()
    lab.sh("mkdir -p /run/sshd; ssh-keygen -q -t ed25519 -N '' -f hostkey; ssh-keygen -q -t ed25519 -N '' -f key; cp key.pub authorized; chmod 600 authorized")
    with open(lab.path("sshd_config"), "w") as f:
        f.write(
            f"Port 2222\nListenAddress {lab.peer[v]}\nHostKey {lab.dir}/hostkey\nAuthorizedKeysFile {lab.dir}/authorized\n"
            f"StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\n"
        )
    sshd = lab.spawn("/usr/sbin/sshd", "-D", "-e", "-f", lab.path("sshd_config"))
    lab.connect(v, 2222, "peer").close()
    options = ["-F", "none", "-i", lab.path("key"), "-p", 2222, "-o", "ProxyCommand=none", "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={lab.dir}/known"]
    done = lab.ours("ssh", *options, f"root@{lab.peer[v]}", "cat; echo done", input="x" * 200000)
    check(done.out == "x" * 200000 + "done\n", "through ssh", done.err, sshd)
    done = lab.ours("ssh", *options, f"root@{lab.peer[v]}", "exit 5", status=5)


@test(v=(4, 6))
def connection_reset_and_refused(lab, v):
    lab.tap()

    def slam(c):
        c.recv(1)
        c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        c.close()

    port = lab.server(v, slam)
    done = lab.python(
        """
import socket, sys
host, port = sys.argv[1], int(sys.argv[2])
try: socket.create_connection((host, 9), 10)
except ConnectionRefusedError: print("refused")
s = socket.create_connection((host, port), 10)
s.sendall(b"x")
try: s.recv(1)
except ConnectionResetError: print("reset")
try: s.sendall(b"x")
except BrokenPipeError: print("pipe")
""",
        lab.peer[v],
        port,
    )
    check(done.out.split() == ["refused", "reset", "pipe"], "errors", done)


@test(v=(4, 6))
def many_sockets(lab, v):
    """Thousands of connections at a time."""
    lab.tap()
    lab.sh("true")
    p = lab.spawn(
        "python3",
        "-c",
        """
import resource, selectors, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
sel = selectors.DefaultSelector()
l = socket.create_server((sys.argv[1], 4010), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, backlog=4096)
l.setblocking(False)
sel.register(l, 1)
while True:
    for key, _ in sel.select():
        if key.fileobj is l:
            try: c, _ = l.accept()
            except BlockingIOError: continue
            c.setblocking(False)
            sel.register(c, 1)
        else:
            data = key.fileobj.recv(100)
            if data: key.fileobj.send(data)
            else:
                sel.unregister(key.fileobj)
                key.fileobj.close()
""",
        lab.me[v],
        ours=True,
    )
    lab.connect(v, 4010).close()
    connections = [socket.create_connection((lab.me[v], 4010), 20) for _ in range(2000)]
    for i, c in enumerate(connections):
        c.sendall(b"%d" % i)
    for i, c in enumerate(connections):
        check(c.recv(100) == b"%d" % i, f"connection {i}", p)
    for c in connections:
        c.close()
