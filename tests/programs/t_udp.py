"""dig and other programs over UDP, and DNS by libc."""

import socket
import threading

from lab import check, has, lacks, test, until


def dns(lab, v):
    """A native DNS server."""
    lab.spawn(
        "dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", f"--listen-address={lab.peer[v]}", "--bind-interfaces",
        "--port=53", "--user=root", "--pid-file=", "--address=/name.test/10.7.0.77", "--address=/name.test/fd07::77",
        "--txt-record=big.test," + ",".join(["x" * 200] * 12),
    )
    lab.wait_peer_port(53, udp=True)


@test(v=(4, 6), need=("dig", "dnsmasq"))
def dig(lab, v):
    lab.tap()
    dns(lab, v)
    done = lab.ours("dig", f"@{lab.peer[v]}", "name.test", "+tries=2", "+time=3")
    has(done.out, r"^name\.test\.\s+0\s+IN\s+A\s+10\.7\.0\.77")
    has(done.out, rf"SERVER: {lab.peer[v]}#53.*\(UDP\)|SERVER: {lab.peer[v]}#53")
    done = lab.ours("dig", f"@{lab.peer[v]}", "+tcp", "name.test", "AAAA", "+short", "+time=3")
    check(done.out.strip() == "fd07::77", "over TCP", done)
    done = lab.ours("dig", f"@{lab.peer[v]}", "big.test", "TXT", "+bufsize=512", "+time=3")
    has(done.out, r"Truncated, retrying in TCP")
    has(done.out, r"x{200}")


@test(v=(4, 6))
def datagrams_of_all_sizes(lab, v):
    lab.tap()
    s = socket.socket(socket.AF_INET if v == 4 else socket.AF_INET6, socket.SOCK_DGRAM)
    s.bind((lab.peer[v], 4040))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)

    def echo():
        while True:
            data, who = s.recvfrom(70000)
            if not data:
                return
            s.sendto(data, who)

    threading.Thread(target=echo, daemon=True).start()
    done = lab.python(
        """
import os, socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect((sys.argv[1], 4040))
for size in (1, 100, 1472, 1473, 4000, 20000, 65000, 65507):
    data = os.urandom(size)
    s.send(data)
    assert s.recv(70000) == data, size
try: s.send(b"x" * 65536)
except OSError as e: print(e.errno)
s.send(b"")
print(s.getsockname()[0])
""",
        lab.peer[v],
    )
    check(done.out.split() == ["90", lab.me[v]], "all echoed", done)


@test(v=(4, 6))
def refused_and_multicast(lab, v):
    lab.tap()
    done = lab.python(
        """
import socket, struct, sys
v6 = ":" in sys.argv[1]
family = socket.AF_INET6 if v6 else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect((sys.argv[1], 9))
s.send(b"x")
try: s.recv(1)
except ConnectionRefusedError: print("refused")
r = socket.socket(family, socket.SOCK_DGRAM)
r.settimeout(5)
r.bind(("", 4041))
group = "ff05::77" if v6 else "239.1.2.3"
if v6:
    r.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(family, group) + struct.pack("I", socket.if_nametoindex("eth0")))
    s2 = socket.socket(family, socket.SOCK_DGRAM)
    s2.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex("eth0"))
else:
    r.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton(sys.argv[2]))
    s2 = socket.socket(family, socket.SOCK_DGRAM)
    s2.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(sys.argv[2]))
s2.sendto(b"to all", (group, 4041))
print(r.recv(100).decode())
""",
        lab.peer[v],
        lab.me[v],
    )
    check(done.out.split("\n")[:2] == ["refused", "to all"], "both", done)


@test(v=(4, 6), need="logger")
def logger(lab, v):
    """`logger` sends messages of syslog by UDP, and by TCP."""
    lab.tap()
    family = socket.AF_INET6 if v == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.bind((lab.peer[v], 0))
        s.settimeout(10)
        lab.ours("logger", "-n", lab.peer[v], "-P", s.getsockname()[1], "-d", "-t", "tagged", "over udp")
        has(s.recv(1000).decode(), r"^<13>1? ?.* tagged .*over udp")
    got = []
    port = lab.server(v, lambda c: got.append(c.recv(1000)))
    lab.ours("logger", "-n", lab.peer[v], "-P", port, "-T", "-t", "tagged", "over tcp")
    has(until(lambda: got)[0].decode(), r"tagged .*over tcp")
