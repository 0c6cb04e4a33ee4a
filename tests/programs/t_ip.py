"""Programs that look at and change the network: ip, ss, ifconfig, route, arp, ethtool, tcpdump, /proc/net."""

import json
import os
import signal
import socket
import time

from lab import check, has, lacks, test, until


def sh(lab, script, **more):
    """A script whose programs share one kernel: children of one shell."""
    return lab.ours("sh", "-ec", script, **more)


def one(lab, *commands, **more):
    """`ip -batch`: several commands of one program, on one kernel."""
    return lab.ours("ip", *more.pop("options", ()), "-batch", "-", input="\n".join(commands) + "\n", **more)


@test()
def address(lab):
    lab.tap()
    done = one(lab, "address add 10.7.0.2/24 dev eth0", status=1)
    has(done.err, r"RTNETLINK answers: File exists|already assigned")
    done = one(
        lab,
        "address add 10.20.0.1/24 dev eth0",
        "address add 10.20.0.2/24 dev eth0 label eth0:x",
        "address add fd20::1/64 dev eth0 nodad",
        "address show dev eth0",
        "address replace 10.20.0.1/24 dev eth0 valid_lft 100 preferred_lft 50",
        "address show dev eth0 to 10.20.0.1",
        "address del 10.20.0.1/24 dev eth0",
        "address show dev eth0 to 10.20.0.0/24",
    )
    has(done.out, r"inet 10\.20\.0\.1/24 scope global eth0")
    has(done.out, r"inet 10\.20\.0\.2/24 scope global secondary eth0:x")
    has(done.out, r"inet6 fd20::1/64 scope global nodad")
    has(done.out, r"valid_lft (100|99)sec preferred_lft (50|49)sec")
    done = one(lab, "address flush dev eth0 scope global", "address show dev eth0")
    lacks(done.out, "inet 10")
    done = lab.ours("ip", "address", "del", "10.99.0.1/24", "dev", "eth0", status=2)
    has(done.err, r"Cannot assign requested address|not found")
    done = lab.ours("ip", "address", "add", "10.99.0.1/24", "dev", "eth9", status=1)
    has(done.err, r"Cannot find device")


@test()
def forms(lab):
    lab.tap()
    links = json.loads(lab.ours("ip", "-j", "-d", "-s", "link", "show").out)
    by_name = {x["ifname"]: x for x in links if x}
    check(by_name["lo"]["mtu"] == 65536 and by_name["lo"]["link_type"] == "loopback", "lo", links)
    check(by_name["eth0"]["address"] == lab.mac and "stats64" in by_name["eth0"], "eth0", links)
    addresses = json.loads(lab.ours("ip", "-j", "address").out)
    infos = [i for x in addresses if x.get("ifname") == "eth0" for i in x["addr_info"]]
    check({i["local"] for i in infos} >= {lab.me[4], lab.me[6]}, "addresses", addresses)
    routes = json.loads(lab.ours("ip", "-j", "route").out)
    check(any(r["dst"] == "default" and r["gateway"] == lab.peer[4] for r in routes), "routes", routes)
    has(lab.ours("ip", "-br", "address").out, r"^eth0\S* +UP +10\.7\.0\.2/24 fd07::2/64")
    has(lab.ours("ip", "-s", "link", "show", "lo").out, r"RX: +bytes +packets")
    has(lab.ours("ip", "-o", "-4", "address", "show", "dev", "lo").out, r"^1: lo +inet 127\.0\.0\.1/8")


