"""Network devices other than a TAP: packet sockets, macvtap, named pipes, VDE switches."""

import hashlib
import os
import re
import socket
import subprocess
import threading

from lab import WRAPPER, Skip, check, has, kernels, lacks, test, until
from t_named import place

KINDS = ("raw", "macvtap", "vde")

# Answers with what it gets, in upper case; each connection in a process of its own.
SERVER = """
import os, socket, sys
s = socket.create_server((sys.argv[1], int(sys.argv[2])), family=socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET)
print('ready', flush=True)
while True:
    c, _ = s.accept()
    if os.fork() == 0:
        while data := c.recv(65536):
            c.sendall(data.upper())
        os._exit(0)
    c.close()
"""


def veth(lab):
    """Two ends of a wire, in this namespace; the far one is the peer's."""
    lab.sh(
        "ip link add v0 type veth peer name v1; for d in v0 v1; do echo 0 >/proc/sys/net/ipv6/conf/$d/accept_ra; done;"
        "echo 1 >/proc/sys/net/ipv6/conf/v0/disable_ipv6; ip link set v0 up; ip link set v1 up"
    )
    return "v1"


def switch(lab, *options):
    """A VDE switch in a directory of the test's; answers that."""
    path = lab.path("switch")
    # It ends with its standard input.
    lab.spawn("vde_switch", "-s", path, *options, stdin=subprocess.PIPE)
    until(lambda: os.path.exists(os.path.join(path, "ctl")), what="vde_switch does not start")
    return path


def device(lab, kind, name="", **more):
    """Makes a device with the peer at the other end, and says in `lab.env` how to use it."""
    if lab.native:
        raise Skip("about devices of ours")
    if kind == "raw":
        far, param = veth(lab), "v0"
    elif kind == "macvtap":
        far = veth(lab)
        try:
            lab.sh("ip link add link v0 name m0 type macvtap mode bridge")
        except AssertionError as e:
            raise Skip("this kernel has no macvtap") from e
        # It passes on only the groups that the host has joined on it, which knows nothing of ours (IPv6 asks for neighbours by groups).
        lab.sh("echo 1 >/proc/sys/net/ipv6/conf/m0/disable_ipv6; ip link set m0 up allmulticast on")
        # The device of this namespace's interface: /dev has those of all namespaces, under the same numbers.
        number = lab.sh("unshare -m sh -ec 'mount -t sysfs none /sys; cat /sys/class/net/m0/tap*/dev'").strip()
        param = lab.path("macvtap")
        lab.sh(f"mknod {param} c {number.replace(':', ' ')}")
    elif kind == "vde":
        param, far = switch(lab, "-tap", "tap0"), "tap0"
        lab.sh("echo 0 >/proc/sys/net/ipv6/conf/tap0/accept_ra")
    lab.sh(f"ip addr add {lab.peer[4]}/24 dev {far}; ip addr add {lab.peer[6]}/64 dev {far} nodad; ip link set {far} up")
    lab.env = {
        "LKL_HIJACK_NET_IFTYPE": kind,
        "LKL_HIJACK_NET_IFPARAMS": param,
        "LKL_HIJACK_NET_IP": lab.me[4] + "/24",
        "LKL_HIJACK_NET_IPV6": lab.me[6] + "/64",
        "LKL_HIJACK_NET_GATEWAY": lab.peer[4],
        "LKL_HIJACK_NET_GATEWAY6": lab.peer[6],
        **{"LKL_HIJACK_" + k: v for k, v in more.items()},
    }


def exchange(lab, v, port, data=b"some words"):
    with lab.connect(v, port) as c:
        writer = threading.Thread(target=lambda: (c.sendall(data), c.shutdown(socket.SHUT_WR)))
        writer.start()
        got = b"".join(iter(lambda: c.recv(65536), b""))
        writer.join()
    check(got == data.upper(), f"{len(got)} bytes of {len(data)}")


