"""lklfuse: an image as a directory."""

import ctypes
import errno
import fcntl
import hashlib
import mmap
import os
import random
import signal
import subprocess
import threading
import time

from lab import check, same, test
from trees import ACCESS, lines, make, write

LIBC = ctypes.CDLL(None, use_errno=True)
KEEP, PUNCH, ZERO = 1, 3, 16
NOREPLACE, EXCHANGE = 1, 2


def fallocate(fd, mode, offset, length):
    if LIBC.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)):
        raise OSError(ctypes.get_errno(), "fallocate")


def rename2(old, new, flags):
    if LIBC.renameat2(-100, os.fsencode(old), -100, os.fsencode(new), flags):
        raise OSError(ctypes.get_errno(), "rename")


def fails(number, call, *args, **more):
    try:
        call(*args, **more)
    except OSError as e:
        same(errno.errorcode[e.errno], errno.errorcode[number], call)
        return
    check(False, call, "did not fail")


def pids(lab):
    found = subprocess.run(["pgrep", "-f", f"lklfuse.*{lab.dir}"], stdout=subprocess.PIPE).stdout.split()
    return [int(p) for p in found]


@test(need=("mkfs.ext4", "fusermount3"))
def a_tree_goes_in_and_comes_out(lab):
    make(lab.path("src"))
    image = lab.mkfs(size="96M")
    place = lab.mount(image, "-o", "dev,suid")
    lab.run("cp", "-a", lab.path("src") + "/.", place)
    same(lines(place), lines(lab.path("src")), "in")
    lab.unmount(place)
    lab.fsck(image)
    # Nothing is cached now.
    place = lab.mount(image, "-o", "ro,dev,suid,type=ext4")
    same(lines(place), lines(lab.path("src")), "out")
    fails(errno.EROFS, os.mkdir, f"{place}/new")
    lab.unmount(place)
    lab.fsck(image)


