"""Disk images inside unmodified programs: what is done below the image's place is done on it, and the host sees nothing.

The same scripts run on the image and in a directory of the host's; what they print must be the same.
"""

import glob
import hashlib
import os
import signal

from lab import HERE, Skip, check, has, kernels, lacks, test


class Image:
    """An ext4 image, and the place at which programs find it: with --native that is a directory."""

    def __init__(self, lab, *options, size="64M", part=None, kind=""):
        self.lab = lab
        self.place = lab.path("mnt")
        self.plain = lab.path("plain")
        os.mkdir(self.place)
        os.mkdir(self.plain)
        # As mkfs makes it.
        for place in [self.plain, self.place] if lab.native else [self.plain]:
            os.mkdir(os.path.join(place, "lost+found"), 0o700)
        self.file = lab.path("disk.img")
        self.offset = 0
        if part:
            lab.sh(f"truncate -s 128M disk.img; printf 'label: gpt\\nsize=20M\\nsize=80M\\n' | /sbin/sfdisk -q disk.img")
            # In sectors: the second one begins behind the first, which begins at 1 MiB.
            self.offset = (2048 + 20 * 2048) * 512
            lab.sh(f"/sbin/mkfs.ext4 -q -b 4096 -E offset={self.offset} {' '.join(options)} disk.img 20480")
        else:
            lab.sh(f"truncate -s {size} disk.img; /sbin/mkfs.ext4 -q -b 4096 {' '.join(options)} disk.img")
        self.where = f"{self.file}{':2' if part else ''}:{self.place}{kind}"
        if not lab.native:
            lab.env["LKL_HIJACK_DISK"] = self.where

    def script(self, text, program="bash", **more):
        """Runs a script with the image as its directory; answers what it left behind."""
        start = f"cd {self.place} && " if program in ("bash", "sh") else ""
        return self.lab.ours(program, "-c", start + text, **more)

    def same(self, text, program="bash", **more):
        """The script gives the same on the image as in a directory of the host's."""
        here = self.script(text, program, status=None, **more)
        start = f"cd {self.plain} && " if program in ("bash", "sh") else ""
        there = self.lab.run(program, "-c", start + text, status=None, **more)
        names = lambda done: (done.out + done.err).replace(self.place, "@").replace(self.plain, "@")
        check(here.status == there.status and names(here) == names(there), "the image gives something else", here, there)
        return here

    def clean(self, nothing_outside=True):
        """The image is as it should be when the last program has ended, and nothing of it is on the host."""
        if self.lab.native:
            return
        file = f"{self.file}?offset={self.offset}" if self.offset else self.file
        self.lab.run("/sbin/e2fsck", "-fn", file)
        # Not dumpe2fs, of which not all versions know offsets.
        dump = self.lab.run("/sbin/debugfs", "-R", "stats -h", file).out
        has(dump, r"^Filesystem state: +clean$")
        lacks(dump, "needs_recovery")
        if nothing_outside:
            check(os.listdir(self.place) == [], "files have come to the host", os.listdir(self.place))


