#!/usr/bin/python3
"""Checks the cases of this folder on the host's own kernel, as root, on a tmpfs. With --write, puts in what it answers."""
import ctypes, errno, os, re, struct, subprocess, sys, tempfile

libc = ctypes.CDLL(None, use_errno=True)
O = {n.lower()[2:]: getattr(os, n) for n in dir(os) if n.startswith('O_')}


def raw(number, *args):
    if libc.syscall(number, *args) < 0:
        raise OSError(ctypes.get_errno(), '')


def name(w):
    if w == '@':
        return b''
    w = re.sub(r'(.)\*(\d+)', lambda m: m[1] * int(m[2]), w)
    return re.sub(rb'%(..)', lambda m: bytes([int(m[1], 16)]), w.encode())


def show(b):
    return (b if isinstance(b, str) else b.decode('utf-8', 'replace')) if b else '@'


def value(w):
    if not w.startswith('acl:'):
        return name(w)
    out = struct.pack('<I', 2)
    for e in filter(None, w[4:].split(',')):
        t, i, p = e.split(':')
        tag = {'u': 2 if i else 1, 'g': 8 if i else 4, 'm': 16, 'o': 32}[t]
        out += struct.pack('<HHI', tag, int(p), int(i) if i else 0xffffffff)
    return out


def show_value(b):
    if b[:4] != b'\2\0\0\0':
        return show(b)
    entries = []
    for at in range(4, len(b), 8):
        tag, perm, i = struct.unpack('<HHI', b[at:at + 8])
        t = {1: 'u', 2: 'u', 4: 'g', 8: 'g', 16: 'm', 32: 'o'}[tag]
        entries.append(f"{t}:{'' if i == 0xffffffff else i}:{perm}")
    return 'acl:' + ','.join(entries)


def stat(s):
    return f'{s.st_mode:o} {s.st_uid}:{s.st_gid} n{s.st_nlink}'


