"""Programs under debuggers, and many programs in one file."""

from lab import check, has, lacks, test, url
from t_servers import nginx_peer, write
from t_tcp import body_file, echo, sha

# Connects, sends, and tells what came back; from a thread of its own.
C_CLIENT = """
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int rounds, pause_us;
static void answered(int n, const char *text) { rounds = n; printf("answer %d: %s", n, text); fflush(stdout); }

static void *work(void *arg) {
    char **argv = arg, *text = malloc(100);
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *a;
    if (getaddrinfo(argv[1], argv[2], &hints, &a)) exit(3);
    int s = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
    if (connect(s, a->ai_addr, a->ai_addrlen)) { perror("connect"); exit(4); }
    freeaddrinfo(a);
    for (int i = 1; i <= atoi(argv[3]); i++) {
        int n = snprintf(text, 100, "hello %d\\n", i);
        if (write(s, text, n) != n) exit(5);
        if (recv(s, text, n, MSG_WAITALL) != n) exit(6);
        text[n] = 0;
        answered(i, text);
        if (pause_us) usleep(pause_us);
    }
    close(s);
    free(text);
    return 0;
}
int main(int argc, char **argv) {
    pthread_t t;
    if (argc > 4) pause_us = atoi(argv[4]);
    pthread_create(&t, 0, work, argv);
    pthread_join(t, 0);
    puts("end");
    return 7;
}
"""


def client(lab):
    """The program above, with what a debugger needs."""
    source = write(lab, "client.c", C_CLIENT)
    lab.run("gcc", "-g", "-O0", "-pthread", "-o", lab.path("client"), source)
    return lab.path("client")


WANT = "answer 1: hello 1\nanswer 2: hello 2\nanswer 3: hello 3\nend\n"


@test(v=(4, 6), need=("gcc", "strace"))
def strace(lab, v):
    """Traced from its start; the sockets are not the host's."""
    lab.tap()
    program, port = client(lab), lab.server(v, echo)
    done = lab.ours("strace", "-f", "-o", lab.path("log"), program, lab.peer[v], port, 3, status=7)
    check(done.out == WANT, "what it says", done)
    with open(lab.path("log")) as f:
        log = f.read()
    has(log, r'execve\("' + program)
    has(log, r"exited with 7")
    if not lab.native:
        lacks(log, r"socket\(AF_INET")


@test(v=(4, 6), need=("gcc", "gdb"), seconds=180)
def gdb_from_the_start(lab, v):
    """Breakpoints, what is on the stack in a blocked call, single steps over calls into the library."""
    lab.tap()
    program, port = client(lab), lab.server(v, echo)
    commands = [
        "set pagination off", "set debuginfod enabled off", "break client.c:answered", "run", "bt", "print n", "up", "next", "next", "next", "print text",
        "next", "delete", "break recv", "continue", "bt", "delete", "continue",
    ]
    done = lab.ours("gdb", "-nx", "-batch", *[a for c in commands for a in ("-ex", c)], "--args", program, lab.peer[v], port, 3, status=None, seconds=100)
    has(done.out, r"hit Breakpoint 1(\.\d)?, answered \(n=1")
    has(done.out, r"#1 .*work \(arg=")
    has(done.out, r"^\$1 = 1$")
    has(done.out, r"hit Breakpoint 2(\.\d)?, ")
    has(done.out, r"^answer 3: hello 3$")
    has(done.out, r"exited with code 07")


@test(v=(4, 6), need=("gcc", "gdb"), seconds=180)
def gdb_attached(lab, v):
    """To a program that runs; it goes on afterwards."""
    lab.tap()
    program, port = client(lab), lab.server(v, echo)
    p = lab.spawn(program, lab.peer[v], port, 60, 50000, ours=True)
    p.wait_for("answer 3:")
    # Under nsenter it is a child.
    pid = int(lab.sh(f"pgrep -f -n '^{program} {lab.peer[v]}'")) if lab.native else p.pid
    for _ in range(2):
        done = lab.run(
            "gdb", "-nx", "-batch", "-p", pid, "-ex", "set pagination off", "-ex", "info threads", "-ex", "thread apply all bt", "-ex", "print rounds", "-ex", "detach",
            seconds=60,
        )
        has(done.out, r"in work \(arg=")
        has(done.out, r"in main \(argc=5")
        check(int(has(done.out, r"^\$1 = (\d+)$").group(1)) >= 3, "a variable", done)
    done = p.wait(30, status=7)
    has(done.out, r"^answer 60: hello 60\nend$")


@test(v=(4, 6), need=("gcc", "valgrind"), seconds=180)
def valgrind(lab, v):
    """No error of the program's, and none of the library's."""
    lab.tap()
    program, port = client(lab), lab.server(v, echo)
    done = lab.ours("valgrind", "--error-exitcode=99", program, lab.peer[v], port, 3, status=None, seconds=100)
    check(done.out == WANT and done.status == 7, "what it says", done)
    has(done.err, r"ERROR SUMMARY: 0 errors")


