"""An SSH server with sessions, and what is carried by them: scp, sftp, rsync, git."""

import os

from lab import check, has, test, url
from t_servers import write
from t_tcp import body_file, echo, sha
from t_tools import repository


def keys(lab):
    lab.sh("mkdir -p /run/sshd; ssh-keygen -q -t ed25519 -N '' -f hostkey; ssh-keygen -q -t ed25519 -N '' -f key; cp key.pub authorized; chmod 600 authorized")


def sshd(lab, v, ours):
    """Starts a server; answers the options a client needs to get in, and where."""
    keys(lab)
    address = (lab.me if ours else lab.peer)[v]
    conf = write(
        lab,
        "sshd_config",
        f"Port 2222\nListenAddress {address}\nHostKey {lab.dir}/hostkey\nAuthorizedKeysFile {lab.dir}/authorized\nStrictModes no\nUsePAM no\n"
        "PidFile none\nPermitRootLogin yes\nSubsystem sftp /usr/lib/openssh/sftp-server\nMaxStartups 100\n",
    )
    p = lab.spawn("/usr/sbin/sshd", "-D", "-e", "-f", conf, ours=ours)
    lab.connect(v, 2222, "me" if ours else "peer").close()
    options = [
        "-F", "none", "-i", lab.path("key"), "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={lab.dir}/known", "-o", "LogLevel=ERROR",
        "-o", "BatchMode=yes",
    ]
    return p, options, address


@test(v=(4, 6), need=("sshd", "ssh"))
def sessions(lab, v):
    """Commands, many at a time; a terminal; what a session does to the network, the next one sees."""
    lab.tap()
    p, options, address = sshd(lab, v, True)

    def ssh(*args, **more):
        return lab.run("ssh", *options, *more.pop("options", ()), "-p", 2222, f"root@{address}", *args, **more)

    done = ssh("cat; echo done", input="x" * 200000)
    check(done.out == "x" * 200000 + "done\n", "through a session", done.err, p)
    ssh("exit 5", status=5)
    done = ssh("echo $SSH_CLIENT; tty", options=["-tt"])
    has(done.out, rf"^{lab.peer[v]} \d+ 2222")
    has(done.out, r"^/dev/pts/")
    all_ = [lab.spawn("ssh", *options, "-p", 2222, f"root@{address}", f"sleep 0.3; echo {i}") for i in range(8)]
    for i, one in enumerate(all_):
        check(one.wait(60).out == f"{i}\n", "one of many", one)
    # A session is part of the tree: one kernel.
    ssh("ip addr add 10.99.0.1/32 dev lo")
    done = ssh("ip -o addr show dev lo; exec ip -o addr show dev eth0")
    has(done.out, r"10\.99\.0\.1/32")
    has(done.out, rf" {lab.me[v]}/")


@test(v=(4, 6), need=("sshd", "ssh"))
def forwarding(lab, v):
    """Connections through the server, into its network and back."""
    lab.tap()
    port = lab.server(v, echo)
    _, options, address = sshd(lab, v, True)
    lab.spawn("ssh", *options, "-p", 2222, "-N", "-L", f"127.0.0.1:7001:{url(lab.peer[v])}:{port}", "-R", f"7002:{url(lab.peer[v])}:{port}", f"root@{address}")
    lab.wait_peer_port(7001)
    done = lab.python(
        "import socket\ns = socket.create_connection(('127.0.0.1', 7001), 20)\ns.sendall(b'there')\nprint(s.recv(5))", ours=False
    )
    check(done.out == "b'there'\n", "into the server's network", done)
    done = lab.run(
        "ssh", *options, "-p", 2222, f"root@{address}",
        "python3 -c \"import socket; s = socket.create_connection(('127.0.0.1', 7002), 20); s.sendall(b'back'); print(s.recv(4))\"",
    )
    check(done.out == "b'back'\n", "from the server's network", done)


@test(v=(4, 6), need=("sshd", "ssh", "scp", "sftp", "rsync"))
def copies_to_the_server(lab, v):
    """scp, sftp and rsync, both ways; the server is ours."""
    copies(lab, v, *sshd(lab.tap(), v, True)[1:], ours=False)


