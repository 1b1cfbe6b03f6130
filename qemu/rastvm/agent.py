"""The host's side of tests/helpers/rast-guest.c: commands in the guest, over a virtio-serial port."""
import os
import struct
import threading
import time

RUN, KILL, RESUME, HELLO, OUT, ERR, EXIT = 1, 2, 3, 16, 17, 18, 19
HEAD = struct.Struct("<HHII")
MAGIC = 0x4152
NEW_AGENT = HEAD.pack(MAGIC, HELLO, 0, 0)


class Result:
    """What a command did: status is its exit status, or minus the signal that ended it."""

    def __init__(self, command, status, out, err):
        self.command, self.status, self.out_bytes, self.err_bytes = command, status, out, err

    @property
    def ok(self):
        return self.status == 0

    @property
    def out(self):
        return self.out_bytes.decode(errors="replace")

    @property
    def err(self):
        return self.err_bytes.decode(errors="replace")

    def __repr__(self):
        return f"`{self.command}` ended with {self.status}\n--- stdout\n{self.out[-3000:]}\n--- stderr\n{self.err[-3000:]}"


class Gone(Exception):
    """The guest, or its agent, is gone or never came."""


class Job:
    def __init__(self):
        self.out, self.err, self.status = bytearray(), bytearray(), None


class Agent:
    """Owns its end of the socket. A thread reads; every call that waits is bounded."""

    def __init__(self, sock):
        self.sock, self.jobs, self.next_id = sock, {}, 1
        self.changed = threading.Condition()
        self.hellos, self.closed = 0, False
        threading.Thread(target=self._reader, daemon=True).start()

    def _reader(self):
        data = bytearray()
        while True:
            try:
                piece = self.sock.recv(1 << 16)
            except OSError:
                piece = b""
            with self.changed:
                if not piece:
                    self.closed = True
                    self.changed.notify_all()
                    return
                data += piece
                self._frames(data)
                self.changed.notify_all()

    def _frames(self, data):
        """An agent that was killed may have left half a frame: go on at the next one."""
        while len(data) >= HEAD.size:
            magic, kind, ident, length = HEAD.unpack_from(data)
            if magic != MAGIC or kind not in (HELLO, OUT, ERR, EXIT):
                del data[:1]
                continue
            if len(data) < HEAD.size + length:
                if not data.endswith(NEW_AGENT):
                    return
                del data[:-HEAD.size]  # no more of that frame will come: its sender is gone, and the next agent has said hello
                continue
            payload = bytes(data[HEAD.size:HEAD.size + length])
            del data[:HEAD.size + length]
            self._frame(kind, ident, payload)

    def _frame(self, kind, ident, payload):
        if kind == HELLO:
            self.hellos += 1
            for job in self.jobs.values():
                job.status = job.status if job.status is not None else "lost"
            return
        job = self.jobs.setdefault(ident, Job())
        if kind == OUT:
            job.out += payload
        elif kind == ERR:
            job.err += payload
        else:
            status = struct.unpack("<i", payload)[0]
            job.status = os.waitstatus_to_exitcode(status)

    def wait_ready(self, timeout, after=0):
        """after: so many agents have been there before the one that is waited for."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.hellos > after or self.closed, timeout) or self.hellos <= after:
                raise Gone("the guest's agent did not answer" + (": the machine has stopped" if self.closed else f" within {timeout} s"))

    def resume(self):
        """Say to an agent whose machine was saved and restored that time has passed: it answers with a HELLO."""
        self.sock.sendall(HEAD.pack(MAGIC, RESUME, 0, 8 + 32) + struct.pack("<q", time.time_ns()) + os.urandom(32))

    def start(self, argv, stdin=b""):
        with self.changed:
            ident = self.next_id
            self.next_id += 1
            self.jobs[ident] = Job()
        payload = b"".join(a.encode() + b"\0" for a in argv) + b"\0" + stdin
        try:
            self.sock.sendall(HEAD.pack(MAGIC, RUN, ident, len(payload)) + payload)
        except OSError as e:
            raise Gone(f"the machine has stopped before `{argv[-1]}` could be sent") from e
        return ident

    def wait(self, ident, command, timeout):
        end = time.monotonic() + timeout
        job = self.jobs[ident]
        with self.changed:
            self.changed.wait_for(lambda: job.status is not None or self.closed, max(0, end - time.monotonic()))
            if job.status is None or job.status == "lost":
                why = "the guest's agent was restarted" if job.status == "lost" else "the machine has stopped" if self.closed else f"no end within {timeout} s"
                raise Gone(f"`{command}`: {why}\n--- stdout\n{job.out.decode(errors='replace')[-3000:]}\n--- stderr\n{job.err.decode(errors='replace')[-3000:]}")
            del self.jobs[ident]
        return Result(command, job.status, bytes(job.out), bytes(job.err))

    def kill(self, ident):
        self.sock.sendall(HEAD.pack(MAGIC, KILL, ident, 0))
