#!/usr/bin/env python3
"""liblkl from Python, through ctypes: starts a kernel, and talks over its loopback.

example.py [LIBRARY]        (liblkl.so.0, where the linker finds it)

Prints TAP.
"""

import ctypes
import errno
import os
import struct
import sys

# Numbers of the generic table (lkl/asm/unistd.h).
NR = {"close": 57, "read": 63, "write": 64, "getpid": 172, "socket": 198, "bind": 200, "listen": 201, "accept": 202}
NR |= {"connect": 203, "getsockname": 204, "uname": 160}
AF_INET, SOCK_STREAM = 2, 1


class Kernel:
    """The kernel of liblkl. Calls are its methods; arguments are numbers, bytes to read, and buffers to fill."""

    def __init__(self, library, command_line):
        self.lkl = ctypes.CDLL(library)
        self.lkl.lkl_syscall.restype = ctypes.c_long
        self.lkl.lkl_sys_halt.restype = ctypes.c_long
        self.lkl.lkl_strerror.restype = ctypes.c_char_p
        self.check(self.lkl.lkl_init(None))
        # It has a variable number of arguments: the command line is not the format.
        self.check(self.lkl.lkl_start_kernel(b"%s", ctypes.c_char_p(command_line.encode())))

    def check(self, result):
        if result < 0:
            raise OSError(-result, self.lkl.lkl_strerror(result).decode())
        return result

    def __getattr__(self, name):
        def call(*args):
            address = lambda a: a if isinstance(a, int) else ctypes.cast(a, ctypes.c_void_p).value
            params = (ctypes.c_long * 6)(*map(address, args))
            return self.check(self.lkl.lkl_syscall(ctypes.c_long(NR[name]), params))

        return call

    def halt(self):
        self.check(self.lkl.lkl_sys_halt())
        self.lkl.lkl_cleanup()


def main():
    count = 0

    def ok(right, name):
        nonlocal count
        count += 1
        print(f"{'' if right else 'not '}ok {count} - {name}", flush=True)

    kernel = Kernel(sys.argv[1] if len(sys.argv) > 1 else "liblkl.so.0", "mem=16M loglevel=4")
    ok(kernel.getpid() == 1, "it is process 1 of its kernel")
    name = ctypes.create_string_buffer(6 * 65)
    kernel.uname(name)
    ok(name.value == b"Linux", "uname")
    ok(kernel.lkl.lkl_if_up(1) == 0, "lo is up")
    server, client = (kernel.socket(AF_INET, SOCK_STREAM, 0) for _ in range(2))
    ok((server, client) == (0, 1), "descriptors begin at 0")
    address = ctypes.create_string_buffer(struct.pack("=HH4s8x", AF_INET, 0, bytes([127, 0, 0, 1])), 16)
    length = ctypes.c_int(16)
    kernel.bind(server, address, 16)
    kernel.listen(server, 1)
    kernel.getsockname(server, address, ctypes.byref(length))
    kernel.connect(client, address, 16)
    connection = kernel.accept(server, 0, 0)
    ok(kernel.write(client, b"hello", 5) == 5, "write")
    room = ctypes.create_string_buffer(16)
    ok(kernel.read(connection, room, 16) == 5 and room.value == b"hello", "read")
    for fd in (connection, client, server):
        kernel.close(fd)
    try:
        kernel.close(0)
        ok(False, "an error is an exception")
    except OSError as e:
        ok(e.errno == errno.EBADF and e.strerror == os.strerror(errno.EBADF), "an error is an exception")
    kernel.halt()
    print(f"1..{count}")


main()
