"""The wrapper, the configuration, and what is said when either is wrong."""

import hashlib
import os

from lab import ROOT, WRAPPER, Skip, check, has, lacks, test


def ours_only(lab):
    if lab.native:
        raise Skip("about the wrapper")


@test()
def only_lo(lab):
    """Nothing of the host's interfaces is shown."""
    if not lab.native:
        lab.sh("ip link add hidden type veth peer name hidden1; ip addr add 10.9.0.1/24 dev hidden; ip link set hidden up")
    done = lab.ours("ip", "address", "show")
    has(done.out, r"^1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 ")
    has(done.out, r"^    inet 127\.0\.0\.1/8 scope host lo$")
    has(done.out, r"^    inet6 ::1/128 scope host")
    lacks(done.out, r"^2:")


@test()
def arguments_and_status(lab):
    ours_only(lab)
    done = lab.ours("printf", "%s|", "a  b", "", "*", "$HOME", "c\nd")
    check(done.out == "a  b||*|$HOME|c\nd|", "arguments", done)
    for status in (0, 1, 42, 125):
        lab.ours("sh", "-c", f"exit {status}", status=status)
    check(lab.ours("cat", input="through\n").out == "through\n", "stdin")
    done = lab.ours("sh", "-c", "kill -TERM $$", status=None)
    check(done.status == -15, "ended by a signal", done)


@test()
def programs_that_cannot_be_run(lab):
    ours_only(lab)
    has(lab.ours("no-such-program", status=127).err, r"^lkl-hijack: no-such-program: not found$")
    has(lab.ours("/nowhere/at/all", status=127).err, r"not found")
    has(lab.ours("/etc/passwd", status=126).err, r"cannot be executed")
    has(lab.ours("/tmp", status=126).err, r"is a directory")
    # Also where nothing is built yet: that comes after.
    lab.sh(f"mkdir -p new/bin; cp {WRAPPER} new/bin/; cp {ROOT}/Cargo.toml new/")
    done = lab.run("new/bin/lkl-hijack.sh", "no-such-program", status=127, env={"LKL_HIJACK_LIBRARY": ""})
    check(done.err == "lkl-hijack: no-such-program: not found\n", "nothing is built", done)
    done = lab.run(WRAPPER, status=125)
    has(done.err, r"^Usage: ")
    check(lab.run(WRAPPER, "--help").out.startswith("Usage: "), "--help")
    has(lab.run(WRAPPER, "--version").out, r"^lkl-hijack \d+\.\d+\.\d+$")
    with open(lab.path("static.c"), "w") as f:
        f.write("int main(void) { return 7; }\n")
    lab.run("cc", "-static", "-o", "static", "static.c")
    has(lab.ours("./static", status=125).err, r"^lkl-hijack: \./static: is statically linked")


@test()
def through_a_link_and_from_elsewhere(lab):
    ours_only(lab)
    os.symlink(WRAPPER, lab.path("short"))
    has(lab.run("./short", "ip", "-br", "link").out, r"^lo +UNKNOWN")
    has(lab.run(os.path.relpath(WRAPPER, lab.dir), "ip", "-br", "link", cwd=lab.dir).out, r"^lo ")
    has(lab.run("bin/lkl-hijack.sh", "ip", "-br", "link", cwd=ROOT).out, r"^lo ")


@test()
def another_preloaded_library(lab):
    ours_only(lab)
    with open(lab.path("other.c"), "w") as f:
        f.write('#include <unistd.h>\n__attribute__((constructor)) static void f(void) { write(2, "other\\n", 6); }\n')
    lab.run("cc", "-shared", "-fPIC", "-o", "other.so", "other.c")
    done = lab.ours("ip", "-br", "link", env={"LD_PRELOAD": lab.path("other.so")})
    has(done.err, r"^other$")
    has(done.out, r"^lo ")


