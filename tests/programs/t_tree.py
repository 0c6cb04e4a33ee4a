"""Processes that share one kernel: servers with workers, sudden ends, what is left afterwards."""

import ctypes
import os
import random
import re
import signal
import socket
import struct
import termios
import threading
import time

from lab import check, has, kernels, test, until

SECONDS = float(os.environ.get("TEST_SOAK", 10))

SERVER = r"""
import os, signal, socket, sys

def serve(listener):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while True:
        try:
            c, _ = listener.accept()
        except OSError:
            os._exit(3)
        with c:
            data = c.recv(65536)
            while data:
                c.sendall(data)
                data = c.recv(65536)

family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
listener = socket.create_server((sys.argv[1], int(sys.argv[2])), family=family, backlog=128)
workers = set()
def start():
    pid = os.fork()
    if pid == 0:
        serve(listener)
    workers.add(pid)
    print("worker", pid, flush=True)
for _ in range(int(sys.argv[3])):
    start()
print("ready", flush=True)
while True:
    pid, _ = os.wait()
    workers.discard(pid)
    start()
"""


def echo_once(lab, v, port, size=2000):
    """One connection; answers whether all came back."""
    family = socket.AF_INET6 if v == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.settimeout(5)
        s.connect((lab.me[v], port))
        data = os.urandom(size)
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        got = b""
        while len(got) < size:
            more = s.recv(65536)
            if not more:
                return False
            got += more
        return got == data


def workers_of(p):
    """The workers that run, as the server has said."""
    # The last line may not be whole yet.
    return [pid for pid in map(int, re.findall(r"^worker (\d+)\n", p.out, re.M)) if is_worker(pid)]


def is_worker(pid):
    """Is it one of a server's? The number of one that is gone may be another process's by now."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return SERVER.encode() in f.read()
    except OSError:
        return False


def held_by(pid):
    """What a process has: descriptors and threads."""
    return len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))


def shared_with_kernel():
    """Bytes of the shared memory that processes make calls by, as the kernel has it."""
    total = 0
    for pid in kernels():
        with open(f"/proc/{pid}/maps") as f:
            ranges = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) .*memfd:lkl-lines", f.read(), re.M)
        total += sum(int(end, 16) - int(start, 16) for start, end in ranges)
    return total


def held_by_workers(p):
    """What each of a server's workers has, be they as many as they should or not."""
    return sorted(held_by(pid) for pid in workers_of(p))


def held_by_all(p):
    """What the processes of a server have, and their kernel."""
    kernel = [held_by(pid) for pid in kernels()]
    return {"first": held_by(p.pid), "kernel": kernel, "workers": held_by_workers(p), "shared": shared_with_kernel()}


def settled(what, *args):
    """What `what` answers for a second, once it does."""
    same, last = 0, None

    def seen():
        nonlocal same, last
        try:
            now = what(*args)
        except FileNotFoundError:
            # One has ended in this moment.
            now = None
        same, last = (same + 1, last) if now == last and now is not None else (0, now)
        return same == 20

    until(seen, 20, lambda: f"it does not settle: {last}", 0.05)
    return last


@test(v=(4, 6), seconds=170 + SECONDS)
def soak(lab, v):
    """Workers are killed at any moment, at last the process that had booted: the others serve on, and nothing is left, neither of the
    killed ones in those that go on nor in the kernel; and the terminal is as it was."""
    lab.tap()
    master, terminal = os.openpty()
    settings = termios.tcgetattr(terminal)
    # In a group of their own each, so that one signal ends one.
    p = lab.spawn("python3", "-c", SERVER, lab.me[v], 7000, 4, ours=True, stdin=terminal)
    p.wait_for("ready", 20)
    # The same state as the one in which it is looked at again: everybody has served.
    for _ in range(20):
        check(echo_once(lab, v, 7000), "an echo", p)
    at_first = settled(held_by_all, p)
    stop, pause, done, failed = threading.Event(), threading.Event(), [0], []
    idle = threading.Barrier(4)

    def client():
        while not stop.is_set():
            if pause.is_set():
                try:
                    idle.wait()
                    # And go on.
                    idle.wait()
                except threading.BrokenBarrierError:
                    return
            try:
                ok = echo_once(lab, v, 7000)
            except OSError as e:
                # Its worker was killed; refused or silent would mean that the others suffer.
                if isinstance(e, (ConnectionRefusedError, TimeoutError)):
                    failed.append(repr(e))
                continue
            if ok:
                done[0] += 1

    # They must be in this namespace, which a new thread inherits.
    threads = [threading.Thread(target=client, daemon=True) for _ in range(3)]
    for t in threads:
        t.start()
    end = time.monotonic() + SECONDS
    kills = 0
    try:
        while time.monotonic() < end:
            time.sleep(random.uniform(0.01, 0.15))
            alive = workers_of(p)
            if alive:
                os.kill(random.choice(alive), signal.SIGKILL)
                kills += 1
        before = done[0]
        check(before > 20 and kills > 20, f"{before} echoes, {kills} kills", p)
        started = p.out.count("worker")
        check(started <= 4 + kills, f"{kills} workers were killed, {started} started", p)
        pause.set()
        idle.wait(20)
        now = settled(held_by_all, p)
        check(now == at_first, f"descriptors and threads, shared memory: {at_first} at first, {now} after {kills} kills", p)
        pause.clear()
        idle.wait(20)
        before = done[0]
        # The one that booted the kernel.
        os.kill(p.pid, signal.SIGKILL)
        until(lambda: done[0] > before + 10, 20, lambda: f"nobody serves after the first process was killed: {failed[-3:]}\n{p}")
        check(not failed, f"{len(failed)} connections failed", failed[:5], p)
    finally:
        stop.set()
        idle.abort()
    for t in threads:
        t.join()
    now = settled(held_by_workers, p)
    check(now == at_first["workers"], f"workers had {at_first['workers']}, and {now} without the first process", p)
    # Also a worker whose number it could not tell any more.
    p.kill()
    # No peer is left to talk to but those in TIME_WAIT.
    until(lambda: not kernels(), 75, lambda: f"kernels are left: {kernels()}", 0.2)
    check(termios.tcgetattr(terminal) == settings, "the terminal's settings", settings, termios.tcgetattr(terminal))
    os.close(terminal)
    os.close(master)