@test(v=(4, 6), need=("busybox", "nginx"))
def busybox(lab, v):
    """Its programs, one by one."""
    lab.tap()
    digest, port, back = body_file(lab), nginx_peer(lab, v), lab.server(v, echo)
    peer = lab.peer[v]
    lab.ours("busybox", "wget", "-q", "-O", lab.path("got"), f"http://{url(peer)}:{port}/file.bin")
    check(sha(lab.path("got")) == digest, "contents")
    done = lab.ours("busybox", "nc", peer, back, "-w", 2, input="one\ntwo\n", seconds=20)
    check(done.out == "one\ntwo\n", "nc", done)
    done = lab.ours("busybox", "ip", "addr", "show", "dev", "eth0")
    has(done.out, rf"inet6? {lab.me[v]}/")
    done = lab.ours("busybox", "ip", f"-{v}", "route")
    has(done.out, rf"default via {peer}.* dev eth0")
    done = lab.ours("busybox", "ping" if v == 4 else "ping6", "-c", 2, peer)
    has(done.out, r"2 packets transmitted, 2 packets received, 0% packet loss")
    done = lab.ours("busybox", "traceroute" if v == 4 else "traceroute6", "-n", "-q", 1, "-w", 2, peer)
    has(done.out, rf"^ 1  {peer}.*ms")
    done = lab.ours("busybox", "netstat", "-rn" if v == 4 else "-tln")
    has(done.out, r"eth0" if v == 4 else "Active Internet")
    done = lab.ours("busybox", "ifconfig", "eth0")
    has(done.out, lab.me[v])
    if v == 4:
        done = lab.ours("busybox", "arping", "-I", "eth0", "-c", 2, peer)
        has(done.out, r"Received 2 response")


def repository(lab):
    """Makes the repositories `src` and, bare, `repo.git`."""
    lab.sh(
        "export HOME=$PWD GIT_CONFIG_NOSYSTEM=1; git init -q -b main src; cd src; git config user.email a@b; git config user.name n; "
        "for i in 1 2 3; do head -c 200000 /dev/urandom >f$i; git add .; git commit -qm $i; done; cd ..; git clone -q --bare src repo.git"
    )


@test(v=(4, 6), need=("git", "nginx"))
def git_over_http(lab, v):
    """git itself does not touch the network: its helper does."""
    lab.tap()
    repository(lab)
    lab.sh("git -C repo.git update-server-info")
    port = nginx_peer(lab, v)
    env = {"HOME": lab.dir, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    lab.ours("git", "clone", "-q", f"http://{url(lab.peer[v])}:{port}/repo.git", "clone", env=env)
    check(lab.sh("git -C clone rev-parse HEAD") == lab.sh("git -C src rev-parse HEAD"), "the same commit")
    lab.sh("git -C clone fsck --strict; cmp src/f3 clone/f3")
    done = lab.ours("git", "ls-remote", f"http://{url(lab.peer[v])}:{port}/repo.git", env=env)
    has(done.out, r"refs/heads/main")


@test(v=(4, 6), need=("git", "lighttpd"))
def git_push_over_http(lab, v):
    """The protocol of git itself, by requests with bodies, both ways."""
    lab.tap()
    repository(lab)
    lab.sh("git -C repo.git config http.receivepack true")
    backend = lab.sh("git --exec-path").strip() + "/git-http-backend"
    conf = write(
        lab,
        "git.conf",
        f'server.modules = ("mod_alias", "mod_cgi", "mod_setenv")\nserver.document-root = "{lab.dir}"\nserver.bind = "{url(lab.peer[v])}"\nserver.port = 8000\n'
        f'alias.url = ("/git" => "{backend}")\ncgi.assign = ("" => "")\n'
        f'setenv.add-environment = ("GIT_PROJECT_ROOT" => "{lab.dir}", "GIT_HTTP_EXPORT_ALL" => "1", "PATH" => "/usr/bin:/bin")\n',
    )
    lab.spawn("lighttpd", "-D", "-f", conf)
    lab.connect(v, 8000, "peer").close()
    env = {"HOME": lab.dir, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
    lab.ours("git", "clone", "-q", f"http://{url(lab.peer[v])}:8000/git/repo.git", "clone", env=env)
    lab.sh("cmp src/f3 clone/f3; cd clone; git config user.email a@b; git config user.name n; head -c 300000 /dev/urandom >new; git add .; git commit -qm new")
    lab.ours("git", "-C", lab.path("clone"), "push", "-q", env=env)
    check(lab.sh("git -C clone rev-parse HEAD") == lab.sh("git -C repo.git rev-parse main"), "what was pushed")