def trees(lab, v):
    """Pings, a server whose children serve, a client beside it, and programs that become others."""
    has(lab.ours("ping", "-c", 2, "-i", 0.2, lab.peer[v]).out, r"2 received")
    done = lab.ours("sh", "-c", f"ping -c 1 {lab.peer[v]} >/dev/null && exec ping -c 1 {lab.peer[v]}")
    has(done.out, r"1 received")
    script = f"python3 -c \"$1\" {lab.me[v]} 7000 & sleep 1000 & wait"
    tree = lab.spawn("bash", "-c", script, "bash", SERVER, ours=True)
    tree.wait_for("ready")
    exchange(lab, v, 7000)
    exchange(lab, v, 7000, os.urandom(3 << 20).replace(b"\n", b" "))
    # Its kernel has the device, and stays with the last of its programs.
    check(len(kernels()) == 1, "one kernel", kernels())
    tree.kill()
    # The next one has it at once, though connections of the last one are not quite finished.
    data = os.urandom(4 << 20)
    port = lab.server(v, lambda c: (c.sendall(data), c.shutdown(1)))
    code = "import hashlib, socket, sys\nc = socket.create_connection((sys.argv[1], int(sys.argv[2])))\nprint(hashlib.sha256(c.makefile('rb').read()).hexdigest())"
    for _ in range(2):
        done = lab.python(code, lab.peer[v], port)
        check(done.out.strip() == hashlib.sha256(data).hexdigest(), "the data", done)


def with_name(lab, v):
    """A kernel with a name, which outlives the commands on it."""
    place(lab)
    lab.ours("--kernel", "k", "ip", "addr", "add", "10.9.0.1/24", "dev", "eth0")
    has(lab.ours("--kernel", "k", "ip", "-br", "addr").out, r"^eth0 .*10\.9\.0\.1/24")
    kind = lab.env["LKL_HIJACK_NET_IFTYPE"]
    has(lab.ours("--list").out, rf"^k +\d+ +root +{kind}:{re.escape(lab.env['LKL_HIJACK_NET_IFPARAMS'])} ")
    server = lab.spawn("python3", "-c", SERVER, lab.me[v], 7000, ours=True, env={"LKL_HIJACK_KERNEL": "k"})
    server.wait_for("ready")
    exchange(lab, v, 7000)
    # The addresses there are taken.
    done = lab.ours("true", status=125)
    has(done.err, r"^lkl-hijack: LKL_HIJACK_NET_IFPARAMS=.*: expected one that is free; another kernel has it")
    lab.ours("--stop", "k")
    check(not kernels(), "a kernel is left", kernels())
    server.wait(status=None)
    has(lab.ours("ping", "-c", 1, lab.peer[v]).out, r"1 received")


@test(v=(4, 6))
def raw(lab, v):
    device(lab, "raw")
    trees(lab, v)
    with_name(lab, v)
    has(lab.ours("ethtool", "-i", "eth0").out, r"^driver: packet")
    # No longer than the interface takes them.
    lab.sh("ip link set v0 mtu 1400; ip link set v1 mtu 1400")
    has(lab.ours("ip", "link", "show", "eth0").out, r"mtu 1400 ")
    has(lab.ours("ping", "-c", 1, "-s", 3000, lab.peer[v]).out, r"1 received")
    # An interface that goes down and up again.
    server = lab.spawn("python3", "-c", SERVER, lab.me[v], 7000, ours=True)
    server.wait_for("ready")
    lab.sh("ip link set v0 down; sleep 0.2; ip link set v0 up")
    exchange(lab, v, 7000)
    server.kill()
    # The same address each time, and another one with other addresses.
    def mac(**more):
        return has(lab.ours("ip", "link", "show", "eth0", env=more).out, r"link/ether (\S+)")[1]

    check(mac() == mac() != mac(LKL_HIJACK_NET_IP="10.7.0.3/24", LKL_HIJACK_NET_IPV6="fd07::3/64"), "hardware addresses")
    drop = ["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all", WRAPPER]
    has(lab.run(*drop, "true", env=lab.env, status=125).err, r"NET_IFPARAMS=v0: expected the right to open packet sockets \(CAP_NET_RAW\)$")
    lab.env["LKL_HIJACK_NET_IFPARAMS"] = "v7"
    has(lab.ours("true", status=125).err, r"^lkl-hijack: LKL_HIJACK_NET_IFPARAMS=v7: expected an interface of this machine; there is none")