@test()
def link(lab):
    lab.tap()
    done = lab.ours("ip", "link", "set", "eth0", "mtu", "10", status=2)
    has(done.err, r"mtu less than device minimum|Invalid argument")
    done = one(
        lab,
        "link set eth0 mtu 1300",
        "link show eth0",
        "link set eth0 down",
        "link show eth0",
        "link set eth0 address 02:00:00:00:07:99 name net7",
        "link set net7 up txqueuelen 77",
        "link show net7",
    )
    has(done.out, r"eth0\S*: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1300")
    has(done.out, r"eth0\S*: <BROADCAST,MULTICAST> mtu 1300 .*state DOWN")
    has(done.out, r"net7\S*: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1300 .*qlen 77")
    has(done.out, r"link/ether 02:00:00:00:07:99")
    done = lab.ours("ip", "link", "show", "dev", "nope", status=1)
    has(done.err, r'Device "nope" does not exist')


@test()
def route(lab):
    lab.tap()
    done = one(
        lab,
        "route add 10.30.0.0/16 via 10.7.0.1",
        "route add 10.31.0.0/16 dev eth0 metric 5 src 10.7.0.2",
        "route add blackhole 10.32.0.0/16",
        "route add unreachable 10.33.0.0/16 table 100",
        "route replace 10.30.0.0/16 via 10.7.0.9",
        "route show",
        "route show table 100",
        "route get 10.30.1.1",
        "route get 127.0.0.1",
        "route get 10.7.0.2",
        "route del 10.31.0.0/16",
        "route flush table 100",
        "route show table 100",
    )
    has(done.out, r"^10\.30\.0\.0/16 via 10\.7\.0\.9 dev eth0")
    lacks(done.out, r"via 10\.7\.0\.1 dev eth0 $.*10\.30")
    has(done.out, r"^10\.31\.0\.0/16 dev eth0 scope link src 10\.7\.0\.2 metric 5")
    has(done.out, r"^blackhole 10\.32\.0\.0/16")
    has(done.out, r"^unreachable 10\.33\.0\.0/16")
    has(done.out, r"^10\.7\.0\.0/24 dev eth0 proto kernel scope link src 10\.7\.0\.2")
    has(done.out, r"^10\.30\.1\.1 via 10\.7\.0\.9 dev eth0 src 10\.7\.0\.2 uid 0")
    has(done.out, r"^local 127\.0\.0\.1 dev lo src 127\.0\.0\.1")
    has(done.out, r"^local 10\.7\.0\.2 dev lo")
    six = one(lab, "route add fd30::/32 via fd07::1 metric 20", "route show", "route get fd30::1", options=["-6"])
    has(six.out, r"^fd30::/32 via fd07::1 dev eth0 metric 20")
    has(six.out, r"^fd30::1 (from :: )?via fd07::1 dev eth0 src fd07::2")
    check(done.out.count("unreachable 10.33") == 1, "flushed", done)
    done = lab.ours("ip", "route", "add", "10.40.0.0/16", "via", "10.99.0.1", status=2)
    has(done.err, r"Nexthop has invalid gateway|Network is unreachable")
    done = lab.ours("ip", "route", "del", "10.41.0.0/16", status=2)
    has(done.err, r"No such process")
    has(lab.ours("ip", "route", "show", "table", "local").out, r"^local 127\.0\.0\.0/8 dev lo proto kernel scope host src 127\.0\.0\.1")


@test()
def rule(lab):
    lab.tap()
    done = one(
        lab,
        "rule add from 10.7.0.2 table 100 priority 500",
        "rule add fwmark 7 table 101",
        "rule show",
        "route add default via 10.7.0.5 table 100",
        "route get 10.50.0.1 from 10.7.0.2",
        "rule del priority 500",
        "rule show",
    )
    has(lab.ours("ip", "-6", "rule").out, r"^32766:\s+from all lookup main")
    has(done.out, r"^0:\s+from all lookup local")
    has(done.out, r"^32766:\s+from all lookup main")
    check(done.out.count("500:\tfrom 10.7.0.2 lookup 100") == 1, "added, then deleted", done)
    has(done.out, r"^499:\s+from all fwmark 0x7 lookup 101")
    has(done.out, r"^10\.50\.0\.1 from 10\.7\.0\.2 via 10\.7\.0\.5 dev eth0")


