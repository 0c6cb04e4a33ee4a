"""Big transfers: what arrives is what was sent."""

import hashlib
import socket
import threading
import time

from lab import check, test

CLIENT = """
import hashlib, os, socket, sys
host, port, size, way = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
s = socket.create_connection((host, port), 60)
s.settimeout(300)
h = hashlib.sha256()
left = size
if way == "send":
    block = os.urandom(1 << 20)
    i = 0
    while left:
        part = block[i % 4096:][:left]
        s.sendall(part)
        h.update(part)
        left -= len(part)
        i += 1
    s.shutdown(socket.SHUT_WR)
    assert s.recv(1) == b""
else:
    buf = bytearray(1 << 20)
    while n := s.recv_into(buf):
        h.update(memoryview(buf)[:n])
        left -= n
    assert left == 0, left
print(h.hexdigest())
"""


def transfer(lab, v, way, size, seconds):
    got = []

    def sink(c):
        h, n, buf = hashlib.sha256(), 0, bytearray(1 << 20)
        while k := c.recv_into(buf):
            h.update(memoryview(buf)[:k])
            n += k
        got.append((n, h.hexdigest()))
        c.close()

    def source(c):
        import os

        h, left, block, i = hashlib.sha256(), size, os.urandom(1 << 20), 0
        while left:
            part = block[i % 4096 :][:left]
            c.sendall(part)
            h.update(part)
            left -= len(part)
            i += 1
        got.append((size, h.hexdigest()))
        c.close()

    port = lab.server(v, sink if way == "send" else source)
    start = time.monotonic()
    done = lab.python(CLIENT, lab.peer[v], port, size, way, seconds=seconds)
    took = time.monotonic() - start
    check(got and got[0] == (size, done.out.strip()), "what arrived is not what was sent", got, done)
    print(f"       {size >> 20} MiB {way} over IPv{v}: {took:.1f} s, {size / took / 1e6:.0f} MB/s", flush=True)


@test(v=(4, 6), seconds=400)
def clean_both_ways(lab, v):
    lab.tap()
    transfer(lab, v, "send", lab.bulk, 180)
    transfer(lab, v, "receive", lab.bulk, 180)


@test(v=(4, 6), seconds=700)
def bad_wire_send(lab, v):
    """2 % of the frames are lost, 2 % doubled, 2 % reordered, each way."""
    lab.tap(bad_wire=0.02)
    transfer(lab, v, "send", lab.bulk if v == 4 else lab.bulk // 4, 650)
    check(lab.relay.counts["lost"] and lab.relay.counts["reordered"] and lab.relay.counts["doubled"], "a bad wire", lab.relay.counts)


@test(v=(4, 6), seconds=700)
def bad_wire_receive(lab, v):
    lab.tap(bad_wire=0.02)
    transfer(lab, v, "receive", lab.bulk if v == 6 else lab.bulk // 4, 650)


@test(v=(4, 6), seconds=200)
def both_ways_at_once(lab, v):
    lab.tap()
    size = min(lab.bulk, 128 << 20)

    def mirror(c):
        while data := c.recv(1 << 18):
            c.sendall(data)
        c.close()

    port = lab.server(v, mirror)
    done = lab.python(
        """
import hashlib, os, socket, sys, threading
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 60)
size = int(sys.argv[3])
block = os.urandom(1 << 20)
sent, got = hashlib.sha256(), hashlib.sha256()
def send():
    left = size
    while left:
        part = block[:left]
        s.sendall(part)
        sent.update(part)
        left -= len(part)
    s.shutdown(socket.SHUT_WR)
t = threading.Thread(target=send)
t.start()
n = 0
while data := s.recv(1 << 18):
    got.update(data)
    n += len(data)
t.join()
print(n == size and sent.digest() == got.digest())
""",
        lab.peer[v],
        port,
        size,
        seconds=150,
    )
    check(done.out == "True\n", "what came back is not what was sent", done)