@test(v=(4, 6))
def macvtap(lab, v):
    device(lab, "macvtap")
    trees(lab, v)
    with_name(lab, v)
    # Its address is the interface's, or both are what is asked for.
    own = has(lab.sh("ip link show m0"), r"link/ether (\S+)")[1]
    has(lab.ours("ip", "link", "show", "eth0").out, f"link/ether {own}")
    lab.env["LKL_HIJACK_NET_MAC"] = lab.mac
    has(lab.ours("ping", "-c", 1, lab.peer[v]).out, r"1 received")
    has(lab.sh("ip link show m0"), f"link/ether {lab.mac}")
    lab.env["LKL_HIJACK_NET_IFPARAMS"] = "/dev/null"
    has(lab.ours("true", status=125).err, r"^lkl-hijack: LKL_HIJACK_NET_IFPARAMS=/dev/null: expected a macvtap device")


@test(v=(4, 6), need=("vde_switch",))
def vde(lab, v):
    device(lab, "vde")
    trees(lab, v)
    with_name(lab, v)
    # Two kernels on one switch, with addresses of their own.
    server = lab.spawn("python3", "-c", SERVER, lab.me[v], 7000, ours=True)
    server.wait_for("ready")
    other = {"LKL_HIJACK_NET_IP": "10.7.0.3/24", "LKL_HIJACK_NET_IPV6": "fd07::3/64"}
    code = "import socket, sys\nc = socket.create_connection((sys.argv[1], 7000))\nc.sendall(b'abc')\nprint(c.recv(3))"
    check(lab.python(code, lab.me[v], env=other).out == "b'ABC'\n", "between two")
    server.kill()
    for pid in kernels():
        os.kill(pid, 9)
    check([f for f in os.listdir(lab.path("switch")) if f.startswith("lkl-")] == [], "sockets are left")
    lab.env["LKL_HIJACK_NET_IFPARAMS"] = lab.path("nothing")
    has(lab.ours("true", status=125).err, r"nothing: expected the directory of a VDE switch that runs: No such file")


