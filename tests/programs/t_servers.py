"""Servers and proxies of one process, and clients of HTTP and FTP."""

import os
import re

from lab import check, has, test, until, url
from t_tcp import BODY, body_file, http_peer, sha


def write(lab, name, text):
    """Writes a file of the test's own; answers its path."""
    with open(lab.path(name), "w") as f:
        f.write(text)
    return lab.path(name)


def nginx_peer(lab, v, more=""):
    """A native nginx over the lab's folder at port 8000; answers the port."""
    conf = write(
        lab,
        "peer.conf",
        f"daemon off; master_process off; pid {lab.dir}/peer.pid; error_log {lab.dir}/peer.log; user root;\n"
        "events { worker_connections 1024; }\n"
        f"http {{ access_log off; sendfile on; server {{ listen {url(lab.peer[v])}:8000{more}; root {lab.dir}; }} }}\n",
    )
    lab.spawn("nginx", "-c", conf, "-p", lab.dir)
    lab.connect(v, 8000, "peer").close()
    return 8000


def fetch(lab, where, digest, *more):
    """Fetches the file natively, and looks at what came."""
    done = lab.run("curl", "-sS", "-o", "got", *more, where, seconds=30)
    check(sha(lab.path("got")) == digest, f"contents of {where}", done)


def fetch_many(lab, where, digest, n=20):
    """The same, many at once."""
    done = lab.run("curl", "-sS", "-Z", *[a for i in range(n) for a in ("-o", f"got{i}", where)])
    check(all(sha(lab.path(f"got{i}")) == digest for i in range(n)), "contents of the parallel ones", done)


def certificate(lab):
    """A key and a certificate for it, in one file."""
    lab.sh("openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=test 2>/dev/null; cat key.pem cert.pem >both.pem; chmod 600 both.pem")
    return lab.path("both.pem")


@test(v=(4, 6), need=("lighttpd", "curl"))
def lighttpd(lab, v):
    lab.tap()
    digest = body_file(lab)
    conf = write(
        lab,
        "lighttpd.conf",
        f'server.document-root = "{lab.dir}"\nserver.bind = "{url(lab.me[v])}"\nserver.port = 8084\n'
        f'server.errorlog = "{lab.dir}/error.log"\nserver.max-connections = 512\n',
    )
    p = lab.spawn("lighttpd", "-D", "-f", conf, ours=True)
    lab.connect(v, 8084).close()
    where = f"http://{url(lab.me[v])}:8084/file.bin"
    fetch(lab, where, digest)
    fetch_many(lab, where, digest)
    done = lab.run("curl", "-sS", "-i", "-r", "100-199", "-o", "part", "-w", "%{http_code}", where)
    check(done.out == "206", "a part", done)
    p.send(15)
    p.wait(20)


@test(v=(4, 6), need=("haproxy", "curl"))
def haproxy(lab, v):
    """Between a native client and two native servers; threads."""
    lab.tap()
    digest = body_file(lab)
    for i in (1, 2):
        os.mkdir(lab.path(f"s{i}"))
        os.link(lab.path("file.bin"), lab.path(f"s{i}/file.bin"))
        write(lab, f"s{i}/name", f"server {i}\n")
        lab.spawn("python3", "-m", "http.server", 8000 + i, "--bind", lab.peer[v], "--directory", lab.path(f"s{i}"))
        lab.connect(v, 8000 + i, "peer").close()
    conf = write(
        lab,
        "haproxy.cfg",
        "global\n nbthread 2\n maxconn 200\n"
        "defaults\n mode http\n timeout connect 5s\n timeout client 20s\n timeout server 20s\n"
        f"frontend f\n bind {lab.me[v]}:8085\n default_backend b\n"
        f"backend b\n balance roundrobin\n server one {lab.peer[v]}:8001 check inter 200ms\n server two {lab.peer[v]}:8002 check inter 200ms\n"
        f"listen raw\n mode tcp\n bind {lab.me[v]}:8086\n server one {lab.peer[v]}:8001\n",
    )
    p = lab.spawn("haproxy", "-db", "-f", conf, ours=True)
    lab.connect(v, 8085).close()
    where = f"http://{url(lab.me[v])}:8085"
    seen = {lab.run("curl", "-sS", f"{where}/name").out for _ in range(6)}
    check(seen == {"server 1\n", "server 2\n"}, "both servers", seen, p)
    fetch(lab, f"{where}/file.bin", digest)
    fetch_many(lab, f"{where}/file.bin", digest, 10)
    fetch(lab, f"http://{url(lab.me[v])}:8086/file.bin", digest)
    p.send(15)
    p.wait(20, status=None)


