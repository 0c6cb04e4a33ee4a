"""A bad wire between two interfaces: frames are lost, doubled and put out of order.

One end is an interface that exists (the TAP of the program under test), read and written by a packet socket; the other is a TAP made
here, where the peer has its addresses.
"""

import fcntl
import os
import random
import select
import socket
import struct
import threading

ETH_P_ALL = 3
SOL_PACKET = 263
PACKET_IGNORE_OUTGOING = 23
SO_RCVBUFFORCE = 33
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 2, 0x1000
BURST = 64


class Relay:
    def __init__(self, near, far, share, seed=7):
        self.share, self.random = share, random.Random(seed)
        self.tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.tap, TUNSETIFF, struct.pack("16sH22x", far.encode(), IFF_TAP | IFF_NO_PI))
        self.packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.packet.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.packet.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
        self.packet.bind((near, 0))
        self.packet.setblocking(False)
        self.counts = {"passed": 0, "lost": 0, "doubled": 0, "reordered": 0}
        self.end, self.ended = os.pipe()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def stop(self):
        os.close(self.ended)
        self.thread.join()
        os.close(self.tap)
        os.close(self.end)
        self.packet.close()

    def _run(self):
        poll = select.poll()
        for fd in (self.tap, self.packet.fileno(), self.end):
            poll.register(fd, select.POLLIN)
        held = {True: None, False: None}
        while True:
            # A frame that is held back is let go when nothing follows it.
            ready = poll.poll(2 if any(held.values()) else None)
            fds = [fd for fd, _ in ready]
            if self.end in fds:
                return
            if not fds:
                for to_tap, frame in held.items():
                    if frame:
                        self._put(to_tap, frame)
                        held[to_tap] = None
            for to_tap, fd in ((False, self.tap), (True, self.packet.fileno())):
                if fd not in fds:
                    continue
                for _ in range(BURST):
                    try:
                        frame = os.read(fd, 70000)
                    except OSError:
                        break
                    self._pass(to_tap, frame, held)

    def _pass(self, to_tap, frame, held):
        chance = self.random.random() / self.share if self.share else 9
        if chance < 1:
            self.counts["lost"] += 1
            return
        if chance < 2 and held[to_tap] is None:
            self.counts["reordered"] += 1
            held[to_tap] = frame
            return
        self.counts["passed"] += 1
        self._put(to_tap, frame)
        if 2 <= chance < 3:
            self.counts["doubled"] += 1
            self._put(to_tap, frame)
        if held[to_tap] and self.random.random() < 0.3:
            late, held[to_tap] = held[to_tap], None
            self._put(to_tap, late)

    def _put(self, to_tap, frame):
        try:
            if to_tap:
                os.write(self.tap, frame)
            else:
                self.packet.send(frame)
        except OSError:
            # A queue is full, or the program at the other end has gone.
            pass