@test(v=(4, 6), seconds=120)
def killed_while_it_forks(lab, v):
    """The process that booted the kernel is killed while it makes a new worker, in whose place another was killed: the others serve on."""
    lab.tap()
    for port in range(7000, 7015):
        p = lab.spawn("python3", "-c", SERVER, lab.me[v], port, 4, ours=True)
        p.wait_for("ready", 20)
        check(echo_once(lab, v, port), "an echo", p)
        for _ in range(2):
            os.kill(random.choice(workers_of(p)), signal.SIGKILL)
            time.sleep(random.uniform(0, 0.01))
        os.kill(p.pid, signal.SIGKILL)
        # Each may meet a worker that is being killed.
        results = [served(lab, v, port) for _ in range(5)]
        check(results.count(True) >= 3, f"served: {results}", p)
        p.kill()


def served(lab, v, port):
    """Is one echo given? What went wrong otherwise."""
    try:
        return echo_once(lab, v, port)
    except OSError as e:
        return repr(e)


@test(v=(4, 6), seconds=120)
def killed_at_once(lab, v):
    """`kill -9` of a program in the middle of a transfer: its peer sees the end."""
    lab.tap()
    for _ in range(12):
        ended = threading.Event()

        def sink(c):
            try:
                while c.recv(65536):
                    pass
            except ConnectionResetError:
                # It was killed with its hands in the connection.
                pass
            ended.set()

        port = lab.server(v, sink)
        p = lab.spawn(
            "python3", "-c",
            "import socket, sys\nc = socket.create_connection((sys.argv[1], int(sys.argv[2])))\nprint('on', flush=True)\nwhile True: c.sendall(bytes(50000))",
            lab.peer[v], port, ours=True,
        )
        p.wait_for("on")
        time.sleep(random.uniform(0.05, 0.3))
        os.kill(p.pid, signal.SIGKILL)
        check(ended.wait(10), "the peer does not see the end", p)


@test(v=(4, 6), need=("redis-server", "redis-benchmark"), seconds=120)
def killed_server(lab, v):
    """`kill -9` of a server in the middle of its work: its clients see the end, and the next one gets the device at once."""
    lab.tap()
    for _ in range(4):
        server = lab.spawn("redis-server", "--port", "6379", "--save", "", "--bind", lab.me[v], "--protected-mode", "no", ours=True)
        server.wait_for("eady to accept connections")
        load = lab.spawn("redis-benchmark", "-h", lab.me[v], "-n", "100000000", "-c", "40", "-P", "4", "-q", "-t", "set,get")
        load.wait_for("SET")
        time.sleep(random.uniform(0.05, 0.3))
        os.kill(server.pid, signal.SIGKILL)
        load.wait(10, status=None)


@test(v=(4, 6))
def one_state(lab, v):
    """What one command configures the next one sees; a program that its parent does not wait for goes on."""
    lab.tap()
    extra = "10.99.0.1/24" if v == 4 else "fd99::1/64"
    done = lab.ours(
        "bash", "-c",
        f"ip addr add {extra} dev lo; ip -br addr show dev lo; x=$(ip route get {lab.peer[v]}); echo \"got: $x\"; (ip link set lo down; ip -br link show lo) | cat;"
        f"env -i /bin/ip -br addr show dev eth0; sh -c 'exec ping -c 1 -W 3 {lab.peer[v]}' >/dev/null && echo reached",
    )
    for what in (extra, "got: " + lab.peer[v], "lo +DOWN", "eth0 +UP.*" + lab.me[v], "reached"):
        has(done.out, what.replace(".", r"\.").replace(r"\.*", ".*"))
    p = lab.spawn("bash", "-c", "python3 -m http.server 8000 >/dev/null 2>&1 & echo started", ours=True)
    p.wait_for("started")
    p.wait(20)
    lab.connect(v, 8000).close() if v == 4 else None
    if v == 4:
        has(lab.run("curl", "-s", f"http://{lab.me[v]}:8000/").out, "Directory listing")
        os.killpg(p.pid, signal.SIGTERM)
        until(lambda: not kernels(), 75, "a kernel is left", 0.2)