@test(need=("mkfs.ext4", "bash"))
def shell_and_coreutils(lab):
    """What a shell and its commands do with files."""
    image = Image(lab)
    image.same("pwd; mkdir -p a/b/c; echo one >a/one; echo two >>a/one; cat a/one; cat <a/one | wc -l; ls a")
    image.same("umask 027; mkdir m; echo x >m/f; stat -c '%a %U %s %F %n' m m/f; chmod 4711 m/f; stat -c %a m/f")
    image.same("cd a; pwd; echo three >b/three; cd b; ls; cat three; cd ../..; pwd; ls a/b; cd a/b/c && cd .. && pwd -P")
    image.same("ln -s a/one link; ln a/one hard; readlink link; cat link; stat -c '%h %F' hard link; ls -F | sort")
    image.same("mv a/one a/b/uno && ls a a/b; cp -a a copy; diff -r a copy && echo equal; rm -r copy; ls -A | sort")
    image.same("rmdir a; echo $?; rm a; cat nothing; echo $?; mkdir a; ln -s x x; cat x; mv a a/b; echo >a")
    image.same("for i in $(seq 300); do echo $i >f$i; done; ls | wc -l; echo f1? ; rm f*; ls | sort")
    image.same("head -c 3000000 /dev/zero | tr '\\0' x >big; wc -c big; sha256sum big; truncate -s 5 big; cat big; truncate -s 9 big; od -c big")
    image.same("dd if=/dev/zero of=sparse bs=1M seek=100 count=0 2>/dev/null; stat -c '%s %b' sparse; echo x >>sparse; du -k sparse; rm sparse")
    image.same("mkfifo p; (echo through >p) & cat p; wait; rm p; echo a >t; touch -d '2001-02-03 04:05:06.789 UTC' t; stat -c %y t; date -u -r t +%s.%N")
    image.same("find . -type f -name 'u*' -printf '%p %s %m\\n' | sort; find . -name uno -exec cat {} \\; ; find a -depth | sort")
    image.same("exec 5<>rw; echo hello >&5; exec 5<&-; cat rw; { echo out; echo err >&2; } >both 2>&1; cat both; cat - <rw; cat /dev/stdin <rw")
    image.same("tar cf t.tar a; rm -r a; tar tf t.tar | sort; tar xf t.tar; find a | sort; gzip t.tar; zcat t.tar.gz | tar t | wc -l")
    image.same("sed -i 's/one/1/' both rw a/b/uno; cat a/b/uno; sort -o both both; split -l 1 both part; ls part* ; tee new <both; comm both new")
    image.clean()


@test(need=("mkfs.ext4", "bash"))
def between_image_and_host(lab):
    """Paths that lead in and out, and what crosses the border."""
    image = Image(lab)
    outside, place = lab.path("outside"), image.place
    lab.sh(f"mkdir {outside}; echo host >{outside}/f; mkdir plain/d; echo img >plain/f")
    image.script("mkdir d; echo img >f")
    image.same(f"cp {outside}/f copied; cat copied; cp copied {outside}/back; cat {outside}/back; mv copied {outside}/moved; ls; cat {outside}/moved")
    image.same(f"cd d; cat ../../outside/f; ls ../../outside | sort; cd ../../outside && pwd && cat f; cd {outside}; cat f")
    image.same(f"echo host >{outside}/f; ln -s {outside}/f out; cat out; ln -s ../outside rel; cat rel/f; ls rel/ | sort; echo more >>out; cat {outside}/f; cd rel && cat f")
    if not lab.native:
        has(image.script(f"ln {outside}/f hard", status=1).err, "Invalid cross-device link")
    # From a directory of the host's: by a relative path, and by /proc/self/fd.
    done = lab.ours("bash", "-c", f"cd {lab.dir}; cat mnt/f; cat ./mnt/../mnt/f; cd mnt; cat f; cd ..; ls -d mnt; cat mnt/f >outside/g; cat outside/g")
    check(done.out == "img\nimg\nimg\nmnt\nimg\n", "from the host", done)
    done = lab.ours("bash", "-c", f"cat <(cat {place}/f) {place}/f | tee {outside}/h; [ {place}/f -nt {place}/nothing ] && echo newer; test -d {place} && echo dir")
    check(done.out == "img\nimg\nnewer\ndir\n", "mixed", done)
    image.clean()


def python_alike(lab, name):
    """A program of this folder prints the same in an image and in a directory of the host's."""
    image = Image(lab)
    with open(os.path.join(HERE, name)) as f:
        code = f.read()
    here = lab.ours("python3", "-c", code, image.place)
    there = lab.run("python3", "-c", code, image.plain)
    names = lambda done: (done.out + done.err).replace(image.place, "@").replace(image.plain, "@")
    check(names(here) == names(there), "the image gives something else", here, there)
    image.clean()


@test(need=("mkfs.ext4", "python3"))
def python(lab):
    """Python's own ways with files."""
    python_alike(lab, "files.py")


@test(need=("mkfs.ext4", "python3"))
def spawned(lab):
    """Files that posix_spawn opens for its child."""
    python_alike(lab, "spawn.py")


@test(need=("mkfs.ext4", "python3"))
def watched(lab):
    """inotify on an image."""
    python_alike(lab, "watch.py")


@test(need=("mkfs.ext4", "bash"))
def followed(lab):
    """tail -f, with another process that writes."""
    image = Image(lab)
    image.same("echo one >log; (tail -n +1 -f log & echo $! >pid; wait) >out 2>&1 & sleep 0.5; echo two >>log; sleep 0.3; echo three >>log; sleep 0.5; kill $(cat pid); wait; cat out")
    image.clean()