@test()
def neigh(lab):
    lab.tap()
    done = one(
        lab,
        "neigh add 10.7.0.50 lladdr 02:00:00:00:00:50 dev eth0",
        "neigh replace 10.7.0.51 lladdr 02:00:00:00:00:51 nud reachable dev eth0",
        "neigh add fd07::50 lladdr 02:00:00:00:00:52 dev eth0",
        "neigh show",
        "neigh del 10.7.0.50 dev eth0",
        "neigh show nud permanent",
        "neigh flush dev eth0",
        "neigh show nud reachable",
    )
    has(done.out, r"^10\.7\.0\.50 dev eth0 lladdr 02:00:00:00:00:50 PERMANENT")
    has(done.out, r"^10\.7\.0\.51 dev eth0 lladdr 02:00:00:00:00:51 REACHABLE")
    has(done.out, r"^fd07::50 dev eth0 lladdr 02:00:00:00:00:52 PERMANENT")
    check(done.out.count("10.7.0.50 ") == 1, "deleted", done)
    check(done.out.count("10.7.0.51 ") == 1, "flushed", done)
    # One that was learnt, by a program that talks and then looks.
    done = lab.python(
        "import socket, subprocess, sys\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect((sys.argv[1], 9)); s.send(b'x')\n"
        "import time; time.sleep(0.5); print(open('/proc/net/arp').read())",
        lab.peer[4],
    )
    has(done.out, r"^10\.7\.0\.1 +0x1 +0x2 +[0-9a-f:]{17} +\* +eth0")


@test()
def monitor(lab):
    lab.tap()
    done = lab.python(
        """
import socket, struct, subprocess
# What `ip monitor` does, beside a change made by the same program.
m = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
m.bind((0, 1 | 0x10 | 0x40))
m.settimeout(5)
c = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
import fcntl
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(s, 0x8922, struct.pack("16si12x", b"eth0", 1234))
kind = struct.unpack_from("IH", m.recv(65536))[1]
print("link" if kind == 16 else kind)
print(struct.unpack("16si12x", fcntl.ioctl(s, 0x8921, struct.pack("16s16x", b"eth0")))[1])
"""
    )
    check(done.out.split() == ["link", "1234"], "told", done)
    p = lab.spawn("ip", "monitor", "neigh", ours=True)
    time.sleep(0.7)
    lab.run("ping", "-c", 1, "-w", 5, lab.me[4])
    p.wait_for(r"10\.7\.0\.1 dev eth0 lladdr")
    p.kill()


@test(v=(4, 6), need="ss")
def sockets_are_shown(lab, v):
    """A program looks at its own sockets as `ss` does (sock_diag), and in /proc/net. `ss` itself has a kernel of its own."""
    lab.tap()
    done = lab.python(
        """
import socket, struct, sys
me = sys.argv[1]
v6 = ":" in me
family = socket.AF_INET6 if v6 else socket.AF_INET
l = socket.create_server((me, 4020), family=family)
c = socket.create_connection((me, 4020)); a, _ = l.accept(); c.send(b"x" * 100); a.recv(1)
u = socket.socket(family, socket.SOCK_DGRAM); u.bind((me, 4021))
n = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4)
for proto in (6, 17):
    body = struct.pack("BBBxI", family, proto, 255, 0xffffffff) + bytes(48)
    n.send(struct.pack("IHHII", 16 + len(body), 20, 0x301, 1, 0) + body)
    done = False
    while not done:
        data = n.recv(65536)
        while data:
            length, kind = struct.unpack_from("IH", data)
            if kind == 3:
                done = True
                break
            assert kind == 20, kind
            state, = struct.unpack_from("B", data, 17)
            sport, dport = struct.unpack_from("!HH", data, 20)
            recvq, sendq = struct.unpack_from("II", data, 16 + 4 + 48 + 4)
            print("tcp" if proto == 6 else "udp", state, sport, recvq if state == 1 and sport == 4020 else "-")
            data = data[(length + 3) & ~3:]
print(open("/proc/net/tcp6" if v6 else "/proc/net/tcp").read())
print(open("/proc/net/udp6" if v6 else "/proc/net/udp").read())
""",
        lab.me[v],
    )
    has(done.out, r"^udp \d+ 4021 -")
    has(done.out, r"^tcp 10 4020 -")
    has(done.out, r"^tcp 1 4020 99")
    me = "0200070A" if v == 4 else "000007FD000000000000000002000000"
    has(done.out, rf"^ +\d+: {me}:0FB4 0+:0000 0A ")
    has(done.out, rf"^ +\d+: {me}:0FB4 {me}:[0-9A-F]{{4}} 01 00000000:00000063")
    has(done.out, rf"^ +\d+: {me}:0FB5 0+:0000 07 ")


