"""Several interfaces: eth0 and eth1, by a file."""

import json
import os
import random
import signal
import socket
import threading
import time

from lab import Skip, check, has, kernels, lacks, test, until
from t_devices import SERVER, exchange
from t_named import place

MINE = {"eth0": {4: "10.7.0.2", 6: "fd07::2"}, "eth1": {4: "10.8.0.2", 6: "fd08::2"}}
PEER = {"eth0": {4: "10.7.0.1", 6: "fd07::1"}, "eth1": {4: "10.8.0.1", 6: "fd08::1"}}


def two(lab, second="tap", **more):
    """A kernel with two interfaces, whose peers are at the far end of each. Beyond both are 192.0.2.1 and 2001:db8::1."""
    if lab.native:
        raise Skip("about the configuration of ours")
    for name in ("all", "default"):
        lab.sh(f"echo 0 >/proc/sys/net/ipv6/conf/{name}/accept_ra; echo 0 >/proc/sys/net/ipv4/conf/{name}/rp_filter")
    lab.sh("ip tuntap add dev tap0 mode tap; ip addr add 192.0.2.1/32 dev lo; ip addr add 2001:db8::1/128 dev lo")
    ends = {"eth0": "tap0", "eth1": "tap1"}
    if second == "tap":
        lab.sh("ip tuntap add dev tap1 mode tap")
        param = "tap1"
    else:
        lab.sh("ip link add v0 type veth peer name tap1; echo 1 >/proc/sys/net/ipv6/conf/v0/disable_ipv6; ip link set v0 up")
        param = "v0"
    for name, end in ends.items():
        lab.sh(f"ip addr add {PEER[name][4]}/24 dev {end}; ip addr add {PEER[name][6]}/64 dev {end} nodad; ip link set {end} up")
    both = [
        {
            "type": kind, "param": param, "ip": MINE[name][4], "masklen": 24, "ipv6": MINE[name][6], "masklen6": "64",
            "ifgateway": PEER[name][4], "ifgateway6": PEER[name][6],
        }
        for name, kind, param in (("eth0", "tap", "tap0"), ("eth1", second, param))
    ]
    both[1]["mtu"] = 1400
    with open(lab.path("two.json"), "w") as f:
        json.dump({"interfaces": both, "gateway": PEER["eth0"][4], **more}, f)
    lab.env = {"LKL_HIJACK_CONFIG_FILE": lab.path("two.json")}


def received(lab, end):
    """Packets that the peer has received at its end."""
    words = lab.sh(f"ip -s link show {end}").split("RX:")[1].split("\n")[1].split()
    return int(words[1])


