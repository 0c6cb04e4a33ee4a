"""cptofs, judged by e2fsck and debugfs, and cpfromfs, judged by the tree."""

import os
import subprocess

from lab import check, same, test
from trees import INLINE_BUG, S, lines, make, write


def tree_of(lab, image, name="out"):
    """All that is in an image, by cpfromfs."""
    lab.run("rm", "-rf", name)
    os.mkdir(lab.path(name))
    lab.tool("cpfromfs", "-i", image, "/.", name)
    return lab.path(name)


@test(need=("mkfs.ext4", "debugfs"))
def all_that_files_can_have(lab):
    make(lab.path("src"))
    image = lab.mkfs(size="96M")
    lab.tool("cptofs", "-i", image, "src/.", "/")
    lab.fsck(image)
    found = lambda path: lab.inode(image, path)  # noqa: E731
    stat = os.lstat(lab.path("src", "dir", "file"))
    file = found("/dir/file")
    same((file["type"], file["mode"], file["uid"], file["gid"]), ("regular", 0o644, 3_000_000, 70_000))
    same((file["links"], file["size"], file["mtime"]), (3, 6, stat.st_mtime_ns))
    same(file["xattrs"], {"user.test": 6})
    same((found("/dir/sub/hard")["inode"], found("/hard2")["inode"]), (file["inode"],) * 2)
    same((found("/dir/suid")["mode"], found("/dir/suid")["xattrs"]), (0o6755, {"security.capability": 20}))
    same(found("/dir/sub")["xattrs"], {"security.selinux": 27})
    check("system.posix_acl_access" in found("/dir/empty")["xattrs"] and "system.posix_acl_default" in found("/acldir")["xattrs"])
    same([found(p)["type"] for p in ("/fifo", "/chr", "/blk", "/sock", "/abs")], ["FIFO", "character", "block", "socket", "symlink"])
    same((found("/chr")["device"], found("/blk")["device"]), ((1, 3), (259, 70000)))
    sparse = found("/sparse")
    check(sparse["size"] == 48 << 20 and sparse["blocks"] < 1000, sparse)
    same(found("/allhole")["blocks"], 0)
    lab.debugfs(image, "dump /dir/big big", "dump /sparse sparse")
    for name, path in (("big", "dir/big"), ("sparse", "sparse")):
        lab.run("cmp", name, f"src/{path}")
    same(lab.debugfs(image, "ls -p /dir").count("/file/"), 1)
    # And all of it out again.
    same(lines(tree_of(lab, image)), lines(lab.path("src")), "out again")


@test(need=("mkfs.ext4", "debugfs"))
def out_of_what_mkfs_has_written(lab):
    make(lab.path("src"), sockets=False)
    for options in (["-t", "ext2"], ["-t", "ext3"], ["-b", "1024"], ["-b", "4096", "-O", "inline_data,^metadata_csum"], ["-O", "bigalloc"]):
        image = lab.mkfs("m.img", "128M", *options, tree=lab.path("src"))
        without = INLINE_BUG if "-O" in options and "inline_data" in options[-1] else ()
        more = {"without": without, "times": 1, "root_line": False, "holes": "bigalloc" not in options}
        got, want = (lines(tree, **more) for tree in (tree_of(lab, image), lab.path("src")))
        same(got, want, options)


