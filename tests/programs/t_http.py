"""Web servers with many processes: nginx, Apache, haproxy."""

import contextlib
import os
import re
import signal
import subprocess
import threading

from lab import check, has, test, until, url
from t_servers import fetch, fetch_many, write
from t_tcp import BODY, body_file, http_peer, sha


class Visitor:
    """Asks a server again and again until told to stop; counts what went wrong."""

    def __init__(self, lab, where):
        self.lab, self.where = lab, where
        self.good, self.bad = 0, []
        self.over = threading.Event()
        lab.ends.append(self.over.set)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.over.wait(0.02):
            done = subprocess.run(
                ["curl", "-sS", "-m", "10", "-w", " %{http_code}", self.where], capture_output=True, text=True, cwd=self.lab.dir
            )
            if done.returncode == 0 and done.stdout.endswith(" 200"):
                self.good += 1
            else:
                self.bad.append(done.stdout + done.stderr)

    def stop(self):
        until(lambda: self.good >= 10 or self.bad, 30, lambda: f"only {self.good} requests")
        self.over.set()
        self.thread.join(20)
        check(not self.bad, f"requests failed, {self.good} did not", *self.bad)




def answer(lab, where):
    return lab.run("curl", "-sS", "-m", "10", where, status=None).out


def ended(pid):
    """Is the process gone? One that nobody waits for counts as gone."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@test(v=(4, 6), need=("nginx", "curl", "ab"), seconds=150)
def nginx_workers(lab, v):
    """A master and its workers; a new configuration by SIGHUP, a new program by SIGUSR2, without a request lost."""
    lab.tap()
    digest = body_file(lab)
    me = url(lab.me[v])

    def configure(text):
        write(
            lab,
            "nginx.conf",
            f"worker_processes 2; pid {lab.dir}/pid; error_log {lab.dir}/error.log notice; user root;\n"
            "events { worker_connections 512; }\n"
            f"http {{ log_format p '$pid'; access_log {lab.dir}/access.log p; sendfile on; server {{ listen {me}:8082 backlog=500; root {lab.dir};\n"
            f' location = /text {{ return 200 "{text}"; }} location = /slow {{ limit_rate 300k; alias {lab.dir}/file.bin; }} }} }}\n',
        )

    def master():
        with contextlib.suppress(OSError, ValueError):
            with open(lab.path("pid")) as f:
                return int(f.read())

    def kill_all():
        # A daemon has left the process group that it was started in, and is the first of its own.
        for group in groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)

    groups = []
    lab.ends.append(kill_all)
    configure("one")
    lab.ours("/usr/sbin/nginx", "-c", lab.path("nginx.conf"), "-p", lab.dir)
    lab.connect(v, 8082).close()
    first = until(master, what="a pid file")
    groups.append(os.getpgid(first))
    base = f"http://{me}:8082"
    check(answer(lab, f"{base}/text") == "one", "the first configuration")
    fetch(lab, f"{base}/file.bin", digest)
    fetch_many(lab, f"{base}/file.bin", digest)
    done = lab.run("ab", "-q", "-n", 2000, "-c", 50, f"{base}/text")
    has(done.out, r"^Failed requests: +0$")
    with open(lab.path("access.log")) as f:
        workers = set(f.read().split())
    check(len(workers) == 2, "both workers answer", workers)

    # A download that a worker of the old configuration finishes.
    visitor = Visitor(lab, f"{base}/text")
    slow = lab.spawn("curl", "-sS", "-o", "slow", f"{base}/slow")
    until(lambda: os.path.exists(lab.path("slow")), what="the slow download has begun")
    configure("two")
    os.kill(first, signal.SIGHUP)
    until(lambda: answer(lab, f"{base}/text") == "two", 20, "the second configuration")
    slow.wait(30)
    check(sha(lab.path("slow")) == digest, "the download across the reload")
    until(lambda: all(ended(int(w)) for w in workers), 20, "the old workers are gone")

    # A new program takes over the listening sockets.
    os.kill(first, signal.SIGUSR2)
    until(lambda: os.path.exists(lab.path("pid.oldbin")) and master() not in (None, first), 20, lambda: f"a second master\n{open(lab.path('error.log')).read()}")
    new = master()
    fetch_many(lab, f"{base}/file.bin", digest, 10)
    os.kill(first, signal.SIGQUIT)
    until(lambda: ended(first), 30, "the old master has ended")
    fetch_many(lab, f"{base}/file.bin", digest, 10)
    check(answer(lab, f"{base}/text") == "two", "after the upgrade")
    visitor.stop()
    os.kill(new, signal.SIGQUIT)
    until(lambda: ended(new), 20, "the new master has ended")


def apache(lab, v, mpm, more):
    lab.tap()
    digest = body_file(lab)
    write(lab, "text", "hello\n")
    modules = "/usr/lib/apache2/modules"
    os.mkdir(lab.path("run"))
    conf = write(
        lab,
        "apache.conf",
        f"ServerRoot {lab.dir}\nServerName test\nPidFile {lab.dir}/pid\nDefaultRuntimeDir {lab.dir}/run\nErrorLog {lab.dir}/error.log\nLogLevel info\n"
        + "".join(f"LoadModule {m}_module {modules}/mod_{m}.so\n" for m in (f"mpm_{mpm}", "authz_core"))
        + f"Listen {url(lab.me[v])}:8083\nUser www-data\nGroup www-data\nGracefulShutdownTimeout 10\nKeepAliveTimeout 1\n"
        f"LogFormat %P p\nCustomLog {lab.dir}/access.log p\nDocumentRoot {lab.dir}\n<Directory {lab.dir}>\nRequire all granted\n</Directory>\n{more}",
    )
    p = lab.spawn("apache2", "-DFOREGROUND", "-f", conf, ours=True)
    lab.connect(v, 8083).close()
    base = f"http://{url(lab.me[v])}:8083"
    fetch(lab, f"{base}/file.bin", digest)
    fetch_many(lab, f"{base}/file.bin", digest)
    done = lab.run("ab", "-q", "-n", 2000, "-c", 40, f"{base}/text")
    has(done.out, r"^Complete requests: +2000$")
    has(done.out, r"^Failed requests: +0$")
    with open(lab.path("access.log")) as f:
        workers = set(f.read().split())
    check(len(workers) >= 2, "several processes answer", workers)
    visitor = Visitor(lab, f"{base}/text")
    p.send(signal.SIGUSR1)
    until(lambda: all(ended(int(w)) for w in workers), 20, lambda: f"the old processes are gone\n{open(lab.path('error.log')).read()}")
    fetch_many(lab, f"{base}/file.bin", digest)
    visitor.stop()
    p.send(signal.SIGTERM)
    p.wait(20)


@test(v=(4, 6), need=("apache2", "ab", "curl"))
def apache_prefork(lab, v):
    """A process for each connection."""
    apache(lab, v, "prefork", "StartServers 4\nMinSpareServers 4\nMaxSpareServers 30\nMaxRequestWorkers 40\nServerLimit 40\n")


@test(v=(4, 6), need=("apache2", "ab", "curl"))
def apache_event(lab, v):
    """Processes with threads, and an epoll in each."""
    apache(lab, v, "event", "StartServers 2\nServerLimit 3\nThreadsPerChild 20\nMaxRequestWorkers 60\nMinSpareThreads 40\nMaxSpareThreads 60\n")


@test(v=(4, 6), need=("haproxy", "curl"))
def haproxy_master(lab, v):
    """A master that starts a new worker by SIGUSR2; the old one ends without a connection lost."""
    lab.tap()
    digest, port = body_file(lab), http_peer(lab, v)
    write(lab, "text", "hello\n")

    def configure(header):
        return write(
            lab,
            "haproxy.cfg",
            "global\n nbthread 2\n maxconn 200\n"
            "defaults\n mode http\n timeout connect 5s\n timeout client 20s\n timeout server 20s\n"
            f"frontend f\n bind {lab.me[v]}:8085\n default_backend b\n http-response set-header which {header}\n"
            f"backend b\n server one {lab.peer[v]}:{port}\n",
        )

    p = lab.spawn("haproxy", "-W", "-f", configure("one"), ours=True)
    lab.connect(v, 8085).close()
    base = f"http://{url(lab.me[v])}:8085"

    def which():
        return re.search(r"^which: (\w+)", lab.run("curl", "-sS", "-m", 10, "-i", f"{base}/text").out, re.M)[1]

    check(which() == "one", "the first configuration")
    fetch_many(lab, f"{base}/file.bin", digest, 10)
    visitor = Visitor(lab, f"{base}/text")
    configure("two")
    p.send(signal.SIGUSR2)
    until(lambda: which() == "two", 20, lambda: f"the second configuration\n{p}")
    fetch_many(lab, f"{base}/file.bin", digest, 10)
    visitor.stop()
    p.send(signal.SIGTERM)
    p.wait(20, status=None)
