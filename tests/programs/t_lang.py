"""What languages bring along to talk over the network, in one process each."""

from lab import check, has, test, url
from t_servers import write
from t_tcp import BODY, body_file, echo, http_peer, sha

NODE_SERVER = """
const http = require('http'), fs = require('fs');
const body = fs.readFileSync(process.argv[2]);
http.createServer((q, r) => {
  if (q.method === 'POST') { let n = 0; q.on('data', d => n += d.length); q.on('end', () => r.end(`got ${n}\\n`)); }
  else if (q.url === '/whoami') r.end(q.socket.remoteAddress + '\\n');
  else r.end(body);
}).listen(8090, process.argv[3], () => console.log('listening'));
process.on('SIGTERM', () => process.exit(0));
"""

NODE_CLIENT = """
const http = require('http'), crypto = require('crypto'), net = require('net'), dgram = require('dgram');
const [base, host, port] = process.argv.slice(2);
const agent = new http.Agent({ keepAlive: true, maxSockets: 10 });
const get = () => new Promise((ok, no) => http.get(base + '/file.bin', { agent }, r => {
  const h = crypto.createHash('sha256');
  r.on('data', d => h.update(d)); r.on('end', () => ok(h.digest('hex'))); r.on('error', no);
}).on('error', no));
const refused = () => new Promise(ok => net.connect(9, host).on('error', e => ok(e.code)));
const echo = () => new Promise((ok, no) => {
  const s = net.connect(+port, host, () => s.end('x'.repeat(300000)));
  let n = 0; s.on('data', d => n += d.length); s.on('end', () => ok(n)); s.on('error', no);
});
const udp = () => new Promise((ok, no) => {
  const type = host.includes(':') ? 'udp6' : 'udp4', a = dgram.createSocket(type), b = dgram.createSocket(type);
  a.on('message', (m, who) => { ok(m + ' ' + who.size); a.close(); b.close(); });
  a.bind(0, host.includes(':') ? '::1' : '127.0.0.1', () => b.send('dgram', a.address().port, a.address().address));
});
(async () => {
  const all = await Promise.all(Array.from({ length: 30 }, get));
  console.log(new Set(all).size, all[0], await refused(), await echo(), await udp());
  process.exit(0);
})();
"""


@test(v=(4, 6), need=("node", "curl"))
def node_server(lab, v):
    lab.tap()
    digest = body_file(lab)
    p = lab.spawn("node", write(lab, "server.js", NODE_SERVER), lab.path("file.bin"), lab.me[v], ours=True)
    p.wait_for("listening", 30)
    base = f"http://{url(lab.me[v])}:8090"
    lab.run("curl", "-sS", "-Z", *[a for i in range(20) for a in ("-o", f"got{i}", f"{base}/file.bin")])
    check(all(sha(lab.path(f"got{i}")) == digest for i in range(20)), "contents")
    check(lab.run("curl", "-sS", f"{base}/whoami").out == lab.peer[v] + "\n", "the peer's address")
    check(lab.run("curl", "-sS", "--data-binary", "@file.bin", f"{base}/").out == f"got {len(BODY)}\n", "what was posted")
    p.send(15)
    p.wait(20)


@test(v=(4, 6), need="node")
def node_client(lab, v):
    lab.tap()
    digest, port, back = body_file(lab), http_peer(lab, v), lab.server(v, echo)
    done = lab.ours("node", write(lab, "client.js", NODE_CLIENT), f"http://{url(lab.peer[v])}:{port}", lab.peer[v], back)
    check(done.out == f"1 {digest} ECONNREFUSED 300000 dgram 5\n", "what it saw", done)