@test(v=(4, 6), need=("stunnel", "openssl", "curl"))
def stunnel(lab, v):
    """A client of TLS and the server it talks to in one process, before a native HTTP server."""
    lab.tap()
    digest, port = body_file(lab), http_peer(lab, v)
    both = certificate(lab)
    me, peer = lab.me[v], lab.peer[v]
    conf = write(
        lab,
        "stunnel.conf",
        f"foreground = yes\npid =\ndebug = 5\n"
        f"[server]\naccept = {me}:8443\nconnect = {peer}:{port}\ncert = {both}\n"
        f"[client]\nclient = yes\naccept = {me}:8087\nconnect = {me}:8443\n",
    )
    lab.spawn("stunnel", conf, ours=True)
    lab.connect(v, 8087).close()
    fetch(lab, f"https://{url(me)}:8443/file.bin", digest, "-k")
    fetch(lab, f"http://{url(me)}:8087/file.bin", digest)
    fetch_many(lab, f"http://{url(me)}:8087/file.bin", digest, 8)


@test(v=(4, 6), need=("privoxy", "curl"))
def privoxy(lab, v):
    lab.tap()
    digest, port = body_file(lab), http_peer(lab, v)
    conf = write(
        lab,
        "privoxy.conf",
        f"confdir /etc/privoxy\nlogdir {lab.dir}\nlogfile log\nlisten-address {url(lab.me[v])}:8118\ntoggle 0\nhostname test\nsocket-timeout 20\n",
    )
    lab.spawn("privoxy", "--no-daemon", conf, ours=True)
    lab.connect(v, 8118).close()
    proxy = ("-x", f"http://{url(lab.me[v])}:8118")
    fetch(lab, f"http://{url(lab.peer[v])}:{port}/file.bin", digest, *proxy)
    done = lab.run("curl", "-sS", "-o", "error", "-w", "%{http_code}", *proxy, f"http://{url(lab.peer[v])}:9/")
    check(done.out in ("502", "503"), "of a server that is not there", done)


@test(v=(4, 6), need=("dnsmasq", "dig"))
def dnsmasq(lab, v):
    lab.tap()
    lab.spawn(
        "dnsmasq", "--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", f"--listen-address={lab.me[v]}", "--bind-interfaces",
        "--port=53", "--user=root", "--pid-file=", "--address=/name.test/10.7.0.77", "--address=/name.test/fd07::77",
        "--txt-record=big.test," + ",".join(["x" * 200] * 12), ours=True,
    )
    lab.connect(v, 53).close()
    ask = ["dig", f"@{lab.me[v]}", "+tries=2", "+time=3"]
    check(lab.run(*ask, "name.test", "+short").out == "10.7.0.77\n", "over UDP")
    check(lab.run(*ask, "name.test", "AAAA", "+tcp", "+short").out == "fd07::77\n", "over TCP")
    done = lab.run(*ask, "big.test", "TXT", "+bufsize=512")
    has(done.out, r"Truncated, retrying in TCP")
    has(done.out, r"x{200}")


