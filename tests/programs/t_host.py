"""`LKL_HIJACK_HOST`: sockets that go over to the host's network, because of the address that they are used with."""

import socket
import threading

from lab import Skip, check, has, lacks, test

LOCAL = {"LKL_HIJACK_HOST": "127.0.0.0/8, ::1"}


def service(lab, address="127.0.0.1"):
    """A native TCP service on the host's loopback, which answers with the address of its peer; its port."""
    if lab.native:
        raise Skip("about addresses that are not our kernel's")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, 0), family=family)

    def serve():
        while True:
            try:
                connection, peer = listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(f"from {peer[0]}\n".encode())

    threading.Thread(target=serve, daemon=True).start()

    def stop():
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()

    lab.ends.append(stop)
    return listener.getsockname()[1]


ASK = """
import socket, sys
for a, p in zip(sys.argv[1::2], sys.argv[2::2]):
    s = socket.create_connection((a, int(p)), 10)
    print(s.makefile().readline(), end="", flush=True)
"""


@test()
def some_addresses_are_the_hosts(lab):
    """Only they: the same program's other connections are the kernel's, and without the variable all are."""
    port, port6 = service(lab), service(lab, "::1")
    lab.tap()
    peer = lab.server(4, lambda c: (c.sendall(f"from {c.getpeername()[0]}\n".encode()), c.close()))
    args = ["127.0.0.1", port, lab.peer[4], peer, "::1", port6, "::ffff:127.0.0.1", port]
    done = lab.python(ASK, *args, env=LOCAL)
    check(done.out == f"from 127.0.0.1\nfrom {lab.me[4]}\nfrom ::1\nfrom 127.0.0.1\n", "whose addresses", done)
    done = lab.python(ASK, "127.0.0.1", port, status=1)
    has(done.err, r"^ConnectionRefusedError")
    done = lab.python(ASK, "::1", port6, status=1, env={"LKL_HIJACK_HOST": "127.0.0.0/8"})
    has(done.err, r"^ConnectionRefusedError")
    # A child, with an environment that was cleaned.
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ASK!r}, '127.0.0.1', '{port}'], env={{}}, check=True)"
    check(lab.python(code, env=LOCAL).out == "from 127.0.0.1\n", "a child")


KEPT = """
import fcntl, os, select, socket, struct, sys
port = int(sys.argv[1])
s = socket.socket()
number = s.fileno()
twice = os.dup(number)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 77)
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 9))
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("qq", 5, 0))
s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 16)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 30000)
s.setblocking(False)
os.set_inheritable(number, True)
e = select.epoll()
e.register(number, select.EPOLLOUT | select.EPOLLONESHOT)
gone = select.epoll()
gone.register(number, select.EPOLLOUT)
gone.unregister(number)
assert s.connect_ex(("127.0.0.1", port)) in (0, 115)
assert e.poll(10) == [(number, select.EPOLLOUT)] and gone.poll(0.1) == []
assert s.fileno() == number and s.getpeername() == ("127.0.0.1", port)
assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
assert s.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 77
assert s.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == struct.pack("ii", 1, 9)
assert s.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16) == struct.pack("qq", 5, 0)
assert s.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 16
assert s.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 60000
assert fcntl.fcntl(s, fcntl.F_GETFL) & os.O_NONBLOCK and os.get_inheritable(number)
e.modify(number, select.EPOLLIN)
assert e.poll(10) == [(number, select.EPOLLIN)]
assert os.read(twice, 100) == b"from 127.0.0.1\\n", "the duplicate"
# It has an address in the kernel: it stays there.
s = socket.socket()
s.bind(("0.0.0.0", 0))
assert s.connect_ex(("127.0.0.1", port)) == 111
# A port of the host's that is taken is refused by the host.
s = socket.socket()
try:
    s.bind(("127.0.0.1", port))
    raise SystemExit("bound twice")
except OSError as e:
    assert e.errno == 98, e
print("all kept")
"""


@test()
def what_was_set_up_is_carried_over(lab):
    port = service(lab)
    done = lab.python(KEPT, port, env=LOCAL)
    check(done.out == "all kept\n", "the end", done)


@test()
def a_server_on_the_hosts_loopback(lab):
    """A socket that is bound there serves native clients; so does a datagram socket, which sends there first, too."""
    service(lab)
    done = lab.spawn(
        "python3", "-u", "-c",
        "import socket\n"
        "s = socket.create_server(('127.0.0.1', 0)); print('port', s.getsockname()[1])\n"
        "c, _ = s.accept(); c.sendall(b'hello'); c.close()\n",
        ours=True, env=LOCAL,
    )
    port = int(done.wait_for(r"^port (\d+)")[1])
    with socket.create_connection(("127.0.0.1", port), 10) as c:
        check(c.recv(10) == b"hello", "what a native client got")
    done.wait()

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as native:
        native.bind(("127.0.0.1", 0))
        native.settimeout(10)
        for how in ("s.sendto(b'x', to)", "s.sendmsg([b'x'], [], 0, to)", "s.connect(to); s.send(b'x')"):
            code = f"import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nto = ('127.0.0.1', {native.getsockname()[1]})\n{how}\n"
            p = lab.spawn("python3", "-c", code + "print(s.recv(10))", ours=True, env=LOCAL)
            data, peer = native.recvfrom(10)
            check(data == b"x" and peer[0] == "127.0.0.1", how, data, peer)
            native.sendto(b"back", peer)
            has(p.wait().out, r"^b'back'$")


@test()
def what_it_does_not_take(lab):
    """Interfaces and routes are the kernel's all the same."""
    service(lab)
    lab.sh("ip link add hidden type veth peer name hidden1")
    lacks(lab.ours("ip", "-br", "link", env={"LKL_HIJACK_HOST": "0.0.0.0/0,::/0"}).out, "hidden")
