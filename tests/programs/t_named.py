"""Kernels with a name, which unrelated commands join."""

import os
import pwd
import re
import shutil
import signal
import socket
import threading
import time

from lab import WRAPPER, Skip, check, has, kernels, lacks, test, until, url
from t_servers import fetch
from t_tcp import body_file
from t_tree import SERVER, echo_once, workers_of


def place(lab, **variables):
    """The test's own directory of kernels, which end with the test."""
    if lab.native:
        raise Skip("Linux has one kernel")
    lab.env.update({"XDG_RUNTIME_DIR": lab.dir, **variables})

    def end():
        for pid in kernels():
            os.kill(pid, signal.SIGKILL)

    lab.ends.append(end)
    return lab


def rows(lab, **more):
    """What --list prints: by name, the other columns. Root's has those of other users, too, also of another test that runs at once."""
    done = lab.ours("--list", **more)
    lines = done.out.splitlines()
    check(lines and lines[0].split() == ["NAME", "PID", "USER", "DEVICES", "PROCESSES"], "the first line", done)
    return {line.split()[0]: line.split()[1:] for line in lines[1:]}


def gone(pid):
    """Has the process ended? One that nobody waits for has."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def answers(lab, v, port):
    """Waits until a server of echoes answers; a connection may be of a worker that was just killed."""

    def once():
        try:
            return echo_once(lab, v, port)
        except OSError:
            return False

    until(once, what=f"nobody answers at port {port}", step=0.1)


def kill_kernel(lab, name):
    """Ends a kernel by force; answers its process."""
    pid = int(rows(lab)[name][0])
    os.kill(pid, signal.SIGKILL)

    def refused():
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            return s.connect_ex(lab.path(f"lkl/{name}")) != 0

    until(refused)
    return pid


@test(v=(4, 6), need=("ip", "curl"))
def unrelated_commands(lab, v):
    """What one sets up, the others have: addresses, a server, its port."""
    place(lab.tap())
    digest = body_file(lab)
    extra = "10.99.0.1/24" if v == 4 else "fd99::1/64"
    lab.ours("--kernel", "web", "ip", "addr", "add", extra, "dev", "lo")
    pid = int(rows(lab)["web"][0])
    check(kernels() == [pid], "one kernel", kernels(), pid)
    # Nothing of the TAP is needed to join.
    tapless = {name: "" for name in lab.env if name.startswith("LKL_HIJACK_NET_")}
    bare = ["env", *(f"-u{name}" for name in tapless), f"XDG_RUNTIME_DIR={lab.dir}", WRAPPER]
    done = lab.run(*bare, "--kernel=web", "ip", "-br", "addr")
    has(done.out, rf"^lo .*{extra}")
    has(done.out, rf"^eth0 .*{lab.me[v]}/")
    check(done.err == "", "silence", done)
    server = lab.spawn("python3", "-m", "http.server", 8000, "--bind", lab.me[v], ours=True, env={"LKL_HIJACK_KERNEL": "web"})
    lab.connect(v, 8000).close()
    fetch(lab, f"http://{url(lab.me[v])}:8000/file.bin", digest)
    done = lab.run(*bare, "--kernel", "web", "curl", "-sS", "-o", lab.path("mine"), f"http://{url(lab.me[v])}:8000/file.bin")
    has(lab.run(*bare, "--kernel", "web", "ss", "-ltn").out, r":8000 ")
    row = rows(lab)["web"]
    check(row[:3] == [str(pid), "root", "tap0"] and row[3] == "1" and row[4].startswith("python3"), "--list", row)
    # Another one has another state, and no name none.
    lab.run(*bare, "--kernel", "other", "true")
    lacks(lab.run(*bare, "--kernel", "other", "ip", "-br", "addr").out, "eth0|99")
    lacks(lab.run(*bare, "ip", "-br", "addr").out, "eth0|99")
    check({"other", "web"} <= set(rows(lab)), "both", rows(lab))
    lab.ours("--stop", "other")
    check("web" in rows(lab) and "other" not in rows(lab), "one is left", rows(lab))
    lab.connect(v, 8000).close()
    server.kill()
    lab.ours("--stop=web")
    check("web" not in rows(lab) and gone(pid) and not os.path.exists(lab.path("lkl/web")), "nothing is left")


@test(v=(4, 6))
def stop_finishes_what_was_sent(lab, v):
    """A program has ended; its peer, which is slow, gets all, and an orderly end. So does that of one that runs."""
    place(lab.tap(), LKL_HIJACK_KERNEL="k")
    size, got, ended = 3 << 20, [0], threading.Event()

    def slow(c):
        while True:
            time.sleep(0.02)
            data = c.recv(65536)
            got[0] += len(data)
            if not data:
                ended.set()
                return

    port = lab.server(v, slow)
    send = "import socket, sys\nc = socket.create_connection((sys.argv[1], int(sys.argv[2])))\nc.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)\n"
    lab.python(send + f"c.sendall(b'x' * {size})", lab.peer[v], port)
    check(not ended.is_set(), "too quick to show anything")
    order = []
    waits = lab.spawn("python3", "-c", send + "print('up', flush=True)\nc.recv(1)", lab.peer[v], lab.server(v, lambda c: order.append(c.recv(1))), ours=True)
    waits.wait_for("up")
    lab.ours("--stop", "k", seconds=60)
    # It is with the peer's kernel.
    until(lambda: got[0] == size and ended.is_set(), what=lambda: f"{got[0]} bytes of {size}, the end: {ended.is_set()}")
    until(lambda: order == [b""], what=lambda: f"no orderly end: {order}")
    done = waits.wait(status=None)
    has(done.err, r"Input/output error|Errno 5|keeper has ended")
    check(not kernels(), "a kernel is left", kernels())


@test(v=(4, 6), seconds=180)
def process_trees(lab, v):
    """Trees of several commands: shells, servers with workers that are killed. The commands that were there first are killed, too."""
    place(lab.tap(), LKL_HIJACK_KERNEL="tree")
    first = lab.spawn("python3", "-c", SERVER, lab.me[v], 7000, 3, ours=True)
    first.wait_for("ready", 20)
    second = lab.spawn("python3", "-c", SERVER, lab.me[v], 7001, 3, ours=True)
    second.wait_for("ready", 20)
    for p, port in ((first, 7000), (second, 7001)):
        for pid in workers_of(p):
            answers(lab, v, port)
            os.kill(pid, signal.SIGKILL)
        answers(lab, v, port)
    first.kill()
    until(lambda: not workers_of(first), what="workers are left")
    for _ in range(5):
        check(echo_once(lab, v, 7001), "the other command's server")
    # What was killed has let go of its port.
    third = lab.spawn("python3", "-c", SERVER, lab.me[v], 7000, 1, ours=True)
    third.wait_for("ready", 20)
    check(echo_once(lab, v, 7000), "the port again")
    done = lab.ours("bash", "-c", "ip -br addr | cat; (ss -ltn; sh -c 'exec env -i /bin/ip -br link show dev eth0') ; echo $(ip -br link | wc -l)")
    for what in (lab.me[v] + "/", ":7000 ", ":7001 ", "^eth0 ", "^2$"):
        has(done.out, what)
    row = rows(lab)["tree"]
    check(row[3] == str(len(row[4:])) and set(row[4:]) == {"python3"} and int(row[3]) >= 6, "--list", row)
    # Killed while it configures, in the middle of something.
    loop = lab.spawn("bash", "-c", "while :; do ip addr add 10.98.0.1/24 dev lo; ip addr del 10.98.0.1/24 dev lo; done", ours=True)
    time.sleep(1)
    loop.kill()
    check(echo_once(lab, v, 7000) and echo_once(lab, v, 7001), "both servers")
    lab.ours("--stop", "tree")


@test(v=(4,))
def two_at_once(lab, v):
    """Commands that come at the same time, before there is a kernel, get one."""
    place(lab.tap())
    for turn in range(3):
        all_ = [lab.spawn("--kernel", "race", "ip", "addr", "add", f"10.99.{turn}.{i}/32", "dev", "lo", ours=True) for i in range(1, 9)]
        for p in all_:
            done = p.wait()
            check(done.err == "", "silence", done)
        out = lab.ours("--kernel", "race", "ip", "addr", "show", "dev", "lo").out
        check(len(re.findall(rf"10\.99\.{turn}\.", out)) == 8, "all in one kernel", out)
        check(len(kernels()) == 1, "one kernel", kernels())
        lab.ours("--stop", "race")
    # While one ends, others come.
    for _ in range(5):
        lab.ours("--kernel", "race", "true")
        stop = lab.spawn("--stop", "race", ours=True)
        # It has joined the one that is ending, or there is a new one.
        done = lab.ours("--kernel", "race", "ip", "-br", "addr", status=None)
        has(done.out + done.err, "^eth0 |Input/output error")
        stop.wait()
    if "race" in rows(lab):
        lab.ours("--stop", "race")


@test()
def the_first_command_is_killed(lab):
    place(lab, LKL_HIJACK_KERNEL="k")
    p = lab.spawn("bash", "-c", "ip addr add 10.97.0.1/24 dev lo; echo done; exec sleep 1000", ours=True)
    p.wait_for("done")
    os.kill(p.pid, signal.SIGKILL)
    p.wait(status=-9)
    has(lab.ours("ip", "-br", "addr").out, r"10\.97\.0\.1/24")
    lab.ours("--stop", "k")


@test()
def what_a_killed_kernel_leaves(lab):
    """Its socket is taken away by who finds it."""
    place(lab)
    for find in (lambda: lab.ours("--list"), lambda: lab.ours("--kernel", "dead", "ip", "link")):
        lab.ours("--kernel", "dead", "true")
        pid = kill_kernel(lab, "dead")
        check(os.path.exists(lab.path("lkl/dead")), "the socket is there")
        find()
        check("dead" not in rows(lab) or int(rows(lab)["dead"][0]) != pid, "the dead one is shown")
    lab.ours("--stop", "dead")
    # Programs of one that was killed say so.
    p = lab.spawn("--kernel", "dead", "bash", "-c", "ip -br link; read x; ip -br link", ours=True, stdin=-1)
    p.wait_for("^lo ")
    kill_kernel(lab, "dead")
    p.stdin.write(b"\n")
    p.stdin.close()
    done = p.wait(status=None)
    has(done.err, r"^lkl-hijack: LKL_HIJACK_KERNEL=dead: the kernel of the program that starts this one has ended$")
    check(done.status == 125, "the status", done)


@test(need="setpriv")
def other_users(lab):
    """Each user has names of his own; nobody joins another's kernel but root."""
    place(lab.as_user())
    nobody = pwd.getpwnam("nobody").pw_uid
    lab.user, user = None, lab.user
    mine = lab.path("root")
    os.mkdir(mine)
    lab.ours("--kernel", "k", "ip", "addr", "add", "10.96.0.1/24", "dev", "lo", env={"XDG_RUNTIME_DIR": mine})
    root_pid = int(rows(lab, env={"XDG_RUNTIME_DIR": mine})["k"][0])
    lab.user = user
    # By its directory.
    has(lab.ours("--stop", "k", status=125).err, r"^lkl-hijack: --stop k: expected the name of a kernel that runs; there is none$")
    os.chmod(lab.dir, 0o777)
    has(lab.ours("--kernel", "k", "true", env={"XDG_RUNTIME_DIR": mine, "LKL_HIJACK_NET_TAP": "nope9"}, status=125).err, "no such interface")
    # And if it were open to all, by the socket.
    os.chmod(mine, 0o777)
    os.chmod(mine + "/lkl", 0o777)
    os.chmod(mine + "/lkl/k", 0o777)
    code = "import socket, sys\ns = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\ns.connect(sys.argv[1])\ntry:\n s.send((12).to_bytes(8, 'little'))\n print(s.recv(100))\nexcept OSError as e: print(e)"
    done = lab.run("setpriv", f"--reuid={nobody}", "--clear-groups", "python3", "-c", code, mine + "/lkl/k")
    has(done.out, r"^b''$|Connection reset|Broken pipe")
    check(not gone(root_pid), "it was ended by another user")
    # Root finds those of others in the places that all know, where other runs of this test have theirs.
    theirs = f"theirs-{os.getpid()}"
    there = f"/tmp/lkl-{nobody}"
    made = not os.path.exists(there)
    if not os.path.isdir(f"/run/user/{nobody}"):
        try:
            lab.ours("--kernel", theirs, "ip", "addr", "add", "10.95.0.1/24", "dev", "lo", env={"XDG_RUNTIME_DIR": ""})
            lab.user = None
            root = {"XDG_RUNTIME_DIR": lab.path("empty")}
            os.mkdir(lab.path("empty"))
            check(rows(lab, env=root)[theirs][1] == "nobody", "--list of root", rows(lab, env=root))
            has(lab.ours("--kernel", theirs, "ip", "-br", "addr", env=root).out, r"10\.95\.0\.1/24")
            # Its memory cannot be read by that user's kernel.
            done = lab.python("import os, socket\na = socket.create_server(('127.0.0.1', 0)); b = socket.create_connection(a.getsockname()); c = a.accept()[0]\nb.sendall(b'x' * 100000)\nprint(sum(len(c.recv(100)) for _ in range(1000)))", env={**root, "LKL_HIJACK_KERNEL": theirs})
            check(done.out == "100000\n", "transfer", done)
            lab.ours("--stop", theirs, env=root)
            lab.user = user
            check(theirs not in rows(lab, env={"XDG_RUNTIME_DIR": ""}), "it still runs")
        finally:
            if made:
                shutil.rmtree(there, ignore_errors=True)