@test(v=(4, 6), need=("unbound", "dnsmasq", "dig"))
def unbound(lab, v):
    """What it knows, and what it asks a native server; two threads."""
    from t_udp import dns

    lab.tap()
    dns(lab, v)
    big = "\n".join(f""" local-data: 'big.here.test. IN TXT "{i:0200}"'""" for i in range(12))
    conf = write(
        lab,
        "unbound.conf",
        f"""server:
 verbosity: 1
 num-threads: 2
 interface: {lab.me[v]}
 access-control: 0.0.0.0/0 allow
 access-control: ::0/0 allow
 do-daemonize: no
 use-syslog: no
 logfile: ""
 chroot: ""
 username: ""
 pidfile: ""
 directory: "{lab.dir}"
 module-config: "iterator"
 local-zone: "test." nodefault
 local-zone: "here.test." static
 local-data: "here.test. IN A 10.7.0.99"
{big}
forward-zone:
 name: "."
 forward-addr: {lab.peer[v]}
""",
    )
    p = lab.spawn("unbound", "-d", "-p", "-c", conf, ours=True)
    p.wait_for("start of service")
    ask = ["dig", f"@{lab.me[v]}", "+tries=2", "+time=3", "+short"]
    for more in ([], ["+tcp"]):
        check(lab.run(*ask, *more, "here.test").out == "10.7.0.99\n", "its own data", more, p)
        check(lab.run(*ask, *more, "name.test").out == "10.7.0.77\n", "the other server's", more, p)
    check(lab.run(*ask, "big.here.test", "TXT", "+bufsize=512").out.count("0" * 190) == 12, "a long answer", p)
    p.send(15)
    p.wait(20)


@test(need="openvpn")
def openvpn(lab):
    """Two ends that find each other."""
    lab.tap()
    lab.run("openvpn", "--genkey", "secret", lab.path("static.key"))
    for proto in ("udp4", "udp6"):
        v = int(proto[-1])

        def end(ours, here, there):
            return lab.spawn(
                "openvpn", "--dev", "null", "--proto", proto, "--local", here, "--lport", 1194, "--remote", there, "--rport", 1194,
                "--secret", lab.path("static.key"), "--cipher", "AES-256-CBC", "--ping", 1, "--ping-exit", 20, "--verb", 3, ours=ours,
            )

        native, p = end(False, lab.peer[v], lab.me[v]), end(True, lab.me[v], lab.peer[v])
        for one in (p, native):
            one.wait_for("Peer Connection Initiated", 20)
            one.wait_for("Initialization Sequence Completed", 20)
        for one in (p, native):
            one.send(15)
            one.wait(20, status=None)
            has(one.out, r"SIGTERM\[hard,\] received, process exiting")


@test(v=(4, 6), need=("aria2c", "nginx"))
def aria2c(lab, v):
    """Parts of a file over several connections."""
    lab.tap()
    with open(lab.path("big.bin"), "wb") as f:
        for i in range(24):
            f.write(BODY[i:] + BODY[:i])
    port = nginx_peer(lab, v)
    done = lab.ours("aria2c", "--no-conf", "-x", 4, "-s", 4, "-k", "1M", "-d", lab.dir, "-o", "got", f"http://{url(lab.peer[v])}:{port}/big.bin")
    has(done.out, r"download completed")
    check(sha(lab.path("got")) == sha(lab.path("big.bin")), "contents", done)


def vsftpd(lab, v):
    """A native FTP server over the folder `ftp`, for anonymous users; answers the port."""
    lab.sh("mkdir -p ftp/up empty; chmod 755 ftp; chmod 777 ftp/up; mkdir -p /run/vsftpd/empty")
    conf = write(
        lab,
        "vsftpd.conf",
        f"listen{'_ipv6' if v == 6 else ''}=YES\nlisten{'' if v == 6 else '_ipv6'}=NO\nlisten_address{'6' if v == 6 else ''}={lab.peer[v]}\n"
        "listen_port=2121\nbackground=NO\nanonymous_enable=YES\nlocal_enable=NO\nwrite_enable=YES\nanon_upload_enable=YES\n"
        f"anon_root={lab.dir}/ftp\nno_anon_password=YES\nconnect_from_port_20=NO\nsecure_chroot_dir=/run/vsftpd/empty\nanon_umask=022\n"
        "pasv_enable=YES\nport_enable=YES\nport_promiscuous=YES\nseccomp_sandbox=NO\nftp_username=ftp\nftpd_banner=test\n",
    )
    lab.spawn("vsftpd", conf)
    lab.connect(v, 2121, "peer").close()
    return 2121


