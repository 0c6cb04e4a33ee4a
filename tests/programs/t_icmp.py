"""ping, traceroute, arping."""

import re

from lab import check, has, lacks, test


def ping(lab, v, *args, **more):
    return lab.ours("ping", f"-{v}", *args, lab.peer[v], **more)


@test(v=(4, 6), need="ping")
def answers(lab, v):
    lab.tap()
    done = ping(lab, v, "-c", 3, "-i", 0.2)
    has(done.out, r"3 packets transmitted, 3 received, 0% packet loss")
    has(done.out, rf"64 bytes from {lab.peer[v]}: icmp_seq=1 ttl=64 time=")
    has(done.out, r"rtt min/avg/max/mdev = ")


# Echoes, by both kinds of sockets: the answers are right to the last bit, as programs see them.
ECHO = """
import socket, struct, sys
def total(data):
    data += bytes(len(data) % 2)
    n = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while n > 0xffff:
        n = (n & 0xffff) + (n >> 16)
    return n
v, peer = int(sys.argv[1]), sys.argv[2]
family, proto = (socket.AF_INET, socket.IPPROTO_ICMP) if v == 4 else (socket.AF_INET6, socket.IPPROTO_ICMPV6)
with socket.socket(family, socket.SOCK_DGRAM) as s:
    s.connect((peer, 9))
    me = s.getsockname()[0]
for kind in (socket.SOCK_RAW, socket.SOCK_DGRAM):
    s = socket.socket(family, kind, proto)
    s.settimeout(5)
    body = struct.pack("!BBHHH", 8 if v == 4 else 128, 0, 0, 77, 1) + b"x" * 41
    if v == 4 and kind == socket.SOCK_RAW:
        body = body[:2] + struct.pack("!H", ~total(body) & 0xffff) + body[4:]
    s.sendto(body, (peer, 0))
    while True:
        data, who = s.recvfrom(2000)
        if v == 4 and kind == socket.SOCK_RAW:
            assert data[0] == 0x45, data
            data = data[20:]
        if data[0] == (0 if v == 4 else 129):
            break
    assert who[0] == peer and data[8:] == body[8:], (who, data)
    pseudo = b"" if v == 4 else socket.inet_pton(family, peer) + socket.inet_pton(family, me) + struct.pack("!II", len(data), proto)
    assert total(pseudo + data) == 0xffff, ("checksum", data)
    print("answered")
"""


@test(v=(4, 6), need="ping")
def raw_and_datagram_sockets(lab, v):
    lab.tap()
    # A group that may use ICMP's datagram sockets, as on every Debian.
    lab.sh("echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range")
    p = lab.spawn("sleep", "60", ours=True)
    lab.run("ping", f"-{v}", "-c", 1, "-w", 10, lab.me[v])
    for ours, to in ((False, lab.me[v]), (True, lab.peer[v]), (True, "127.0.0.1" if v == 4 else "::1")):
        if ours:
            p.kill()
        done = lab.python(ECHO, v, to, ours=ours)
        check(done.out.count("answered") == 2, "both kinds", done)


@test(v=(4, 6), need="ping")
def is_answered(lab, v):
    """The program need not do anything for its kernel to answer."""
    lab.tap()
    p = lab.spawn("sleep", "60", ours=True)
    done = lab.run("ping", "-c", 5, "-i", 0.2, "-w", 10, lab.me[v])
    has(done.out, r", 0% packet loss|[1-9] received")
    p.kill()


@test(v=(4, 6), need="ping")
def flood(lab, v):
    lab.tap()
    done = ping(lab, v, "-f", "-q", "-c", 2000, "-w", 20)
    lost = int(has(done.out, r"(\d+)% packet loss")[1])
    check(lost == 0, "lost some", done)
    has(done.out, r"2000 packets transmitted, 2000 received")


@test(v=(4, 6), need="ping")
def sizes(lab, v):
    lab.tap()
    biggest = 65507 if v == 4 else 65487
    for size in (0, 1, 56, 1472, 1473, 8192, biggest):
        done = ping(lab, v, "-c", 2, "-i", 0.2, "-W", 3, "-s", size)
        has(done.out, r"2 received, 0% packet loss", f"size {size}: {done}")
        has(done.out, rf"{size + 8} bytes from")
    done = ping(lab, v, "-c", 1, "-W", 1, "-s", 65508 if v == 4 else 65528, status=None)
    check(done.status != 0, "a packet that is too long was sent", done)


