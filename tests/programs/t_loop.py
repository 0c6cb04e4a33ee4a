"""Servers and clients inside one program, over lo; the C library's own use of the network."""

from lab import check, has, test


@test(v=(4, 6))
def threads(lab, v):
    done = lab.python(
        """
import hashlib, os, socket, sys, threading
host = sys.argv[1]
l = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
def serve():
    while True:
        c, _ = l.accept()
        def echo(c=c):
            while data := c.recv(1 << 18): c.sendall(data)
            c.close()
        threading.Thread(target=echo, daemon=True).start()
threading.Thread(target=serve, daemon=True).start()
block = os.urandom(1 << 20)
def client():
    s = socket.create_connection(l.getsockname()[:2])
    def send():
        for _ in range(16): s.sendall(block)
        s.shutdown(socket.SHUT_WR)
    t = threading.Thread(target=send); t.start()
    h, n = hashlib.sha256(), 0
    while data := s.recv(1 << 18):
        h.update(data); n += len(data)
    t.join()
    assert n == 16 << 20 and h.digest() == hashlib.sha256(block * 16).digest()
    sys.stdout.write("ok ")
ts = [threading.Thread(target=client) for _ in range(8)]
[t.start() for t in ts]; [t.join() for t in ts]
""",
        "127.0.0.1" if v == 4 else "::1",
        seconds=110,
    )
    check(done.out.split() == ["ok"] * 8, "all", done)


@test(v=(4, 6))
def select_poll_epoll_with_host_files(lab, v):
    done = lab.python(
        """
import os, select, socket, sys, time
host = sys.argv[1]
family = socket.AF_INET6 if ":" in host else socket.AF_INET
l = socket.create_server((host, 0), family=family)
c = socket.create_connection(l.getsockname()[:2]); a, _ = l.accept()
r, w = os.pipe()
def both(wait):
    assert wait(0.05) == set(), "nothing"
    os.write(w, b"x"); assert wait(5) == {r}; os.read(r, 1)
    c.send(b"y"); assert wait(5) == {a.fileno()}; a.recv(1)
    os.write(w, b"x"); c.send(b"y"); time.sleep(0.05); assert wait(5) == {r, a.fileno()}; os.read(r, 1); a.recv(1)
    assert wait(0) == set()
both(lambda t: set(x if isinstance(x, int) else x.fileno() for x in select.select([r, a], [], [], t)[0]))
p = select.poll(); p.register(r, 1); p.register(a, 1)
both(lambda t: {fd for fd, _ in p.poll(t * 1000)})
e = select.epoll(); e.register(r, 1); e.register(a, 1)
both(lambda t: {fd for fd, _ in e.poll(t)})
outer = select.epoll(); outer.register(e.fileno(), 1)
assert outer.poll(0) == []
c.send(b"z"); assert outer.poll(5) == [(e.fileno(), 1)]; a.recv(1)
os.write(w, b"x"); assert outer.poll(5) == [(e.fileno(), 1)]
print("ok")
""",
        "127.0.0.1" if v == 4 else "::1",
    )
    check(done.out == "ok\n", "all", done)


@test()
def signals(lab):
    done = lab.python(
        """
import errno, os, select, signal, socket, threading, time
l = socket.create_server(("127.0.0.1", 0)); c = socket.create_connection(l.getsockname()); a, _ = l.accept()
hits = []
signal.signal(signal.SIGALRM, lambda *_: hits.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
t = threading.Timer(0.5, lambda: c.send(b"done")); t.start()
assert a.recv(10) == b"done"
assert len(hits) >= 5, hits
class Stop(Exception): pass
def stop(*_): raise Stop
signal.signal(signal.SIGALRM, stop)
signal.setitimer(signal.ITIMER_REAL, 0.1)
start = time.monotonic()
try: a.recv(1)
except Stop: print("stopped")
assert time.monotonic() - start < 2
signal.setitimer(signal.ITIMER_REAL, 0.1)
try: select.select([a], [], [])
except Stop: print("stopped")
a.settimeout(0.2)
start = time.monotonic()
try: a.recv(1)
except TimeoutError: print("timeout")
assert 0.15 < time.monotonic() - start < 1
"""
    )
    check(done.out.split() == ["stopped", "stopped", "timeout"], "all", done)


@test(need=("dnsmasq",))
def names_by_libc(lab):
    """getaddrinfo asks the name server over our kernel; interfaces are ours."""
    from t_udp import dns

    lab.tap()
    dns(lab, 4)
    with open(lab.path("resolv.conf"), "w") as f:
        f.write(f"nameserver {lab.peer[4]}\noptions timeout:2 attempts:2\n")
    code = """
import socket
print([n for _, n in socket.if_nameindex()], socket.if_nametoindex("lo"))
print(sorted({a[4][0] for a in socket.getaddrinfo("name.test", 80)}))
print(socket.getaddrinfo("localhost", 80, socket.AF_INET)[0][4])
"""
    # The file libc reads is put in place for this program alone.
    script = f'mount --bind {lab.path("resolv.conf")} "$(readlink -f /etc/resolv.conf)" && exec "$@"'
    argv = lab._argv(["python3", "-c", code], True)
    done = lab.run("unshare", "-m", "sh", "-c", script, "sh", *argv, env=lab.env)
    has(done.out, r"\['lo', 'eth0'\] 1")
    has(done.out, r"10\.7\.0\.77.*fd07::77")


@test()
def one_shell_one_kernel(lab):
    """What a child does to the network its parent's next child sees."""
    lab.tap()
    done = lab.ours("sh", "-ec", "ip link set eth0 mtu 1400; ip -br link show eth0 >/dev/null; ip link show eth0 | cat", status=None)
    has(done.out, r"mtu (1400|1500)")
