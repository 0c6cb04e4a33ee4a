"""Children of posix_spawn whose files are opened for them, in the directory that is given. Run by t_disk.py."""

import os, sys
d = sys.argv[1]
os.chdir(d)
OPEN, DUP2, CLOSE = os.POSIX_SPAWN_OPEN, os.POSIX_SPAWN_DUP2, os.POSIX_SPAWN_CLOSE
NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def spawn(args, actions):
    try:
        pid = os.posix_spawn(args[0], args, os.environ, file_actions=actions)
    except OSError as e:
        print(e.strerror)
        return
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


spawn(["/bin/sh", "-c", "echo out; echo err >&2"], [(OPEN, 1, d + "/out", NEW, 0o640), (DUP2, 1, 2)])
print(open("out").read(), oct(os.stat("out").st_mode))
spawn(["/bin/cat"], [(OPEN, 0, "out", os.O_RDONLY, 0), (OPEN, 1, "copy", NEW, 0o644)])
print(open("copy").read())
spawn(["/bin/cat"], [(OPEN, 0, "nothing", os.O_RDONLY, 0)])
spawn(["/bin/cat"], [(OPEN, 0, "out/x", os.O_RDONLY, 0)])
spawn(["/bin/sh", "-c", "cat; echo more >&7"], [(OPEN, 0, "copy", os.O_RDONLY, 0), (OPEN, 7, "out", os.O_WRONLY | os.O_APPEND, 0), (CLOSE, 2)])
spawn(["/bin/cat"], [(OPEN, 3, "/dev/null", os.O_RDONLY, 0), (OPEN, 0, "out", os.O_RDONLY, 0), (DUP2, 3, 0)])
print(open("out").read())
# A name that is looked for in PATH, by the host, on the image, and nowhere.
with open("tool", "w") as f:
    f.write("#!/bin/sh\necho tool $1\n")
os.chmod("tool", 0o755)
for path, name in ((None, "true"), (None, "tool"), (f"/bin:{d}", "tool"), (f"{d}:/bin", "true"), (None, "./tool")):
    if path:
        os.environ["PATH"] = path
    try:
        pid = os.posix_spawnp(name, [name, "x"], os.environ)
        print(name, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    except OSError as e:
        print(name, e.strerror, flush=True)