@test(need=("mkfs.ext4", "bash"))
def a_named_kernel(lab):
    """Commands on a kernel with a name find the files of its images, without being told of them; so do those that they start."""
    if lab.native:
        raise Skip("Linux has one kernel")
    image = Image(lab)
    lab.env["XDG_RUNTIME_DIR"] = lab.dir
    lab.env["LKL_HIJACK_KERNEL"] = "files"
    image.script("echo first >f; mkdir d")
    del lab.env["LKL_HIJACK_DISK"]
    try:
        done = lab.ours("bash", "-c", f"cd {image.place}/d; cat ../f; env -i /bin/cat {image.place}/f; ls {image.place} | sort; echo more >>../f; pwd")
        check(done.out == f"first\nfirst\nd\nf\nlost+found\n{image.place}/d\n" and not done.err, "from another command", done)
    finally:
        lab.ours("--stop", "files")
    image.clean()
    del lab.env["LKL_HIJACK_KERNEL"]
    lab.env["LKL_HIJACK_DISK"] = image.where
    check(image.script("cat f").out == "first\nmore\n", "what was written")


@test(need=("mkfs.ext4", "git"))
def git(lab):
    """A repository on an image."""
    image = Image(lab, size="128M")
    who = "git config --global user.email a@b; git config --global user.name n; git config --global init.defaultBranch main; export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z';"
    env = {"HOME": lab.dir}
    image.same(who + "git init -q r; cd r; for i in 1 2 3; do seq $i 1000 >f$i; git add .; git commit -qm c$i; done; git log --oneline; git status -s; git fsck 2>&1", env=env)
    image.same(who + "cd r; git checkout -qb b HEAD~1; echo x >>f1; git commit -qam x; git merge -q main 2>&1; git log --oneline --graph; git gc -q; git fsck 2>&1; git diff HEAD~1 --stat", env=env)
    image.same("git clone -q r s 2>&1; cd s; ls; git log --oneline | wc -l; git stash list; cat f3 | md5sum", env=env)
    image.clean()


@test(need=("mkfs.ext4", "sqlite3"))
def sqlite(lab):
    """A database on an image."""
    image = Image(lab)
    image.same(
        "sqlite3 db 'create table t(a integer primary key, b text); begin; with recursive n(i) as (select 1 union all select i+1 from n where i<5000)"
        " insert into t select i, hex(randomblob(8)) || i from n; commit; select count(*), sum(a) from t; pragma integrity_check;'"
    )
    image.same("sqlite3 db 'delete from t where a%3=0; vacuum; select count(*) from t; pragma integrity_check'; ls; sqlite3 db .schema")
    image.same("(for i in 1 2 3 4; do sqlite3 -cmd '.timeout 20000' db \"insert into t(b) values('w$i')\" & done; wait); sqlite3 db \"select b from t where b like 'w%' order by b\"")
    image.clean()


@test(need=("mkfs.ext4", "rsync", "vim"))
def editors_and_rsync(lab):
    """rsync and vim."""
    image = Image(lab)
    lab.sh("mkdir -p src/a; seq 10000 >src/a/n; ln -s a/n src/l; echo x >src/x; chmod 600 src/x; touch -d 2001-01-01 src/a/n")
    image.same(f"rsync -aH {lab.path('src')}/ copy/; find copy -printf '%p %y %m %l\\n' | sort; rsync -ain {lab.path('src')}/ copy/")
    image.same(f"echo more >>copy/a/n; rsync -a --delete {lab.path('src')}/ copy/; cmp copy/a/n {lab.path('src')}/a/n && echo equal; rsync -a copy/ back/; diff -r copy back && echo equal")
    image.same("printf 'one\\ntwo\\nthree\\n' >t; vim -N -u NONE -i NONE -es -c '%s/two/2/' -c 'normal Goend' -c wq t; cat t; ls -A | sort", env={"TERM": "dumb"})
    image.clean()


