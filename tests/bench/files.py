"""The tools for disk images against what else does the same work: debugfs, the host's own kernel through a loop device, and for one big file
the copy of as many bytes. The times are from the start of a tool to its end, with the image unmounted by then; all of it is in memory (/dev/shm).
"""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time

from links import ROOT, Trouble

BIG = 512 << 20
FILES = 20_000
IMAGE = "1G"


def run(*words, stdin=None, cwd=None):
    subprocess.run([str(w) for w in words], check=True, input=stdin, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def timed(act):
    start = time.monotonic()
    act()
    return time.monotonic() - start


class Work:
    def __init__(self, tools, directory):
        self.tools = pathlib.Path(tools)
        self.dir = pathlib.Path(directory)
        self.image = self.dir / "image"
        self.big = self.dir / "big"
        self.tree = self.dir / "tree"
        self.out = self.dir / "out"
        self.mnt = self.dir / "mnt"
        self.mnt.mkdir()
        # The same bytes each time, and none that could be a hole.
        with open(self.big, "wb") as f:
            for _ in range(BIG >> 20):
                f.write(os.urandom(1 << 20))
        for n in range(FILES):
            d = self.tree / f"d{n // 100}"
            if n % 100 == 0:
                d.mkdir(parents=True)
            (d / f"f{n}").write_bytes(os.urandom(500 + n % 4000))

    def fresh(self):
        """An empty image."""
        self.image.unlink(missing_ok=True)
        run("truncate", "-s", IMAGE, self.image)
        run("mkfs.ext4", "-q", "-F", self.image)
        self.clear()

    def clear(self):
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir()

    def mounted(self, act):
        run("mount", "-o", "loop", self.image, self.mnt)
        try:
            act()
        finally:
            run("umount", self.mnt)

    def ours_in(self, source):
        run(self.tools / "cptofs", "-i", self.image, source, "/")

    def ours_out(self, name):
        run(self.tools / "cpfromfs", "-i", self.image, f"/{name}", self.out)

    def debugfs(self, *commands):
        run("debugfs", "-w", "-f", "-", self.image, stdin="\n".join(commands).encode() + b"\n")

    def debugfs_tree_in(self):
        commands = ["mkdir tree"]
        for d in sorted(self.tree.iterdir()):
            commands += [f"mkdir tree/{d.name}", f"cd tree/{d.name}"]
            commands += [f"write {f} {f.name}" for f in d.iterdir()] + ["cd /"]
        self.debugfs(*commands)

    def rows(self):
        """What is measured: its name, its unit, and a way for each who does it."""
        copy = ("cp", lambda: run("cp", self.big, self.out / "copy"))
        yield "512 MiB in", self.fresh, [
            ("ours", lambda: self.ours_in(self.big)),
            copy,
            ("debugfs", lambda: self.debugfs(f"write {self.big} big")),
            ("loop mount", lambda: self.mounted(lambda: run("cp", self.big, self.mnt))),
        ]
        self.fresh()
        self.debugfs(f"write {self.big} big")
        yield "512 MiB out", self.clear, [
            ("ours", lambda: self.ours_out("big")),
            copy,
            ("debugfs", lambda: self.debugfs(f"dump big {self.out}/big")),
            ("loop mount", lambda: self.mounted(lambda: run("cp", self.mnt / "big", self.out))),
        ]
        yield "20,000 files in", self.fresh, [
            ("ours", lambda: self.ours_in(self.tree)),
            ("debugfs", self.debugfs_tree_in),
            ("loop mount", lambda: self.mounted(lambda: run("cp", "-a", self.tree, self.mnt))),
        ]
        self.fresh()
        self.debugfs_tree_in()
        yield "20,000 files out", self.clear, [
            ("ours", lambda: self.ours_out("tree")),
            ("debugfs", lambda: self.debugfs(f"rdump tree {self.out}")),
            ("loop mount", lambda: self.mounted(lambda: run("cp", "-a", self.mnt / "tree", self.out))),
        ]


def list_a_terabyte(bench, tools, directory):
    """The time and the memory that it takes to list a directory of an image of 1 TiB; debugfs beside it."""
    image = pathlib.Path(directory) / "tib"
    run("truncate", "-s", "1T", image)
    run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1", image)
    times, memory = ([], []), ([], [])
    ways = [["debugfs", "-R", "ls /", image], [tools / "lklfs", "ls", image]]
    for n in range(bench.repeat):
        for i in bench.order(n):
            # By a small program, whose memory is not counted with theirs.
            words = [bench.program("load"), "start", "5", "sh", "-c", 'exec "$0" "$@" >/dev/null 2>&1', *ways[i]]
            done = subprocess.run([str(w) for w in words], stdout=subprocess.PIPE, text=True)
            if done.returncode:
                raise Trouble(f"{ways[i]} fails")
            milliseconds, kib = done.stdout.split()
            times[i].append(float(milliseconds))
            memory[i].append(float(kib) / 1024)
    bench.report("files", "a directory of 1 TiB listed / debugfs", "ms", "lower", times, ("value", "<=", 20))
    bench.report("files", "the same, resident", "MiB", "lower", memory, ("value", "<=", 20))


# How many times as long it may take as the others.
AIMS = {
    ("512 MiB in", "cp"): 1.5,
    ("512 MiB out", "cp"): 1.5,
    ("20,000 files in", "debugfs"): 1,
    ("20,000 files in", "loop mount"): 1,
    ("20,000 files out", "debugfs"): 1,
    ("20,000 files out", "loop mount"): 1,
}


def files(bench, sides):
    """Big and small files in and out, and a list of names."""
    if not bench.host(sides[0]):
        raise Trouble("files: two libraries cannot be compared by the tools")
    tools = ROOT / "target" / "release"
    subprocess.run(["cargo", "build", "--release", "-q", "-p", "lkl-tools"], cwd=ROOT, check=True)
    base = "/dev/shm" if os.path.isdir("/dev/shm") and shutil.disk_usage("/dev/shm").free > 4 << 30 else None
    with tempfile.TemporaryDirectory(dir=base) as directory:
        work = Work(tools, directory)
        for name, prepare, ways in work.rows():
            times = {who: [] for who, _ in ways}
            for n in range(bench.repeat):
                for who, act in ways if n % 2 == 0 else reversed(ways):
                    prepare()
                    try:
                        times[who].append(timed(act))
                    except subprocess.CalledProcessError as e:
                        if who == "ours":
                            raise Trouble(f"{name}: {e}") from e
            for who, theirs in times.items():
                if who == "ours":
                    continue
                if len(theirs) < bench.repeat:
                    bench.note(f"files: {name}: {who} cannot be had here")
                    continue
                aim = AIMS.get((name, who))
                bench.report("files", f"{name} / {who}", "s", "lower", (theirs, times["ours"]), aim and ("ratio", "<=", aim))
        list_a_terabyte(bench, tools, directory)
