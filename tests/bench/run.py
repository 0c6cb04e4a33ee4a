"""scripts/bench: options, what is measured on which sides, and the report. See links.py for the sides, kinds.py, calls.py and files.py for the
kinds, load.c, calls.c and link.c for the programs."""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

import calls
import files
import kinds
from links import ROOT, Host, Ours, Trouble

LOCAL = {"start": calls.start, "calls": calls.calls, "files": files.files}
KINDS = [*LOCAL, *kinds.NETWORK]
HERE = pathlib.Path(__file__).resolve().parent


class Bench:
    """What was asked for, and what came out."""

    def __init__(self, args, directory):
        self.seconds, self.repeat, self.one_cpu, self.ipv6 = args.seconds, args.repeat, args.one_cpu, args.ipv6
        self.directory, self.rows, self.notes = pathlib.Path(directory), [], []

    def program(self, name, as_=None, more=()):
        """A program in C, compiled."""
        to = self.directory / (as_ or name)
        if not to.exists():
            subprocess.run(["cc", "-O2", "-pthread", "-o", to, HERE / f"{name}.c", *more], check=True)
        return to

    def order(self, n):
        return (0, 1) if n % 2 == 0 else (1, 0)

    def host(self, side):
        return isinstance(side, Host)

    def wanted(self, where):
        return where == "one CPU" or not (self.one_cpu or os.cpu_count() < 2)

    def wide(self):
        return "two CPUs" if self.wanted("two CPUs") else "one CPU"

    def one_cpu_words(self):
        return ["taskset", "-c", "0"] if self.one_cpu else []

    def note(self, text):
        self.notes.append(text)

    def report(self, kind, name, unit, better, pair, aim):
        """`pair`: the figures of both sides, by repetition. `aim`: ("ratio" or "value", "<=" or ">=", number)."""
        first, second = (statistics.median(side) if side else None for side in pair)
        ratios = [b / a for a, b in zip(*pair) if a]
        row = {"kind": kind, "name": name, "unit": unit, "better": better, "first": first, "second": second}
        row["ratio"] = statistics.median(ratios) if ratios and better else None
        row["aim"] = row["met"] = None
        if aim:
            what, sense, number = aim
            value = row["ratio"] if what == "ratio" else second
            row["aim"] = {"of": what, "sense": sense, "number": number}
            row["met"] = value <= number if sense == "<=" else value >= number
        self.rows.append(row)
        print(f"{name}: {show(first)}, {show(second)} {unit}" + (f", ratio {row['ratio']:.2f}" if row["ratio"] else ""), file=sys.stderr)


def show(value):
    if value is None:
        return ""
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 1000 else f"{value:,.0f}"


def table(rows, names):
    """In Markdown."""
    out = [f"| | unit | {names[0]} | {names[1]} | ratio | aim | |", "|---|---|---:|---:|---:|---:|---|"]
    for r in rows:
        aim = r["aim"]
        text = "" if not aim else f"{'≤' if aim['sense'] == '<=' else '≥'} {aim['number']:g}{' x' if aim['of'] == 'ratio' else ' ' + r['unit']}"
        met = "" if r["met"] is None else "met" if r["met"] else "missed"
        figures = [show(r["first"]), show(r["second"]), "" if r["ratio"] is None else f"{r['ratio']:.2f}", text, met]
        out.append(f"| {r['name']} | {r['unit']} | " + " | ".join(figures) + " |")
    return "\n".join(out)


def git(*words):
    done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def machine():
    with open("/proc/cpuinfo") as f:
        model = re.search(r"^model name\s*:\s*(.*)$", f.read(), re.M)
    return {"cpu": model[1] if model else "unknown", "cpus": os.cpu_count(), "kernel": os.uname().release}