@test(need=("mkfs.ext4", "fusermount3", "lsattr", "fstrim"))
def every_operation(lab):
    image = lab.mkfs()
    place = lab.mount(image)
    at = lambda *names: os.path.join(place, *names)  # noqa: E731
    f = os.open(at("t"), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    os.write(f, b"A" * 10000)
    fallocate(f, PUNCH, 4096, 4096)
    same((os.lseek(f, 0, os.SEEK_HOLE), os.lseek(f, 4096, os.SEEK_DATA)), (4096, 8192))
    fails(errno.ENXIO, os.lseek, f, 10000, os.SEEK_DATA)
    fallocate(f, KEEP, 0, 1 << 20)
    same((os.fstat(f).st_size, os.fstat(f).st_blocks >= 2048), (10000, True))
    g = os.open(at("u"), os.O_RDWR | os.O_CREAT, 0o600)
    same(os.copy_file_range(f, g, 5000, 0, 10), 5000)
    fails(errno.EEXIST, rename2, at("t"), at("u"), NOREPLACE)
    rename2(at("t"), at("u"), EXCHANGE)
    same((os.stat(at("t")).st_size, os.stat(at("u")).st_size), (5010, 10000))
    # A file without a name goes on.
    os.unlink(at("u"))
    os.pwrite(f, b"after", 0)
    os.fchmod(f, 0o400)
    os.fchown(f, 1, 2)
    os.ftruncate(f, 5)
    os.setxattr(f, "user.a", b"1")
    os.utime(f, ns=(1, 2))
    s = os.fstat(f)
    same((s.st_nlink, oct(s.st_mode), s.st_uid, s.st_gid, s.st_size, s.st_mtime_ns), (0, "0o100400", 1, 2, 5, 2))
    same((os.pread(f, 10, 0), os.getxattr(f, "user.a"), os.listxattr(f)), (b"after", b"1", ["user.a"]))
    os.close(f)
    os.close(g)
    for flags, data in ((os.O_APPEND, b"one"), (os.O_APPEND, b"two"), (os.O_TRUNC, b"3")):
        f = os.open(at("ap"), os.O_WRONLY | os.O_CREAT | flags, 0o640)
        os.write(f, data)
        os.close(f)
        same(open(at("ap"), "rb").read(), {b"one": b"one", b"two": b"onetwo", b"3": b"3"}[data])
    with open(at("m"), "w+b") as m:
        m.truncate(8192)
        with mmap.mmap(m.fileno(), 8192) as view:
            view[5000:5005] = b"mmap!"
        os.fsync(m)
    same(open(at("m"), "rb").read()[5000:5005], b"mmap!")
    one, two = open(at("m"), "r+b"), open(at("m"), "r+b")
    fcntl.flock(one, fcntl.LOCK_EX)
    fails(errno.EWOULDBLOCK, fcntl.flock, two, fcntl.LOCK_EX | fcntl.LOCK_NB)
    one.close(), two.close()
    os.mkdir(at("many"))
    for n in range(3000):
        os.close(os.open(at("many", f"name{n}"), os.O_CREAT | os.O_WRONLY))
    same(len(os.listdir(at("many"))), 3000)
    fails(errno.ENOTEMPTY, os.rmdir, at("many"))
    gone = 0
    with os.scandir(at("many")) as names:
        for entry in names:
            os.unlink(entry.path)
            gone += 1
    same((gone, os.listdir(at("many"))), (3000, []))
    os.rmdir(at("many"))
    os.symlink("target", at("sy"))
    os.link(at("sy"), at("sy2"), follow_symlinks=False)
    same((os.readlink(at("sy2")), os.lstat(at("sy")).st_nlink), ("target", 2))
    os.makedirs(at("d1", "d2"))
    fails(errno.EINVAL, os.rename, at("d1"), at("d1", "d2", "d3"))
    os.rename(at("d1", "d2"), at("d2"))
    same(os.stat(at("d1")).st_nlink, 2)
    os.setxattr(at("ap"), "user.b", b"x" * 300)
    fails(errno.EEXIST, os.setxattr, at("ap"), "user.b", b"", os.XATTR_CREATE)
    fails(errno.ENODATA, os.getxattr, at("ap"), "user.c")
    os.removexattr(at("ap"), "user.b")
    same(os.listxattr(at("ap")), [])
    os.setxattr(at("ap"), "system.posix_acl_access", ACCESS)
    same(oct(os.stat(at("ap")).st_mode), "0o100670")
    fails(errno.ENAMETOOLONG, os.mkdir, at("x" * 256))
    check(lab.run("lsattr", at("ap")).split()[0].strip(b"-e") == b"", "lsattr")
    check(lab.run("lsattr", "-v", at("ap")).split()[0].isdigit(), "lsattr -v")
    check(b"trimmed" in lab.run("fstrim", "-v", place), "fstrim")
    v = os.statvfs(place)
    check(0 < v.f_bfree <= v.f_blocks and v.f_ffree > 0, v)
    d = os.open(place, os.O_RDONLY)
    os.fsync(d)
    os.close(d)
    lab.unmount(place)
    lab.fsck(image)
    same(sorted(lab.tool("lklfs", "ls", image).decode().split()), ["ap", "d1", "d2", "lost+found", "m", "sy", "sy2", "t"])
    same(lab.tool("lklfs", "cat", image, "ap"), b"3")


@test(need=("mkfs.ext4", "fusermount3", "setpriv"))
def whose_files_are(lab):
    image = lab.mkfs()
    place = lab.mount(image, "-o", "allow_other,default_permissions")
    os.mkdir(f"{place}/open", 0o777)
    os.chmod(f"{place}/open", 0o3777)
    os.chown(f"{place}/open", 0, 50)
    user = ["setpriv", "--reuid=1000", "--regid=1001", "--clear-groups"]
    lab.run(*user, "sh", "-c", "umask 027; cd open; echo 1 >f; mkdir d; ln -s x s; mkfifo p", cwd=place)
    for name, mode in (("f", 0o100640), ("d", 0o042750), ("s", 0o120777), ("p", 0o010640)):
        s = os.lstat(f"{place}/open/{name}")
        same((s.st_uid, s.st_gid, oct(s.st_mode)), (1000, 50, oct(mode)), name)
    lab.run(*user, "touch", f"{place}/no", status=1)
    check("Permission denied" in lab.err, lab.err)
    os.setxattr(f"{place}/open", "system.posix_acl_default", ACCESS)
    lab.run("sh", "-c", "umask 077; echo >open/inherits", cwd=place)
    same(oct(os.stat(f"{place}/open/inherits").st_mode), "0o100660")
    check("system.posix_acl_access" in os.listxattr(f"{place}/open/inherits"), "no ACL")
    lab.unmount(place)
    lab.fsck(image)


@test(need=("mkfs.ext4", "fusermount3"))
def random_operations_on_one_file(lab):
    """As fsx does it: each operation is done to the file and to bytes in memory."""
    image = lab.mkfs(size="128M")
    for seed in range(3):
        place, rng = lab.mount(image), random.Random(seed)
        model, biggest = bytearray(), 1 << 20
        path = f"{place}/fsx{seed}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        for step in range(1500):
            op = rng.choice(("write",) * 4 + ("read",) * 4 + ("truncate", "punch", "zero", "copy", "append", "mmap", "reopen", "fsync"))
            at, size = rng.randrange(biggest), rng.randrange(1, 70_000)
            data = rng.randbytes(size)

            def put(where, what):
                model.extend(bytes(max(0, where + len(what) - len(model))))
                model[where:where + len(what)] = what

            if op == "write":
                same(os.pwrite(fd, data, at), size)
                put(at, data)
            elif op == "read":
                same(os.pread(fd, size, at) == model[at:at + size], True, f"seed {seed} step {step}: read {at} {size}")
            elif op == "truncate":
                os.ftruncate(fd, at)
                del model[at:]
                model.extend(bytes(at - len(model)))
            elif op in ("punch", "zero"):
                fallocate(fd, PUNCH if op == "punch" else ZERO | KEEP, at, size)
                end = min(at + size, len(model))
                model[at:end] = bytes(max(0, end - at))
            elif op == "copy" and len(model) > 10:
                source = rng.randrange(len(model))
                length = min(size, len(model) - source, abs(source - at))
                if length:
                    n = os.copy_file_range(fd, fd, length, source, at)
                    put(at, model[source:source + n])
            elif op == "append":
                with open(path, "ab") as f:
                    f.write(data)
                put(len(model), data)
            elif op == "mmap" and model:
                with mmap.mmap(fd, len(model)) as view:
                    where = rng.randrange(len(model))
                    piece = data[:len(model) - where]
                    view[where:where + len(piece)] = piece
                    put(where, piece)
            elif op == "reopen":
                os.close(fd)
                fd = os.open(path, os.O_RDWR)
            elif op == "fsync":
                os.fsync(fd)
            same(os.fstat(fd).st_size, len(model), f"seed {seed} step {step}: {op}")
        os.close(fd)
        same(open(path, "rb").read() == model, True, "the end")
        lab.unmount(place)
        lab.fsck(image)
        lab.debugfs(image, f"dump /fsx{seed} dumped")
        same(open(lab.path("dumped"), "rb").read() == model, True, "on the image")


@test(need=("mkfs.ext4", "fusermount3"))
def many_threads(lab):
    image = lab.mkfs(size="128M")
    place, wrong = lab.mount(image), []

    def work(number):
        try:
            rng, own = random.Random(number), f"{place}/{number}"
            os.mkdir(own)
            for n in range(150):
                data = rng.randbytes(rng.randrange(50_000))
                write(f"{own}/a{n}", data)
                os.rename(f"{own}/a{n}", f"{own}/b{n % 20}")
                os.link(f"{own}/b{n % 20}", f"{place}/shared-{number}-{n}")
                if hashlib.sha256(open(f"{place}/shared-{number}-{n}", "rb").read()).digest() != hashlib.sha256(data).digest():
                    wrong.append((number, n))
                os.unlink(f"{place}/shared-{number}-{n}")
                os.listdir(place)
        except OSError as e:
            wrong.append(e)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    same(wrong, [])
    lab.unmount(place)
    lab.fsck(image)


@test(need=("mkfs.ext4", "fusermount3"))
def killed_in_the_middle(lab):
    """What was synced is there after the journal is replayed, and the file system is sound."""
    image = lab.mkfs(size="128M")
    for turn in range(3):
        place = lab.mount(image)
        os.makedirs(f"{place}/{turn}")
        for n in range(60):
            with open(f"{place}/{turn}/f{n}", "wb") as f:
                f.write(b"%d" % n * 5000)
                f.flush()
                if n % 10 == 0:
                    os.fsync(f.fileno())
        d = os.open(f"{place}/{turn}", os.O_RDONLY)
        os.fsync(d)
        os.close(d)
        for n in range(30):
            write(f"{place}/{turn}/lost{n}", b"x" * 100_000)
        for pid in pids(lab):
            os.kill(pid, signal.SIGKILL)
        lab.run("fusermount3", "-u", "-z", place)
        lab.mounts.remove(place)
        lab.wait_for_lock()
        # e2fsck replays a copy, and finds nothing else to do.
        lab.run("cp", "--sparse=always", image, "copy.img")
        lab.run("e2fsck", "-p", "copy.img", status=None)
        lab.run("e2fsck", "-fn", "copy.img")
        # We replay the image itself.
        write(lab.path("mark"), b"")
        lab.tool("cptofs", "-i", image, "mark", "/")
        lab.fsck(image)
        for n in range(0, 60, 10):
            for judge in (image, "copy.img"):
                same(lab.tool("lklfs", "cat", judge, f"/{turn}/f{n}") == b"%d" % n * 5000, True, f"{judge} {turn}/f{n}")


@test(need=("mkfs.ext4", "fusermount3"))
def how_it_starts_and_ends(lab):
    image = lab.mkfs()
    place = lab.path("mounted")
    for words, status, problem in (
        ([image], 64, "MOUNTPOINT"),
        (["gone.img", place], 1, "gone.img: No such file or directory"),
        ([image, lab.path("nowhere")], 1, "nowhere: No such file or directory"),
        ([image, place, "-o", "colour=red"], 64, "no such option"),
        ([image, place, "-o", "type=nosuch"], 1, "unknown type of file system: nosuch"),
        ([image, place, "-o", "part=1"], 1, "there is no partition 1"),
    ):
        os.makedirs(place, exist_ok=True)
        lab.tool("lklfuse", *words, status=status)
        check(problem in lab.err, words, lab.err)
    check(b"-o" in lab.tool("lklfuse", "--help") and lab.tool("lklfuse", "-V").startswith(b"lklfuse "))
    # A second mount is refused, in the status too.
    lab.mount(image, "-o", "fsname=some,lock=lock")
    with open("/proc/mounts") as f:
        check(f"some {place} fuse" in f.read(), "/proc/mounts")
    os.mkdir(lab.path("second"))
    lab.tool("lklfuse", image, lab.path("second"), status=1)
    check("in use by another program" in lab.err, lab.err)
    # It ends when it is told to, and leaves a clean image.
    write(f"{place}/f", b"1")
    for pid in pids(lab):
        os.kill(pid, signal.SIGTERM)
    lab.wait_for_lock()
    lab.mounts.clear()
    lab.fsck(image)
    # In the foreground.
    process = subprocess.Popen([os.path.join(lab.tools, "lklfuse"), "-f", image, place])
    for _ in range(100):
        if os.path.exists(f"{place}/f"):
            break
        time.sleep(0.05)
    same(open(f"{place}/f").read(), "1")
    lab.run("fusermount3", "-u", place)
    same(process.wait(20), 0)
    lab.fsck(image)
    # An image that may not be written is mounted so.
    os.chmod(image, 0o444)
    place = lab.mount(image, "-o", "ro,log=messages,mb=16")
    fails(errno.EROFS, open, f"{place}/f", "w")
    lab.unmount(place)
    check(os.path.exists(lab.path("messages")), "no log")
