"""What inotify tells of the directory that is given, as other processes change it. Run by t_disk.py."""

import ctypes, os, select, struct, subprocess, sys
os.chdir(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
ALL = 0xfff
fd = libc.inotify_init1(os.O_NONBLOCK)
print(libc.inotify_add_watch(fd, sys.argv[1].encode(), ALL))
os.mkdir("sub")
sub = libc.inotify_add_watch(fd, b"sub", ALL)
print(sub, libc.inotify_add_watch(fd, b"nothing", ALL), ctypes.get_errno())
subprocess.run("echo x >a; cat a; mv a sub/b; rm sub/b; chmod 700 sub", shell=True)


def events():
    while select.select([fd], [], [], 0.3)[0]:
        try:
            data = os.read(fd, 4096)
        except BlockingIOError:
            return
        while data:
            watch, mask, cookie, n = struct.unpack("iIII", data[:16])
            print(watch, hex(mask), bool(cookie), data[16:16 + n].rstrip(b"\0").decode())
            data = data[16 + n:]


events()
print(libc.inotify_rm_watch(fd, sub))
events()
print(libc.inotify_rm_watch(fd, 99), ctypes.get_errno())
os.rmdir("sub")
events()
os.close(fd)