@test(need=("mkfs.ext4", "debugfs"))
def sources_and_directories(lab):
    """A source goes into the directory under its own name; of one that ends in /. what is in it goes there."""
    image = lab.mkfs()
    os.makedirs(lab.path("a", "b"))
    for name in ("one", ".two", "[three]", "b/four"):
        write(lab.path("a", name), name.encode())
    names = lambda path="/": sorted(lab.tool("lklfs", "ls", image, path).decode().split())  # noqa: E731
    lab.tool("cptofs", "-i", image, "a", "/")
    same(names(), ["a", "lost+found"])
    same(names("/a"), [".two", "[three]", "b", "one"])
    lab.tool("cptofs", "-t", "ext4", "-i", image, "a/*", "a/b/", "/a/b")
    same(names("/a/b"), [".two", "[three]", "b", "four", "one"])
    lab.tool("cptofs", "-p", "-i", image, lab.path("a", "[three]"), "a/?ne", "a/[a-b]", "/")
    same(names(), ["[three]", "a", "b", "lost+found", "one"])
    lab.tool("cptofs", "-i", image, ".", "/b", cwd=lab.path("a"))
    same(names("/b"), [".two", "[three]", "b", "four", "one"])
    # Relative paths of the image begin at its root, and symbolic links stay within it.
    os.symlink("/b/b", lab.path("link"))
    lab.tool("cptofs", "-i", image, "link", "/")
    lab.tool("cptofs", "-i", image, "a/one", "link")
    same(names("b/b"), ["four", "one"])
    os.mkdir(lab.path("out"))
    lab.tool("cpfromfs", "-i", image, "/b/[ot]*", "a/b/four", "/[three]", "link", "out")
    same(sorted(os.listdir(lab.path("out"))), ["[three]", "four", "link", "one"])
    check(os.path.islink(lab.path("out", "link")), "the link was followed")
    lab.fsck(image)


@test(need=("mkfs.ext4",))
def what_is_missing_changes_nothing(lab):
    image = lab.mkfs()
    write(lab.path("here"), b"1")
    before = open(image, "rb").read()
    lab.tool("cptofs", "-i", image, "here", "gone", "/", status=1)
    same(lab.err, "cptofs: gone: No such file or directory\n")
    lab.tool("cptofs", "-i", image, "here", "x*", "no/y*", "/", status=1)
    same(lab.err, "cptofs: x*: no file of such a name\ncptofs: no/y*: No such file or directory\n")
    same(open(image, "rb").read() == before, True, "the image has changed")
    lab.tool("cptofs", "-i", image, "here", "/nowhere", status=1)
    check("/nowhere: No such file or directory" in lab.err, lab.err)
    lab.tool("cpfromfs", "-i", image, "/gone", "/lost+found", ".", status=1)
    same(lab.err, "cpfromfs: /gone: No such file or directory\n")
    check(not os.path.exists(lab.path("lost+found")), "half of it was copied")
    lab.tool("cpfromfs", "-i", image, "/lost+found", "nowhere", status=1)
    for tool in ("cptofs", "cpfromfs"):
        lab.tool(tool, "-i", "gone.img", "here", ".", status=1)
        same(lab.err, f"{tool}: gone.img: No such file or directory\n")
        for words in ([], ["here", "/"], ["-i", image], ["-i", image, "here"], ["-i", image, "-z", "here", "/"]):
            lab.tool(tool, *words, status=64)
    lab.tool("cptofs", "-i", lab.dir, "here", "/", status=1)
    check("found a directory" in lab.err, lab.err)
    os.chmod(image, 0o444)
    lab.tool("cpfromfs", "-i", image, "/lost+found", ".")


@test(need=("mkfs.ext4",))
def no_space_left(lab):
    image = lab.mkfs(size="8M")
    os.mkdir(lab.path("many"))
    for n in range(5):
        write(lab.path("many", f"f{n}"), os.urandom(3 << 20))
    lab.tool("cptofs", "-i", image, "many", "/", status=1)
    check("No space left on device" in lab.err and "2 files and directories before this one" in lab.err, lab.err)
    check("/many/f2: " in lab.err and lab.err.count("\n") == 2, lab.err)
    lab.fsck(image)
    same(sorted(lab.tool("lklfs", "ls", image, "/many").decode().split()), ["f0", "f1"])
    for name in ("f0", "f1"):
        same(lab.tool("lklfs", "cat", image, f"/many/{name}") == open(lab.path("many", name), "rb").read(), True, name)
    # No inodes left.
    image = lab.mkfs("few.img", "8M", "-N", "32")
    os.mkdir(lab.path("small"))
    for n in range(40):
        write(lab.path("small", f"{n:02}"), b"")
    lab.tool("cptofs", "-i", image, "small", "/", status=1)
    check("No space left on device" in lab.err, lab.err)
    lab.fsck(image)