@test()
def a_libc_that_is_patched_already(lab):
    """What of libc's own calls is not covered is said once, by the first process; the rest works."""
    ours_only(lab)
    found = lab.sh("ldconfig -p").splitlines()
    libc = next(line.split()[-1] for line in found if line.split()[:1] == ["libc.so.6"] and "x86-64" in line)
    with open(libc, "rb") as f:
        code = f.read()
    # The same call in another way, as one who patches it would leave it: push 41; pop rax; syscall; nop; nop.
    plain, other = b"\xb8\x29\0\0\0\x0f\x05", b"\x6a\x29\x58\x0f\x05\x90\x90"
    check(plain in code, "socket() is not in this libc")
    with open(lab.path("libc.so.6"), "wb") as f:
        f.write(code.replace(plain, other))
    env = {"LD_LIBRARY_PATH": lab.dir}
    done = lab.ours("sh", "-c", "ip -br link; cat /proc/net/dev", env=env)
    lines = done.err.splitlines()
    check(len(lines) == 1 and lines[0].startswith("lkl-hijack: libc's own calls socket are not covered"), "what is said", done)
    has(lines[0], "LKL_HIJACK_LIBC_PATCH=0")
    has(done.out, r"^lo ")
    lacks(done.out, r"^eth|tap")
    for quiet in ({**env, "LKL_HIJACK_LIBC_PATCH": "0"}, {"LKL_HIJACK_LIBC_PATCH": "0"}, {}):
        done = lab.ours("sh", "-c", "ip -br link; cat /proc/net/dev", env=quiet)
        check(done.err == "", "nothing is said", done)
        has(done.out, r"^lo ")


@test()
def wrong_values(lab):
    ours_only(lab)
    tap = {"LKL_HIJACK_NET_TAP": "tap0"}
    lab.sh("ip tuntap add dev tap0 mode tap; ip link set tap0 up; ip tuntap add dev tun0 mode tun; ip link add v0 type veth peer name v1")
    cases = [
        ({"LKL_HIJACK_NET_IP": "300.1.1.1"}, "NET_IP", "expected an IPv4 address such as 10.0.0.2"),
        ({"LKL_HIJACK_NET_IP": "10.0.0.2"}, "NET_IP", "expected LKL_HIJACK_NET_NETMASK_LEN too"),
        ({"LKL_HIJACK_NET_IP": "10.0.0.2/24", "LKL_HIJACK_NET_GATEWAY": "10.1.0.1"}, "NET_GATEWAY", "expected an address in the network"),
        ({"LKL_HIJACK_NET_NETMASK_LEN": "99"}, "NET_NETMASK_LEN", "expected a mask length from 0 to 32"),
        ({"LKL_HIJACK_NET_NETMASK6_LEN": "129"}, "NET_NETMASK6_LEN", "from 0 to 128"),
        ({"LKL_HIJACK_NET_IPV6": "fd00::zz"}, "NET_IPV6", "expected an IPv6 address"),
        ({"LKL_HIJACK_NET_MAC": "02:00:00:00:01"}, "NET_MAC", "expected a unicast hardware address of six parts"),
        ({"LKL_HIJACK_NET_MTU": "12"}, "NET_MTU", "expected an MTU in bytes from 68 to 65535"),
        ({"LKL_HIJACK_DEBUG": "yes"}, "DEBUG", "expected a number"),
        ({"LKL_HIJACK_HOST": "127.0.0.0/33"}, "HOST", "expected networks such as 127.0.0.0/8"),
        ({"LKL_HIJACK_HOST": "::1,localhost"}, "HOST", "not \"localhost\""),
        ({"LKL_HIJACK_NET_TPA": "x"}, "NET_TPA", "did you mean LKL_HIJACK_NET_TAP?"),
        ({"LKL_HIJACK_NET_TAP": "tap9"}, "NET_TAP", "no such interface"),
        ({"LKL_HIJACK_NET_TAP": "tun0"}, "NET_TAP", "another kind"),
        ({"LKL_HIJACK_NET_TAP": "v0"}, "NET_TAP", "another kind"),
        ({"LKL_HIJACK_NET_IFTYPE": "vde"}, "NET_IFTYPE", "expected tap, for LKL_HIJACK_NET_TAP is given"),
        ({"LKL_HIJACK_OFFLOAD": "0x4"}, "OFFLOAD", "expected a mask of the bits"),
        ({"LKL_HIJACK_NET_NEIGHBOR": "10.0.0.1"}, "NET_NEIGHBOR", "expected neighbours such as"),
        ({"LKL_HIJACK_SYSCTL": "net.ipv4.tcp_congestion_control=best"}, "SYSCTL", "expected one of reno cubic bbr"),
        ({"LKL_HIJACK_SYSCTL": "net.ipv4.tcp_sak=1"}, "SYSCTL", "did you mean net.ipv4.tcp_sack?"),
    ]
    for more, name, expected in cases:
        done = lab.ours("sh", "-c", "echo started", env={**tap, **more}, status=125)
        check(done.out == "", "the program was started", done)
        value = more[f"LKL_HIJACK_{name}"]
        lines = done.err.splitlines()
        check(len(lines) == 1, "one line", done)
        check(lines[0].startswith(f"lkl-hijack: LKL_HIJACK_{name}={value}: ") and expected in lines[0], f"{name} {expected}", done)
    # No TAP was made in passing.
    lacks(lab.sh("ip -br link"), r"^tap9")
    # Not text.
    done = lab.run("sh", "-c", f"LKL_HIJACK_NET_TAP=$(printf 'a\\377') exec {WRAPPER} true", status=125)
    has(done.err, r"^lkl-hijack: LKL_HIJACK_NET_TAP=.*: expected text in UTF-8$")