@test(need=("mkfs.ext4", "gcc", "make", "bsdtar", "dpkg-deb"))
def builds_and_archives(lab):
    """A program is built, and packed and unpacked."""
    image = Image(lab)
    built = image.same(
        "printf 'p: a.o b.o\\n\\tcc -o $@ $^\\n' >Makefile; printf '#include <stdio.h>\\nint b(void);\\nint main(void) { printf(\"%%d\\\\n\", b()); }\\n' >a.c;"
        " printf 'int b(void) { return 7; }\\n' >b.c; make -s -j2 && ./p; make -s; touch b.c; make; ls"
    )
    has(built.out, "^7$")
    packed = image.same(
        "mkdir -p t/DEBIAN t/usr/bin; cp p t/usr/bin/; ln -s p t/usr/bin/q; printf 'Package: p\\nVersion: 1\\nArchitecture: all\\nMaintainer: n <a@b>\\nDescription: d\\n' >t/DEBIAN/control;"
        " dpkg-deb -b t p.deb | tail -1; mkdir x; dpkg-deb -x p.deb x; x/usr/bin/q; diff -r t/usr x/usr && echo equal"
    )
    has(packed.out, "^7\nequal$")
    image.same("bsdtar -cf a.tar t; mkdir y; bsdtar -xf a.tar -C y; diff -r t y/t && echo equal; bsdtar --format=newc -cf a.cpio t; mkdir z; bsdtar -xf a.cpio -C z; diff -r t z/t && echo equal")
    image.clean()


@test(need=("mkfs.ext4", "qemu-img", "bash"))
def a_qcow2_image(lab):
    """An image of QEMU's."""
    if lab.native:
        raise Skip("there is no image")
    image = Image(lab)
    lab.sh("qemu-img convert -O qcow2 disk.img disk.qcow2; rm disk.img")
    lab.env["LKL_HIJACK_DISK"] = f"{lab.path('disk.qcow2')}:{image.place}"
    image.same("seq 200000 >f; cp f g; mkdir d; ln f d/f; rm f; (for i in 1 2 3; do cp g $i & done; wait); cmp g 3 && md5sum d/f; rm 1 2; sync; truncate -s 5M g; stat -c '%n %h %s' d/* g 3")
    image.same("md5sum d/f g 3; head -c 3000000 /dev/zero >z; md5sum z")
    lab.sh("qemu-img check -q disk.qcow2; qemu-img convert -O raw disk.qcow2 disk.img")
    image.clean()


@test(need=("mkfs.ext4", "lsattr", "chattr", "filefrag", "fstrim"))
def flags_and_places(lab):
    """lsattr, chattr, filefrag and fstrim."""
    if os.geteuid() != 0 or lab.native:
        raise Skip("it takes root, and an image")
    image = Image(lab)
    done = image.script(
        "echo x >f; chattr +i f; rm f 2>&1; echo y >f; chattr -i +a f; echo y >f; echo z >>f; lsattr f; cat f; chattr -a f; lsattr -v f | tr -s ' ' | cut -d' ' -f3;"
        " head -c 10000 /dev/zero >g; filefrag -v g | tail -2; rm g; fstrim -v . | grep -o trimmed",
        status=None,
    )
    for part in [r"^rm: cannot remove 'f': Operation not permitted$", r"^-{5}a-+e-+ f$", r"^x\nz$", r"0\.\. +2: +\d+\.\. +\d+: +3: +last,eof$", "^g: 1 extent found$", "^trimmed$"]:
        has(done.out, part)
    image.clean()


@test(need=("mkfs.ext4", "setpriv", "psql"))
def a_database_server(lab):
    """PostgreSQL with its data on an image: made, filled, stopped, started again, by the user postgres."""
    if os.geteuid() != 0 or lab.user:
        raise Skip("only root can become another user")
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not found:
        raise Skip("not installed: initdb")
    os.chmod(lab.dir, 0o777)
    image = Image(lab, size="256M")
    start = f"-D $PWD/pg -o \"-k {lab.dir} -c listen_addresses=''\" -w -l {lab.path('log')} start >/dev/null"
    user = f"PATH={found[-1]}:$PATH; as() {{ setpriv --reuid postgres --regid postgres --clear-groups \"$@\"; }}; psql() {{ as psql -XAtq -h {lab.dir} postgres \"$@\"; }}; "
    image.same(
        user + f"mkdir -m 700 pg; chown postgres:postgres pg; as initdb -D $PWD/pg -A trust --no-sync --no-locale >/dev/null && as pg_ctl {start} && "
        "psql -c 'create table t as select n a, md5(n::text) b from generate_series(1, 5000) n' -c 'create index on t(b)' -c checkpoint; as pg_ctl -D $PWD/pg -w -m fast stop >/dev/null; echo $?; find pg ! -user postgres",
        seconds=120,
    )
    filled = image.same(user + f"as pg_ctl {start}; psql -c 'select count(*), count(distinct b) from t' -c 'vacuum full t' -c \"select a from t where b = md5('77')\"; as pg_ctl -D $PWD/pg -w -m fast stop >/dev/null; echo $?", seconds=120)
    has(filled.out, r"^5000\|5000\n77\n0$")
    image.clean()