@test(v=(4, 6), need="ping")
def may_not_be_fragmented(lab, v):
    lab.tap()
    done = ping(lab, v, "-M", "do", "-s", 3000, "-c", 1, "-W", 1, status=1)
    # Newer versions do not read it from the error queue.
    old = int(re.search(r"iputils.(\d+)", lab.run("ping", "-V").out)[1]) < 20240000
    has(done.out + done.err, r"[Mm]essage too long,? mtu[=:] ?1500" if old else r"Message too long")
    done = ping(lab, v, "-M", "do", "-s", 1400, "-c", 1)
    has(done.out, r"1 received")


@test(need="ping")
def fragmentation_needed_on_the_way(lab):
    """A router behind which the path is narrower tells us so."""
    lab.tap()
    lab.sh("ip link add far type veth peer name far1; ip link set far1 up; ip addr add 10.8.0.1/24 dev far; ip link set far mtu 1200 up; echo 1 >/proc/sys/net/ipv4/ip_forward")
    done = lab.ours("ping", "-M", "do", "-s", 1400, "-c", 2, "-i", 0.3, "-W", 1, "10.8.0.9", status=1)
    has(done.out + done.err, r"[Ff]rag needed and DF set \(mtu = 1200\)|[Mm]essage too long,? mtu[=:] ?1200")


@test(v=(4, 6), need="ping")
def nobody_there(lab, v):
    lab.tap()
    away = "10.7.0.77" if v == 4 else "fd07::77"
    done = lab.ours("ping", f"-{v}", "-c", 2, "-W", 4, away, status=1, seconds=30)
    has(done.out, r"Destination Host Unreachable|Address unreachable")


@test(v=(4, 6), need="ping")
def loopback(lab, v):
    done = lab.ours("ping", f"-{v}", "-c", 3, "-i", 0.2, "127.0.0.1" if v == 4 else "::1")
    has(done.out, r"3 received, 0% packet loss")


@test(need="ping")
def no_network(lab):
    """Nothing is configured: the host's networks are not used in its place."""
    lab.sh("ip link add far type veth peer name far1; ip link set far1 up; ip addr add 10.8.0.1/24 dev far; ip link set far up")
    done = lab.ours("ping", "-c", 1, "-W", 1, "10.8.0.1", status=None)
    check(done.status != 0, "answered", done)
    has(done.err + done.out, r"Network is unreachable")


# One probe at a time (`-N 1`): of the first two ICMP errors in a network namespace, if two CPUs send them at once, the host's kernel drops one
# (its rate limit's clock can be set by one of them only). Two of our threads can write at once: one sends what waited for the neighbour.
TRACEROUTE = ("traceroute", "-n", "-q", 1, "-N", 1)


@test(v=(4, 6), need="traceroute")
def traceroute_udp(lab, v):
    lab.tap()
    done = lab.ours(*TRACEROUTE, f"-{v}", "-w", 2, lab.peer[v])
    has(done.out, rf"^ 1  {lab.peer[v]}  [\d.]+ ms")


@test(v=(4, 6), need="traceroute")
def traceroute_icmp(lab, v):
    lab.tap()
    done = lab.ours(*TRACEROUTE, f"-{v}", "-I", "-w", 2, lab.peer[v])
    has(done.out, rf"^ 1  {lab.peer[v]}  [\d.]+ ms")


@test(need="traceroute")
def traceroute_two_hops(lab):
    lab.tap()
    lab.sh("ip link add far type veth peer name far1; ip link set far1 up; ip addr add 10.8.0.1/24 dev far; ip link set far up; echo 1 >/proc/sys/net/ipv4/ip_forward")
    done = lab.ours(*TRACEROUTE, "-w", 2, "-m", 4, "10.8.0.1")
    has(done.out, r"^ 1  10\.8\.0\.1  ")
    done = lab.ours(*TRACEROUTE, "-w", 4, "-m", 3, "10.8.0.9", seconds=90)
    has(done.out, rf"^ 1  {lab.peer[4]}  ")


@test(need="arping")
def arping(lab):
    lab.tap()
    done = lab.ours("arping", "-I", "eth0", "-c", 2, lab.peer[4], status=None)
    has(done.out, r"(bytes|reply) from .*10\.7\.0\.1")
    lacks(done.out, r"Received 0 response|0 packets received")


@test(need="arping")
def is_arpinged(lab):
    lab.tap()
    lab.spawn("sleep", "60", ours=True)
    done = lab.run("arping", "-i" if "Habets" in lab.run("arping", "--help", status=None).out else "-I", "tap0", "-c", 3, lab.me[4], status=None)
    has(done.out, r"(?i)02:00:00:00:07:02")
