"""One network namespace with a TAP, and the programs in it.

A test runs in a thread of its own that has left the machine's network namespace for a new one, in which `tap0` is up with the
peer's addresses. What it starts natively talks from there. What it starts with `ours=True` runs under lkl-hijack.sh, with the other
end of the TAP as its eth0; with `--native` it runs in a second namespace, at the other end of a veth, on the machine's own kernel. So
each test can be run on both kernels.

Everything ends with the test: programs are ended by their process group, namespaces go away with the last process in them.
"""

import contextlib
import ctypes
import grp
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
WRAPPER = os.path.join(ROOT, "bin", "lkl-hijack.sh")
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


class Skip(Exception):
    """The test cannot be run here; says why."""


class Failed(AssertionError):
    """The test failed."""


def check(ok, what, *context):
    """Fails with `what`, and what was seen, unless `ok`."""
    if not ok:
        raise Failed("\n".join([what] + [str(c)[-3000:] for c in context]))


def has(text, pattern, what=None):
    """Fails unless `text` has the regular expression; answers the match."""
    found = re.search(pattern, text, re.M)
    check(found, what or f"expected /{pattern}/", text)
    return found


def lacks(text, pattern):
    """Fails if `text` has the regular expression."""
    check(not re.search(pattern, text, re.M), f"did not expect /{pattern}/", text)


def until(condition, seconds=10, what="it did not come to pass", step=0.02):
    """Waits until `condition()` is true; answers it."""
    end = time.monotonic() + seconds
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > end:
            raise Failed(what() if callable(what) else what)
        time.sleep(step)


class Done:
    """What a program left behind."""

    def __init__(self, args, status, out, err):
        self.args, self.status, self.out, self.err = args, status, out, err

    def __str__(self):
        return f"{' '.join(map(str, self.args))}\nstatus {self.status}\nstdout: {self.out[-2000:]}\nstderr: {self.err[-2000:]}"


class Proc:
    """A program that runs."""

    def __init__(self, lab, args, argv, env, stdin, cwd, output=None, before=None):
        self.args = args
        self.files = [tempfile.TemporaryFile(dir=lab.dir) for _ in range(2)]
        out, err = self.files if output is None else (output, output)
        self.popen = subprocess.Popen(
            argv, stdin=stdin, stdout=out, stderr=err, env=env, cwd=cwd or lab.dir, start_new_session=True, preexec_fn=before
        )
        self.stdin = self.popen.stdin

    def _text(self, i):
        size = os.fstat(self.files[i].fileno()).st_size
        return os.pread(self.files[i].fileno(), size, 0).decode("utf-8", "replace")

    @property
    def out(self):
        return self._text(0)

    @property
    def err(self):
        return self._text(1)

    @property
    def pid(self):
        return self.popen.pid

    def __str__(self):
        return str(Done(self.args, self.popen.poll(), self.out, self.err))

    def wait_for(self, pattern, seconds=15):
        """Waits until what it has printed has the regular expression."""

        def seen():
            found = re.search(pattern, self.out + "\n" + self.err, re.M)
            if not found and self.popen.poll() is not None:
                found = re.search(pattern, self.out + "\n" + self.err, re.M)
                check(found, f"ended before /{pattern}/ was seen", self)
            return found

        return until(seen, seconds, lambda: f"waited for /{pattern}/\n{self}")

    def wait(self, seconds=60, status=0):
        """Waits for its end; fails if the status is another one (None: any)."""
        try:
            got = self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failed(f"did not end within {seconds} s\n{self}") from None
        done = Done(self.args, got, self.out, self.err)
        check(status is None or got == status, f"expected status {status}", done)
        return done

    def send(self, sig):
        """Sends a signal to it alone."""
        if self.popen.poll() is None:
            self.popen.send_signal(sig)

    def kill(self):
        """Ends it, and what it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()


def build_detector(folder):
    """Compiles the detector of leaks into the folder; answers where it is."""
    detector = os.path.join(folder, "leaks")
    subprocess.run(["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", detector, os.path.join(HERE, "leaks.c")], check=True)
    return detector


def with_symbol(line):
    """A line of the detector's, with the name of the function instead of an address in a file."""
    place = re.search(r" at (/\S+)\+0x([0-9a-f]+):", line)
    if not place:
        return line
    path, at = place[1], int(place[2], 16)
    best = (0, "")
    for symbols in ("-D", "-a"):
        names = subprocess.run(["nm", symbols, "--defined-only", path], capture_output=True, text=True).stdout
        for entry in names.splitlines():
            address, kind, name = (entry.split() + ["", ""])[:3]
            if kind in "TtWwi" and kind and int(address, 16) <= at:
                best = max(best, (int(address, 16), name.split("@")[0]))
    return line.replace(place[0], f" at {path}+{place[2]} ({best[1]}):") if best[1] else line