@test(need=("mkfs.ext4", "bash"))
def programs_on_an_image(lab):
    """Programs and scripts that are on it."""
    image = Image(lab)
    image.same("cp /bin/echo prog; ./prog works; printf '#!/bin/sh\\necho $0 $1; pwd\\n' >s; chmod +x s; ./s arg; printf '#!/bin/sh -e\\nfalse\\necho no\\n' >s2; chmod +x s2; ./s2; echo $?")
    image.same("mkdir bin; cp /bin/ls bin/mine; PATH=$PWD/bin:$PATH; mine bin; cp s bin/; s x; cd bin; ./mine; env ./mine; chmod -x mine; ./mine; echo $?; ./nothing; echo $?")
    image.same("printf '#!bin/mine\\n' >bin/t; chmod +x bin/t; bin/t | sort; printf '#! /bin/cat\\ntext\\n' >c; chmod +x c; ./c; find . -name c -exec {} \\;")
    image.same("ln -s /bin/echo out; ./out by a link; mkdir l; ln -s ../out l/mine; l/mine too; PATH=$PWD/l:$PATH; mine in PATH; ln -s nowhere bad; ./bad; echo $?")
    image.same("cp -L /usr/lib/x86_64-linux-gnu/libz.so.1 libmine.so")
    image.same("python3 -c \"import ctypes; z = ctypes.CDLL('./libmine.so'); z.zlibVersion.restype = ctypes.c_char_p; print(z.zlibVersion()); import os; print(z._handle == ctypes.CDLL(os.getcwd() + '/libmine.so')._handle)\"")
    image.same("python3 -c \"import ctypes; ctypes.CDLL('./none.so')\" 2>&1 | tail -n1")
    image.clean()


@test(need=("mkfs.ext4", "bash", "setpriv"))
def other_users(lab):
    """Programs that root starts as somebody else are somebody else to the files of an image."""
    if os.geteuid() != 0 or lab.user:
        raise Skip("only root can become another user")
    image = Image(lab)
    user = "setpriv --reuid=4321 --regid=4322 --clear-groups"
    image.same(f"chmod 755 .; mkdir -m 777 all; echo x >private; chmod 600 private; {user} sh -c 'cat private; touch no; cd all; touch mine; stat -c \"%u %g\" mine; rm -f ../private; umask 077; echo y >z; ls -l | cut -c1-10'; ls -n all | cut -d' ' -f3,4")
    image.same(f"{user} bash -c 'cat lost+found/x; ls lost+found; (cd all && mkdir d && chmod 700 d); exec sh -c \"id -u; touch no\"'; {user} rm -r all/d; chown 4321 all; {user} chmod 750 all; {user} chown 0 all; stat -c '%u %a' all")
    image.clean()


@test(need=("mkfs.ext4", "bash"))
def read_only(lab):
    """An image that is only to be read."""
    if lab.native:
        raise Skip("the directory is not read-only there")
    image = Image(lab)
    image.script("mkdir d; echo kept >d/f")
    digest = hashlib.sha256(open(image.file, "rb").read()).hexdigest()
    lab.env["LKL_HIJACK_DISK"] = image.where + ":ro"
    done = image.script("cat d/f; echo x >d/f; echo x >new; rm d/f; mkdir e; touch d/f; ls")
    check(done.out == "kept\nd\nlost+found\n", "what is there", done)
    check(done.err.count("Read-only file system") == 5, "what is refused", done)
    # A file that may not be written, too.
    lab.env["LKL_HIJACK_DISK"] = image.where + ":ext4:ro"
    image.script("cat d/f")
    check(hashlib.sha256(open(image.file, "rb").read()).hexdigest() == digest, "the image has changed")


