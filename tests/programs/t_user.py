"""As an ordinary user, with a TAP that belongs to that user: nothing needs root."""

from lab import Skip, check, has, test, url
from t_servers import fetch, fetch_many, write
from t_tcp import body_file, echo, http_peer, sha


@test(v=(4, 6), need=("curl", "python3", "setpriv"))
def clients_and_servers(lab, v):
    lab.as_user().tap()
    digest, port = body_file(lab), http_peer(lab, v)
    lab.ours("curl", "-sS", "-o", lab.path("mine"), f"http://{url(lab.peer[v])}:{port}/file.bin")
    check(sha(lab.path("mine")) == digest, "contents")
    done = lab.ours("id", "-u", "-n")
    check(done.out == "nobody\n", "who", done)
    p = lab.spawn("python3", "-m", "http.server", 8080, "--bind", lab.me[v], ours=True)
    lab.connect(v, 8080).close()
    fetch(lab, f"http://{url(lab.me[v])}:8080/file.bin", digest)
    p.kill()
    back = lab.server(v, echo)
    done = lab.ours("nc", f"-{v}", "-N", lab.peer[v], back, input="hello\n")
    check(done.out == "hello\n", "echo", done)


@test(v=(4, 6), need=("ping", "setpriv"))
def ping(lab, v):
    """It has capabilities of its file, with which no library is loaded: they are not needed."""
    lab.as_user().tap()
    done = lab.ours("ping", f"-{v}", "-c", 2, "-i", 0.2, lab.peer[v])
    has(done.out, r"2 packets transmitted, 2 received, 0% packet loss")


@test(need=("ip", "setpriv", "tcpdump", "nmap"))
def what_takes_root_on_linux(lab):
    """The kernel belongs to who runs it: addresses, raw and packet sockets, low ports."""
    if lab.native:
        raise Skip("Linux does not let an ordinary user do this")
    lab.as_user().tap()
    lab.ours("ip", "addr", "add", "10.50.0.1/24", "dev", "eth0")
    done = lab.python("import socket; s = socket.create_server(('', 80)); print(s.getsockname()[1]); socket.socket(socket.AF_PACKET, socket.SOCK_RAW)")
    check(done.out == "80\n", "a low port", done)
    port = http_peer(lab, 4)
    done = lab.ours("nmap", "--privileged", "-n", "-Pn", "-sS", "-p", port, lab.peer[4])
    has(done.out, rf"^{port}/tcp open")


@test(v=(4, 6), need=("lighttpd", "curl", "setpriv"))
def lighttpd(lab, v):
    lab.as_user().tap()
    digest = body_file(lab)
    conf = write(lab, "lighttpd.conf", f'server.document-root = "{lab.dir}"\nserver.bind = "{url(lab.me[v])}"\nserver.port = 8084\nserver.errorlog = "{lab.dir}/error.log"\n')
    p = lab.spawn("lighttpd", "-D", "-f", conf, ours=True)
    lab.connect(v, 8084).close()
    fetch_many(lab, f"http://{url(lab.me[v])}:8084/file.bin", digest)
    p.send(15)
    p.wait(20)