JAVA = """
import com.sun.net.httpserver.HttpServer;
import java.net.*;
import java.net.http.*;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;

public class Http {
    public static void main(String[] a) throws Exception {
        if (a[0].equals("server")) {
            byte[] body = Files.readAllBytes(Path.of(a[1]));
            HttpServer s = HttpServer.create(new InetSocketAddress(a[2], 8091), 50);
            s.setExecutor(Executors.newFixedThreadPool(8));
            s.createContext("/", x -> {
                boolean who = x.getRequestURI().getPath().equals("/whoami");
                byte[] b = who ? (x.getRemoteAddress().getAddress().getHostAddress() + "\\n").getBytes() : body;
                x.sendResponseHeaders(200, b.length);
                x.getResponseBody().write(b);
                x.close();
            });
            s.start();
            System.out.println("listening");
            return;
        }
        HttpClient c = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        List<CompletableFuture<byte[]>> all = new ArrayList<>();
        for (int i = 0; i < 20; i++)
            all.add(c.sendAsync(HttpRequest.newBuilder(URI.create(a[1])).build(), HttpResponse.BodyHandlers.ofByteArray()).thenApply(HttpResponse::body));
        byte[] want = Files.readAllBytes(Path.of(a[2]));
        int good = 0;
        for (var f : all) if (Arrays.equals(f.get(), want)) good++;
        System.out.println("good " + good);
        try (Socket s = new Socket()) { s.connect(new InetSocketAddress(a[3], 9), 5000); }
        catch (ConnectException e) { System.out.println("refused"); }
        ServerSocket l = new ServerSocket(0, 5, InetAddress.getLoopbackAddress());
        l.setSoTimeout(100);
        try { l.accept(); } catch (SocketTimeoutException e) { System.out.println("timeout"); }
        for (NetworkInterface n : Collections.list(NetworkInterface.getNetworkInterfaces())) System.out.println(n.getName() + " " + n.getMTU());
        System.exit(0);
    }
}
"""
# Started fast rather than run fast.
JAVA_OPTIONS = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"]


@test(v=(4, 6), need=("java", "curl"), seconds=180)
def java_server(lab, v):
    lab.tap()
    digest = body_file(lab)
    p = lab.spawn("java", *JAVA_OPTIONS, write(lab, "Http.java", JAVA), "server", lab.path("file.bin"), lab.me[v], ours=True)
    p.wait_for("listening", 60)
    base = f"http://{url(lab.me[v])}:8091"
    lab.run("curl", "-sS", "-Z", *[a for i in range(20) for a in ("-o", f"got{i}", f"{base}/file.bin")])
    check(all(sha(lab.path(f"got{i}")) == digest for i in range(20)), "contents")
    who = lab.run("curl", "-sS", f"{base}/whoami").out
    check(who == {4: "10.7.0.1\n", 6: "fd07:0:0:0:0:0:0:1%eth0\n"}[v] or who == "fd07:0:0:0:0:0:0:1\n", "the peer's address", who)
    p.send(15)
    p.wait(20, status=143)


@test(v=(4, 6), need="java", seconds=180)
def java_client(lab, v):
    lab.tap()
    body_file(lab)
    port = http_peer(lab, v)
    done = lab.ours(
        "java", *JAVA_OPTIONS, write(lab, "Http.java", JAVA), "client", f"http://{url(lab.peer[v])}:{port}/file.bin", lab.path("file.bin"), lab.peer[v], seconds=100
    )
    check(done.out.startswith("good 20\nrefused\ntimeout\n"), "what it saw", done)
    has(done.out, r"^eth0 1500$")
    has(done.out, r"^lo 65536$")


PERL = """
use strict; use warnings; use IO::Socket::IP; use IO::Select; use Socket qw(SOL_SOCKET SO_KEEPALIVE);
my ($kind, $host, $port) = @ARGV;
if ($kind eq 'client') {
    my $s = IO::Socket::IP->new(PeerHost => $host, PeerPort => $port, Type => SOCK_STREAM, Timeout => 10) or die "connect: $@";
    $s->setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1) or die $!;
    $s->autoflush(1);
    my $peer = $s->peerhost;
    print $s "line $_\\n" for 1 .. 2000;
    $s->shutdown(1);
    my $n = 0;
    while (<$s>) { $n++; die "line $n: $_" unless $_ eq "line $n\\n" }
    print "lines $n from $peer\\n";
    my $r = IO::Socket::IP->new(PeerHost => $host, PeerPort => 9, Type => SOCK_STREAM, Timeout => 10);
    print defined $r ? "connected" : 'refused: ' . ($!{ECONNREFUSED} ? 1 : 0), "\\n";
    exit 0;
}
my $l = IO::Socket::IP->new(LocalHost => $host, LocalPort => $port, Listen => 20, Type => SOCK_STREAM, ReuseAddr => 1) or die "listen: $@";
$| = 1;
print "listening\\n";
my $all = IO::Select->new($l);
while (1) {
    for my $s ($all->can_read) {
        if ($s == $l) { $all->add(scalar $l->accept); next }
        if (sysread $s, my $data, 65536) { syswrite $s, uc $data } else { $all->remove($s); close $s }
    }
}
"""


def upper(lab, v, port, n=20):
    """Many connections to a server that answers in capital letters."""
    all_ = [lab.connect(v, port) for _ in range(n)]
    for i, c in enumerate(all_):
        c.sendall(b"hello %d" % i)
    for i, c in enumerate(all_):
        want, data = b"HELLO %d" % i, b""
        while len(data) < len(want):
            more = c.recv(100)
            check(more, "end of file too early")
            data += more
        check(data == want, "the answer", data)
        c.close()