@test(need=("mkfs.ext4", "debugfs"))
def what_is_there_is_replaced(lab):
    image = lab.mkfs()
    into = lambda *words, **more: lab.tool("cptofs", "-i", image, *words, **more)  # noqa: E731
    write(lab.path("f"), b"old")
    os.symlink("/lost+found", lab.path("l"))
    os.mkdir(lab.path("d"))
    into("f", "l", "d", "/")
    write(lab.path("f"), b"new and longer", 0o600)
    os.unlink(lab.path("l"))
    write(lab.path("l"), b"a file now")
    os.utime(lab.path("f"), ns=(S, 5 * S + 7))
    into("f", "l", "/")
    same(lab.tool("lklfs", "cat", image, "f", "l"), b"new and longera file now")
    same((lab.inode(image, "/f")["mode"], lab.inode(image, "/f")["mtime"]), (0o600, 5 * S + 7))
    # A directory and a file do not take each other's place.
    os.rmdir(lab.path("d"))
    write(lab.path("d"), b"")
    into("d", "/", status=1)
    check("/d: is a directory, and the source is none" in lab.err, lab.err)
    os.unlink(lab.path("f"))
    os.mkdir(lab.path("f"))
    into("f", "/", status=1)
    check("/f: is no directory, and the source is one" in lab.err, lab.err)
    lab.fsck(image)
    same(sorted(lab.tool("lklfs", "ls", image).decode().split()), ["d", "f", "l", "lost+found"])
    # Out: a link on the host is replaced too, and not written through.
    os.rmdir(lab.path("f"))
    write(lab.path("victim"), b"untouched")
    os.symlink("victim", lab.path("f"))
    lab.tool("cpfromfs", "-i", image, "/f", ".")
    same((open(lab.path("victim"), "rb").read(), open(lab.path("f"), "rb").read()), (b"untouched", b"new and longer"))


@test(need=("mkfs.ext4",))
def many_small_files(lab):
    """They go in and out as a whole where that is possible, and keep all that they have. What is there already is replaced."""
    image = lab.mkfs()

    def fill(seed):
        lab.run("rm", "-rf", "t")
        for n in range(300):
            directory = lab.path("t", f"d{n % 3}", *(["inner"] if n % 5 == 0 else []))
            os.makedirs(directory, exist_ok=True)
            path = os.path.join(directory, f"f{n}")
            write(path, bytes([seed, n % 256]) * (n * 37 % 9000), [0o644, 0o600, 0o4755, 0o2711, 0o400, 0][n % 6])
            if n % 4 == 1:
                mode = os.lstat(path).st_mode & 0o7777
                os.chown(path, 1000 + n, 70_000 if n % 8 == 1 else 0)
                os.chmod(path, mode)
            if n % 7 == 0:
                os.setxattr(path, "user.n", b"%d" % n)
            if n % 50 == 49:
                os.link(path, path + "-again")
            os.utime(path, ns=(n * S + seed, -n * S + n))

    for seed in (1, 2):
        fill(seed)
        lab.tool("cptofs", "-i", image, "t", "/")
        lab.fsck(image)
        # With files of before in the way, and with none.
        for _ in range(2):
            os.makedirs(lab.path("again"), exist_ok=True)
            lab.tool("cpfromfs", "-i", image, "/t", "again")
            same(lines(lab.path("again", "t")), lines(lab.path("t")), seed)
    # Those that are made in a directory whose files belong to its group have their own all the same.
    lab.run("rm", "-rf", "again/t")
    os.chown(lab.path("again"), 0, 12)
    os.chmod(lab.path("again"), 0o2777)
    lab.tool("cpfromfs", "-i", image, "/t", "again")
    same(lines(lab.path("again", "t")), lines(lab.path("t")), "group")


