#!/usr/bin/env python3
"""Tests of the C API that need a network: tests/boot/net.c over each kind of device, ip=dhcp, and Python's ctypes.

run.py [--release] [NAME]...

Builds nothing but the C programs: the library is target/debug/liblkl.so, or that of the release build. Needs root (network namespaces). What
cannot be run here is skipped and says why; with CI=true that is a failure.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TESTS = {}

# Sends back what comes, on both families.
SERVER = """
import socket, threading
def one(c):
    while (b := c.recv(65536)):
        c.sendall(b)
    c.close()
def serve(family, address):
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, 7777))
    s.listen(8)
    while True:
        threading.Thread(target=one, args=(s.accept()[0],), daemon=True).start()
threading.Thread(target=serve, args=(socket.AF_INET, "10.77.0.1"), daemon=True).start()
threading.Thread(target=serve, args=(socket.AF_INET6, "fd77::1"), daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
"""


class Failed(Exception):
    """What is wrong, for a person."""


class Skip(Exception):
    """Why it cannot be tested here."""


def test(function):
    TESTS[function.__name__] = function
    return function


def run(*words, **more):
    return subprocess.run([str(w) for w in words], check=True, **more)


class Lab:
    """Network namespaces, the library, and a compiled program; all of it gone at the end."""

    def __init__(self, target):
        self.target = target
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="lkl-capi-"))
        self.names, self.children = [], []

    def __enter__(self):
        (self.dir / "liblkl.so.0").symlink_to(self.target / "liblkl.so")
        return self

    def __exit__(self, *_):
        for child in self.children:
            child.kill()
            child.wait()
        for name in self.names:
            run("ip", "netns", "del", name)
        shutil.rmtree(self.dir)

    def namespace(self):
        name = f"lklcapi-{os.getpid()}-{len(self.names)}"
        run("ip", "netns", "add", name)
        self.names.append(name)
        self.ip(name, "link", "set", "lo", "up")
        return name

    def ip(self, name, *words):
        run("ip", "-n", name, *words)

    def addresses(self, name, dev):
        """The far end of the device."""
        self.ip(name, "address", "add", "10.77.0.1/24", "dev", dev)
        self.ip(name, "address", "add", "fd77::1/64", "dev", dev, "nodad")
        self.ip(name, "link", "set", dev, "up")

    def tap(self):
        name = self.namespace()
        self.ip(name, "tuntap", "add", "dev", "tap0", "mode", "tap")
        self.addresses(name, "tap0")
        return name

    def veth(self):
        """Two namespaces; the far end is in the second one."""
        near, far = self.namespace(), self.namespace()
        self.ip(near, "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", far)
        self.ip(near, "link", "set", "v0", "up")
        self.addresses(far, "v1")
        return near, far

    def start(self, name, *words, **more):
        child = subprocess.Popen(["ip", "netns", "exec", name, *map(str, words)], text=True, **more)
        self.children.append(child)
        return child

    def serve(self, name):
        server = self.start(name, sys.executable, "-c", SERVER, stdout=subprocess.PIPE)
        server.stdout.readline()

    def compile(self, name):
        program = self.dir / name
        flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g", "-I", ROOT / "host/capi/include"]
        run("gcc", *flags, ROOT / f"tests/boot/{name}.c", self.target / "liblkl.so", "-lpthread", "-o", program)
        return program

    def environment(self):
        return {**os.environ, "LD_LIBRARY_PATH": str(self.dir)}

    def judge(self, name, *words, limit=120):
        """Runs a program that prints TAP in a namespace."""
        command = ["ip", "netns", "exec", name, "timeout", str(limit), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment())
        lines = done.stdout.splitlines()
        bad = [line for line in lines if line.startswith(("not ok", "# line"))]
        good = sum(line.startswith("ok ") for line in lines)
        if bad or done.returncode or not lines or lines[-1] != f"1..{good}":
            raise Failed("\n".join([f"status {done.returncode}", *bad, *lines[-8:], done.stderr]))
        return good, done.stdout


@test
def tap(lab):
    name = lab.tap()
    lab.serve(name)
    lab.judge(name, lab.compile("net"), "tap", "tap0")


@test
def configuration(lab):
    name = lab.tap()
    lab.serve(name)
    lab.judge(name, lab.compile("config"), "tap0")


@test
def own_functions(lab):
    name = lab.tap()
    lab.serve(name)
    lab.judge(name, lab.compile("net"), "user", "tap0")


@test
def raw(lab):
    near, far = lab.veth()
    lab.serve(far)
    lab.judge(near, lab.compile("net"), "raw", "v0")


@test
def macvtap(lab):
    near, far = lab.veth()
    try:
        lab.ip(near, "link", "add", "link", "v0", "name", "m0", "type", "macvtap", "mode", "bridge")
    except subprocess.CalledProcessError as e:
        raise Skip("this kernel has no macvtap") from e
    # It passes on only the groups that the host has joined on it, which knows nothing of ours (IPv6 asks for neighbours by groups).
    lab.ip(near, "link", "set", "m0", "up", "allmulticast", "on")
    script = "cat /sys/class/net/m0/tap*/dev"
    number = run("ip", "netns", "exec", near, "sh", "-c", script, capture_output=True, text=True).stdout.strip()
    device = lab.dir / "macvtap"
    major, minor = number.split(":")
    run("mknod", device, "c", major, minor)
    lab.serve(far)
    lab.judge(near, lab.compile("net"), "macvtap", device)


def two_kernels(lab, near, far):
    """One in a process of its own answers pings, until it is told to end."""
    name, program = lab.namespace(), lab.compile("net")
    more = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "env": lab.environment()}
    peer = lab.start(name, "timeout", "120", program, *far, "peer", **more)
    seen = []
    while "# ready" not in (line := peer.stdout.readline().strip()):
        seen.append(line)
        if not line:
            raise Failed("\n".join(seen))
    lab.judge(name, program, *near)
    rest, _ = peer.communicate(timeout=60)
    if peer.returncode or "not ok" in "\n".join(seen) + rest:
        raise Failed("\n".join(seen) + rest)


@test
def pipe(lab):
    os.mkfifo(lab.dir / "a")
    os.mkfifo(lab.dir / "b")
    two_kernels(lab, ("pipe", f"{lab.dir}/a|{lab.dir}/b"), ("pipe", f"{lab.dir}/b|{lab.dir}/a"))


@test
def vde(lab):
    if not (program := shutil.which("vde_switch")):
        raise Skip("vde2 is not installed")
    switch = lab.dir / "switch"
    # It ends with its standard input.
    child = subprocess.Popen([program, "-s", str(switch)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    lab.children.append(child)
    deadline = time.monotonic() + 10
    while not (switch / "ctl").exists():
        if time.monotonic() > deadline:
            raise Failed("vde_switch does not start")
        time.sleep(0.02)
    two_kernels(lab, ("vde", switch), ("vde", switch))
    if left := [path.name for path in switch.iterdir() if path.name.startswith("lkl-")]:
        raise Failed(f"sockets are left: {left}")


def dnsmasq(lab, name, *options):
    if not (program := shutil.which("dnsmasq", path=os.environ["PATH"] + ":/usr/sbin")):
        raise Skip("dnsmasq is not installed")
    log = open(lab.dir / "dnsmasq.log", "w")
    words = ["--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=tap0", "--log-dhcp"]
    words += ["--dhcp-range=10.77.0.2,10.77.0.2,255.255.255.0", f"--dhcp-leasefile={lab.dir}/leases", "--user=root"]
    lab.start(name, program, *words, *options, stdout=log, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 10
    while "DHCP, IP range" not in (lab.dir / "dnsmasq.log").read_text():
        if time.monotonic() > deadline:
            raise Failed((lab.dir / "dnsmasq.log").read_text())
        time.sleep(0.02)


@test
def dhcp(lab):
    name = lab.tap()
    dnsmasq(lab, name, "--dhcp-option=3,10.77.0.1", "--dhcp-option=26,1400", "--dhcp-host=02:00:00:77:00:02,guest")
    lab.serve(name)
    _, text = lab.judge(name, lab.compile("net"), "tap", "tap0", "dhcp")
    if "eth0: 10.77.0.2/24 from DHCP server 10.77.0.1" not in text:
        raise Failed(text)
    if "10.77.0.2 guest" not in (lab.dir / "leases").read_text():
        raise Failed((lab.dir / "leases").read_text())


@test
def dhcp_without_a_server(lab):
    """The kernel starts, without an address, after 12 seconds."""
    name = lab.tap()
    source = lab.dir / "late.c"
    source.write_text(
        """
        #include <lkl.h>
        #include <stdio.h>
        #include <time.h>
        int main(void)
        {
            struct lkl_netdev_args args = { 0, 0 };
            struct lkl_netdev *nd = lkl_netdev_tap_create("tap0", 0);
            time_t start = time(0);
            int id = lkl_netdev_add(nd, &args);
            int ok = lkl_init(0) == 0 && lkl_start_kernel("ip=dhcp") == 0 && lkl_netdev_get_ifindex(id) == 2;
            int took = (int)(time(0) - start);
            printf("%sok 1 - %d s\\n1..1\\n", ok && took >= 10 && took < 20 && !lkl_sys_halt() ? "" : "not ", took);
            return 0;
        }
        """
    )
    program = lab.dir / "late"
    run("gcc", "-Wall", "-I", ROOT / "host/capi/include", source, lab.target / "liblkl.so", "-o", program)
    _, text = lab.judge(name, program)
    if "ip=: Connection timed out" not in text:
        raise Failed(text)


@test
def installed(lab):
    """A program is compiled as pkg-config says, shared and static."""
    root = lab.dir / "root"
    places = {**os.environ, "DESTDIR": str(root), "PREFIX": "/opt/lkl", "TARGET": str(lab.target)}
    run(ROOT / "scripts/install", env=places, stdout=subprocess.DEVNULL)
    found = {**os.environ, "PKG_CONFIG_PATH": f"{root}/opt/lkl/lib/pkgconfig", "PKG_CONFIG_SYSROOT_DIR": str(root)}
    name = lab.namespace()
    for kind in ([], ["--static"]):
        words = run("pkg-config", "--cflags", "--libs", *kind, "lkl", env=found, capture_output=True, text=True)
        flags = words.stdout.split()
        if kind:
            flags = ["-l:liblkl.a" if flag == "-llkl" else flag for flag in flags]
        program = lab.dir / "installed"
        run("gcc", "-std=gnu11", ROOT / "tests/boot/config.c", "-o", program, *flags)
        libraries = "" if kind else f"LD_LIBRARY_PATH={root}/opt/lkl/lib"
        lab.judge(name, "env", *libraries.split(), program)


@test
def debug_shell(lab):
    """What is typed after Ctrl-Z is carried out in the kernel."""
    source = lab.dir / "shell.c"
    source.write_text(
        """
        #include <lkl.h>
        #include <lkl_host.h>
        #include <signal.h>
        #include <unistd.h>
        int main(void)
        {
            lkl_host_ops.print = 0;
            lkl_start_kernel(&lkl_host_ops, "mem=16M");
            lkl_register_dbg_handler();
            lkl_register_dbg_handler();
            raise(SIGTSTP);
            sleep(2);
            return (int)lkl_sys_halt();
        }
        """
    )
    program = lab.dir / "shell"
    run("gcc", "-Wall", "-I", ROOT / "host/capi/include", source, lab.target / "liblkl.so", "-o", program)
    typed = "help\npwd\ncat /proc/sys/net/ipv4/tcp_sack\nnonsense\ncat /nothing\nexit\n"
    done = subprocess.run([program], input=typed, capture_output=True, text=True, env=lab.environment(), timeout=60)
    for part in ("overwrite FILE", "lkl> 1\n", "nonsense: no such command", "cat: No such file or directory"):
        if part not in done.stdout or done.returncode:
            raise Failed(f"{part!r} is missing in {done.stdout!r}, status {done.returncode}")


@test
def python(lab):
    lab.judge(lab.namespace(), sys.executable, ROOT / "tests/capi/example.py")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--release", action="store_true")
    options = parser.parse_args()
    target = ROOT / "target" / ("release" if options.release else "debug")
    counts = {"ok": 0, "skip": 0, "FAILED": 0}
    for name, function in TESTS.items():
        if options.names and not any(part in name for part in options.names):
            continue
        start = time.monotonic()
        try:
            with Lab(target) as lab:
                function(lab)
            result, why = "ok", ""
        except Skip as e:
            result, why = ("FAILED" if os.environ.get("CI") else "skip"), str(e)
        except (Failed, subprocess.SubprocessError, OSError) as e:
            result, why = "FAILED", str(e)
        counts[result] += 1
        print(f"{result:6} {name} {time.monotonic() - start:.1f} s {why}", flush=True)
    print(f"{counts['ok']} passed, {counts['FAILED']} failed, {counts['skip']} skipped")
    return 1 if counts["FAILED"] else 0


if __name__ == "__main__":
    sys.exit(main())