@test()
def within_another_kernel(lab):
    """A command that names another kernel than that of the program which starts it gets that one."""
    place(lab)
    script = (
        f"ip addr add 10.94.0.1/24 dev lo; {WRAPPER} --kernel b ip addr add 10.93.0.1/24 dev lo; LKL_HIJACK_KERNEL=b ip -br addr; echo --; ip -br addr; echo --;"
        "env -u LKL_HIJACK_KERNEL ip -br addr; echo --; LKL_HIJACK_KERNEL= ip -br addr"
    )
    for args in (("--kernel", "a"), ()):
        out = lab.ours(*args, "bash", "-c", script).out.split("--\n")
        b, a, still, none = out
        check("10.93.0.1" in b and "10.94.0.1" not in b, "the other one", out)
        check("10.94.0.1" in a and "10.93.0.1" not in a and still == a, "its own", out)
        check("10.9" not in none if args else "10.94.0.1" in none, "no name", out)
        lab.ours("--stop", "b")
    runs = rows(lab)
    check("a" in runs and "b" not in runs, "what runs", runs)


@test()
def what_is_wrong_is_said(lab):
    place(lab)
    name = r"expected a name of at most 64 letters, digits, \. _ or -, the first a letter, a digit or _$"
    for bad in ("a/b", "..", "-x", "a b", "x" * 65, "\N{LATIN SMALL LETTER E WITH ACUTE}"):
        done = lab.ours("--kernel", bad, "echo", "started", status=125)
        has(done.err, r"^lkl-hijack: LKL_HIJACK_KERNEL=.*: " + name)
        check(done.out == "" and len(done.err.splitlines()) == 1, "one line", done)
    has(lab.ours("--kernel", status=125).err, "expected the name of a kernel")
    has(lab.ours("--stop", status=125).err, "expected the name of a kernel")
    has(lab.ours("--list", "x", status=125).err, "expected nothing after it, not x")
    has(lab.ours("--stop", "a", "b", status=125).err, "expected one name, not b too")
    has(lab.ours("--kernel", "k", status=125).err, "^Usage: ")
    # One that cannot be started is not there.
    done = lab.ours("--kernel", "k", "echo", "started", env={"LKL_HIJACK_NET_TAP": "tap9"}, status=125)
    has(done.err, r"^lkl-hijack: LKL_HIJACK_NET_TAP=tap9: .*no such interface")
    check(done.out == "" and len(done.err.splitlines()) == 1 and "k" not in rows(lab), "nothing runs", done)
    done = lab.ours("--kernel", "k", "true", env={"LKL_HIJACK_KEEPER": "0"}, status=125)
    has(done.err, r"^lkl-hijack: LKL_HIJACK_KERNEL=k: it does not run, and with LKL_HIJACK_KEEPER=0 .*cannot be started$")
    # Wishes that the kernel which runs does not have.
    lab.ours("--kernel", "k", "true", env={"LKL_HIJACK_SYSCTL": "net.ipv4.tcp_ecn=1"})
    done = lab.ours("--kernel", "k", "true", env={"LKL_HIJACK_SYSCTL": "net.ipv4.tcp_ecn=0;net.ipv4.tcp_sack=1"})
    has(done.err, r"^lkl-hijack: LKL_HIJACK_SYSCTL=net\.ipv4\.tcp_ecn=0: not set, kernel k runs with 1$")
    has(done.err, r"^lkl-hijack: LKL_HIJACK_SYSCTL=net\.ipv4\.tcp_sack=1: not set, kernel k was started without it$")
    done = lab.ours("--kernel", "k", "true", env={"LKL_HIJACK_SYSCTL": "net.ipv4.tcp_ecn=1"})
    check(done.err == "", "the same", done)
    has(lab.ours("--stop", "other", status=125).err, r"^lkl-hijack: --stop other: expected the name of a kernel that runs; there are (.*, )?k(, .*)?$")
    lab.ours("--stop", "k")
    # A place that others can enter.
    os.chmod(lab.path("lkl"), 0o755)
    done = lab.ours("--kernel", "k", "true", status=125)
    has(done.err, r"^lkl-hijack: LKL_HIJACK_KERNEL=k: .*/lkl: expected a directory of user 0's that nobody else can enter \(mode 700\)$")
    os.rmdir(lab.path("lkl"))
    os.symlink("/tmp", lab.path("lkl"))
    has(lab.ours("--kernel", "k", "true", status=125).err, "expected a directory of user 0's")