@test()
def a_tap_of_someone_else(lab):
    ours_only(lab)
    lab.sh("ip tuntap add dev tap0 mode tap user 12345; ip link set tap0 up; ip tuntap add dev tap1 mode tap; chmod 666 /dev/net/tun")
    done = lab.run(
        "setpriv", "--reuid=65534", "--clear-groups", WRAPPER, "true", env={"LKL_HIJACK_NET_TAP": "tap0"}, status=125
    )
    has(done.err, r"LKL_HIJACK_NET_TAP=tap0: expected a TAP of yours")
    holder = lab.spawn("sleep", "60", ours=True, env={"LKL_HIJACK_NET_TAP": "tap1"})
    from lab import until

    until(lambda: "LOWER_UP" in lab.sh("ip link set tap1 up; ip link show tap1"))
    done = lab.ours("true", env={"LKL_HIJACK_NET_TAP": "tap1"}, status=125)
    has(done.err, r"LKL_HIJACK_NET_TAP=tap1: expected a free TAP; another program has it open")
    holder.kill()


@test()
def eth0_is_there_before_main(lab):
    lab.tap()
    done = lab.ours("ip", "address", "show", "dev", "eth0")
    has(done.out, r"eth0.*<BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 ")
    has(done.out, r"link/ether 02:00:00:00:07:02 brd ff:ff:ff:ff:ff:ff")
    has(done.out, r"inet 10\.7\.0\.2/24 brd 10\.7\.0\.255 scope global eth0")
    has(done.out, r"inet6 fd07::2/64 scope global")
    has(lab.ours("ip", "route").out, r"^default via 10\.7\.0\.1 dev eth0")
    has(lab.ours("ip", "-6", "route").out, r"^default via fd07::1 dev eth0")


@test()
def variables_one_by_one(lab):
    ours_only(lab)
    lab.tap()
    everything = lab.env
    lab.env = {"LKL_HIJACK_NET_TAP": "tap0"}
    first, second = (lab.ours("ip", "-br", "link", "show", "eth0").out for _ in range(2))
    has(first, r"^eth0 +UP")
    check(first != second, "the address is a random one", first, second)
    check(int(first.split()[2].split(":")[0], 16) & 3 == 2, "a locally administered one", first)
    lab.env["LKL_HIJACK_NET_MTU"] = "1400"
    has(lab.ours("ip", "link", "show", "eth0").out, r"mtu 1400")
    lab.env = {k: v for k, v in everything.items() if "6" not in k and "GATEWAY" not in k}
    lacks(lab.ours("ip", "route").out, r"default")
    has(lab.ours("ping", "-c", 1, lab.peer[4]).out, r"1 received")
    lab.env = {k: v for k, v in everything.items() if k.endswith(("TAP", "6", "6_LEN"))}
    has(lab.ours("ping", "-6", "-c", 1, lab.peer[6]).out, r"1 received")
    lab.env = {**everything, "LKL_HIJACK_OFFLOAD": "0"}
    has(lab.ours("ping", "-c", 1, lab.peer[4]).out, r"1 received")
    lab.sh("ip link del tap0; ip tuntap add dev tap0 mode tap multi_queue; ip addr add 10.7.0.1/24 dev tap0; ip link set tap0 up")
    for offload in ("0", "0x9983"):
        lab.env = {**everything, "LKL_HIJACK_OFFLOAD": offload}
        has(lab.ours("ping", "-c", 1, lab.peer[4]).out, r"1 received")