def kernels():
    """The processes `lkl-kernel` in this network namespace."""
    here = os.readlink("/proc/thread-self/ns/net")
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                name, rest = f.read().split("(", 1)[1].rsplit(")", 1)
            if name == "lkl-kernel" and rest.split()[0] != "Z" and os.readlink(f"/proc/{pid}/ns/net") == here:
                found.append(int(pid))
        except OSError:
            continue
    return found


class Lab:
    """The place of one test. To be made in the test's own thread."""

    me = {4: "10.7.0.2", 6: "fd07::2"}
    peer = {4: "10.7.0.1", 6: "fd07::1"}
    mac = "02:00:00:00:07:02"

    def __init__(self, native=False, bulk=1 << 30, detector=None):
        self.native, self.bulk = native, bulk
        self.detector, self.leaks = None, None
        self.procs, self.ends = [], []
        self.holder = None
        self._tmp = tempfile.TemporaryDirectory(prefix="lkl-test-")
        self.dir = self._tmp.name
        os.chmod(self.dir, 0o755)
        self.env = {}
        self.user = None
        if detector:
            self.watch(detector)

    def __enter__(self):
        if libc.unshare(CLONE_NEWNET) != 0:
            raise Skip(f"no new network namespace: {os.strerror(ctypes.get_errno())}")
        self.sh("ip link set lo up")
        # As programs of a second machine would, not of this one: nothing is to be answered for other interfaces.
        self.sh("ip link set lo mtu 65536")
        return self

    def __exit__(self, failure, *_):
        for p in reversed(self.procs):
            p.kill()
        for end in reversed(self.ends):
            end()
        if self.holder:
            self.holder.kill()
            self.holder.wait()
        if failure:
            # One that has got stuck must not take the time of other tests.
            for pid in kernels():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._tmp.cleanup()
        if self.detector:
            found = self.found()
            self.leaks.close()
            if failure is None:
                check(not found, f"{len(found)} calls reached the host:", *found[:20])

    # Leaks

    def watch(self, detector=None):
        """From now on, what is run on our kernel is watched: calls that reach the host's kernel and should not make the test fail."""
        self.detector = detector or build_detector(self.dir)
        self.leaks = tempfile.NamedTemporaryFile(prefix="lkl-leaks-", mode="w+")

    def found(self):
        """The calls that have reached the host's kernel so far, a line each; they are forgotten."""
        self.leaks.seek(0)
        lines = self.leaks.read().splitlines()
        os.truncate(self.leaks.fileno(), 0)
        return [with_symbol(line) for line in lines]

    def sh(self, script):
        """Runs a script of the shell natively; answers what it printed."""
        done = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, cwd=self.dir)
        check(done.returncode == 0, f"set-up failed: {script}", done.stdout, done.stderr)
        return done.stdout

    def path(self, name):
        """A file of the test's own."""
        return os.path.join(self.dir, name)

    # The network

    def tap(self, addresses=True, bad_wire=None, **variables):
        """Makes the TAP, and says in `self.env` how to use it. `bad_wire` is the share of frames that are lost, doubled and
        reordered, each way."""
        for name in ("all", "default"):
            self.sh(f"echo 0 >/proc/sys/net/ipv6/conf/{name}/accept_ra")
        if self.native:
            self._veth()
        else:
            self.sh("ip tuntap add dev tap0 mode tap" + (f" user {self.user}" if self.user else ""))
            self.env = {
                "LKL_HIJACK_NET_TAP": "tap0",
                "LKL_HIJACK_NET_MAC": self.mac,
                "LKL_HIJACK_NET_IP": self.me[4],
                "LKL_HIJACK_NET_NETMASK_LEN": "24",
                "LKL_HIJACK_NET_GATEWAY": self.peer[4],
                "LKL_HIJACK_NET_IPV6": self.me[6],
                "LKL_HIJACK_NET_NETMASK6_LEN": "64",
                "LKL_HIJACK_NET_GATEWAY6": self.peer[6],
            }
            if bad_wire:
                # Frames of the size of the wire: losing one of 64 KiB would be another thing.
                self.env["LKL_HIJACK_OFFLOAD"] = "0"
            for name, value in variables.items():
                self.env["LKL_HIJACK_" + name] = str(value)
        if bad_wire:
            from relay import Relay

            relay = Relay("tap0", "peer0", bad_wire)
            self.ends.append(relay.stop)
            self.relay = relay
            dev = "peer0"
            self.sh("echo 1 >/proc/sys/net/ipv6/conf/tap0/disable_ipv6; ip link set tap0 up")
        else:
            dev = "tap0"
        if addresses:
            self.sh(f"ip addr add {self.peer[4]}/24 dev {dev}; ip addr add {self.peer[6]}/64 dev {dev} nodad")
        self.sh(f"ip link set {dev} up")
        return self

    def _veth(self):
        self.holder = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "echo; exec sleep 100000"], stdout=subprocess.PIPE, start_new_session=True
        )
        self.holder.stdout.readline()
        self.sh(
            f"ip link add tap0 type veth peer name eth0 address {self.mac} netns {self.holder.pid}; "
            "ethtool -K tap0 tx off tso off gso off gro off >/dev/null"
        )
        inside = f"nsenter -t {self.holder.pid} -n"
        self.sh(
            f"{inside} sh -ec 'echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_ra; ethtool -K eth0 tx off tso off gso off gro off >/dev/null;"
            f"ip link set lo up; ip addr add {self.me[4]}/24 brd + dev eth0; ip addr add {self.me[6]}/64 dev eth0 nodad; ip link set eth0 up;"
            f"ip route add default via {self.peer[4]}; ip -6 route add default via {self.peer[6]};"
            "sysctl -qw net.ipv4.ping_group_range=\"0 2147483647\"'"
        )

    def connect(self, v, port, side="me", seconds=15, timeout=30):
        """A TCP connection from the peer's side, tried until it is taken."""
        address = (self.me if side == "me" else self.peer)[v]

        def attempt():
            try:
                return socket.create_connection((address, port), timeout=timeout)
            except OSError:
                return None

        return until(attempt, seconds, f"nobody listens at {address} port {port}", 0.05)

    def wait_peer_port(self, port, udp=False, seconds=10):
        """Waits until a native program listens."""
        kind = "-lun" if udp else "-ltn"
        until(lambda: f":{port} " in self.sh(f"ss -H {kind}"), seconds, f"no native program listens at port {port}")

    def server(self, v, handler, port=0):
        """A native TCP server: `handler(connection)` runs in a thread of its own for each. Answers the port."""
        family = socket.AF_INET if v == 4 else socket.AF_INET6
        listener = socket.create_server((self.peer[v], port), family=family, backlog=1024)

        def accept():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=handler, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()

        def stop():
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()

        self.ends.append(stop)
        return listener.getsockname()[1]

    # Programs

    def as_user(self, user="nobody"):
        """From now on, what is run on the kernel under test is run by an ordinary user, to whom the test's folder and, if it
        is made afterwards, the TAP belong."""
        self.user = user
        if not self.native:
            # Where the user can read them, wherever the sources are.
            os.mkdir(self.path("bin"))
            shutil.copy(WRAPPER, self.path("bin"))
            built = os.path.join(ROOT, "target", "lto", "liblkl-hijack.so")
            shutil.copy(os.environ.get("LKL_HIJACK_LIBRARY") or built, self.path("bin"))
            # As udev has it; where there is none it may be root's alone.
            os.chmod("/dev/net/tun", 0o666)
        shutil.chown(self.dir, user)
        return self

    def _argv(self, args, ours):
        if not ours:
            return list(args)
        drop = []
        if self.user:
            drop = ["setpriv", "--reuid", self.user, "--regid", grp.getgrgid(pwd.getpwnam(self.user).pw_gid).gr_name, "--clear-groups", "--inh-caps=-all"]
        if self.native:
            inside = ["nsenter", "-t", str(self.holder.pid), "-n"] if self.holder else ["unshare", "-n", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
            return inside + drop + list(args)
        watched = [self.detector, self.leaks.name] if self.detector else []
        return watched + drop + [self.path("bin/lkl-hijack.sh") if self.user else WRAPPER] + list(args)

    def spawn(self, *args, ours=False, stdin=subprocess.DEVNULL, env=None, cwd=None, output=None, before=None):
        """Starts a program. `output` takes both of its outputs; `before` is called in it, before the program is."""
        args = [str(a) for a in args]
        full = {k: v for k, v in os.environ.items() if not k.startswith("LKL_HIJACK_NET_")}
        full["LC_ALL"] = "C"
        full["PYTHONDONTWRITEBYTECODE"] = "1"
        # Nobody answers the host's name servers here; programs that ask for names of their own need not wait long.
        # Longer than a second: the host may lose what it sends in the first moment of a TAP, and ARP asks again after one.
        full["RES_OPTIONS"] = "timeout:2 attempts:1"
        full["PATH"] = full.get("PATH", "") + ":/usr/sbin:/sbin"
        if ours:
            full.update(self.env)
            if self.user:
                full.update({"HOME": self.dir, "USER": self.user, "LOGNAME": self.user})
                if not self.native:
                    full["LKL_HIJACK_LIBRARY"] = self.path("bin/liblkl-hijack.so")
        full.update(env or {})
        p = Proc(self, args, self._argv(args, ours), full, stdin, cwd, output, before)
        self.procs.append(p)
        return p

    def run(self, *args, ours=False, status=0, seconds=60, input=None, env=None, cwd=None):
        """Runs a program to its end."""
        if input is not None:
            data = input.encode() if isinstance(input, str) else input
            p = self.spawn(*args, ours=ours, stdin=subprocess.PIPE, env=env, cwd=cwd)
            with contextlib.suppress(BrokenPipeError):
                p.stdin.write(data)
                p.stdin.close()
        else:
            p = self.spawn(*args, ours=ours, env=env, cwd=cwd)
        return p.wait(seconds, status)

    def ours(self, *args, **more):
        """Runs a program on the kernel under test, to its end."""
        return self.run(*args, ours=True, **more)

    def python(self, code, *args, ours=True, **more):
        """Runs a Python program."""
        return self.run("python3", "-c", code, *args, ours=ours, **more)


def url(address):
    """An address as it stands in a URL."""
    return f"[{address}]" if ":" in address else address


TESTS = []


def test(v=None, need=(), seconds=120):
    """Marks a test: a function of a lab and, if `v` says which, an IP version. `need` names programs."""

    def mark(f):
        for version in v or (None,):
            name = f"{f.__module__[2:]}.{f.__name__}" + (f"_v{version}" if version else "")
            TESTS.append((name, f, version, (need,) if isinstance(need, str) else need, seconds))
        return f

    return mark