@test(v=(4, 6))
def both_ways(lab, v):
    two(lab, "tap" if v == 4 else "raw")
    done = lab.ours("ip", "-br", "addr")
    for name in ("eth0", "eth1"):
        has(done.out, rf"^{name} +UP .*{MINE[name][4]}/24 .*{MINE[name][6]}/64")
    has(lab.ours("ip", "link", "show", "eth1").out, r"^3: eth1: .* mtu 1400 ")
    # A server on both, whose children serve, in a tree with others.
    script = 'python3 -c "$1" $2 7000 & sleep 1000 & wait'
    tree = lab.spawn("bash", "-c", script, "bash", SERVER, "0.0.0.0" if v == 4 else "::", ours=True)
    tree.wait_for("ready")
    for name in MINE:
        lab.me = MINE[name]
        exchange(lab, v, 7000)
        exchange(lab, v, 7000, os.urandom(2 << 20))
    tree.kill()
    for name in PEER:
        has(lab.ours("ping", "-c", 2, "-i", 0.2, PEER[name][v]).out, r"2 received")
    # Programs that become others, and children, have both.
    pings = "; ".join(f"ping -c 1 {PEER[name][v]}" for name in PEER)
    check(lab.ours("sh", "-c", f"({pings}); {pings.replace('ping', 'exec ping', 1).split(';')[0]}").out.count("1 received") == 3, "pings")
    # One program that waits for both at once, alone and with somebody else in the tree.
    wait = (
        "import select, socket, subprocess, sys\nother = subprocess.Popen(['sleep', '100']) if sys.argv[1] == 'tree' else None\nall = []\n"
        "for i, a in enumerate(sys.argv[2:]):\n"
        "    s = socket.socket(socket.AF_INET6 if ':' in a else socket.AF_INET, socket.SOCK_DGRAM)\n    s.bind((a, 9000))\n    all.append(s)\n"
        "print('ready', flush=True)\ngot = []\n"
        "while len(got) < 4:\n"
        "    for s in select.select(all, [], [])[0]:\n        data, who = s.recvfrom(100)\n        s.sendto(data, who)\n        got.append(data)\n"
        "print(sorted(got))\nif other: other.kill()"
    )
    for how in ("alone", "tree"):
        waiter = lab.spawn("python3", "-c", wait, how, MINE["eth0"][v], MINE["eth1"][v], ours=True)
        waiter.wait_for("ready")
        with socket.socket(socket.AF_INET if v == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as s:
            s.settimeout(10)
            for n, name in enumerate(("eth0", "eth1", "eth1", "eth0")):
                time.sleep(0.05)
                s.sendto(bytes([65 + n]), (MINE[name][v], 9000))
                check(s.recvfrom(100)[0] == bytes([65 + n]), "an answer")
        has(waiter.wait().out, r"b'A', b'B', b'C', b'D'")


@test(v=(4, 6))
def each_has_its_gateway(lab, v):
    """What is sent from an interface's address goes by its own table, whatever the default route is."""
    two(lab, gateway6=PEER["eth0"][6])
    rules = lab.ours("ip", f"-{v}", "rule").out
    for name, table in (("eth0", 4), ("eth1", 6)):
        number = table + (v == 6)
        has(rules, rf"from {MINE[name][v]} lookup {number}\b")
        has(lab.ours("ip", f"-{v}", "route", "show", "table", number).out, rf"^default via {PEER[name][v]} dev {name}")
    has(lab.ours("ip", f"-{v}", "route").out, rf"^default via {PEER['eth0'][v]} dev eth0")
    far = "192.0.2.1" if v == 4 else "2001:db8::1"
    for name, end, other in (("eth0", "tap0", "tap1"), ("eth1", "tap1", "tap0")):
        before = received(lab, end), received(lab, other)
        has(lab.ours("ping", "-c", 5, "-i", 0.1, "-I", MINE[name][v], far).out, r" 5 received")
        after = received(lab, end), received(lab, other)
        check(after[0] - before[0] >= 5, f"it went by {name}", before, after)


@test(v=(4, 6))
def connections_of_one_that_is_killed(lab, v):
    """The peers on both sides are told; the next kernel has both devices."""
    two(lab)
    p = lab.spawn("python3", "-c", SERVER, "0.0.0.0" if v == 4 else "::", 7000, ours=True)
    p.wait_for("ready")
    open_ones = []
    for name in MINE:
        lab.me = MINE[name]
        c = lab.connect(v, 7000)
        c.sendall(b"x")
        check(c.recv(1) == b"X", "it serves")
        open_ones.append(c)
    p.kill()
    for c in open_ones:
        c.settimeout(20)
        try:
            check(c.recv(1) == b"", "the end")
        except ConnectionResetError:
            pass
        c.close()
    has(lab.ours("ping", "-c", 1, PEER["eth1"][v]).out, r"1 received")


@test()
def with_a_name(lab):
    two(lab)
    place(lab)
    lab.ours("--kernel", "k", "true")
    has(lab.ours("--list").out, r"^k +\d+ +root +tap0,tap1 +0")
    for name in PEER:
        has(lab.ours("--kernel", "k", "ping", "-c", 1, PEER[name][4]).out, r"1 received")
    done = lab.ours("--kernel", "k", "true", env={"LKL_HIJACK_CONFIG_FILE": "", "LKL_HIJACK_NET_TAP": "tap1"})
    has(done.err, r"^lkl-hijack: LKL_HIJACK_NET_TAP=tap1: not set, kernel k runs with tap0$")
    # Both are given back.
    lab.ours("--stop", "k")
    check(not kernels(), "a kernel is left", kernels())
    with open(lab.path("two.json")) as f:
        both = json.load(f)
    both["interfaces"].reverse()
    both["gateway"] = PEER["eth1"][4]
    with open(lab.path("two.json"), "w") as f:
        json.dump(both, f)
    has(lab.ours("ip", "-br", "addr").out, rf"^eth0 .*{MINE['eth1'][4]}/24")
    both["interfaces"][1]["param"] = "tap1"
    with open(lab.path("two.json"), "w") as f:
        json.dump(both, f)
    done = lab.ours("true", status=125)
    has(done.err, r"two\.json: interfaces\[1\]\.param=tap1: expected a device, or addresses on it, that no other interface has$")
    lacks(lab.ours("ip", "-br", "addr", env={"LKL_HIJACK_CONFIG_FILE": ""}).out, r"eth")
    until(lambda: not kernels(), what="a kernel is left")


@test(v=(4, 6), seconds=120)
def killed_at_once(lab, v):
    """`kill -9` of a program in the middle of transfers on both sides: both peers see the end, and the next kernel has both devices."""
    two(lab)
    code = (
        "import socket, sys, threading\nall = []\n"
        "for a, p in zip(sys.argv[1::2], sys.argv[2::2]): all.append(socket.create_connection((a, int(p))))\n"
        "def send(c):\n    while True: c.sendall(bytes(50000))\n"
        "print('on', flush=True)\nfor c in all: threading.Thread(target=send, args=(c,)).start()\n"
    )
    for _ in range(8):
        ended = {}
        ports = []
        for name in PEER:
            ended[name] = threading.Event()

            def sink(c, end=ended[name]):
                try:
                    while c.recv(65536):
                        pass
                except ConnectionResetError:
                    # It was killed with its hands in the connection.
                    pass
                end.set()

            lab.peer = PEER[name]
            ports += [PEER[name][v], lab.server(v, sink)]
        p = lab.spawn("python3", "-c", code, *ports, ours=True)
        p.wait_for("on")
        time.sleep(random.uniform(0.05, 0.3))
        os.kill(p.pid, signal.SIGKILL)
        for name, end in ended.items():
            check(end.wait(10), f"the peer at {name} does not see the end", p)