@test(v=(4, 6))
def offload_off(lab, v):
    """A TAP whose last user took segments of 64 KiB without checksums gives plain frames; they are joined again."""
    ours_only(lab)
    lab.tap()
    data = os.urandom(8 << 20)
    port = lab.server(v, lambda c: (c.sendall(data), c.shutdown(1)))
    code = (
        "import hashlib, socket, sys\nc = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
        "print(hashlib.sha256(c.makefile('rb').read()).hexdigest())\n"
        "print(open('/proc/net/snmp').read().split('Tcp: ')[2].split()[9])"
    )
    segments = {}
    # All that a device can do, what LKL's users write (segments of IPv4 only), only checksums, nothing.
    for offload in ("0x9983", "0x8883", "3", "0"):
        lab.env["LKL_HIJACK_OFFLOAD"] = offload
        digest, segments[offload] = lab.python(code, lab.peer[v], port).out.split()
        check(digest == hashlib.sha256(data).hexdigest(), f"the data, with OFFLOAD={offload}")
    frames = len(data) // 1448
    check(all(int(n) < frames / 2 for n in segments.values()), f"{segments} segments of {frames} frames")


@test()
def settings(lab):
    ours_only(lab)
    lab.tap()
    lab.env["LKL_HIJACK_SYSCTL"] = "net.ipv4.tcp_congestion_control=bbr;net.ipv4.conf.eth0.rp_filter=2;net.ipv4.tcp_rmem=4096 90000 900000"
    done = lab.ours("sysctl", "-n", "net.ipv4.tcp_congestion_control", "net.ipv4.conf.eth0.rp_filter", "net.ipv4.tcp_rmem")
    check(done.out == "bbr\n2\n4096\t90000\t900000\n", "the settings", done)
    code = "import socket; s = socket.socket(); print(s.getsockopt(6, 13, 16).rstrip(b'\\0').decode(), s.getsockopt(1, 8))"
    check(lab.ours("python3", "-c", code).out == "bbr 90000\n", "a socket", done)


@test()
def messages(lab):
    ours_only(lab)
    lab.tap()
    check(lab.ours("ip", "-br", "link").err == "", "silent when not asked")
    err = lab.ours("ip", "-br", "link", env={"LKL_HIJACK_DEBUG": "1"}).err
    has(err, r"eth0: 10\.7\.0\.2/24")
    has(err, r"default route via 10\.7\.0\.1")
    lacks(err, r"socket\(")
    has(lab.ours("ip", "-br", "link", env={"LKL_HIJACK_DEBUG": "2"}).err, r"socket\(AF_NETLINK, SOCK_RAW\S*, \S+\) = \d")
    err = lab.ours("ip", "-br", "link", env={"LKL_HIJACK_LOG": "lkl::syscall=trace"}).err
    has(err, r"socket\(")
    lacks(err, r"default route")


def write(lab, text, name="lkl-hijack.json"):
    with open(lab.path(name), "w") as f:
        f.write(text)


@test()
def a_file_in_json(lab):
    """The file of the working directory, or a named one; its settings go before the variables."""
    ours_only(lab)
    lab.tap()
    # As LKL's users write them: commas too many and too few, numbers and strings.
    write(lab, '{ "sysctl": "net.ipv4.tcp_congestion_control=bbr" "delay_main": "300000", }')
    from time import monotonic

    start = monotonic()
    done = lab.ours("sh", "-c", "ip -br addr; sysctl -n net.ipv4.tcp_congestion_control; cd /; exec ip -br addr")
    check(done.out.count("eth0") == 2 and "\nbbr\n" in done.out and done.err == "", "both are there", done)
    check(0.3 < monotonic() - start < 5, f"held up for {monotonic() - start} s")
    del lab.env["LKL_HIJACK_NET_GATEWAY6"]
    write(lab, """{"gateway": "10.7.0.9", interfaces: [{"type": "tap" "param": "tap0", "ip": "10.7.0.5", "masklen": 24, "mtu": "1400", "offload": "0x8883",},]}""")
    done = lab.ours("sh", "-c", "ip -4 -br addr; ip link show eth0; ip route; ip -6 route")
    has(done.out, r"^eth0 +UP +10\.7\.0\.5/24 *$")
    has(done.out, r"mtu 1400")
    has(done.out, r"^default via 10\.7\.0\.9 dev eth0")
    os.rename(lab.path("lkl-hijack.json"), lab.path("other.json"))
    has(lab.ours("ip", "-4", "-br", "addr").out, r"^eth0 +UP +10\.7\.0\.2/24")
    for name in ("other.json", lab.path("other.json")):
        done = lab.ours("sh", "-c", "cd /; exec ip -4 -br addr", env={"LKL_HIJACK_CONFIG_FILE": name})
        has(done.out, r"^eth0 +UP +10\.7\.0\.5/24")
    write(lab, "{", "lkl-hijack.json")
    has(lab.ours("ip", "-4", "-br", "addr", env={"LKL_HIJACK_CONFIG_FILE": ""}).out, r"^eth0 +UP +10\.7\.0\.2/24")


