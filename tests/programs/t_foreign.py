"""Programs that cannot be run on this kernel: they are told apart, and never use the host's network by mistake."""

import os
import shutil

from lab import Skip, check, has, lacks, test
from t_servers import write

NET = """
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
int main(int argc, char **argv) {
    printf("inet %s\\n", socket(AF_INET, SOCK_STREAM, 0) < 0 ? strerrorname_np(errno) : "made");
    printf("inet6 %s\\n", socket(AF_INET6, SOCK_DGRAM, 0) < 0 ? strerrorname_np(errno) : "made");
    printf("netlink %s\\n", socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE) < 0 ? strerrorname_np(errno) : "made");
    printf("unix %s\\n", socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? strerrorname_np(errno) : "made");
    fflush(stdout);
    if (argc > 2 && !strcmp(argv[1], "run")) execvp(argv[2], argv + 2);
    return 3;
}
"""
NONE = "inet EAFNOSUPPORT\ninet6 EAFNOSUPPORT\nnetlink EAFNOSUPPORT\nunix made\n"
MADE = "inet made\ninet6 made\nnetlink made\nunix made\n"


def ours_only(lab):
    if lab.native:
        raise Skip("the host runs every program")


@test(need="gcc")
def static(lab):
    """Started by a shell: without a network, and one line says so."""
    ours_only(lab)
    lab.tap()
    lab.run("gcc", "-static", "-D_GNU_SOURCE", "-o", lab.path("net"), write(lab, "net.c", NET))
    done = lab.ours("sh", "-c", "./net; echo $?")
    check(done.out == NONE + "3\n", "what it can make", done)
    check(done.err.startswith("lkl-hijack: ./net: is statically linked: ") and done.err.count("\n") == 1, "one line", done)
    has(done.err, r"LKL_HIJACK_FOREIGN=host")
    # By the interpreter of a script, by another way of running programs, through PATH.
    write(lab, "script", f"#!{lab.path('net')}\n")
    os.chmod(lab.path("script"), 0o755)
    for program in (["sh", "-c", "./script; exit $?"], ["env", "./net"], ["python3", "-c", "import subprocess; exit(subprocess.run(['net'], env={'PATH': '.'}).returncode)"]):
        done = lab.ours(*program, status=3)
        check(done.out == NONE, "what it can make", done)
        check(done.err.count("\n") == 1, "one line", done)
    # Programs that it starts have the library, and this kernel.
    done = lab.ours("sh", "-c", "./net run ip -o link show lo; :")
    has(done.out, r"unix made\n1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536")
    # One that is not there, or cannot be executed, is as it was.
    done = lab.ours("sh", "-c", "chmod -x net; ./net", status=126)
    lacks(done.err, r"lkl-hijack")
    has(lab.ours("./net", status=126).err, r"cannot be executed")
    # Left to the host on demand.
    done = lab.ours("sh", "-c", "chmod +x net; ./net; :", env={"LKL_HIJACK_FOREIGN": "host"})
    check(done.out == MADE and done.err == "", "left to the host", done)
    done = lab.ours("true", env={"LKL_HIJACK_FOREIGN": "maybe"}, status=125)
    has(done.err, r"^lkl-hijack: LKL_HIJACK_FOREIGN=maybe: expected none \(no network\) or host \(the host's network\)$")


@test(need="fzf")
def go(lab):
    """Go makes its system calls itself also where it uses libc."""
    ours_only(lab)
    lab.tap()
    done = lab.ours("fzf", "--version", status=125)
    has(done.err, r"^lkl-hijack: .*is a Go program")
    done = lab.ours("sh", "-c", "printf 'one\\ntwo\\n' | fzf --filter tw")
    check(done.out == "two\n", "what it finds", done)
    check(done.err.count("\n") == 1, "one line", done)
    has(done.err, r"^lkl-hijack: .*/fzf: is a Go program, .*LKL_HIJACK_FOREIGN=host")


@test(need=("gcc", "setpriv", "ip"))
def more_rights(lab):
    """Set-user-ID and set-group-ID programs, and those with capabilities, run by an ordinary user: by the loader, without them."""
    ours_only(lab)
    lab.as_user().tap()
    source = write(lab, "ids.c", '#include <stdio.h>\n#include <unistd.h>\nint main(int c, char **v) { printf("%s %d %d %s\\n", v[0], geteuid() == getuid(), getegid() == getgid(), v[1]); return 0; }\n')
    lab.run("gcc", "-o", lab.path("ids"), source)
    lab.sh("cp ids user; cp ids group; chmod 4755 user; chmod 2755 group")
    ip = shutil.which("ip", path="/bin:/sbin:/usr/bin:/usr/sbin")
    lab.sh(f"cp {ip} ip4; chmod 4755 ip4")
    # The folder may be on a file system that ignores such bits; then there is nothing to see.
    done = lab.ours("sh", "-c", "./user one; ./group two; ./ip4 -o link show eth0")
    has(done.out, r"^\./user 1 1 one\n\./group 1 1 two\n2: eth0: ")
    check(done.err == "", "nothing to say", done)
    lab.ours("./user", "direct")
    done = lab.ours("sh", "-c", "ping -c 1 -W 5 10.7.0.1; :")
    has(done.out, r"1 received")
    # By a descriptor, the loader cannot be put in front.
    done = lab.python("import os; os.execve(os.open('./user', os.O_RDONLY), ['./user', 'x'], os.environ)")
    has(done.err, r"^lkl-hijack: .*would run with more rights than its caller has.*runs without a network")
