#!/usr/bin/env python3
"""Runs the tests of the tools for disk images: against GNU tar, bsdtar, e2fsck and debugfs.

run.py [--list] [--tools DIRECTORY] [NAME]...

Each NAME is a part of a test's name. The tools are those of the release build, or of DIRECTORY. Needs root, as trees with owners and
devices are made. A test that cannot be run here is skipped and says why; with CI=true that is a failure.
"""

import argparse
import glob
import importlib
import os
import shutil
import sys
import time
import traceback

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from lab import TESTS, Failed, Lab, Skip  # noqa: E402


def run_one(function, need, tools):
    missing = [p for p in need if not shutil.which(p, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")]
    if missing:
        return "skip", f"not installed: {' '.join(missing)}"
    try:
        with Lab(tools) as lab:
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
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--tools", default=os.path.join(HERE, "../../target/release"), metavar="DIRECTORY")
    options = parser.parse_args()
    for path in sorted(glob.glob(os.path.join(HERE, "t_*.py"))):
        importlib.import_module(os.path.basename(path)[:-3])
    chosen = [t for t in TESTS if not options.names or any(n in t[0] for n in options.names)]
    if options.list:
        print("\n".join(t[0] for t in chosen))
        return 0
    if os.geteuid() != 0:
        sys.exit("the image tests make files with owners and devices: run them as root")
    os.umask(0o022)
    count, failed = {"ok": 0, "FAILED": 0, "skip": 0}, []
    for name, function, need in chosen:
        start = time.monotonic()
        kind, text = run_one(function, need, os.path.abspath(options.tools))
        print(f"{kind:6} {name} ({time.monotonic() - start:.1f} s)", flush=True)
        if text:
            print("       " + text.strip().replace("\n", "\n       "), flush=True)
        if kind == "skip" and os.environ.get("CI") == "true":
            kind = "FAILED"
        count[kind] += 1
        failed += [name] if kind == "FAILED" else []
    for name in failed:
        print(f"failed: {name}")
    print(f"{count['ok']} passed, {count['FAILED']} failed" + (f", {count['skip']} skipped" if count["skip"] else ""))
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
