"""A shell on a terminal: its commands see one kernel with one state."""

import contextlib
import fcntl
import os
import re
import select
import termios
import time

from lab import Failed, check, has, lacks, test, until, url
from t_servers import write
from t_tcp import body_file, echo, http_peer


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, lab, *args, ours=True, env=None):
        self.master, slave = os.openpty()
        self.seen, self.at, self.count = "", 0, 0

        def control():
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.before = termios.tcgetattr(slave)
        self.proc = lab.spawn(*args, ours=ours, stdin=slave, output=slave, env={"TERM": "dumb", "HOME": lab.dir, "PS1": "$ ", **(env or {})}, before=control)
        self.slave = slave
        lab.ends.append(self.close)

    def close(self):
        for fd in (self.master, self.slave):
            with contextlib.suppress(OSError):
                os.close(fd)

    def type(self, text):
        os.write(self.master, text.encode())

    def expect(self, pattern, seconds=20):
        """Waits until what has come since the last time has the regular expression; answers the match."""
        end = time.monotonic() + seconds
        while True:
            # Newer versions of `ip` colour what they print on a terminal.
            self.seen = self.seen[: self.at] + re.sub(r"\x1b\[[0-9;]*m", "", self.seen[self.at :])
            found = re.search(pattern, self.seen[self.at :], re.M)
            if found:
                self.at += found.end()
                return found
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                raise Failed(f"waited for /{pattern}/ on the terminal\n{self.seen[-3000:]}")
            try:
                self.seen += os.read(self.master, 65536).decode("utf-8", "replace").replace("\r\n", "\n")
            except OSError:
                raise Failed(f"the terminal was closed before /{pattern}/\n{self.seen[-3000:]}") from None

    def do(self, command, status=0, seconds=30):
        """Has the shell run a command; answers what it printed."""
        self.count += 1
        # What is typed is echoed too, so it is not what is waited for.
        self.type(f"{command}\nprintf '<%s %d>\\n' en''d{self.count} $?\n")
        start = self.at
        found = self.expect(rf"<end{self.count} (\d+)>", seconds)
        out = self.seen[start : self.at]
        check(int(found[1]) == status, f"status of {command!r}: {found[1]}", out)
        return out


@test(v=(4, 6), need=("bash", "curl", "ping", "nc"), seconds=180)
def interactive(lab, v):
    """Pipes, job control, scripts, background servers, the shell's own sockets."""
    lab.tap()
    digest, port, back = body_file(lab), http_peer(lab, v), lab.server(v, echo)
    me, peer = lab.me[v], lab.peer[v]
    t = Terminal(lab, "bash", "--norc", "--noprofile", "-i")
    t.do("set +o history; PS2=; bind 'set enable-bracketed-paste off' 2>/dev/null; true")
    # One state.
    t.do("ip addr add 10.44.0.1/24 dev eth0")
    has(t.do("ip -o addr show dev eth0"), r"inet 10\.44\.0\.1/24")
    has(t.do("ip -o addr show | grep -c 10.44.0.1"), r"^1$")
    has(t.do("x=$(ip -o link show | wc -l); echo links $x"), r"^links 2$")
    t.do("(ip link set lo mtu 1234; ip addr del 10.44.0.1/24 dev eth0)")
    out = t.do("cat /proc/net/dev | tail -n +3 | sort; ip -o addr")
    has(out, r"eth0:")
    has(t.do("ip link show lo"), r"mtu 1234")
    lacks(t.do("ip -o addr"), r"10\.44\.0\.1")
    # Clients.
    has(t.do(f"ping -{v} -c 2 -i 0.2 {peer}"), r"2 received, 0% packet loss")
    has(t.do(f"curl -sS http://{url(peer)}:{port}/file.bin | sha256sum"), digest)
    has(t.do(f"for i in 1 2 3; do curl -sS -o got$i http://{url(peer)}:{port}/file.bin & done; wait; sha256sum got1 got2 got3 | cut -c1-64 | sort | uniq -c"), rf"3 {digest}")
    # A server in the background: the next command is its client, as is the peer.
    t.do(f"python3 -m http.server 8099 --bind {me} >log 2>&1 &")
    lab.connect(v, 8099).close()
    has(t.do(f"curl -sS http://{url(me)}:8099/file.bin | sha256sum"), digest)
    has(lab.run("curl", "-sS", f"http://{url(me)}:8099/file.bin", "-o", "mine", "-w", "%{http_code}").out, "200")
    has(t.do("ss -Hltn"), r":8099 ")
    has(t.do("jobs"), r"\[1\]\+? +Running")
    t.do("kill %1; wait %1", status=143)
    has(t.do(f"curl -sS http://{url(me)}:8099/", status=7), r"refused|Failed to connect")
    # Job control: stopped and continued in the middle of a connection.
    t.type(f"nc -{v} -l 8100\n")
    c = lab.connect(v, 8100)
    c.sendall(b"first line\n")
    t.expect(r"^first line$")
    t.type("\x1a")
    t.expect(r"\[1\]\+ +Stopped")
    c.sendall(b"second line\n")
    lacks(t.do("jobs"), r"Running")
    t.type("fg\n")
    t.expect(r"^second line$")
    t.type("typed line\n")
    check(c.recv(100) == b"typed line\n", "what was typed")
    t.type("\x04")
    c.close()
    t.do("true")
    # Interrupted.
    t.type(f"ping -{v} -i 0.2 {peer}\n")
    t.expect(r"icmp_seq=3")
    t.type("\x03")
    t.expect(r" 0% packet loss")
    t.do("true")
    # The shell's own socket, which its children have too.
    t.do(f"exec 5<>/dev/tcp/{peer}/{back}")
    t.do("echo to myself >&5; read -r line <&5")
    has(t.do("echo got $line"), r"^got to myself$")
    has(t.do("printf 'from a child\\n' | cat >&5; head -n 1 <&5"), r"^from a child$")
    t.do("exec 5>&-")
    # A script, by another shell.
    write(lab, "script", f'#!/bin/sh\nip addr add 10.45.0.1/32 dev lo\nfor i in 1 2; do curl -sS -o /dev/null -w "%{{http_code}}\\n" http://{url(peer)}:{port}/script; done\n')
    has(t.do("chmod +x script; ./script"), r"^200\n200$")
    has(t.do("env -i /bin/sh -c '/bin/ip -o addr show dev lo || /usr/sbin/ip -o addr show dev lo'"), r"10\.45\.0\.1/32")
    out = t.do("stty -a | head -n 1; tty")
    has(out, r"/dev/pts/")
    t.type("exit\n")
    t.proc.wait(20)
    check(termios.tcgetattr(t.slave) == t.before, "the terminal is as it was")


