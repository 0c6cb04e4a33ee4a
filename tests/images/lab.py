"""What the image tests share: a scratch directory, the tools, and the judges."""

import os
import re
import shutil
import subprocess
import tempfile
import time

TESTS = []
SBIN = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


class Failed(Exception):
    """The test has found a fault."""


class Skip(Exception):
    """The test cannot be run here."""


def test(need=()):
    """Makes a function a test; `need` are programs that it runs."""

    def add(function):
        module = function.__module__[2:]
        TESTS.append((f"{module}.{function.__name__}", function, need))
        return function

    return add


def check(condition, *what):
    if not condition:
        raise Failed(" ".join(str(w) for w in what) or "not so")


def same(got, want, what=""):
    """Fails with the lines that differ."""
    if got == want:
        return
    if isinstance(got, list) and isinstance(want, list):
        lines = [f"- {l!r}"[:400] for l in want if l not in got] + [f"+ {l!r}"[:400] for l in got if l not in want]
        raise Failed(f"{what}: " + "\n".join(lines[:20] or ["the order differs"]))
    raise Failed(f"{what}: {got!r} instead of {want!r}")


class Lab:
    def __init__(self, tools):
        self.tools = tools
        self.dir = tempfile.mkdtemp(prefix="lkl-images-")
        self.mounts = []
        # Tests that are not root look into it.
        os.chmod(self.dir, 0o755)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for mount in self.mounts:
            subprocess.run(["fusermount3", "-u", "-z", mount], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def run(self, *words, status=0, stdin=None, **more):
        """Runs a program here; answers what it printed."""
        env = dict(os.environ, PATH=SBIN, LC_ALL="C.UTF-8", **more.pop("env", {}))
        words = [w if isinstance(w, bytes) else str(w) for w in words]
        done = subprocess.run(
            words, cwd=more.pop("cwd", self.dir), env=env, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=more.pop("timeout", 300), **more
        )
        self.status = done.returncode
        self.err = done.stderr.decode("utf-8", "replace")
        if status is not None and done.returncode != status:
            raise Failed(f"{words}: status {done.returncode}, {self.err[-600:]}{done.stdout[-300:]!r}")
        return done.stdout

    def tool(self, name, *words, **more):
        return self.run(os.path.join(self.tools, name), *words, **more)

    def mkfs(self, name="a.img", size="64M", *options, tree=None):
        """An ext4 image, with a tree in it if one is given. Answers its path."""
        path = self.path(name)
        self.run("truncate", "-s", "0", path)
        self.run("truncate", "-s", size, path)
        words = ["-d", tree] if tree else []
        self.run("mkfs.ext4", "-q", "-F", *options, *words, path)
        return path

    def fsck(self, image):
        """Is it sound, and cleanly unmounted?"""
        self.run("e2fsck", "-fn", image)
        state = self.run("dumpe2fs", "-h", image).decode()
        check("needs_recovery" not in state, "the journal is dirty")
        check(re.search(r"^Filesystem state: +clean$", state, re.M), "not clean")

    def debugfs(self, image, *commands):
        """What debugfs prints."""
        return self.run("debugfs", "-f", "-", image, stdin="\n".join(commands).encode() + b"\n").decode("utf-8", "replace")

    def debugfs_write(self, image, *commands):
        """Changes an image."""
        return self.run("debugfs", "-w", "-f", "-", image, stdin="\n".join(commands).encode() + b"\n")

    def inode(self, image, path):
        """What debugfs knows of a file."""
        text = self.debugfs(image, f'stat "{path}"')
        number = lambda pattern, base=10: int(re.search(pattern, text).group(1), base)  # noqa: E731
        check("Inode:" in text, path, text)
        mtime = re.search(r"mtime: 0x([0-9a-f]+):([0-9a-f]+)", text)
        found = {
            "type": re.search(r"Type: (\w+)", text).group(1),
            "mode": number(r"Mode: +(\d+)", 8),
            "uid": number(r"User: +(\d+)"),
            "gid": number(r"Group: +(\d+)"),
            "links": number(r"Links: (\d+)"),
            "blocks": number(r"Blockcount: (\d+)"),
            "mtime": int(mtime.group(1), 16) * 10**9 + (int(mtime.group(2), 16) >> 2),
            "inode": number(r"Inode: (\d+)"),
            "xattrs": {n: int(l) for n, l in re.findall(r"^  (\S+) \((\d+)\)", text, re.M)},
        }
        if size := re.search(r"Size: (\d+)", text):
            found["size"] = int(size.group(1))
        if device := re.search(r"Device major/minor number: (\d+):(\d+)", text):
            found["device"] = (int(device.group(1)), int(device.group(2)))
        return found

    def mount(self, image, *options, status=0):
        """lklfuse; answers the directory."""
        if not os.path.exists("/dev/fuse"):
            raise Skip("there is no /dev/fuse")
        place = self.path("mounted")
        os.makedirs(place, exist_ok=True)
        self.tool("lklfuse", image, place, *options, status=status)
        if status == 0:
            self.mounts.append(place)
        return place

    def unmount(self, place):
        self.run("fusermount3", "-u", place)
        self.mounts.remove(place)
        self.wait_for_lock()

    def wait_for_lock(self):
        """The image is closed when nobody has it open any more."""
        for _ in range(200):
            if subprocess.run(["pgrep", "-f", f"lklfuse.*{re.escape(self.dir)}"], stdout=subprocess.DEVNULL).returncode:
                return
            time.sleep(0.05)
        raise Failed("lklfuse does not end")