@test(need=("mkfs.ext4", "bash"))
def partitions_and_two_images(lab):
    """A partition of a disk, beside another image."""
    if lab.native:
        raise Skip("Linux needs a mount for it")
    image = Image(lab, part=2)
    lab.sh("mkdir two; truncate -s 16M two.img; /sbin/mkfs.ext2 -q two.img")
    lab.env["LKL_HIJACK_DISK"] += f";{lab.path('two.img')}:{lab.path('two')}:ext2"
    done = image.script(f"echo first >f; cp f {lab.path('two')}/g; cat {lab.path('two')}/g; ln f {lab.path('two')}/h; stat -f -c '%T %S' . {lab.path('two')}", status=0)
    has(done.out, r"^first\next2/ext3 4096\next2/ext3 1024$")
    has(done.err, "Invalid cross-device link")
    lab.run("/sbin/e2fsck", "-fn", lab.path("two.img"))
    image.clean()
    done = lab.ours("true", env={"LKL_HIJACK_DISK": f"{image.file}:7:{image.place}"}, status=125)
    has(done.err, r"disk.img.*partition")


@test(need=("mkfs.ext4", "bash", "python3", "df", "findmnt", "mount", "perl"))
def mount_tables(lab):
    """What lists and finds mounts knows the images."""
    if lab.native:
        raise Skip("Linux needs a mount for it")
    image = Image(lab, part=2)
    spaced = lab.path("a b")
    lab.sh("mkdir 'a b'; truncate -s 16M two.img; /sbin/mkfs.ext2 -q two.img")
    lab.env["LKL_HIJACK_DISK"] += f";{lab.path('two.img')}:{spaced}:ext2:ro"
    place, source, two = image.place, f"{image.file}:2", lab.path("two.img")
    done = image.script(f"mkdir d; echo x >d/f; df --output=source,fstype,target d/f | tail -n1; df -T . | tail -n1; df {place} '{spaced}' | wc -l")
    lines = done.out.splitlines()
    check(lines[0].split() == [source, "ext4", place] and lines[1].split()[:2] == [source, "ext4"] and lines[2] == "3", "df", done)
    has(lab.ours("df").out, rf"^{source} +\d+ +\d+ +\d+ +\d+% {place}$")
    # A file of the host's beside it is on the host's file system.
    done = lab.ours("bash", "-c", f"stat -c %m {place}/d/f '{spaced}' {lab.dir}; cd {place}/d && stat -c %m f ../..")
    host = lab.run("stat", "-c", "%m", lab.dir).out.strip()
    check(done.out == f"{place}\n{spaced}\n{host}\n{place}\n{host}\n", "places of mounts", done)
    done = lab.ours("findmnt", "-rno", "SOURCE,TARGET,FSTYPE,OPTIONS", "-T", f"{place}/d/f")
    check(done.out == f"{source} {place} ext4 rw,relatime\n", "findmnt -T", done)
    done = lab.ours("findmnt", "-no", "TARGET,FSTYPE", "-S", two)
    check(done.out.rsplit(None, 1) == [spaced, "ext2"], "findmnt -S", done)
    done = lab.ours("mount")
    has(done.out, rf"^{source} on {place} type ext4 \(rw,relatime\)$")
    has(done.out, rf"^{two} on {spaced} type ext2 \(ro,relatime\)$")
    for table in ["/proc/mounts", "/proc/self/mounts", "/proc/thread-self/mounts", "/etc/mtab", "/proc/$$/mounts", "/proc/self/task/../../$$/mounts"]:
        if table == "/etc/mtab" and not os.path.realpath(table).endswith("/mounts"):
            continue
        done = lab.ours("bash", "-c", f"cat {table} | tail -n2; perl -e 'open F, shift; print grep /a.040b/, <F>' {table}; bash -c 'grep -c {place} /proc/'$$/mounts")
        check(done.out.splitlines()[0].startswith(f"{source} {place} ext4 rw,relatime"), table, done)
        check(done.out.splitlines()[1:] == [f"{two} {spaced.replace(' ', chr(92) + '040')} ext2 ro,relatime 0 0"] * 2 + ["1"], table, done)
    # A process that is not on this kernel has the host's.
    lacks(lab.ours("cat", f"/proc/{os.getpid()}/mounts").out, place)
    lacks(lab.run("cat", "/proc/self/mounts").out, place)
    # Each mount has a number of its own, is on one that is there, and has the device that its files have.
    code = f"""
import ctypes, os, struct
libc = ctypes.CDLL(None)
rows = [line.split() for line in open("/proc/self/mountinfo")]
ids = [row[0] for row in rows]
print(len(ids) == len(set(ids)), [os.path.ismount(p) for p in ("{place}", "{place}/d", "{spaced}", "{lab.dir}")])
for path in "{place}", "{spaced}":
    row, = [row for row in rows if row[4].replace("\\\\040", " ") == path]
    parent, = [r for r in rows if r[0] == row[1]]
    dev = os.stat(path).st_dev
    handle, mount = ctypes.create_string_buffer(struct.pack("Ii", 128, 0), 136), ctypes.c_int()
    libc.name_to_handle_at(-100, path.encode(), handle, ctypes.byref(mount), 0)
    print(row[2] == "%d:%d" % (os.major(dev), os.minor(dev)), mount.value == int(row[0]), parent[4], row[3])
fd = os.open("/proc/self/mounts", os.O_RDONLY | os.O_NONBLOCK)
print(os.get_inheritable(fd), os.get_blocking(fd), os.pread(fd, 4096, 0) != b"")
try:
    os.write(fd, b"x")
except OSError as e:
    print(e.strerror)
"""
    done = lab.ours("python3", "-c", code)
    on = f"True True {host} /\n"
    check(done.out == f"True [True, False, True, False]\n{on}{on}False False True\nBad file descriptor\n", "mountinfo", done)
    done = lab.ours("python3", "-c", f"import ctypes, os; c = ctypes.CDLL(None); c.setmntent.restype = ctypes.c_void_p; f = c.setmntent(b'/etc/mtab', b'r')\nc.getmntent.restype = ctypes.POINTER(ctypes.c_char_p); c.getmntent.argtypes = [ctypes.c_void_p]\nwhile e := c.getmntent(f): print(e[0].decode(), e[1].decode())")
    has(done.out, rf"^{source} {place}$")
    has(done.out, rf"^{two} {spaced}$")
    image.clean()