@test(v=(4, 6), need="perl")
def perl(lab, v):
    lab.tap()
    program = write(lab, "p.pl", PERL)
    back = lab.server(v, echo)
    done = lab.ours("perl", program, "client", lab.peer[v], back)
    check(done.out == f"lines 2000 from {lab.peer[v]}\nrefused: 1\n", "the client", done)
    p = lab.spawn("perl", program, "server", lab.me[v], 8092, ours=True)
    p.wait_for("listening")
    upper(lab, v, 8092)


RUBY = """
require 'socket'
kind, host, port = ARGV
if kind == 'client'
  s = TCPSocket.new(host, port.to_i)
  peer = s.peeraddr[3]
  t = Thread.new { 2000.times { |i| s.puts "line #{i}" }; s.close_write }
  n = 0
  s.each_line { |l| raise l unless l == "line #{n}\\n"; n += 1 }
  t.join
  puts "lines #{n} from #{peer}"
  begin; TCPSocket.new(host, 9); rescue Errno::ECONNREFUSED; puts 'refused'; end
  begin; Socket.tcp(host, port.to_i, connect_timeout: 5) { |c| c.write_nonblock('x'); puts c.wait_readable(5) ? c.readpartial(10) : 'nothing' }; end
  u = UDPSocket.new(host.include?(':') ? Socket::AF_INET6 : Socket::AF_INET)
  u.bind(host.include?(':') ? '::1' : '127.0.0.1', 0)
  u.send('dgram', 0, u.addr[3], u.addr[1])
  puts u.recvfrom(100)[0]
  puts Socket.getifaddrs.map(&:name).uniq.sort.join(' ')
  exit
end
l = TCPServer.new(host, port.to_i)
$stdout.sync = true
puts 'listening'
loop { c = l.accept; Thread.new { begin; loop { c.write(c.readpartial(65536).upcase) }; rescue EOFError; c.close; end } }
"""


@test(v=(4, 6), need="ruby")
def ruby(lab, v):
    lab.tap()
    program = write(lab, "p.rb", RUBY)
    back = lab.server(v, echo)
    done = lab.ours("ruby", program, "client", lab.peer[v], back)
    check(done.out == f"lines 2000 from {lab.peer[v]}\nrefused\nx\ndgram\neth0 lo\n", "the client", done)
    p = lab.spawn("ruby", program, "server", lab.me[v], 8093, ours=True)
    p.wait_for("listening")
    upper(lab, v, 8093)


PHP = """<?php
if (PHP_SAPI === 'cli') {
    echo hash('sha256', file_get_contents($argv[1])), "\\n";
    $s = stream_socket_client("tcp://$argv[2]", $no, $why, 10);
    stream_set_blocking($s, false);
    fwrite($s, str_repeat('x', 5000));
    $got = '';
    while (strlen($got) < 5000) {
        $r = [$s]; $w = $e = null;
        if (stream_select($r, $w, $e, 10) < 1) break;
        $got .= fread($s, 65536);
    }
    echo strlen($got), "\\n";
    echo @stream_socket_client("tcp://$argv[3]", $no, $why, 10) ? 'connected' : $why, "\\n";
} else {
    echo "$_SERVER[REMOTE_ADDR] ", strlen(file_get_contents('php://input')), "\\n";
}
"""


@test(v=(4, 6), need=("php", "curl"))
def php(lab, v):
    """Its built-in server, and streams as a client."""
    lab.tap()
    digest, port, back = body_file(lab), http_peer(lab, v), lab.server(v, echo)
    program = write(lab, "p.php", PHP)
    peer, me = url(lab.peer[v]), url(lab.me[v])
    done = lab.ours("php", "-n", program, f"http://{peer}:{port}/file.bin", f"{peer}:{back}", f"{peer}:9")
    check(done.out == f"{digest}\n5000\nConnection refused\n", "the client", done)
    p = lab.spawn("php", "-n", "-S", f"{me}:8094", "-t", lab.dir, ours=True)
    lab.connect(v, 8094).close()
    lab.run("curl", "-sS", "-o", "got", f"http://{me}:8094/file.bin")
    check(sha(lab.path("got")) == digest, "contents", p)
    done = lab.run("curl", "-sS", "-d", "x" * 30000, f"http://{me}:8094/p.php")
    check(done.out == f"{lab.peer[v]} 30000\n", "what the script says", done, p)
