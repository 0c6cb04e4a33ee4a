"""What is measured over a network: the program under test serves, or is the client, and its peer is native.

Every figure is taken on both sides in the same repetition, in alternating order.
"""

import contextlib
import resource
import subprocess

from links import Bad, Host, Trouble

PORT = 5201
# The host's default may be BBR, whose pacing timers limit a native sender more than its path does.
CC = "cubic"
LOSSY = Bad(delay_ms=10, loss=0.05, mbit=100, queue_kib=256)

BOTH = ("one CPU", "two CPUs")


def cpus(where):
    """The CPUs of server and client."""
    return {"one CPU": (0, 0), "two CPUs": (1, 0), "any CPU": (None, None)}[where]


def memory_kib(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(dict(line.split(":", 1) for line in f)["VmRSS"].split()[0])


class Session:
    """A server on one end of a side."""

    def __init__(self, bench, side, where, tested_serves=True, cc=CC):
        self.bench, self.side, self.tested_serves = bench, side, tested_serves
        self.cpu, self.load = cpus(where), str(bench.program("load"))
        self.more = {"LOAD_CC": cc}

    def words(self, tested, words, cpu):
        if tested:
            return self.side.tested([self.load, *words], cpu), self.side.variables(self.more)
        # The peer is native: nothing is preloaded there.
        return self.side.native([self.load, *words], cpu), dict(Host.variables(self.side, self.more))

    def __enter__(self):
        self.address = self.side.me if self.tested_serves else self.side.peer
        words, env = self.words(self.tested_serves, ["server", self.address, str(PORT)], self.cpu[0])
        self.server = self.side.spawn(words, env)
        return self

    def __exit__(self, *_):
        self.side.end(self.server)

    def client(self, kind, *arguments, hold=None, timeout=60):
        """Runs a client; answers its figures. `hold` is called while it still has its connections."""
        words, env = self.words(not self.tested_serves, [kind, self.address, str(PORT), *map(str, arguments)], self.cpu[1])
        proc = subprocess.Popen(
            words, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        self.side.procs.append(proc)
        try:
            if hold:
                line = proc.stdout.readline()
                hold(self.server.pid)
                out, err = proc.communicate("\n", timeout)
                out = line + out
            else:
                out, err = proc.communicate("", timeout)
        except subprocess.TimeoutExpired:
            raise Trouble(f"{self.side.name}: {kind} does not end") from None
        finally:
            self.side.end(proc)
        if proc.returncode != 0 or not out.strip():
            raise Trouble(f"{self.side.name}: {kind}: {err.strip() or f'status {proc.returncode}'}")
        return [float(x) for x in out.split()]


def pairs(bench, sides, where, kind, *arguments, tested_serves=True):
    """The first figure of a client, on both sides, for each repetition."""
    pair = ([], [])
    for n in range(bench.repeat):
        for i in bench.order(n):
            with Session(bench, sides[i], where, tested_serves) as session:
                pair[i].append(session.client(kind, *arguments)[0])
    return pair


def rr(bench, sides):
    for where, aim in zip(BOTH, (0.85, 0.9)):
        if bench.wanted(where):
            pair = pairs(bench, sides, where, "rr", bench.seconds)
            bench.report("rr", f"TCP request and response, {where}, median", "us", "lower", pair, ("ratio", "<=", aim))


def crr(bench, sides):
    for where, aim in zip(BOTH, (("ratio", ">=", 1.4), None)):
        if bench.wanted(where):
            pair = pairs(bench, sides, where, "crr", bench.seconds)
            bench.report("crr", f"TCP connect, 1 byte, close, {where}", "1/s", "higher", pair, aim)


def stream(bench, sides):
    where = bench.wide()
    for kind, title, aim in (("up", "to", 1.0), ("down", "from", 1.3)):
        pair = pairs(bench, sides, where, kind, bench.seconds)
        bench.report("stream", f"TCP {title} the stack, one stream, {where}", "Gbit/s", "higher", pair, ("ratio", ">=", aim))
    pair = ([], [])
    for n in range(bench.repeat):
        for i in bench.order(n):
            words = [*bench.one_cpu_words(), str(bench.program("load")), "local", str(bench.seconds)]
            words, env = sides[i].alone(words)
            env = dict(env or Host.variables(sides[i], {}), LOAD_CC=CC)
            done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=60)
            if done.returncode != 0:
                raise Trouble(f"{sides[i].name}: local: {done.stderr.strip()}")
            pair[i].append(float(done.stdout))
    bench.report("stream", f"TCP over 127.0.0.1, {where}", "Gbit/s", "higher", pair, ("value", ">=", 45))


def udp(bench, sides):
    where = bench.wide()
    for title, serves in (("to", True), ("from", False)):
        pair = pairs(bench, sides, where, "udp", bench.seconds, tested_serves=serves)
        bench.report("udp", f"UDP {title} the stack, 64 bytes, {where}", "1/s", "higher", pair, ("ratio", ">=", 2.0))


def udprr(bench, sides):
    for where in BOTH:
        if bench.wanted(where):
            pair = pairs(bench, sides, where, "udprr", bench.seconds)
            bench.report("udprr", f"UDP request and response, {where}, median", "us", "lower", pair, None)


IDLE, MOST, ACTIVE = 10_000, 100_000, 10_000


def most():
    """How many connections a process can have: MOST, or less where the limit of open files cannot be raised."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20))
    return min(MOST, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100)


def scale(bench, sides):
    """A crowd of native clients of one program."""
    where, all_, active = bench.wide(), most(), min(ACTIVE, most())
    if all_ < MOST:
        bench.note(f"scale: the limit of open files cannot be raised, so {all_:,} connections, not {MOST:,}")
    for side in sides:
        script = "echo 1024 65535 >/proc/sys/net/ipv4/ip_local_port_range"
        subprocess.run(side.native(["sh", "-c", script], None), check=True)
    few, many, slower, rate, trips, memory = (([], []) for _ in range(6))
    for n in range(bench.repeat):
        for i in bench.order(n):
            got = {}
            for count in (0, IDLE):
                with Session(bench, sides[i], where) as session:
                    got[count] = session.client("crowd", count, 0, bench.seconds)[1]
            few[i].append(got[0])
            many[i].append(got[IDLE])
            slower[i].append(got[IDLE] / got[0])
            with Session(bench, sides[i], where) as session:
                before, after = memory_kib(session.server.pid), []
                got = session.client("crowd", all_, active, bench.seconds, hold=lambda pid: after.append(memory_kib(pid)), timeout=300)
                rate[i].append(got[0])
                trips[i].append(got[2])
                memory[i].append((after[0] - before) / all_)
    bench.report("scale", f"TCP request and response, median, {IDLE:,} more are idle", "us", "lower", many, None)
    bench.report("scale", "the same as a multiple of it without them", "times", "lower", slower, ("value", "<=", 1.1))
    bench.report("scale", f"{all_:,} connections taken in one process", "1/s", "higher", rate, None)
    bench.report("scale", f"round trips on {active:,} of them at once, through epoll", "1/s", "higher", trips, None)
    bench.report("scale", "memory of the process for each of them", "KiB", None, memory, ("value", "<=", 1.5))


def loss(bench, sides):
    """BBR over a link that loses frames. `sides` are such links."""
    seconds = max(bench.seconds, 4)
    for title, tested_serves in (("from", True), ("to", False)):
        pair = ([], [])
        for n in range(bench.repeat):
            for i in bench.order(n):
                with Session(bench, sides[i], "any CPU", tested_serves, cc="bbr") as session:
                    pair[i].append(session.client("down", seconds, 1)[0] * 1000)
        aim = ("value", ">=", 0.9 * LOSSY.mbit) if tested_serves else None
        what = f"BBR {title} the stack, {2 * LOSSY.delay_ms} ms, {LOSSY.loss:.0%} lost, {LOSSY.mbit} Mbit/s"
        bench.report("loss", what, "Mbit/s", "higher", pair, aim)


NETWORK = {"stream": stream, "rr": rr, "crr": crr, "udp": udp, "udprr": udprr, "scale": scale, "loss": loss}
