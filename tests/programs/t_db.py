"""PostgreSQL: a server of many processes over shared memory."""

import glob
import shutil

from lab import Skip, check, has, test, until


def tool(name):
    """A program of PostgreSQL's newest version."""
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))
    if not found:
        raise Skip(f"not installed: {name}")
    return found[-1]


def cluster(lab, addresses):
    """A fresh cluster in the lab's folder, which belongs to `postgres`."""
    shutil.chown(lab.dir, "postgres")
    lab.sh(f"setpriv --reuid postgres --regid postgres --clear-groups {tool('initdb')} -D data -A trust -U postgres --no-sync --no-locale >initdb.log")
    with open(lab.path("data/postgresql.conf"), "a") as f:
        f.write(
            f"listen_addresses = '{','.join(addresses)}'\nport = 5433\nunix_socket_directories = '{lab.dir}'\nfsync = off\nmax_connections = 60\n"
            "shared_buffers = 16MB\nlog_min_messages = warning\n"
        )
    with open(lab.path("data/pg_hba.conf"), "a") as f:
        f.write("host all all 0.0.0.0/0 trust\nhost all all ::0/0 trust\n")


AS_POSTGRES = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]


@test(v=(4, 6), need=("setpriv", "pg_lsclusters"), seconds=180)
def postgres_server(lab, v):
    """A process for each connection, LISTEN and NOTIFY, cancelling, a parallel query; psql and pgbench are native."""
    lab.as_user("postgres").tap()
    cluster(lab, [lab.me[v], "127.0.0.1"])
    p = lab.spawn(tool("postgres"), "-D", lab.path("data"), ours=True)
    lab.connect(v, 5433, seconds=40).close()
    psql = [tool("psql"), "-X", "-q", "-A", "-t", "-U", "postgres", "-h", lab.me[v], "-p", 5433, "-v", "ON_ERROR_STOP=1"]
    until(lambda: lab.run(*psql, "-c", "select 1", status=None).status == 0, 30, "the server has started")
    done = lab.run(*psql, "-c", "select inet_client_addr(), inet_server_port()")
    check(done.out == f"{lab.peer[v]}|5433\n", "who and where", done, p)
    lab.run(*psql, "-c", "create table t as select generate_series(1, 50000) as n, repeat('x', 50) as s")
    done = lab.run(*psql, "-c", "copy t to stdout")
    check(done.out.count("\n") == 50000, "a copy out", done.err)
    lab.run(*psql, "-c", "copy t from stdin", input=done.out)
    check(lab.run(*psql, "-c", "select count(*) from t").out == "100000\n", "a copy in")
    done = lab.run(*psql, "-c", "set statement_timeout = 300; select pg_sleep(20)", status=1)
    has(done.err, r"canceling statement due to statement timeout")
    bench(lab, lab.me[v], False)
    p.send(2)
    p.wait(30)


@test(v=(4, 6), need=("setpriv", "pg_lsclusters"), seconds=180)
def postgres_clients(lab, v):
    """psql and pgbench are ours."""
    lab.tap()
    cluster(lab, [lab.peer[v]])
    p = lab.spawn(*AS_POSTGRES, tool("postgres"), "-D", lab.path("data"))
    lab.connect(v, 5433, "peer", seconds=40).close()
    until(lambda: lab.run(tool("pg_isready"), "-h", lab.peer[v], "-p", 5433, status=None).status == 0, 30, "the server has started")
    done = lab.ours(tool("psql"), "-X", "-q", "-A", "-t", "-U", "postgres", "-h", lab.peer[v], "-p", 5433, "-c", "select inet_client_addr()")
    check(done.out == f"{lab.me[v]}\n", "who", done)
    bench(lab, lab.peer[v], True)
    # Killed, it would leave shared memory behind.
    p.send(2)
    p.wait(30)


def bench(lab, host, ours):
    args = ["-U", "postgres", "-h", host, "-p", 5433]
    lab.run(tool("pgbench"), *args, "-q", "-i", "-s", 1, "postgres", ours=ours, seconds=90)
    for more in ([], ["-C", "-S"]):
        done = lab.run(tool("pgbench"), *args, "-c", 10, "-j", 2, "-t", 40, "-n", *more, "postgres", ours=ours, seconds=90)
        has(done.out, r"number of transactions actually processed: 400/400")
        has(done.out, r"number of failed transactions: 0 ")