@test(v=(4, 6), need=("lftp", "vsftpd"))
def lftp(lab, v):
    """HTTP, and FTP with data connections to the server and from it."""
    lab.tap()
    digest, port = body_file(lab), http_peer(lab, v)
    lab.ours("lftp", "--norc", "-c", f"set net:max-retries 2; get -O {lab.dir} http://{url(lab.peer[v])}:{port}/file.bin -o got")
    check(sha(lab.path("got")) == digest, "contents over HTTP")
    port = vsftpd(lab, v)
    lab.sh("cp file.bin ftp/one.bin")
    for passive in ("true", "false"):
        lab.ours(
            "lftp", "--norc", "-c",
            f"set net:max-retries 2; set ftp:passive-mode {passive}; open ftp://{url(lab.peer[v])}:{port}; cls -1; get one.bin -o {lab.dir}/got-{passive}; "
            f"cd up; put {lab.dir}/file.bin -o put-{passive}",
        )
        check(sha(lab.path(f"got-{passive}")) == digest, "contents over FTP")
        check(sha(lab.path(f"ftp/up/put-{passive}")) == digest, "contents put")


@test(v=(4, 6), need=("w3m",))
def w3m(lab, v):
    lab.tap()
    write(lab, "page.html", "<html><title>t</title><body><h1>Head</h1><table border=1><tr><td>one<td>two</table></body></html>")
    port = http_peer(lab, v)
    done = lab.ours("w3m", "-dump", f"http://{url(lab.peer[v])}:{port}/page.html", env={"HOME": lab.dir, "TERM": "dumb"})
    has(done.out, r"^Head$")
    has(done.out, r"one\S*two")


@test(v=(4, 6), need=("ab", "nginx"))
def ab(lab, v):
    lab.tap()
    body_file(lab)
    write(lab, "small", "x" * 1000)
    port = nginx_peer(lab, v)
    for more in ([], ["-k"]):
        done = lab.ours("ab", "-q", "-n", 2000, "-c", 40, *more, f"http://{url(lab.peer[v])}:{port}/small")
        has(done.out, r"^Complete requests: +2000$")
        has(done.out, r"^Failed requests: +0$")
    done = lab.ours("ab", "-q", "-n", 40, "-c", 8, f"http://{url(lab.peer[v])}:{port}/file.bin")
    has(done.out, rf"^HTML transferred: +{40 * len(BODY)} bytes$")


@test(v=(4, 6), need=("wrk", "nginx"))
def wrk(lab, v):
    lab.tap()
    write(lab, "small", "x" * 1000)
    port = nginx_peer(lab, v)
    done = lab.ours("wrk", "-t", 2, "-c", 40, "-d", "1s", f"http://{url(lab.peer[v])}:{port}/small")
    count = int(has(done.out, r"(\d+) requests in ").group(1))
    check(count > 200 and "Socket errors" not in done.out and "Non-2xx" not in done.out, "requests", done)


@test(v=(4, 6), need=("h2load", "nginx"))
def h2load(lab, v):
    """HTTP/2, many streams in a connection."""
    lab.tap()
    write(lab, "small", "x" * 1000)
    port = nginx_peer(lab, v, " http2")
    done = lab.ours("h2load", "-n", 4000, "-c", 20, "-m", 20, "-t", 2, f"http://{url(lab.peer[v])}:{port}/small")
    has(done.out, r"4000 total, 4000 started, 4000 done, 4000 succeeded, 0 failed, 0 errored, 0 timeout")


@test(v=(4, 6), need="nmap")
def nmap(lab, v):
    """Scans by connecting, and by raw packets."""
    lab.tap()
    port = http_peer(lab, v)
    six = ["-6"] if v == 6 else []
    for kind in ("-sT", "-sS"):
        done = lab.ours("nmap", *six, "-n", "-Pn", kind, "-p", f"9,{port},9000-9020", "--reason", lab.peer[v], env={"HOME": lab.dir})
        has(done.out, rf"^{port}/tcp +open +http-alt +syn-ack")
        check(len(re.findall(r"^9\d*/tcp +closed +\S+ +(?:conn-refused|reset)", done.out, re.M)) == 22, "the closed ones", done)
    # Is it there? By ARP or neighbour discovery.
    done = lab.ours("nmap", *six, "-n", "-sn", lab.peer[v], env={"HOME": lab.dir})
    has(done.out, r"Host is up")
    has(done.out, r"^MAC Address: ")