@test(need="ss")
def ss_alone(lab):
    lab.ours("ss", "-s")
    lab.ours("ss", "-tin")
    done = lab.ours("ss", "-tuanp")
    has(done.out, r"^Netid +State")
    check(len(done.out.splitlines()) == 1, "nothing of the host's is shown", done)


@test(need=("ifconfig", "route", "arp", "netstat"))
def net_tools(lab):
    lab.tap()
    done = lab.ours("ifconfig")
    has(done.out, r"^eth0: flags=4163<UP,BROADCAST,RUNNING,MULTICAST>  mtu 1500")
    has(done.out, r"inet 10\.7\.0\.2  netmask 255\.255\.255\.0  broadcast 10\.7\.0\.255")
    has(done.out, r"inet6 fd07::2  prefixlen 64")
    has(done.out, r"ether 02:00:00:00:07:02")
    has(done.out, r"^lo: flags=73<UP,LOOPBACK,RUNNING>  mtu 65536")
    done = lab.ours("route", "-n")
    has(done.out, r"^0\.0\.0\.0 +10\.7\.0\.1 +0\.0\.0\.0 +UG +0 +0 +0 eth0")
    has(done.out, r"^10\.7\.0\.0 +0\.0\.0\.0 +255\.255\.255\.0 +U +0 +0 +0 eth0")
    has(lab.ours("route", "-A", "inet6", "-n").out, r"fd07::/64")
    has(lab.ours("netstat", "-i").out, r"^eth0 +1500")
    lab.ours("netstat", "-s")
    lab.ours("arp", "-n")


@test(need="ethtool")
def ethtool(lab):
    lab.tap()
    done = lab.ours("ethtool", "eth0", status=None)
    has(done.out, r"^Settings for eth0:")
    has(done.out, r"Link detected: yes")
    has(lab.ours("ethtool", "-i", "eth0").out, r"^driver: \w+")
    has(lab.ours("ethtool", "-k", "eth0").out, r"tcp-segmentation-offload: (on|off)")
    lab.ours("ethtool", "nope", status=None)


@test(v=(4, 6), need="tcpdump")
def tcpdump(lab, v):
    lab.tap()
    p = lab.spawn("tcpdump", "-i", "eth0", "-n", "-l", "-c", 2, "icmp" if v == 4 else "icmp6 and (ip6[40] == 128 or ip6[40] == 129)", ours=True)
    p.wait_for("listening on eth0")
    lab.run("ping", f"-{v}", "-c", 2, "-i", 0.3, "-w", 3, lab.me[v], status=None)
    done = p.wait(10)
    has(done.out, rf"{lab.peer[v]} > {lab.me[v]}: ICMP6?,? echo request")
    has(done.out, rf"{lab.me[v]} > {lab.peer[v]}: ICMP6?,? echo reply")