@test()
def wrong_files(lab):
    ours_only(lab)
    lab.tap()
    lab.env = {"LKL_HIJACK_NET_TAP": "tap0"}
    cases = [
        ("{", r"lkl-hijack\.json: expected JSON: .* on line 1 column 2"),
        ('["x"]', r"lkl-hijack\.json: expected JSON: an object, in braces"),
        ('{"getaway": "10.7.0.1"}', r"lkl-hijack\.json: getaway=10\.7\.0\.1: expected a key that there is; did you mean gateway\?"),
        ('{"gateway": ["10.7.0.1"]}', r"lkl-hijack\.json: gateway=\[\.\.\.\]: expected a string, a number, or true or false"),
        ('{"gateway": "10.7.0.300"}', r"lkl-hijack\.json: gateway=10\.7\.0\.300: expected an IPv4 address such as 10\.0\.0\.1"),
        ('{"sysctl": "net.ipv4.tcp_sak=1"}', r"lkl-hijack\.json: sysctl=net\.ipv4\.tcp_sak=1: .*did you mean net\.ipv4\.tcp_sack\?"),
        ('{"interfaces": [{"type": "tap", "param": "tap9"}]}', r"lkl-hijack\.json: interfaces\[0\]\.param=tap9: .*there is no such interface.*"),
        ('{"interfaces": [{"type": "tap", "param": "tap0", "ip": "10.7.0.2"}]}', r"lkl-hijack\.json: interfaces\[0\]\.ip=10\.7\.0\.2: expected interfaces\[0\]\.masklen too.*"),
    ]
    for text, expected in cases:
        write(lab, text)
        done = lab.ours("echo", "started", status=125)
        check(done.out == "" and len(done.err.splitlines()) == 1, "one line", done)
        has(done.err, "^lkl-hijack: " + expected + r"( \(LKL_HIJACK_CONFIG_FILE= without a value leaves it aside\))?$")
    os.unlink(lab.path("lkl-hijack.json"))
    done = lab.ours("true", env={"LKL_HIJACK_CONFIG_FILE": "nothing.json"}, status=125)
    has(done.err, r"^lkl-hijack: LKL_HIJACK_CONFIG_FILE=nothing\.json: expected a file that can be read: No such file")
    os.mkfifo(lab.path("lkl-hijack.json"))
    has(lab.ours("true", status=125).err, r"^lkl-hijack: lkl-hijack\.json: expected an ordinary file \(LKL_HIJACK_CONFIG_FILE= without")
    has(lab.ours("true", env={"LKL_HIJACK_CONFIG_FILE": "/"}, status=125).err, r"^lkl-hijack: LKL_HIJACK_CONFIG_FILE=/: expected an ordinary file$")


