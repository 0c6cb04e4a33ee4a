"""`LKL_HIJACK_RESOLV_CONF`: whom programs, and libc, ask for names."""

import os
import socket
import struct
import threading

from lab import Skip, check, has, lacks, test


def name_server(lab, at, answer):
    """A native name server that answers every question for an A record with `answer`."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((at, 53))

    def serve():
        while True:
            try:
                query, peer = s.recvfrom(1500)
            except OSError:
                return
            end = query.index(b"\0", 12) + 5
            record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(answer)
            wanted = struct.unpack(">H", query[end - 4 : end - 2])[0] == 1
            head = query[:2] + struct.pack(">HHHHH", 0x8180, 1, int(wanted), 0, 0)
            s.sendto(head + query[12:end] + (record if wanted else b""), peer)

    threading.Thread(target=serve, daemon=True).start()
    lab.ends.append(s.close)


@test(need=("dig",))
def a_file_of_its_own(lab):
    if lab.native:
        raise Skip("about the library's variable")
    lab.tap()
    name_server(lab, lab.peer[4], "10.9.8.7")
    conf = lab.path("my resolv.conf")
    with open(conf, "w") as f:
        f.write(f"# this one\nnameserver {lab.peer[4]}\n")
    env = {"LKL_HIJACK_RESOLV_CONF": conf}
    has(lab.ours("getent", "ahostsv4", "some.name.test", env=env).out, r"^10\.9\.8\.7 +STREAM")
    has(lab.ours("dig", "+short", "other.name.test", env=env).out, r"^10\.9\.8\.7$")
    # In each process, also where the environment was cleaned, and whatever path leads there.
    script = "cat /etc/resolv.conf; cd /etc; env -i cat resolv.conf; cat ./../etc//resolv.conf; env -i getent ahostsv4 third.name.test"
    done = lab.ours("sh", "-c", script, env=env)
    has(done.out, r"^10\.9\.8\.7 ")
    seen = done.out.count("# this one")
    check(seen == 3, f"the file was seen {seen} times", done)
    code = "import os; s = os.stat('/etc/resolv.conf'); print(s.st_ino, s.st_size, os.access('/etc/resolv.conf', os.R_OK), os.path.islink('/etc/resolv.conf'))"
    s = os.stat(conf)
    check(lab.python(code, env=env).out == f"{s.st_ino} {s.st_size} True False\n", "stat")
    # Without the variable, and another file of that name.
    lacks(lab.ours("cat", "/etc/resolv.conf").out, "this one")
    os.mkdir(lab.path("etc"))
    with open(lab.path("etc/resolv.conf"), "w") as f:
        f.write("another\n")
    check(lab.ours("cat", "etc/resolv.conf", env=env).out == "another\n", "another file")


@test()
def a_name_server_of_the_hosts(lab):
    """Together with `LKL_HIJACK_HOST`: the host's own name server is asked."""
    if lab.native:
        raise Skip("about the library's variables")
    lab.tap()
    name_server(lab, "127.0.0.1", "10.9.8.8")
    conf = lab.path("conf")
    with open(conf, "w") as f:
        f.write("nameserver 127.0.0.1\n")
    env = {"LKL_HIJACK_RESOLV_CONF": conf}
    lab.ours("getent", "ahostsv4", "some.name.test", env=env, status=2)
    has(lab.ours("getent", "ahostsv4", "some.name.test", env={**env, "LKL_HIJACK_HOST": "127.0.0.0/8"}).out, r"^10\.9\.8\.8 ")


@test()
def files_that_cannot_be_read(lab):
    if lab.native:
        raise Skip("about the library's variable")
    for value, expected in (("conf", "expected the absolute name of a file"), (lab.path("none"), "expected a file that can be read")):
        done = lab.ours("true", env={"LKL_HIJACK_RESOLV_CONF": value}, status=125)
        check(len(done.err.splitlines()) == 1 and done.err.startswith(f"lkl-hijack: LKL_HIJACK_RESOLV_CONF={value}: {expected}"), "the message", done)