class Program:
    def __init__(self):
        self.held, self.root = [], os.open('/', os.O_PATH)

    def run(self, line):
        w = line.split() + [''] * 6
        a, b, op = name(w[1]), name(w[2]), w[0]
        octal = lambda i: int(w[i], 8)
        if op == 'as':
            ids = [int(n) for n in w[1].split(',')]
            libc.setfsuid(0)
            os.seteuid(0)
            os.setgroups(ids[2:])
            os.setegid(ids[1])
            os.seteuid(ids[0])
        elif op == 'umask': os.umask(octal(1))
        elif op == 'cd': os.chdir(a)
        elif op == 'cwd': return os.getcwd()
        elif op == 'mkdir': os.mkdir(a, octal(2))
        elif op == 'mknod': os.mknod(a, octal(2), os.makedev(int(w[3] or 0), int(w[4] or 0)))
        elif op == 'symlink': os.symlink(a, b)
        elif op == 'link': raw(265, -100, a, -100, b, int(w[3] or 0))
        elif op == 'unlink': os.unlink(a)
        elif op == 'rmdir': os.rmdir(a)
        elif op == 'rename': raw(316, -100, a, -100, b, int(w[3] or 0))
        elif op == 'chmod': os.chmod(a, octal(2))
        elif op in ('chown', 'lchown'): getattr(os, op)(a, int(w[2]) if w[2] != '-' else -1, int(w[3]) if w[3] != '-' else -1)
        elif op == 'truncate': os.truncate(a, int(w[2]))
        elif op == 'access': raw(439, -100, a, octal(2), 0x200)
        elif op == 'utime':
            of = {'now': (0, 0x3fffffff), 'omit': (0, 0x3ffffffe)}
            times = sum((of.get(x, (1000000, 5)) for x in w[2:4]), ())
            raw(280, -100, a, struct.pack('qqqq', *times), 0)
        elif op == 'stat': return stat(os.stat(a))
        elif op == 'lstat': return stat(os.lstat(a))
        elif op == 'size': return str(os.stat(a).st_size)
        elif op == 'mtime':
            ns = os.stat(a).st_mtime_ns
            return f'({ns // 10**9},{ns % 10**9})'
        elif op == 'readlink': return show(os.readlink(a))
        elif op in ('open', 'hold'):
            flags = 0
            for f in w[2].split('|'):
                flags |= O[f]
            if not flags & os.O_NONBLOCK and a != b'' and not flags & os.O_PATH:
                try:
                    if (os.stat(a).st_mode & 0o170000) == 0o010000:
                        flags |= os.O_NONBLOCK
                except OSError:
                    pass
            fd = os.open(a, flags, octal(3) if w[3] else 0)
            kind = os.fstat(fd).st_mode & 0o170000
            if op == 'hold':
                self.held.append(fd)
            else:
                os.close(fd)
            if not flags & os.O_PATH and kind in (0o010000, 0o020000, 0o060000):
                return {0o010000: 'Fifo', 0o020000: 'CharDevice', 0o060000: 'BlockDevice'}[kind]
        elif op == 'put':
            fd = os.open(a, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            try: return str(os.write(fd, b))
            finally: os.close(fd)
        elif op == 'cat':
            fd = os.open(a, os.O_RDONLY)
            try: return show(os.read(fd, 4096))
            finally: os.close(fd)
        elif op == 'ls':
            fd = os.open(a, os.O_RDONLY | os.O_DIRECTORY)
            try: raw(217, fd, ctypes.create_string_buffer(4096), 4096)
            finally: os.close(fd)
            return ' '.join(sorted(['.', '..'] + [show(n) for n in os.listdir(a)]))
        elif op == 'fput': return str(os.write(self.held[int(w[1])], b))
        elif op == 'ftruncate': os.ftruncate(self.held[int(w[1])], int(w[2]))
        elif op == 'fstat': return stat(os.fstat(self.held[int(w[1])]))
        elif op == 'flink': raw(265, self.held[int(w[1])], b'', -100, b, 0x1000)
        elif op in ('lock', 'getlock'):
            import fcntl
            kind, whence, start, length = map(int, w[2:6])
            lock = struct.pack('hhqqi4x', kind, whence, start, length, 0)
            got = fcntl.fcntl(self.held[int(w[1])], 37 if op == 'lock' else 36, lock)
            kind, whence, start, length, pid = struct.unpack('hhqqi4x', got)
            if op == 'getlock':
                return 'free' if kind == 2 else f'{kind} {whence} {start} {length} {pid}'
        elif op == 'seek':
            os.lseek(self.held[int(w[1])], int(w[2]), 0)
            return str(os.lseek(self.held[int(w[1])], int(w[3]), int(w[4])))
        elif op == 'fallocate':
            raw(285, self.held[int(w[1])], int(w[2]), *(ctypes.c_long(int(n)) for n in w[3:5]))
        elif op == 'copy':
            at, to = ctypes.c_long(int(w[2])), ctypes.c_long(int(w[4]))
            n = libc.syscall(326, self.held[int(w[1])], ctypes.byref(at), self.held[int(w[3])], ctypes.byref(to),
                             ctypes.c_long(int(w[5])), 0)
            if n < 0:
                raise OSError(ctypes.get_errno(), '')
            return str(n)
        elif op == 'flags':
            import fcntl
            fd = os.open(a, os.O_RDONLY)
            fcntl.ioctl(fd, 0x40086602, struct.pack('l', {'i': 0x10, 'a': 0x20}[w[2]]))
            os.close(fd)
            self.flagged = getattr(self, 'flagged', []) + [a]
        elif op == 'close':
            for fd in self.held: os.close(fd)
            self.held = []
        elif op == 'open2':
            flags = 0
            for f in w[2].split('|'):
                flags |= O[f]
            at = self.held[int(w[4])] if w[4] else -100
            how = struct.pack('QQQ', flags, octal(5) if w[5] else 0, int(w[3]))
            fd = libc.syscall(437, at, a, how, 24)
            if fd < 0:
                raise OSError(ctypes.get_errno(), '')
            os.close(fd)
        elif op in ('mount', 'bind', 'rbind', 'move', 'remount', 'bremount'):
            source, target, flags, data = {
                'mount': lambda: (a, b, int(w[3]), w[4].encode()),
                'bind': lambda: (a, b, 4096, b''), 'rbind': lambda: (a, b, 4096 | 16384, b''),
                'move': lambda: (a, b, 8192, b''), 'remount': lambda: (b'none', a, 32 | int(w[2]), b''),
                'bremount': lambda: (b'none', a, 32 | 4096 | int(w[2]), b'')}[op]()
            if libc.mount(source, target, a if op == 'mount' else None, ctypes.c_ulong(flags), data or None) < 0:
                raise OSError(ctypes.get_errno(), '')
        elif op == 'umount':
            if libc.umount2(a, int(w[2])) < 0:
                raise OSError(ctypes.get_errno(), '')
        elif op == 'setx':
            os.setxattr(a, b, value(w[3]), {'create': 1, 'replace': 2}.get(w[4], 0), follow_symlinks=False)
        elif op == 'getx': return show_value(os.getxattr(a, b, follow_symlinks=False))
        elif op == 'rmx': os.removexattr(a, b, follow_symlinks=False)
        elif op == 'listx': return ' '.join(sorted(os.listxattr(a, follow_symlinks=False))) or '@'
        elif op == 'flock':
            import fcntl
            fcntl.flock(self.held[int(w[1])], int(w[2]) | 4)
        else: sys.exit('what is ' + line)
        return '0'


def answers(lines):
    """What this kernel answers to the lines of one case, in a root directory of their own."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        with tempfile.TemporaryDirectory() as top:
            libc.unshare(0x20000)
            subprocess.run(['mount', '--make-rprivate', '/'], check=True)
            subprocess.run(['mount', '-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', top], check=True)
            child = os.fork()
            if child == 0:
                os.chroot(top)
                os.chdir('/')
                os.umask(0)
                p, out = Program(), []
                for line in lines:
                    try: out.append(p.run(line))
                    except OSError as e: out.append(errno.errorcode[e.errno].replace('ENOTSUP', 'EOPNOTSUPP'))
                os.write(w, '\n'.join(out).encode())
                os._exit(0)
            os.waitpid(child, 0)
            subprocess.run(['umount', '-l', top])
        os._exit(0)
    os.close(w)
    with os.fdopen(r, 'rb') as f:
        text = f.read().decode(errors='replace')
    os.waitpid(pid, 0)
    return text.split('\n')


def main():
    subprocess.run('echo 0 > /proc/sys/fs/protected_hardlinks; echo 0 > /proc/sys/fs/protected_regular; '
                   'echo 0 > /proc/sys/fs/protected_fifos; echo 0 > /proc/sys/fs/protected_symlinks', shell=True)
    write = '--write' in sys.argv
    wrong = 0
    for path in [p for p in sys.argv[1:] if not p.startswith('-')]:
        lines = open(path).read().split('\n')
        cases, new = [], list(lines)
        for i, line in enumerate(lines):
            if line.startswith('=='):
                cases.append([])
            elif line.strip() and not line.startswith('#'):
                cases[-1] += [(i, c.strip()) for c in line.split(' ; ')]
                new[i] = None
        for case in cases:
            commands = [c.partition(' = ')[0] for _, c in case]
            got = answers(commands)
            if len(got) != len(case):
                sys.exit(f'{path}: {commands[0]}...: {got}')
            for (i, c), command, answer in zip(case, commands, got):
                expected = c.partition(' = ')[2].strip() or '0'
                if answer != expected:
                    wrong += 1
                    if not write:
                        print(f'{path}:{i + 1}: {command}: {answer}, not {expected}')
                told = command + ('' if answer == '0' else ' = ' + answer)
                new[i] = told if new[i] is None else new[i] + ' ; ' + told
        if write:
            open(path, 'w').write('\n'.join(new))
    print(wrong, 'changed' if write else 'wrong')


main()
