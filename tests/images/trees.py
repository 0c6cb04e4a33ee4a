"""Trees of files with all that files can have, and what is in a tree as lines that can be compared."""

import hashlib
import os
import stat
import struct

S = 10**9


def acl(*entries):
    """An ACL as its attribute has it."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, perm, who & 0xFFFFFFFF) for tag, perm, who in entries)


ACCESS = acl((1, 6, -1), (2, 4, 1234), (4, 4, -1), (8, 5, 77), (16, 7, -1), (32, 0, -1))
DEFAULT = acl((1, 7, -1), (2, 5, 1234), (4, 5, -1), (16, 5, -1), (32, 0, -1))
LABEL = b"system_u:object_r:tmp_t:s0\0"
# Permitted: CAP_NET_BIND_SERVICE.
CAPABILITY = struct.pack("<IIIII", 0x2000001, 1 << 10, 0, 0, 0)


def write(path, data, mode=0o644):
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, mode)


def make(root, sockets=True):
    """Makes the tree."""
    root = os.fsencode(root)

    def at(*names):
        return os.path.join(root, *names)

    os.makedirs(at(b"dir", b"sub"))
    write(at(b"dir", b"file"), b"hello\n")
    write(at(b"dir", b"empty"), b"", 0o600)
    write(at(b"dir", b"big"), bytes(range(256)) * 12000 + b"tail")
    write(at(b"dir", b"suid"), b"x")
    os.chown(at(b"dir", b"suid"), 1000, 1001)
    os.chmod(at(b"dir", b"suid"), 0o6755)
    os.chown(at(b"dir", b"file"), 3_000_000, 70_000)
    # Names of any bytes, the longest one, and long paths.
    write(at(b'\xff\xfe name\n\\"'), b"bytes")
    write(at("grüße".encode()), b"utf-8")
    write(at(b"n" * 255), b"long")
    deep = at(b"deep", *[b"d" * 100] * 12)
    os.makedirs(deep)
    write(os.path.join(deep, b"\xffend"), b"deep")
    write(os.path.join(deep, b"end"), b"deep")
    os.symlink(b"/dir/file", at(b"abs"))
    os.lchown(at(b"abs"), 5, 6)
    os.symlink(b"x" * 300, at(b"longlink"))
    os.symlink(b"nowhere\xff", at(b"dangling"))
    os.link(at(b"dir", b"file"), at(b"dir", b"sub", b"hard"))
    os.link(at(b"dir", b"file"), at(b"hard2"))
    os.mkfifo(at(b"fifo"), 0o600)
    os.mknod(at(b"chr"), stat.S_IFCHR | 0o660, os.makedev(1, 3))
    os.mknod(at(b"blk"), stat.S_IFBLK | 0o640, os.makedev(259, 70000))
    if sockets:
        os.mknod(at(b"sock"), stat.S_IFSOCK | 0o755)
    with open(at(b"sparse"), "wb") as f:
        for place, data in ((1 << 20, b"middle"), (40 << 20, b"end")):
            f.seek(place)
            f.write(data)
        f.truncate(48 << 20)
    with open(at(b"allhole"), "wb") as f:
        f.truncate(5_000_000)
    os.makedirs(at(b"acldir"))
    write(at(b"acldir", b"plain"), b"p")
    attributes = [
        ((b"dir", b"file"), "user.test", b"va\0lue"),
        ((b"dir",), "trusted.t", b"of a directory"),
        ((b"dir", b"big"), "user.long", b"L" * 600),
        ((b"dir", b"suid"), "security.capability", CAPABILITY),
        ((b"dir", b"sub"), "security.selinux", LABEL),
        ((b"abs",), "trusted.onlink", b"link"),
        ((b"dir", b"empty"), "system.posix_acl_access", ACCESS),
        ((b"acldir",), "system.posix_acl_default", DEFAULT),
    ]
    for names, name, value in attributes:
        os.setxattr(at(*names), name, value, follow_symlinks=False)
    second = 1_000_000_000
    for d, directories, files in os.walk(root, topdown=False):
        for name in sorted(files + directories):
            second += 1
            times = (second * S + 123_456_789, second * S + 987_654_321)
            os.utime(os.path.join(d, name), ns=times, follow_symlinks=False)
    os.utime(at(b"dir", b"empty"), ns=(-5 * S, -2 * S))
    os.chmod(root, 0o751)
    os.utime(root, ns=(1_234_567_890_123_456_789, 1_234_567_890_987_654_321))


# What mke2fs 1.47 makes shorter if the file system has inline data: files that end in a hole.
INLINE_BUG = ("/sparse", "/allhole")


def lines(root, without=(), times=True, root_line=True, holes=True):
    """A line for each file of a tree: all that is known of it, the access time apart, which reading changes."""
    root = os.fsencode(root)
    without = {os.fsencode(w) for w in without} | {b"/lost+found"}
    names, out = {}, []

    def show(path, name):
        s = os.lstat(path)
        attributes = {n: os.getxattr(path, n, follow_symlinks=False) for n in os.listxattr(path, follow_symlinks=False)}
        content = first = device = size = ""
        if s.st_nlink > 1 and not stat.S_ISDIR(s.st_mode):
            first = names.setdefault((s.st_dev, s.st_ino), name)
        if stat.S_ISREG(s.st_mode):
            with open(path, "rb") as f:
                content = hashlib.sha256(f.read()).hexdigest()[:16]
            if holes and s.st_blocks * 512 + 65536 < s.st_size:
                content += " with holes"
            size = s.st_size
        elif stat.S_ISLNK(s.st_mode):
            content = os.readlink(path)
        elif s.st_rdev:
            device = (os.major(s.st_rdev), os.minor(s.st_rdev))
        mtime = s.st_mtime_ns if times is True else s.st_mtime_ns // S if times else ""
        if name or root_line:
            out.append((name, oct(s.st_mode), s.st_uid, s.st_gid, size, device, mtime, first, content, sorted(attributes.items())))
        if stat.S_ISDIR(s.st_mode):
            for n in sorted(os.listdir(path)):
                if name + b"/" + n not in without:
                    show(os.path.join(path, n), name + b"/" + n)

    show(root, b"")
    return out