@test(need="tcpdump")
def tcpdump_any_and_files(lab):
    lab.tap()
    p = lab.spawn("tcpdump", "-i", "any", "-n", "-U", "--immediate-mode", "-w", "out.pcap", "tcp port 4030", ours=True)
    p.wait_for("listening on any")
    s = socket.socket()
    s.settimeout(5)
    check(s.connect_ex((lab.me[4], 4030)) == 111, "refused")
    until(lambda: os.path.getsize(lab.path("out.pcap")) > 24, what="nothing was captured")
    p.send(signal.SIGINT)
    done = p.wait(10)
    has(done.err, r"^[1-9]\d* packets captured")
    has(lab.run("tcpdump", "-n", "-r", "out.pcap").out, r"Flags \[S\]")


@test()
def proc_net(lab):
    lab.tap()
    done = sh(lab, "cat /proc/net/dev /proc/net/route /proc/net/if_inet6 /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/snmp /proc/net/sockstat /proc/net/arp /proc/net/netstat /proc/net/snmp6 /proc/net/raw /proc/net/packet /proc/net/unix /proc/net/protocols")
    has(done.out, r"^ +eth0: +\d+")
    has(done.out, r"^eth0\t00000000\t0100070A\t0003")
    has(done.out, r"^fd070000000000000000000000000002 0[0-9a-f] 40 00 [0-9a-f]{2} +eth0$")
    has(done.out, r"^  sl  local_address")
    has(done.out, r"^Tcp: RtoAlgorithm RtoMin")
    has(done.out, r"^sockets: used \d+")
    has(done.out, r"^TcpExt: ")
    if lab.native:
        # The machine's /sys is mounted for another namespace.
        return
    done = sh(lab, "cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu; ls /sys/class/net; cat /proc/sys/net/ipv4/ip_forward")
    has(done.out, r"^02:00:00:00:07:02\n1500\n")
    has(done.out, r"^eth0\nlo$")
    done = lab.python(
        "p = '/proc/sys/net/ipv4/ip_default_ttl'\nopen(p, 'w').write('42')\nprint(open(p).read())\nopen(p, 'w').write('64')"
    )
    check(done.out.strip() == "42", "written and read", done)
    has(lab.ours("sysctl", "-n", "net.ipv4.tcp_rmem").out, r"^\d+\s+\d+\s+\d+")


LEASE = """#!/bin/sh
case $1 in
bound | renew) ip address replace $ip/$mask dev $interface && echo "bound $ip/$mask router $router" ;;
esac
"""


def dhcp_server(lab, dev, first, ours):
    """dnsmasq gives addresses, and no names."""
    p = lab.spawn(
        "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--user=root", f"--interface={dev}", "--bind-interfaces",
        f"--dhcp-range={first},{first},255.255.255.0,1h", f"--dhcp-leasefile={lab.path('leases')}", "--log-facility=-", "--pid-file", ours=ours,
    )
    p.wait_for("DHCP, sockets bound|DHCP, IP range")
    return p


def lease_script(lab):
    with open(lab.path("lease"), "w") as f:
        f.write(LEASE)
    os.chmod(lab.path("lease"), 0o755)
    return lab.path("lease")


@test(need=("dnsmasq", "busybox"))
def dhcp_client(lab):
    """A DHCP client of ours, by a packet socket: it must learn that the host's frames have no checksums."""
    lab.tap()
    dhcp_server(lab, "tap0", "10.7.0.77", False)
    done = lab.ours("sh", "-ec", f"busybox udhcpc -i eth0 -n -q -f -t 10 -T 1 -s {lease_script(lab)}; ip -br addr show dev eth0")
    has(done.out, r"^bound 10\.7\.0\.77/24 router 10\.7\.0\.1$")
    has(done.out, r"^eth0.* 10\.7\.0\.77/24")


@test(need=("dnsmasq", "busybox"))
def dhcp_service(lab):
    """A DHCP server of ours gives an address to a native client."""
    lab.tap()
    p = dhcp_server(lab, "eth0", "10.7.0.88", True)
    done = lab.run("busybox", "udhcpc", "-i", "tap0", "-n", "-q", "-f", "-t", "10", "-T", "1", "-s", lease_script(lab))
    has(done.out, r"^bound 10\.7\.0\.88/24 router 10\.7\.0\.2$")