def library(what):
    """The library of a file's name or of a git revision, which is built once."""
    if os.path.isfile(what):
        return pathlib.Path(what).resolve()
    commit = git("rev-parse", "--verify", "--quiet", what + "^{commit}")
    if not commit:
        raise Trouble(f"{what}: neither a library nor a revision")
    place = ROOT / "target" / "bench"
    to = place / commit / "liblkl-hijack.so"
    if to.exists():
        return to
    print(f"building {what}", file=sys.stderr)
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as tree:
        subprocess.run(["git", "-C", str(ROOT), "worktree", "add", "--quiet", "--force", "--detach", tree, commit], check=True)
        try:
            words = ["cargo", "build", "-q", "--release", "-p", "lkl-hijack", "--target-dir", str(place / "target")]
            # As the profile "lto" has it, which older revisions do not know.
            profile = {"CARGO_PROFILE_RELEASE_LTO": "thin", "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "4"}
            if subprocess.run(words, cwd=tree, env=os.environ | profile).returncode != 0:
                raise Trouble(f"{what} does not build")
            to.parent.mkdir(exist_ok=True)
            shutil.copy(place / "target" / "release" / "liblkl_hijack.so", to)
        finally:
            subprocess.run(["git", "-C", str(ROOT), "worktree", "remove", "--force", tree], check=False)
    return to


def measure(bench, wanted, make):
    """All kinds in turn; one that fails does not keep the others from being measured. Answers whether all were."""
    ok = True
    for kind in wanted:
        bad = {"bad": kinds.LOSSY, "link": bench.program("link")} if kind == "loss" else {}
        try:
            if kind in LOCAL:
                sides = make({})
                with contextlib.ExitStack() as stack:
                    LOCAL[kind](bench, [stack.enter_context(s) if bench.host(s) else s for s in sides])
            else:
                with contextlib.ExitStack() as stack:
                    kinds.NETWORK[kind](bench, [stack.enter_context(s) for s in make(bad)])
        except (Trouble, subprocess.SubprocessError, OSError) as e:
            ok = False
            bench.note(f"{kind}: failed: {e}")
    return ok


def main():
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures our kernel against the host's, in the same repetition, and prints the ratios.",
        epilog=f"Kinds: {' '.join(KINDS)} (default: all). `compare A B [KIND...]` measures two of ours against each other: libraries "
        "(files called liblkl-hijack.so) or git revisions. Figures are medians; the ratio is the median of the repetitions' ratios. It takes "
        "root, for namespaces and TAPs.",
    )
    parser.add_argument("words", nargs="*", metavar="KIND")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each figure is measured (1)")
    parser.add_argument("--repeat", type=int, default=5, help="repetitions (5)")
    parser.add_argument("--one-cpu", action="store_true", help="both ends on one CPU")
    parser.add_argument("--ipv6", action="store_true")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the report there")
    parser.add_argument("--svg", type=pathlib.Path, metavar="FILE", help="draw it there")
    args = parser.parse_args()
    words, names, libraries = args.words, ("host", "ours"), None
    if words[:1] == ["compare"]:
        if len(words) < 3:
            parser.error("compare takes two libraries or revisions")
        names, words = tuple(words[1:3]), words[3:]
    wanted = words or KINDS
    for kind in wanted:
        if kind not in KINDS:
            parser.error(f"unknown kind {kind}")
    if args.repeat < 1 or args.seconds <= 0:
        parser.error("nothing to measure")
    # The namespaces go also if it is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    given = os.environ.get("LKL_HIJACK_LIBRARY")
    for name in [n for n in os.environ if n.startswith("LKL_HIJACK_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="lkl-bench-") as directory:
        bench = Bench(args, directory)
        if args.words[:1] == ["compare"]:
            libraries = [library(name) for name in names]

        def make(bad):
            if libraries:
                return [Ours(name, lib, args.ipv6, **bad) for name, lib in zip(names, libraries)]
            return [Host(args.ipv6, **bad), Ours("ours", given, args.ipv6, **bad)]

        ok = measure(bench, wanted, make)
    print(table(bench.rows, names))
    for note in bench.notes:
        print(note)
    report = {
        "sides": list(names), "seconds": args.seconds, "repeat": args.repeat, "ipv6": args.ipv6, "machine": machine(),
        "commit": git("describe", "--always", "--dirty"), "date": datetime.date.today().isoformat(), "rows": bench.rows, "notes": bench.notes,
    }
    text = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
    if args.json:
        args.json.write_text(text)
    if args.svg:
        words = ["cargo", "run", "-q", "--manifest-path", str(ROOT / "Cargo.toml"), "-p", "lkl-tests", "--bin", "bench-plot"]
        done = subprocess.run(words, input=text, stdout=subprocess.PIPE, text=True)
        ok = ok and done.returncode == 0
        if done.returncode == 0:
            args.svg.write_text(done.stdout)
    return 0 if ok else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Trouble as e:
        sys.exit(f"bench: {e}")
