"""What outlives a logger: rastd's and PID 1's part, played by a test. Packets as in services/logger/protocol.h."""

import array, fcntl, os, re, select, socket, struct, subprocess, sys, tempfile, time

VERSION = 1
ADD, FLUSH, DROP, SYNC, REOPEN = 1, 2, 3, 4, 5
READY, SYNCED, TROUBLE, REFUSED = 64, 65, 66, 67
SYNC_PARTIAL, SYNC_DISK = 1, 2
REQUEST = struct.Struct("=HHIQQII64s")  # services/logger/protocol.h
EVENT = struct.Struct("=HHiiIQQ64s")
LINE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z ([^ ]+): (.*)\n\Z")


class Rig:
    """What outlives a logger: sockets, pipes, folders."""

    def __init__(self, program, services, size=0, files=0, log_dir=None):
        self.program, self.size, self.files = program, size, files
        self.top = tempfile.mkdtemp(prefix="rast-logger-")
        self.log_dir = log_dir or os.path.join(self.top, "log")
        self.run_dir = os.path.join(self.top, "run")
        os.makedirs(self.run_dir)
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.stage = os.pipe()
        self.pipes = {name: os.pipe() for name in services}
        self.process, self.token, self.events = None, 0, []

    def start(self, **env):
        fds = [self.theirs.fileno(), *self.stage]

        def place():
            high = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in fds]  # none of them is among 3 to 5 now
            for i, fd in enumerate(high):
                os.dup2(fd, 3 + i)

        self.process = subprocess.Popen([self.program, "--log-dir", self.log_dir, "--run-dir", self.run_dir], preexec_fn=place, close_fds=False, env={**os.environ, **env})

    def begin(self, **env):
        """A logger that knows all pipes."""
        self.start(**env)
        self.add_all()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.clean()

    def send(self, kind, name="", fd=None, token=0, flags=0):
        packet = REQUEST.pack(VERSION, kind, flags, token, self.size, self.files, 0, name.encode())
        rights = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        self.ours.sendmsg([packet], rights)

    def add_all(self):
        for name, (read, _) in self.pipes.items():
            self.send(ADD, name, read)

    def receive(self, timeout):
        self.ours.settimeout(timeout)
        v, kind, pid, error, _, token, lost, name = EVENT.unpack(self.ours.recv(EVENT.size))
        assert v == VERSION
        event = (kind, token, error, lost, name.rstrip(b"\0").decode())
        self.events.append(event)
        return event

    def wait_for(self, kind, token=None, timeout=10.0):
        end = time.monotonic() + timeout
        while True:
            event = self.receive(max(0.01, end - time.monotonic()))
            if event[0] == kind and (token is None or event[1] == token):
                return event

    def sync(self, flags=0):
        self.token += 1
        self.send(SYNC, token=self.token, flags=flags)
        return self.wait_for(SYNCED, self.token)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        assert self.process.wait(10) == 0, "rastlogd did not end in order"

    def text(self, name):
        """All of a service's log, oldest first."""
        names = [f"{name}.log.{i}" for i in range(99, 0, -1)] + [f"{name}.log"]
        data = b""
        for n in names:
            path = os.path.join(self.log_dir, n)
            if os.path.exists(path):
                with open(path, "rb") as f:
                    data += f.read()
        return data

    def lines(self, name, join=True):
        """join: pieces of a split line are put together. The pipes of a user who has very many of them are small, and split early (pipe(7))."""
        out, piece = [], b""
        for line in self.text(name).splitlines(keepends=True):
            m = LINE.match(line)
            assert m and m[1].decode() == name, f"{name}: a broken line: {line!r}"
            if join and m[2].endswith(b"\\"):
                piece += m[2][:-1]
                continue
            out.append(piece + m[2])
            piece = b""
        return out

    def clean(self):
        if self.process and self.process.poll() is None:
            self.kill()
        for fd in (*self.stage, *(fd for pipe in self.pipes.values() for fd in pipe)):
            os.close(fd)
        self.ours.close()
        self.theirs.close()
        subprocess.run(["rm", "-rf", self.top], check=True)


def check_numbers(name, lines, n, what):
    got = [int(l.split()[0]) for l in lines]
    if got == list(range(n)):
        return
    seen = set()
    doubled = [x for x in got if x in seen or seen.add(x)]
    missing = sorted(set(range(n)) - seen)
    sys.exit(f"FAIL {what}: {name}: {len(got)} lines for {n} numbers; missing {missing[:10]} ({len(missing)}), doubled {doubled[:10]} ({len(doubled)}), in order: {got == sorted(got)}")


def readable(sock):
    poll = select.poll()  # select() knows descriptors below 1024 only
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