@test(need=("mkfs.ext4", "bash"))
def what_is_wrong_is_said(lab):
    """Images that are not there, in use, or none."""
    if lab.native:
        raise Skip("there is nothing to configure")
    image = Image(lab)
    for value, said in [
        (f"/nowhere.img:{image.place}", "/nowhere.img: .*No such file"),
        (f"{lab.dir}:{image.place}", "expected a disk image, found a directory"),
        (f"{lab.path('empty.img')}:{image.place}", "empty.img.*no file system"),
        (f"{image.file}:{image.place}:xfs", "xfs"),
        (f"{image.file}:mnt", "expected image"),
        (f"{image.file}:/proc/x", "expected a place"),
    ]:
        lab.sh("truncate -s 1M empty.img")
        done = lab.ours("true", env={"LKL_HIJACK_DISK": value}, status=125)
        has(done.err, rf"^lkl-hijack: LKL_HIJACK_DISK=.*{said}")
    first = lab.spawn("bash", "-c", f"echo x >{image.place}/f; echo ready; sleep 100", ours=True)
    first.wait_for("ready")
    done = lab.ours("true", status=125)
    has(done.err, "in use by another program")
    first.kill()


@test(need=("mkfs.ext4", "bash"))
def killed(lab):
    """What was synced is there after a kill; the journal is replayed, and nothing has to be repaired."""
    if lab.native:
        raise Skip("Linux stays")
    image = Image(lab)
    program = lab.spawn("bash", "-c", f"cd {image.place}; echo safe >a; sync a; sync; echo ready; while :; do for i in 1 2 3 4 5; do echo $i >f$i; rm f$i; done; done", ours=True)
    program.wait_for("ready")
    for pid in kernels():
        os.kill(pid, signal.SIGKILL)
    program.kill()
    lab.run("/sbin/e2fsck", "-fp", image.file, status=None)
    lab.run("/sbin/e2fsck", "-fn", image.file)
    done = image.script("cat a")
    check(done.out == "safe\n", "what was synced", done)
    image.clean()
