#!/usr/bin/env python3
"""Runs the program tests: real programs, unmodified, on our kernel, against native ones over a TAP.

run.py [--native | --leaks] [-j N] [--list] [NAME]...

Each NAME is a part of a test's name. With --native the same tests run on the machine's own kernel instead of ours, to show that
they ask for what Linux does. With --leaks the programs are watched by leaks.c: a call about sockets or our files that reaches the host's
kernel makes the test fail; a few tests are left out (UNWATCHED). TEST_BULK is the size of the big transfers in bytes (1 GiB). A test that cannot be run here is skipped
and says why; with CI=true that is a failure.
"""

import argparse
import glob
import importlib
import os
import queue
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from lab import TESTS, Failed, Lab, Skip, build_detector  # noqa: E402

# Tests that are not watched: of how long things take; and valgrind, which makes the calls of our library itself.
UNWATCHED = ("cost.", "tools.valgrind")


def run_one(entry, native, bulk, detector):
    """Runs one test in the calling thread, which it leaves in another network namespace."""
    _, function, version, need, _ = entry
    missing = [p for p in need if not shutil.which(p, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")]
    if missing:
        return "skip", f"not installed: {' '.join(missing)}"
    try:
        with Lab(native, bulk, detector) as lab:
            if version:
                function(lab, version)
            else:
                function(lab)
        return "ok", ""
    except Skip as e:
        return "skip", str(e)
    except Failed as e:
        where = traceback.extract_tb(e.__traceback__)
        lines = [f"{os.path.basename(f.filename)}:{f.lineno}" for f in where if "/t_" in f.filename]
        return "FAILED", f"{' '.join(lines)}: {e}"
    except Exception:
        return "FAILED", traceback.format_exc()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--native", action="store_true")
    which.add_argument("--leaks", action="store_true")
    parser.add_argument("-j", type=int, default=2, metavar="N")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    # Started in the background by a shell, it would ignore the signal, and so would each program that a test interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for path in sorted(glob.glob(os.path.join(HERE, "t_*.py"))):
        importlib.import_module(os.path.basename(path)[:-3])
    chosen = [t for t in TESTS if not options.names or any(n in t[0] for n in options.names)]
    if options.leaks:
        chosen = [t for t in chosen if not t[0].startswith(UNWATCHED)]
    if options.list:
        print("\n".join(t[0] for t in chosen))
        return 0
    if os.geteuid() != 0:
        sys.exit("the program tests make network namespaces: run them as root")

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(16384, hard), hard))
    waiting = queue.Queue()
    for entry in chosen:
        waiting.put(entry)
    bulk = int(os.environ.get("TEST_BULK", 1 << 30))
    results, lock = [], threading.Lock()
    folder = tempfile.TemporaryDirectory(prefix="lkl-leaks-")
    detector = build_detector(folder.name) if options.leaks else None

    def worker():
        while True:
            try:
                entry = waiting.get_nowait()
            except queue.Empty:
                return
            start, box = time.monotonic(), []
            thread = threading.Thread(target=lambda: box.append(run_one(entry, options.native, bulk, detector)), daemon=True)
            thread.start()
            thread.join(entry[4])
            result = box[0] if box else ("FAILED", f"did not end within {entry[4]} s")
            with lock:
                results.append((entry[0],) + result)
                took = time.monotonic() - start
                print(f"{result[0]:6} {entry[0]} ({took:.1f} s)", flush=True)
                if result[1]:
                    print("       " + result[1].strip().replace("\n", "\n       "), flush=True)

    threads = [threading.Thread(target=worker) for _ in range(max(1, options.j))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()

    count = {kind: sum(r[1] == kind for r in results) for kind in ("ok", "FAILED", "skip")}
    if os.environ.get("CI") == "true" and count["skip"]:
        print("in CI a skipped test is a failed one")
        count["FAILED"] += count["skip"]
        count["skip"] = 0
    # Said once more, where whoever looks at the end of a long log finds it.
    for name, kind, why in results:
        if kind == "FAILED":
            print(f"failed: {name}: {why.strip()[-4000:]}")
    print(f"{count['ok']} passed, {count['FAILED']} failed" + (f", {count['skip']} skipped" if count["skip"] else ""))
    sys.stdout.flush()
    folder.cleanup()
    # A test that hangs must not keep the run from ending.
    os._exit(1 if count["FAILED"] or not results else 0)


if __name__ == "__main__":
    main()