@test(v=(4, 6))
def pipe(lab, v):
    """Two kernels, at the ends of a pair of named pipes."""
    if lab.native:
        raise Skip("about devices of ours")
    a, b = lab.path("a"), lab.path("b")
    os.mkfifo(a)
    os.mkfifo(b)

    def end(rx, tx, n):
        return {
            "LKL_HIJACK_NET_IFTYPE": "pipe",
            "LKL_HIJACK_NET_IFPARAMS": f"{rx}|{tx}",
            "LKL_HIJACK_NET_IP": f"10.7.0.{n}/24",
            "LKL_HIJACK_NET_IPV6": f"fd07::{n}/64",
        }

    far, near = end(a, b, 1), end(b, a, 2)
    server = lab.spawn("python3", "-c", SERVER, lab.peer[v], 7000, ours=True, env=far)
    server.wait_for("ready")
    lab.env = near
    has(lab.ours("ping", "-c", 2, "-i", 0.2, lab.peer[v]).out, r"2 received")
    # A program that becomes another one, in a directory in which the pipes have other names.
    lab.env = {**near, "LKL_HIJACK_NET_IFPARAMS": "b|a"}
    has(lab.ours("sh", "-c", f"cd /; exec ping -c 1 {lab.peer[v]}").out, r"1 received")
    lab.env = near
    code = (
        "import hashlib, os, socket, subprocess, sys, threading\nc = socket.create_connection((sys.argv[1], 7000))\ndata = os.urandom(1 << 20)\n"
        "threading.Thread(target=lambda: (c.sendall(data), c.shutdown(1))).start()\nassert c.makefile('rb').read() == data.upper()\n"
        "subprocess.run(['ping', '-c', '1', sys.argv[1]], check=True)\nprint('done')"
    )
    has(lab.python(code, lab.peer[v]).out, r"1 received(.|\n)*^done$")
    # One that reads a pipe of another's would take its frames.
    done = lab.ours("true", env=far, status=125)
    has(done.err, rf"^lkl-hijack: LKL_HIJACK_NET_IFPARAMS={re.escape(a)}\|{re.escape(b)}: expected one that is free; another kernel")
    place(lab)
    lab.ours("--kernel", "k", "true")
    has(lab.ours("--kernel", "k", "ping", "-c", 1, lab.peer[v]).out, r"1 received")
    lab.ours("--stop", "k")
    server.kill()
    with open(lab.path("plain"), "w"):
        pass
    lab.env["LKL_HIJACK_NET_IFPARAMS"] = f"{a}|{lab.path('plain')}"
    has(lab.ours("true", status=125).err, r"plain: expected named pipes \(mkfifo\), and \S+/plain is none$")


@test()
def neighbours_and_a_gateway_of_its_own(lab):
    """Permanent neighbours; a table of routes for what is sent from the interface's address."""
    if lab.native:
        raise Skip("about variables of ours")
    lab.tap()
    del lab.env["LKL_HIJACK_NET_GATEWAY"], lab.env["LKL_HIJACK_NET_GATEWAY6"]
    mac = has(lab.sh("ip link show tap0"), r"link/ether (\S+)")[1]
    # The peer answers no questions for its address.
    lab.sh("ip link set tap0 arp off; ip neigh replace 10.7.0.2 lladdr 02:00:00:00:07:02 dev tap0; ip addr add 192.0.2.1/32 dev lo;"
           "ip addr add 2001:db8::1/128 dev lo; ip -6 neigh replace fd07::2 lladdr 02:00:00:00:07:02 dev tap0")
    lab.env.update({
        "LKL_HIJACK_NET_NEIGHBOR": f"10.7.0.1|{mac};fd07::1|{mac}",
        "LKL_HIJACK_NET_IFGATEWAY": lab.peer[4],
        "LKL_HIJACK_NET_IFGATEWAY6": lab.peer[6],
    })
    has(lab.ours("ip", "neigh").out, rf"^10\.7\.0\.1 dev eth0 lladdr {mac} PERMANENT")
    has(lab.ours("ip", "-6", "neigh").out, rf"^fd07::1 dev eth0 lladdr {mac} PERMANENT")
    for v in (4, 6):
        has(lab.ours("ping", "-c", 1, lab.peer[v]).out, r"1 received")
    has(lab.ours("ip", "rule").out, r"^\d+:\s+from 10\.7\.0\.2 lookup 4\b")
    has(lab.ours("ip", "-6", "rule").out, r"^\d+:\s+from fd07::2 lookup 5\b")
    table = lab.ours("ip", "route", "show", "table", "4").out
    has(table, r"^default via 10\.7\.0\.1 dev eth0")
    has(table, r"^10\.7\.0\.0/24 dev eth0")
    has(lab.ours("ip", "-6", "route", "show", "table", "5").out, r"^default via fd07::1 dev eth0")
    lacks(lab.ours("ip", "route").out, r"^default")
    # Only what has the address goes that way.
    for far, mine in (("192.0.2.1", lab.me[4]), ("2001:db8::1", lab.me[6])):
        has(lab.ours("ping", "-c", 1, "-I", mine, far).out, r"1 received")
        has(lab.ours("ping", "-c", 1, far, status=2).err, r"Network is unreachable")
