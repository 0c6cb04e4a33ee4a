"""Where the two ends of a measurement are: network namespaces, joined by a veth pair, a TAP or a bad link.

A side is a kernel that is measured. `Host` is the machine's own: the program under test is in one namespace, its peer in another, a
veth pair between them. `Ours` is a library of this repository: the program runs under the wrapper, with a TAP as its device; the peer
is native, in a namespace of its own, at the TAP's other end. With `bad`, the program `link` carries the frames instead.

Whatever happens, the namespaces go, and with them what is in them.
"""

import contextlib
import os
import pathlib
import signal
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
WRAPPER = ROOT / "bin" / "lkl-hijack.sh"


class Trouble(Exception):
    """Something cannot be measured; says why."""


def run(*words):
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise Trouble(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout


class Bad:
    """What a bad link does each way."""

    def __init__(self, delay_ms, loss, mbit, queue_kib):
        self.delay_ms, self.loss, self.mbit, self.queue_kib = delay_ms, loss, mbit, queue_kib

    def words(self, seed):
        return [str(w) for w in (self.delay_ms, self.loss, self.mbit, self.queue_kib, seed)]


class Side:
    """One kernel and its peer. `me` is the address of the program under test."""

    number = 0

    def __init__(self, name, ipv6=False):
        Side.number += 1
        self.name, self.ipv6 = name, ipv6
        self.spaces = [f"lklbench-{os.getpid()}-{Side.number}{x}" for x in "ab"]
        net = f"fd00:{Side.number}::" if ipv6 else f"10.91.{Side.number}."
        self.me, self.peer, self.bits = f"{net}2", f"{net}1", 64 if ipv6 else 24
        self.procs = []

    def __enter__(self):
        try:
            for space in self.spaces:
                run("ip", "netns", "add", space)
                run("ip", "-n", space, "link", "set", "lo", "up")
            self.set_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for proc in list(self.procs):
            self.end(proc)
        for space in self.spaces:
            subprocess.run(["ip", "netns", "del", space], check=False, stderr=subprocess.DEVNULL)

    def address(self, space, dev, address):
        run("ip", "-n", space, "address", "add", f"{address}/{self.bits}", "dev", dev, *(["nodad"] if self.ipv6 else []))
        run("ip", "-n", space, "link", "set", dev, "up")

    def quiet(self, space, dev):
        """The host says nothing of its own there."""
        run("ip", "netns", "exec", space, "sh", "-c", f"echo 1 >/proc/sys/net/ipv6/conf/{dev}/disable_ipv6")

    def spawn(self, words, env=None, stdin=subprocess.DEVNULL):
        """Starts a program that stays, in a process group of its own, and waits until it says that it is ready."""
        proc = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=stdin, text=True, env=env, start_new_session=True
        )
        self.procs.append(proc)
        line = proc.stdout.readline()
        if line != "ready\n":
            self.end(proc)
            raise Trouble(f"{self.name}: {' '.join(words)}: {(line + proc.stderr.read()).strip()}")
        return proc

    def end(self, proc):
        if proc in self.procs:
            self.procs.remove(proc)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(proc.pid, signal.SIGKILL)
        proc.wait()

    def native(self, words, cpu):
        """A program of the peer."""
        return ["ip", "netns", "exec", self.spaces[1], *pinned(cpu), *words]

    def variables(self, more):
        return dict(os.environ, **more)


def pinned(cpu):
    return [] if cpu is None else ["taskset", "-c", str(cpu)]


class Host(Side):
    """The machine's own kernel."""

    def __init__(self, ipv6=False, bad=None, link=None, seed=1):
        super().__init__("host", ipv6)
        self.bad, self.link, self.seed = bad, link, seed

    def set_up(self):
        a, b = self.spaces
        if self.bad:
            self.spawn([str(self.link), f"{a}:tap:v0", f"{b}:tap:v1", *self.bad.words(self.seed)])
        else:
            run("ip", "-n", a, "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", b)
        self.address(a, "v0", self.me)
        self.address(b, "v1", self.peer)

    def tested(self, words, cpu):
        """The program under test."""
        return ["ip", "netns", "exec", self.spaces[0], *pinned(cpu), *words]

    def alone(self, words):
        """A program that needs no peer."""
        return ["ip", "netns", "exec", self.spaces[0], *words], None


class Ours(Side):
    """A library of this repository."""

    def __init__(self, name, library=None, ipv6=False, bad=None, link=None, seed=1):
        super().__init__(name, ipv6)
        self.library, self.bad, self.link, self.seed = library, bad, link, seed

    def set_up(self):
        a, b = self.spaces
        # The TAP's host side is in the peer's namespace; of a bad link's, in the other, and a packet socket reads it.
        near = a if self.bad else b
        run("ip", "-n", near, "tuntap", "add", "dev", "tap0", "mode", "tap")
        if self.bad:
            self.quiet(a, "tap0")
            run("ip", "-n", a, "link", "set", "tap0", "up")
            self.spawn([str(self.link), f"{a}:packet:tap0", f"{b}:tap:v1", *self.bad.words(self.seed)])
            self.address(b, "v1", self.peer)
        else:
            self.address(b, "tap0", self.peer)
        self.space = near

    def variables(self, more):
        env = {"LKL_HIJACK_NET_TAP": "tap0"}
        env["LKL_HIJACK_NET_IPV6" if self.ipv6 else "LKL_HIJACK_NET_IP"] = self.me
        env["LKL_HIJACK_NET_NETMASK6_LEN" if self.ipv6 else "LKL_HIJACK_NET_NETMASK_LEN"] = str(self.bits)
        if self.bad:
            # Frames of the size of the wire: losing one of 64 KiB would be another thing.
            env["LKL_HIJACK_OFFLOAD"] = "0"
        return super().variables({**env, **self.the_library(), **more})

    def the_library(self):
        return {"LKL_HIJACK_LIBRARY": str(self.library)} if self.library else {}

    def tested(self, words, cpu):
        return ["ip", "netns", "exec", self.space, *pinned(cpu), str(WRAPPER), *words]

    def alone(self, words):
        return [str(WRAPPER), *words], dict(os.environ, **self.the_library())