@test(v=(4, 6), need=("sshd", "ssh", "scp", "sftp", "rsync"))
def copies_by_the_clients(lab, v):
    """The same; the clients are ours, and ssh is a child of each."""
    copies(lab, v, *sshd(lab.tap(), v, False)[1:], ours=True)


def copies(lab, v, options, address, ours):
    digest = body_file(lab)
    where = f"root@{url(address)}"
    lab.run("scp", "-q", *options, "-P", 2222, lab.path("file.bin"), f"{where}:{lab.dir}/up.bin", ours=ours)
    check(sha(lab.path("up.bin")) == digest, "scp up")
    lab.run("scp", "-q", *options, "-P", 2222, f"{where}:{lab.dir}/up.bin", lab.path("down.bin"), ours=ours)
    check(sha(lab.path("down.bin")) == digest, "scp down")
    batch = write(lab, "batch", f"put {lab.dir}/file.bin {lab.dir}/sftp.bin\nrename {lab.dir}/sftp.bin {lab.dir}/sftp2.bin\nget {lab.dir}/sftp2.bin {lab.dir}/sftp3.bin\nls -l {lab.dir}\n")
    done = lab.run("sftp", *options, "-P", 2222, "-b", batch, where, ours=ours)
    has(done.out, r"sftp2\.bin")
    check(sha(lab.path("sftp3.bin")) == digest, "sftp")
    os.mkdir(lab.path("tree"))
    for i in range(50):
        write(lab, f"tree/f{i}", f"{i}\n" * (i * 100))
    shell = "ssh -p 2222 " + " ".join(map(str, options))
    lab.run("rsync", "-a", "-e", shell, f"{lab.dir}/tree/", f"{where}:{lab.dir}/tree2/", ours=ours)
    lab.run("rsync", "-a", "-z", "-e", shell, f"{where}:{lab.dir}/tree2/", f"{lab.dir}/tree3/", ours=ours)
    lab.sh("diff -r tree tree2; diff -r tree tree3")


@test(v=(4, 6), need=("rsync",))
def rsync_daemon(lab, v):
    """rsync's own server forks for each connection."""
    lab.tap()
    body_file(lab)
    os.mkdir(lab.path("module"))
    conf = write(lab, "rsyncd.conf", f"use chroot = no\nreverse lookup = no\nuid = root\ngid = root\n[m]\npath = {lab.dir}/module\nread only = no\n")
    lab.spawn("rsync", "--daemon", "--no-detach", f"--config={conf}", f"--address={lab.me[v]}", "--port=8730", ours=True)
    lab.connect(v, 8730).close()
    where = f"rsync://{url(lab.me[v])}:8730/m/"
    lab.run("rsync", "-a", lab.path("file.bin"), where)
    lab.run("rsync", "-a", where + "file.bin", lab.path("back.bin"))
    check(sha(lab.path("back.bin")) == sha(lab.path("file.bin")), "contents")


@test(v=(4, 6), need=("sshd", "ssh", "git"))
def git(lab, v):
    """Clone and push: the client is ours, then the server. git speaks to ssh through pipes."""
    repository(lab.tap())
    for ours in (True, False):
        p, options, address = sshd(lab, v, not ours)
        env = {"HOME": lab.dir, "GIT_CONFIG_NOSYSTEM": "1", "GIT_SSH_COMMAND": "ssh " + " ".join(map(str, options))}
        clone = f"clone-{ours}"
        lab.run("git", "clone", "-q", f"ssh://root@{url(address)}:2222{lab.dir}/repo.git", clone, env=env, ours=ours)
        check(lab.sh(f"git -C {clone} rev-parse HEAD") == lab.sh("git -C repo.git rev-parse HEAD"), "the same commit")
        lab.sh(f"cd {clone}; git config user.email a@b; git config user.name n; echo new >new-{ours}; git add .; git commit -qm new")
        lab.run("git", "-C", lab.path(clone), "push", "-q", env=env, ours=ours)
        check(lab.sh(f"git -C {clone} rev-parse HEAD") == lab.sh("git -C repo.git rev-parse main"), "what was pushed")
        p.kill()
        lab.sh("rm -f key key.pub hostkey hostkey.pub")