@test(v=(4,), seconds=90)
def one_after_another(lab, v):
    """The next program gets the device although connections of the last one are in TIME_WAIT."""
    lab.tap()
    port = lab.server(v, lambda c: (c.recv(10), c.sendall(b"x"), c.close()))
    for _ in range(10):
        lab.python(
            "import socket, sys\nc = socket.create_connection((sys.argv[1], int(sys.argv[2])))\nc.sendall(b'x')\nc.shutdown(1)\nassert c.recv(1) == b'x'",
            lab.peer[v], port,
        )


OUT_OF_REACH = r"""
import os, select, socket, sys

def same(what, got, wanted):
    print(what, "same" if got == wanted else ("not the same", len(got), len(wanted)), flush=True)

def in_child():
    big = os.urandom(300_000)
    parts = [big[:1], big[1:5000], big[5000:20_000], b"", big[20_000:90_000]]
    whole = b"".join(parts)
    listener = socket.create_server(("127.0.0.1", 0))
    a = socket.create_connection(listener.getsockname())
    b, peer = listener.accept()
    same("names", (peer, b.getpeername()), (a.getsockname(), a.getsockname()))

    def take(n):
        got = b""
        while len(got) < n:
            got += b.recv(n - len(got))
        return got
    for size in (1, 5000, 40_000, 200_000):
        a.sendall(big[:size])
        same(f"recv {size}", take(size), big[:size])
    for name, send in (("sendmsg", a.sendmsg), ("writev", lambda parts: os.writev(a.fileno(), parts))):
        check = send(parts)
        same(name, take(check), whole[:check])
    for name in ("recvmsg_into", "readv"):
        a.sendall(whole)
        got = b""
        while len(got) < len(whole):
            room = [bytearray(100), bytearray(40_000), bytearray(), bytearray(30_000)]
            n = b.recvmsg_into(room)[0] if name == "recvmsg_into" else os.readv(b.fileno(), room)
            got += b"".join(room)[:n]
        same(name, got, whole)

    u, v = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.bind(("127.0.0.1", 0))
    v.bind(("127.0.0.1", 0))
    u.setsockopt(socket.IPPROTO_IP, 8, 1)                           # IP_PKTINFO
    for size in (0, 10, 20_000, 60_000):
        v.sendto(big[:size], u.getsockname())
        same(f"recvfrom {size}", u.recvfrom(65536), (big[:size], v.getsockname()))
        v.sendmsg([big[:size]], [], 0, u.getsockname())
        data, control, flags, name = u.recvmsg(65536, 100)
        same(f"recvmsg {size}", (data, len(control), flags, name), (big[:size], 1, 0, v.getsockname()))
    v.sendto(big[:100], u.getsockname())
    data, control, flags, name = u.recvmsg(10)
    same("cut", (data, control, flags), (big[:10], [], socket.MSG_TRUNC | socket.MSG_CTRUNC))
    poll = select.poll()
    for s in (u, b, listener):
        poll.register(s, select.POLLIN)
    same("poll", poll.poll(0), [])
    v.sendto(b"x", u.getsockname())
    same("poll", poll.poll(1000), [(u.fileno(), select.POLLIN)])

pid = os.fork()
if pid == 0:
    in_child()
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def refuse_memory_of_others():
    """From now on process_vm_readv and process_vm_writev are refused, as where ptrace is restricted (EPERM)."""
    ld, jeq, ret = 0x20, 0x15, 0x06
    code = [(ld, 0, 0, 0), (jeq, 1, 0, 310), (jeq, 0, 1, 311), (ret, 0, 0, 0x0005_0001), (ret, 0, 0, 0x7FFF_0000)]
    raw = b"".join(struct.pack("HBBI", *c) for c in code)
    program = ctypes.create_string_buffer(raw)
    filters = struct.pack("HxxxxxxP", len(code), ctypes.addressof(program))
    libc = ctypes.CDLL(None, use_errno=True)
    pr_set_no_new_privs, pr_set_seccomp, seccomp_mode_filter = 38, 22, 2
    if libc.prctl(pr_set_no_new_privs, 1, 0, 0, 0) or libc.prctl(pr_set_seccomp, seccomp_mode_filter, filters, 0, 0):
        os._exit(99)


@test(v=("open", "refused"))
def memory_of_a_child(lab, v):
    """What a process other than the first reads and writes comes and goes whole, whether or not the host lets the kernel's process at
    that memory."""
    lab.tap()
    p = lab.spawn("python3", "-c", OUT_OF_REACH, ours=True, before=refuse_memory_of_others if v == "refused" else None)
    done = p.wait(30, 0)
    lines = done.out.splitlines()
    check(len(lines) == 21 and lines[-1] == "0" and all(line.endswith(" same") for line in lines[:-1]), "all is the same", done)
