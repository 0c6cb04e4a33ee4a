"""lklfs: a look into an image."""

import os

from lab import check, same, test
from trees import make, write


@test(need=("mkfs.ext4", "debugfs"))
def shows_what_is_there(lab):
    make(lab.path("src"), sockets=False)
    image = lab.mkfs(size="96M", tree=lab.path("src"))
    show = lambda *words, **more: lab.tool("lklfs", *words, **more).decode("utf-8", "replace")  # noqa: E731
    same(show("ls", image, "/dir"), "big\nempty\nfile\nsub\nsuid\n")
    listed = show("ls", "-l", image, "/dir").splitlines()
    check(any(l.startswith("-rwsr-sr-x   1  1000  1001          1 2001-09-09T") and l.endswith(" suid") for l in listed), listed)
    check("abs -> /dir/file" in show("ls", "-l", image, "/abs"))
    check("\\x0a" in show("ls", image), "a new line in a name is shown as it is")
    check("/dir/sub:\nhard\n" in show("ls", "-R", image, "/dir"))
    same(lab.tool("lklfs", "cat", image, "/dir/file", "abs"), b"hello\nhello\n")
    same(lab.tool("lklfs", "cat", image, "/sparse") == open(lab.path("src", "sparse"), "rb").read(), True, "cat")
    for path, problem in (("/dir", "Is a directory"), ("/fifo", "No such device"), ("/none", "No such file or directory")):
        lab.tool("lklfs", "cat", image, path, status=1)
        same(lab.err, f"lklfs: {path}: {problem}\n")
    shown = show("stat", image, "/blk", "/dir/file")
    check("Device: 259,70000" in shown and "Uid: 3000000" in shown and "user.test=va\\x00lue" in shown, shown)
    rows = show("df", image).splitlines()
    check(int(rows[1].split()[0]) > 80_000 and "files" in rows[0], rows)
    check(", 0 errors" in show("check", image))
    lab.tool("lklfs", "ls", status=64)
    lab.tool("lklfs", status=64)
    lab.tool("lklfs", "ls", image, "/none", status=1)


@test(need=("mkfs.ext4", "debugfs"))
def check_finds_damage(lab):
    os.mkdir(lab.path("src"))
    write(lab.path("src", "file"), os.urandom(3 << 20))
    image = lab.mkfs("d.img", "32M", "-O", "^metadata_csum", tree=lab.path("src"))
    lab.debugfs_write(image, "set_inode_field /file block[2] 0xffffff", "set_inode_field /file block[5] 0xffffff")
    lab.tool("lklfs", "check", image, status=1)
    check("/file" in lab.err, lab.err)
    image = lab.mkfs("l.img", "32M", tree=lab.path("src"))
    lab.debugfs_write(image, "set_inode_field /file links_count 2")
    lab.tool("lklfs", "check", image, status=1)
    check("2 links, but 1 names" in lab.err, lab.err)


@test(need=("mkfs.ext4",))
def a_terabyte_is_looked_at_in_no_time(lab):
    """A sparse image of 1 TiB: little is read, and little memory taken."""
    image = lab.mkfs("tib.img", "1T")
    lab.run("bash", "-c", f"ulimit -v 1000000; for i in 1 2 3; do {lab.tools}/lklfs ls {image}; done")