@test(need=("sh", "ping", "curl"))
def script(lab):
    """Without a terminal: what one command does, the next one sees; pipes between programs that use the network."""
    lab.tap()
    digest, port, back = body_file(lab), http_peer(lab, 4), lab.server(4, echo)
    done = lab.ours(
        "sh", "-ec",
        f"""
ip addr add 10.46.0.1/24 dev eth0
ip -o addr show dev eth0 | grep -o '10.46.0.1/24'
ip route add 10.47.0.0/16 via {lab.peer[4]}
ip route get 10.47.1.1 | grep -o 'via {lab.peer[4]}'
ping -c 1 -W 5 {lab.peer[4]} | grep -o '1 received'
curl -sS http://{lab.peer[4]}:{port}/file.bin | nc -N {lab.peer[4]} {back} | sha256sum
nc -l 8101 </dev/null >got &
until ss -Hltn | grep -q :8101; do sleep 0.05; done
echo through | nc -N {lab.me[4]} 8101
wait
cat got
""",
    )
    check(done.out == f"10.46.0.1/24\nvia {lab.peer[4]}\n1 received\n{digest}  -\nthrough\n", "what was seen", done)


@test(need=("busybox",))
def busybox_shell(lab):
    """A shell whose commands are itself."""
    lab.tap()
    digest, port = body_file(lab), http_peer(lab, 4)
    done = lab.ours(
        "busybox", "sh", "-ec",
        f"""
busybox ip addr add 10.46.0.1/24 dev eth0
busybox ip addr show dev eth0 | grep -o '10.46.0.1/24'
busybox wget -q -O - http://{lab.peer[4]}:{port}/file.bin | sha256sum
busybox ping -c 1 {lab.peer[4]} | grep -o '1 packets received'
busybox httpd -f -p {lab.me[4]}:8102 -h {lab.dir} & pid=$!
until busybox wget -q -O got http://{lab.me[4]}:8102/file.bin 2>/dev/null; do sleep 1; done
sha256sum <got
kill $pid
""",
    )
    check(done.out == f"10.46.0.1/24\n{digest}  -\n1 packets received\n{digest}  -\n", "what was seen", done)


@test(need=("tmux",))
def tmux(lab):
    """Its server is a daemon; each window's shell is a child of it."""
    lab.tap()
    socket = ["-L", f"lkl-{os.getpid()}-{lab.native}", "-f", "/dev/null"]
    env = {"TERM": "xterm", "TMUX_TMPDIR": lab.dir, "HOME": lab.dir, "SHELL": "/bin/sh"}

    def run(*args, ours=False, **more):
        return lab.run("tmux", *socket, *args, ours=ours, env=env, **more)

    lab.ends.append(lambda: run("kill-server", status=None))
    run("new-session", "-d", "-s", "s", "-x", "100", "-y", "30", ours=True)
    run("send-keys", "-t", "s", "ip addr add 10.48.0.1/24 dev eth0; touch one", "Enter")
    until(lambda: os.path.exists(lab.path("one")), 20, "the first command")
    run("new-window", "-t", "s:")
    run("send-keys", "-t", "s", "ip -o addr show dev eth0; ping -c 1 10.7.0.1; touch two", "Enter")
    until(lambda: os.path.exists(lab.path("two")), 20, "the second command")
    out = run("capture-pane", "-p", "-t", "s").out
    has(out, r"10\.48\.0\.1/24")
    has(out, r"1 received")
    run("kill-server")