@test(need=("mkfs.ext4", "debugfs"))
def owners_and_labels_as_given(lab):
    image = lab.mkfs()
    make(lab.path("src"))
    lab.tool("cptofs", "-i", image, "-o", "0", "-g", "12", "-s", "system_u:object_r:etc_t:s0", "src", "/")
    for path in ("/src", "/src/dir/file", "/src/abs", "/src/chr", "/src/dir/sub"):
        found = lab.inode(image, path)
        same((found["uid"], found["gid"], found["xattrs"].get("security.selinux")), (0, 12, 27), path)
    lab.fsck(image)
    for words in (["-o", "root"], ["-g", "-1"], ["-m", "lots"]):
        lab.tool("cptofs", "-i", image, *words, "src", "/", status=64)


@test(need=("mkfs.ext4", "su"))
def without_root(lab):
    """Whoever is not root gets what may be his: no owners, no set-user-ID, no devices; all else is there, and status 1 says so."""
    make(lab.path("src"))
    image = lab.mkfs(size="96M")
    lab.tool("cptofs", "-i", image, "src/.", "/")
    for path in (lab.dir, image):
        os.chown(path, 65534, 65534)
    os.mkdir(lab.path("out"), 0o777)
    os.chown(lab.path("out"), 65534, 65534)
    tools = lab.path("tools")
    os.mkdir(tools)
    for tool in ("cpfromfs", "cptofs"):
        lab.run("cp", os.path.join(lab.tools, tool), tools)
    user = lambda command, **more: lab.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command, **more)  # noqa: E731
    user([f"{tools}/cpfromfs", "-i", image, "/dir", "/fifo", "/abs", "out"])
    got = os.lstat(lab.path("out", "dir", "suid"))
    same((got.st_uid, got.st_mode & 0o7777), (65534, 0o755))
    same(os.getxattr(lab.path("out", "dir", "file"), "user.test"), b"va\0lue")
    check("attributes such as security." in lab.err or "attributes such as trusted." in lab.err, lab.err)
    user([f"{tools}/cpfromfs", "-i", image, "/chr", "/hard2", "out"], status=1)
    check("out/chr: Operation not permitted" in lab.err, lab.err)
    same(open(lab.path("out", "hard2")).read(), "hello\n")
    # Into the image anybody may put anything that he can read.
    user([f"{tools}/cptofs", "-i", image, "-o", "0", "-g", "0", "out/dir/suid", "/"])
    same(lab.inode(image, "/suid")["uid"], 0)
    lab.fsck(image)


@test(need=("mkfs.ext4", "qemu-img"))
def one_writer_at_a_time(lab):
    image = lab.mkfs()
    write(lab.path("f"), b"1")
    place = lab.mount(image)
    for words in (["cptofs", "-i", image, "f", "/"], ["fs2tar", image, "x.tar"]):
        lab.tool(*words, status=1)
        check("in use by another program" in lab.err, lab.err)
    lab.unmount(place)
    lab.tool("cptofs", "-i", image, "f", "/")


@test(need=("mkfs.ext4",))
def ten_thousand_files_and_a_big_one(lab):
    image = lab.mkfs(size="256M")
    for n in range(10_000):
        if n % 500 == 0:
            os.makedirs(lab.path("t", str(n // 500)))
        write(lab.path("t", str(n // 500), f"{n}.txt"), b"%d\n" % n * (n % 700))
    write(lab.path("big"), os.urandom(1 << 20) * 100)
    lab.tool("cptofs", "-i", image, "t", "big", "/")
    lab.fsck(image)
    out = tree_of(lab, image)
    lab.run("diff", "-r", "t", f"{out}/t")
    lab.run("cmp", "big", f"{out}/big")
    check(subprocess.run(["du", "-s", image], stdout=subprocess.PIPE).returncode == 0)
