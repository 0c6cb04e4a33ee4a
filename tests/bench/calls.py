"""What single calls cost, and to start: no network is needed."""

import os
import pathlib
import statistics
import subprocess

from links import ROOT, Trouble


def lines(words, env=None):
    """NAME ns, by name."""
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise Trouble(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
    return {name: float(ns) for name, ns in (line.rsplit(" ", 1) for line in done.stdout.splitlines())}


# What is printed as its title, and how the program is started: directly by the wrapper it is the first process, whose memory the kernel
# is in. As a shell's child it is another one, whose calls go by a line.
PATHS = [
    ("of the host's files", "host", lambda words: words),
    ("of ours, first process", "ours", lambda words: words),
    ("of ours, another process", "ours", lambda words: ["sh", "-c", '"$@"; exit $?', "sh", *words]),
]
# The aim of a call that does not block, as ns: a system call of the host's takes 150 to 300.
AIM_NS = 50
AIMED = ("getsockopt", "recv EAGAIN", "poll")


def calls(bench, sides):
    """Each call on each path, per repetition on both sides."""
    got = {}
    for n in range(bench.repeat):
        for title, mode, started in PATHS:
            for i in bench.order(n):
                words = started([str(bench.program("calls")), mode])
                words, env = sides[i].alone(words) if not bench.host(sides[i]) else ([str(bench.program("calls")), mode], None)
                for name, ns in lines([*bench.one_cpu_words(), *words], env).items():
                    got.setdefault((title, mode, name), ([], []))[i].append(ns)
    for (title, mode, name), pair in got.items():
        aim = None
        if title.endswith("first process") and name in AIMED:
            aim = ("value", "<=", AIM_NS)
        bench.report("calls", f"{name} {title}", "ns", "lower", pair, aim)
    if bench.host(sides[0]):
        capi(bench)


def capi(bench):
    """The C API beside the host's getpid."""
    done = subprocess.run(["cargo", "build", "-q", "--profile", "lto", "-p", "lkl"], cwd=ROOT)
    library = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "lto" / "liblkl.a"
    if done.returncode != 0 or not (ROOT / library).exists():
        raise Trouble("liblkl does not build")
    link = ["-I", ROOT / "host/capi/include", ROOT / library, "-lpthread", "-ldl", "-lm", "-lrt"]
    programs = [bench.program("capi", "native", ["-DNATIVE"]), bench.program("capi", "liblkl", link)]
    names = {"getpid": ("ns", 20), "boot and halt": ("ms", 2), "memory": ("KiB", 4096)}
    got = {name: ([], []) for name in names}
    for n in range(bench.repeat):
        for i in bench.order(n):
            for name, value in lines([*bench.one_cpu_words(), str(programs[i])]).items():
                got[name][i].append(value)
    for name, (unit, most) in names.items():
        bench.report("calls", f"{name}, by liblkl", unit, "lower", got[name], ("value", "<=", most))


def start(bench, sides):
    """`true`: its time and its resident memory."""
    # What is not built is built in the first, uncounted run.
    for words, env in (side.alone(["true"]) for side in sides if not bench.host(side)):
        subprocess.run(words, env=env, check=False)
    pairs = ([], []), ([], [])
    for n in range(bench.repeat):
        for i in bench.order(n):
            words, env = (["/bin/true"], None) if bench.host(sides[i]) else sides[i].alone(["/bin/true"])
            words = [str(bench.program("load")), "start", "20", *words]
            done = subprocess.run(words, env=env or dict(os.environ), stdout=subprocess.PIPE, text=True, timeout=120)
            if done.returncode != 0:
                raise Trouble("start: true fails")
            for pair, value in zip(pairs, done.stdout.split()):
                pair[i].append(float(value))
    bench.report("start", "true, from start to end", "ms", "lower", pairs[0], None)
    bench.report("start", "true, resident", "KiB", "lower", pairs[1], None)
    if bench.host(sides[0]):
        more = statistics.median(b - a for a, b in zip(*pairs[0]))
        bench.note(f"start: {more:.1f} ms more than without the wrapper")
