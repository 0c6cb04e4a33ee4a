"""fs2tar, judged by GNU tar and bsdtar."""

import os
import stat

from lab import check, same, test
from trees import INLINE_BUG, lines, make

GNU = ("--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls", "--selinux")


def archive(lab, **more):
    """A tree, and an archive of an image of it."""
    make(lab.path("src"))
    image = lab.mkfs(size="96M")
    lab.tool("cptofs", "-i", image, "src/.", "/")
    lab.tool("fs2tar", image, "a.tar", **more)
    check("/sock: a socket" in lab.err, lab.err)
    return image


@test(need=("tar", "mkfs.ext4"))
def gnu_tar_restores_all(lab):
    archive(lab)
    os.mkdir(lab.path("out"))
    lab.run("tar", "-xpf", "a.tar", "-C", "out", *GNU)
    same(lines(lab.path("out")), lines(lab.path("src"), without=["/sock"]), "GNU tar")
    check(os.stat(lab.path("a.tar")).st_size < 8 << 20, "holes are in the archive")


@test(need=("bsdtar", "mkfs.ext4"))
def bsdtar_restores_all(lab):
    archive(lab)
    os.mkdir(lab.path("out"))
    lab.run("bsdtar", "-xpf", "a.tar", "-C", "out", "--numeric-owner", "--acls", "--xattrs")
    # It leaves the time of the directory alone that it is in, and sets labels without a NUL.
    want = [(*l[:9], [(n, v.rstrip(b"\0") if n == "security.selinux" else v) for n, v in l[9]]) for l in lines(lab.path("src"), without=["/sock"], root_line=False)]
    same(lines(lab.path("out"), root_line=False), want, "bsdtar")


@test(need=("tar", "mkfs.ext4"))
def an_image_of_mkfs(lab):
    """Not written by us: what mkfs.ext4 -d has put there, which keeps whole seconds, and no links of symbolic links."""
    make(lab.path("src"), sockets=False)
    for kind, options in (("ext2", ["-t", "ext2"]), ("ext3", ["-t", "ext3"]), ("ext4", ["-b", "4096"]), ("ext4", ["-b", "1024", "-O", "inline_data"])):
        image = lab.mkfs("m.img", "96M", *options, tree=lab.path("src"))
        for given in ([], ["-t", kind]):
            lab.tool("fs2tar", *given, image, "m.tar")
        lab.run("rm", "-rf", "out")
        os.mkdir(lab.path("out"))
        lab.run("tar", "-xpf", "m.tar", "-C", "out", *GNU)
        without = INLINE_BUG if "inline_data" in options else ()
        got, want = (lines(lab.path(t), without, times=1, root_line=False) for t in ("out", "src"))
        same(got, want, f"{options}")


@test(need=("tar", "mkfs.ext4"))
def to_a_pipe_and_the_same_each_time(lab):
    image = archive(lab)
    with open(lab.path("a.tar"), "rb") as f:
        want = f.read()
    check(lab.tool("fs2tar", image, "-") == want, "two archives of one image differ")
    names = lab.run("tar", "-t", stdin=want).decode("utf-8", "replace").splitlines()
    check("./dir/sub/hard" in names and "./lost+found/" in names, names)


@test(need=("mkfs.ext4",))
def labels_in_a_file(lab):
    image = archive(lab)
    lab.tool("fs2tar", "-s", "labels", image, "a.tar")
    with open(lab.path("labels")) as f:
        same(f.read(), "/dir/sub system_u:object_r:tmp_t:s0\n")


@test(need=("mkfs.ext4", "sfdisk", "tar"))
def partitions(lab):
    os.mkdir(lab.path("src"))
    for number, table in ((2, "dos"), (2, "gpt")):
        with open(lab.path("src", "name"), "w") as f:
            f.write(f"in the second of {table}")
        part = lab.mkfs("p.img", "16M", tree=lab.path("src"))
        lab.run("truncate", "-s", "0", "disk.img")
        lab.run("truncate", "-s", "40M", "disk.img")
        lab.run("sfdisk", "-q", "disk.img", stdin=f"label: {table}\n2048,16384\n32768,32768\n".encode())
        lab.run("dd", f"if={part}", "of=disk.img", "bs=512", "seek=32768", "conv=notrunc", "status=none")
        lab.tool("fs2tar", "-P", number, "disk.img", "p.tar")
        same(lab.run("tar", "-xOf", "p.tar", "./name").decode(), f"in the second of {table}")
        lab.tool("fs2tar", "-P", 3, "disk.img", "p.tar", status=1)
        check("no partition 3" in lab.err, lab.err)
        lab.tool("fs2tar", "disk.img", "p.tar", status=1)


@test(need=("qemu-img", "mkfs.ext4", "tar"))
def qcow2(lab):
    os.mkdir(lab.path("src"))
    with open(lab.path("src", "name"), "w") as f:
        f.write("in a qcow2")
    image = lab.mkfs(tree=lab.path("src"))
    lab.run("qemu-img", "convert", "-O", "qcow2", image, "a.qcow2")
    lab.tool("fs2tar", "a.qcow2", "q.tar")
    same(lab.run("tar", "-xOf", "q.tar", "./name").decode(), "in a qcow2")


@test(need=("mkfs.ext4",))
def what_is_wrong_is_said(lab):
    image = lab.mkfs()
    lab.tool("fs2tar", "missing.img", "x.tar", status=1)
    same(lab.err, "fs2tar: missing.img: No such file or directory\n")
    check(not os.path.exists(lab.path("x.tar")), "an archive of nothing")
    with open(lab.path("noise.img"), "wb") as f:
        f.write(os.urandom(1 << 20))
    lab.tool("fs2tar", "noise.img", "x.tar", status=1)
    check("noise.img: no file system that is known here" in lab.err, lab.err)
    lab.tool("fs2tar", "-t", "nosuch", image, "x.tar", status=1)
    check("unknown type of file system: nosuch" in lab.err, lab.err)
    lab.tool("fs2tar", image, "no/such/x.tar", status=1)
    check("no/such/x.tar: No such file or directory" in lab.err, lab.err)
    lab.tool("fs2tar", image, "/dev/full", status=1)
    check("/dev/full: No space left on device" in lab.err, lab.err)
    check(stat.S_ISCHR(os.stat("/dev/full").st_mode), "it has removed /dev/full")
    for words in ([], [image], [image, "x", "y"], ["-P", "x", image, "x.tar"], ["--nonsense", image, "x.tar"]):
        lab.tool("fs2tar", *words, status=64)
    check("Usage: fs2tar" in lab.tool("fs2tar", "--help").decode(), "--help")
    check(lab.tool("fs2tar", "-V").startswith(b"fs2tar "), "-V")


@test(need=("man",))
def manual_pages_and_completions(lab):
    for tool in ("fs2tar", "cptofs", "cpfromfs", "lklfs", "lklfuse"):
        page = lab.tool(tool, "--generate", "man")
        check(f".TH {tool} 1".encode() in page and b".SH OPTIONS" in page, tool)
        shown = lab.run("man", "-l", "-", stdin=page, env={"MANWIDTH": "100"}).decode()
        check("Exit status: 0 if all was done" in " ".join(shown.split()), tool, shown[-300:])
        lab.run("bash", "-n", stdin=lab.tool(tool, "--generate", "bash"))
        for shell in ("zsh", "fish"):
            check(tool.encode() in lab.tool(tool, "--generate", shell), tool, shell)
        lab.tool(tool, "--generate", "nothing", status=64)