@test(need=("dnsmasq",))
def a_command_line(lab):
    """An address that is given, or asked for; settings; what has no effect."""
    ours_only(lab)
    lab.tap()
    lab.env = {"LKL_HIJACK_NET_TAP": "tap0", "LKL_HIJACK_NET_MAC": lab.mac}
    line = f"ip={lab.me[4]}::{lab.peer[4]}:255.255.255.0:guest mem=80M sysctl.net.ipv4.tcp_sack=0"
    script = "ip -4 -br addr; ip route; sysctl -n net.ipv4.tcp_sack"
    done = lab.ours("sh", "-c", script, env={"LKL_HIJACK_BOOT_CMDLINE": line})
    has(done.out, rf"^eth0 +UP +{lab.me[4]}/24 *$")
    has(done.out, rf"^default via {lab.peer[4]} dev eth0")
    check(done.out.endswith("\n0\n") and done.err == "", "settings", done)
    done = lab.ours("sh", "-c", "exec ip -br link", env={"LKL_HIJACK_BOOT_CMDLINE": "root=/dev/sda1 quiet ro"})
    check(done.err == "lkl-hijack: LKL_HIJACK_BOOT_CMDLINE=root=/dev/sda1 quiet ro: no effect: of root=/dev/sda1 ro\n", "one line", done)
    done = lab.ours("true", env={"LKL_HIJACK_SINGLE_CPU": "1"})
    has(done.err, r"^lkl-hijack: LKL_HIJACK_SINGLE_CPU=1: no effect: .*taskset")
    has(lab.ours("true", env={"LKL_HIJACK_BOOT_CMDLINE": "ip=dhcp:x"}, status=125).err, r"BOOT_CMDLINE=ip=dhcp:x: expected ip=dhcp, or ")
    has(
        lab.ours("true", env={"LKL_HIJACK_BOOT_CMDLINE": "ip=:::::eth7:dhcp"}, status=125).err,
        r"BOOT_CMDLINE=ip=:::::eth7:dhcp: expected an interface that is there$",
    )
    # From a server, and the kernel stays as it is for all programs of a tree.
    words = ["--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=tap0", "--log-dhcp", "--user=root"]
    words += ["--dhcp-range=10.7.0.50,10.7.0.50,255.255.255.0", "--dhcp-option=3,10.7.0.1", f"--dhcp-leasefile={lab.path('leases')}"]
    lab.spawn("dnsmasq", *words).wait_for("DHCP, IP range")
    write(lab, '{"boot_cmdline": "ip=dhcp", "sysctl": "net.ipv4.tcp_ecn=1"}')
    done = lab.ours("bash", "-c", f"ip -4 -br addr; ip route; ping -c 1 {lab.peer[4]}; exec sysctl -n net.ipv4.tcp_ecn")
    has(done.out, r"^eth0 +UP +10\.7\.0\.50/24 *$")
    has(done.out, r"^default via 10\.7\.0\.1 dev eth0")
    has(done.out, r"1 received")
    check(done.out.endswith("\n1\n") and done.err == "", "the last program", done)
    # A gateway that is given goes before the server's.
    routes = lab.ours("ip", "route", env={"LKL_HIJACK_NET_GATEWAY": "10.7.0.9"}).out
    has(routes, r"^default via 10\.7\.0\.9 dev eth0")
    lacks(routes, r"^default via 10\.7\.0\.1 ")
    with open(lab.path("leases")) as f:
        has(f.read(), r" 02:00:00:00:07:02 10\.7\.0\.50 ")


@test()
def what_is_shown_at_the_end(lab):
    """Files of the kernel's own tree, once, by the program that was started, also if it becomes another one."""
    ours_only(lab)
    lab.tap()
    lab.env.update({"LKL_HIJACK_MOUNT": "proc,sysfs", "LKL_HIJACK_DUMP": "/sysfs/class/net/eth0/mtu,/proc/net/dev,/nothing"})
    shown = r"\Alkl-hijack: /sysfs/class/net/eth0/mtu:\n1500\nlkl-hijack: /proc/net/dev:\n(.*\n)*? *eth0: .*\nlkl-hijack: /nothing: No such file or directory.*\n\Z"
    for args in (("true",), ("sh", "-c", "sh -c true; (true); python3 -c 'import os; os.fork()'; exec ip -br link")):
        has(lab.ours(*args).err, shown)
    done = lab.ours("--kernel", "k", "true", env={"XDG_RUNTIME_DIR": lab.dir})
    has(done.err, shown)
    lab.ours("--stop", "k", env={"XDG_RUNTIME_DIR": lab.dir})
    done = lab.ours("true", env={"LKL_HIJACK_MOUNT": "ext4"}, status=125)
    has(done.err, r"^lkl-hijack: LKL_HIJACK_MOUNT=ext4: expected types of file systems that need no device: .*proc")
