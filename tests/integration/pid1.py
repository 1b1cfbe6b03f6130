#!/usr/bin/python3
"""PID 1 by itself: rastinit in namespaces of its own, with a supervisor that does what the test says."""
import array
import ctypes
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))
from machine import run  # noqa: E402

INIT = os.environ.get("RAST_INIT") or os.environ.get("RAST_STAGE", "") + "/usr/lib/rastos/rastinit"
HEAD = struct.Struct("=HHIQQQ")
ENTRY = struct.Struct("=80sI")
EXIT = struct.Struct("=QQiiiI")
HELLO, ACK, FD_STORE, FD_DROP, STATUS, SHUTDOWN, SHUTDOWN_BEGIN, BOOTED, ALIVE, IDLE = range(1, 11)
FD_ENTRY, EXITED, READY, POWER, SIGNAL = range(64, 69)
POWEROFF, REBOOT, HALT, KEXEC, SOFT_EXIT = range(1, 6)
CLD_EXITED, CLD_KILLED = 1, 2


class Packet:
    def __init__(self, data, fds):
        _, self.type, n, self.seq, self.arg, self.arg2 = HEAD.unpack_from(data)
        self.payload, self.fds = data[HEAD.size:HEAD.size + n], fds

    def exits(self):
        return [EXIT.unpack_from(self.payload, i)[:5] for i in range(0, len(self.payload), EXIT.size)]

    def entries(self):
        out, at = {}, 0
        for i in range(0, len(self.payload), ENTRY.size):
            name, n = ENTRY.unpack_from(self.payload, i)
            out[name.split(b"\0")[0].decode()] = self.fds[at:at + n]
            at += n
        return out


class Supervisor:
    """One instance of the relay: what it is sent, and what it says."""

    def __init__(self, conn):
        self.conn = conn
        self.pid = int(conn.recv(100).split()[1])  # inside
        self.host_pid = struct.unpack("iii", conn.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]

    def send(self, kind, payload=b"", arg=0, arg2=0, seq=0, fds=()):
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.conn.sendmsg([HEAD.pack(1, kind, len(payload), seq, arg, arg2) + payload], control)

    def receive(self, timeout=10):
        if self.quiet(timeout):
            raise AssertionError("PID 1 sends nothing")
        data, control, _, _ = self.conn.recvmsg(16384, socket.CMSG_SPACE(4 * 128))
        if not data:
            raise EOFError
        fds = array.array("i")
        for level, kind, raw in control:
            if kind == socket.SCM_RIGHTS:
                fds.frombytes(raw)
        return Packet(data, list(fds))

    def hello(self):
        """(entries, exits, how many times a supervisor was started)"""
        self.send(HELLO)
        entries, exits = {}, []
        while True:
            p = self.receive()
            if p.type == FD_ENTRY:
                entries.update(p.entries())
            elif p.type == EXITED:
                exits += p.exits()
            elif p.type == READY:
                return entries, exits, p.arg

    def store(self, **entries):
        payload = b"".join(ENTRY.pack(n.encode(), len(f)) for n, f in entries.items())
        self.send(FD_STORE, payload, fds=[fd for f in entries.values() for fd in f])

    def wait(self, kind, timeout=10):
        while True:
            p = self.receive(timeout)
            if p.type == kind:
                return p

    def quiet(self, seconds):
        """Nothing comes for so long."""
        poll = select.poll()
        poll.register(self.conn, select.POLLIN)
        return not poll.poll(seconds * 1000)

    def kill(self):
        os.kill(self.host_pid, signal.SIGKILL)


def cgroup2_root():
    """Where the host has the v2 hierarchy, None if nowhere."""
    mounts = [line.split() for line in pathlib.Path("/proc/self/mounts").read_text().splitlines()]
    return next((m[1] for m in mounts if m[2] == "cgroup2"), None)


class Pid1:
    def __init__(self, cmdline="", container=False):
        """container: as a container's runtime would start it, in a cgroup of its own, to mount by itself what it lacks."""
        self.dir = tempfile.mkdtemp(prefix="rast-pid1-")
        self.listen = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listen.bind(self.dir + "/s")
        self.listen.listen(64)
        self.out = open(self.dir + "/console", "w+b")
        pathlib.Path(self.dir + "/cmdline").write_text(f"quiet {cmdline}\n")
        # /dev is the host's: what PID 1 says on the console has to come here
        script = (f"mount --bind {self.dir}/cmdline /proc/cmdline; : > {self.dir}/devconsole; mount --bind {self.dir}/devconsole /dev/console 2>/dev/null; "
                  "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys; "
                  f"exec setpriv --bounding-set -sys_time,-sys_boot --inh-caps -sys_time,-sys_boot {INIT} --supervisor {sys.executable} -- {HERE}/relay.py {self.dir}/s")
        self.cgroup = None
        if container:
            self.cgroup = f"{cgroup2_root()}/{os.path.basename(self.dir)}"
            os.mkdir(self.cgroup)
            script = (f"echo $$ > {self.cgroup}/cgroup.procs; mount -t tmpfs none /dev; : > /dev/console; mount --bind {self.dir}/devconsole /dev/console; mount -t tmpfs none /run; "
                      f"mount -t tmpfs none /sys/fs/cgroup; export container=test; exec unshare -C sh -c '{script.split('; ', 2)[0]}; {script.split('remount,bind,ro /proc/sys; ')[1]}'")
            pathlib.Path(self.dir + "/devconsole").touch()
        self.init = subprocess.Popen(["unshare", "-fpmui", "--mount-proc", "--propagation", "private", "--kill-child=SIGKILL", "sh", "-c", script],
                                     stdin=subprocess.DEVNULL, stdout=self.out, stderr=subprocess.STDOUT)

    def supervisor(self, timeout=10):
        self.listen.settimeout(timeout)
        return Supervisor(self.listen.accept()[0])

    def pid(self):
        return int(pathlib.Path(f"/proc/{self.init.pid}/task/{self.init.pid}/children").read_text().split()[0])

    def children(self):
        return [int(c) for c in pathlib.Path(f"/proc/{self.pid()}/task/{self.pid()}/children").read_text().split()]

    def signal(self, sig):
        os.kill(self.pid(), sig)

    def inside(self, command, **kw):
        p = self.pid()
        return subprocess.Popen(["nsenter", "-t", str(p), "-p", "-m", "sh", "-c", command], stdin=subprocess.DEVNULL, **kw)

    def orphans(self, n, body="exit 7"):
        """n processes whose parent ends before them."""
        self.inside(f"i=0; while [ $i -lt {n} ]; do ( ( {body} ) & ); i=$((i+1)); done").wait(120)

    def console(self):
        return "".join(pathlib.Path(f"{self.dir}/{f}").read_text(errors="replace") for f in ("devconsole", "console"))

    def expect(self, pattern, timeout=10):
        deadline = time.monotonic() + timeout
        while not re.search(pattern, self.console()):
            assert time.monotonic() < deadline, f"{pattern!r} is not on the console:\n{self.console()}"
            time.sleep(0.02)

    def status(self, key):
        return re.search(rf"^{key}:\s*(\d+)", pathlib.Path(f"/proc/{self.pid()}/status").read_text(), re.M)[1]

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            sys.stderr.write(self.console()[-3000:])
        if self.init.poll() is None:
            self.init.kill()
            self.init.wait(10)
        deadline = time.monotonic() + 10
        while self.cgroup and os.path.isdir(self.cgroup) and time.monotonic() < deadline:
            for d, _, _ in os.walk(self.cgroup, topdown=False):
                try:
                    os.rmdir(d)
                except OSError:
                    time.sleep(0.02)  # its last process is still on its way out
        shutil.rmtree(self.dir, ignore_errors=True)


def a_pipe():
    r, w = os.pipe()
    return r, w


def same_file(a, b):
    return os.path.samestat(os.fstat(a), os.fstat(b))


def a_new_supervisor_gets_what_the_killed_one_stored_even_right_before_its_death():
    with Pid1() as m:
        s = m.supervisor()
        assert s.hello() == ({}, [], 1)
        r, w = a_pipe()
        r2, w2 = a_pipe()
        s.store(web=[r, w], gone=[r], swapped=[r])
        s.send(FD_DROP, b"gone\0never was\0")
        s.store(swapped=[r2, w2])
        time.sleep(0.2)
        s.kill()
        s = m.supervisor()
        entries, _, starts = s.hello()
        assert set(entries) == {"web", "swapped"} and starts == 2, (entries, starts)
        assert same_file(entries["web"][0], r) and same_file(entries["web"][1], w) and same_file(entries["swapped"][1], w2)
        assert s.hello()[0].keys() == entries.keys(), "a second HELLO, after a re-exec, brings everything again"


def a_thousand_entries_come_back():
    with Pid1() as m:
        s = m.supervisor()
        s.hello()
        r, w = a_pipe()
        for i in range(0, 1000, 50):
            s.store(**{f"service/{k}/log": [r, w] for k in range(i, i + 50)})
        time.sleep(0.5)
        s.kill()
        entries, _, _ = m.supervisor().hello()
        assert len(entries) == 1000 and all(len(f) == 2 for f in entries.values())
        for fd in [fd for f in entries.values() for fd in f]:
            os.close(fd)


def no_exit_status_of_an_orphan_is_lost_while_the_supervisor_is_away():
    with Pid1() as m:
        s = m.supervisor()
        s.hello()
        m.orphans(5)
        seen = []
        while len(seen) < 5:
            seen += s.wait(EXITED).exits()
        assert all((code, status) == (CLD_EXITED, 7) for _, _, _, code, status in seen)
        s.send(ACK, seq=seen[1][0])
        time.sleep(0.2)  # until the relay has passed it on
        s.kill()
        m.orphans(3, "exec sh -c 'kill -9 $$'")  # while nobody is there
        s = m.supervisor()
        _, exits, _ = s.hello()
        while len(exits) < 6:
            exits += s.wait(EXITED).exits()
        assert [e[0] for e in exits] == list(range(seen[2][0], seen[2][0] + 6)), f"what was not acknowledged comes again, in order, once: {exits}, before {seen}"
        assert {(code, status) for _, _, _, code, status in exits[3:]} == {(CLD_KILLED, 9)}
        assert exits[:3] == seen[2:]


def twelve_thousand_zombies_are_all_reported_and_none_is_left():
    with Pid1() as m:
        s = m.supervisor()
        s.hello()
        os.kill(s.host_pid, signal.SIGSTOP)  # it reads nothing: the ring fills, the rest stays with the kernel
        starter = m.inside("i=0; while [ $i -lt 12000 ]; do ( ( exit 3 ) & ); i=$((i+1)); done")
        starter.wait(240)
        assert len(m.children()) > 1000, "PID 1 keeps more than it can remember as zombies"
        os.kill(s.host_pid, signal.SIGCONT)
        exits, deadline = [], time.monotonic() + 60
        while len([e for e in exits if e[4] == 3]) < 12000 and time.monotonic() < deadline:
            exits += s.wait(EXITED, 20).exits()
            s.send(ACK, seq=exits[-1][0])
        assert [e[0] for e in exits] == list(range(1, len(exits) + 1))
        deadline = time.monotonic() + 10
        while len(m.children()) > 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(m.children()) == 1


def a_supervisor_that_was_ready_is_back_at_once_however_often_it_is_killed():
    with Pid1() as m:
        waits = []
        for i in range(60):
            s = m.supervisor()
            assert s.hello()[2] == i + 1
            s.kill()
            t = time.monotonic()
            while s.host_pid in m.children() or not m.children():
                assert time.monotonic() < t + 5
            waits.append(time.monotonic() - t)
        # A rest would be in all of them from some point on; the machine has other things to do as well
        assert min(waits[-40:]) < 0.01, waits
        assert "something is wrong" not in m.console()


def one_that_dies_before_it_is_ready_five_times_gets_a_rest_and_is_tried_again():
    with Pid1() as m:
        for _ in range(5):
            s = m.supervisor()
            os.kill(s.host_pid, signal.SIGSEGV)
        m.expect("has died 5 times in 10 s")
        t = time.monotonic()
        s = m.supervisor()
        assert 2 < time.monotonic() - t < 5
        assert s.hello()[2] == 6


def a_supervisor_that_hangs_is_aborted_and_replaced():
    with Pid1() as m:
        s = m.supervisor()
        s.hello()
        s.send(STATUS, b"starting: web")
        s.send(ALIVE, arg=200000)
        time.sleep(0.1)
        s.send(ALIVE, arg=300000)
        assert s.quiet(0.2)
        m.expect("has not answered for 300 ms.*starting: web")
        again = m.supervisor()
        again.hello()
        again.send(ALIVE, arg=200000)
        again.send(ALIVE, arg=0)
        assert again.quiet(0.6), "0 switches it off"


def signals_become_requests_and_messages():
    with Pid1() as m:
        s = m.supervisor()
        s.hello()
        m.signal(signal.SIGHUP)
        assert s.wait(SIGNAL).arg == signal.SIGHUP
        m.signal(signal.SIGRTMIN + 4)
        assert s.wait(POWER).arg == SOFT_EXIT, "a container's PID 1 can't switch the host off"
        s.kill()
        s = m.supervisor()
        s.hello()
        assert s.wait(POWER).arg == SOFT_EXIT, "a new supervisor is told again"


def the_end_takes_every_process_and_exits_zero():
    with Pid1() as m:
        s = m.supervisor()
        s.hello()
        m.inside("trap '' TERM; sleep 1000 & sleep 1000")
        time.sleep(0.3)
        s.send(SHUTDOWN, arg=POWEROFF)
        t = time.monotonic()
        assert m.init.wait(15) == 0
        assert time.monotonic() - t < 8


def a_request_to_end_that_was_sent_right_before_the_supervisor_died_counts():
    with Pid1() as m:
        s = m.supervisor()
        s.hello()
        m.signal(signal.SIGSTOP)  # has no effect on an init from inside; from outside it stops it
        s.send(SHUTDOWN, arg=POWEROFF)
        time.sleep(0.2)
        s.kill()
        time.sleep(0.1)
        m.signal(signal.SIGCONT)
        assert m.init.wait(15) == 0


def a_shutdown_that_hangs_ends_at_the_limit_and_names_what_held_it_up():
    with Pid1("rast.shutdown-timeout=2") as m:
        s = m.supervisor()
        s.hello()
        m.signal(signal.SIGTERM)
        assert s.wait(POWER).arg == SOFT_EXIT
        s.send(SHUTDOWN_BEGIN, arg=SOFT_EXIT, arg2=0)
        s.send(STATUS, b"stopping: web (SIGTERM sent 12 s ago)")
        for _ in range(4):
            time.sleep(0.2)
            s.send(SHUTDOWN_BEGIN, arg=SOFT_EXIT, arg2=100)  # beginning again does not put it off
        assert m.init.wait(15) == 0
        m.expect(r"not stopped after 2 s.*stopping: web \(SIGTERM sent 12 s ago\)")


def the_end_comes_at_once_when_it_is_forced():
    with Pid1() as m:
        m.supervisor().hello()
        t = time.monotonic()
        m.signal(signal.SIGRTMIN + 15)
        assert m.init.wait(15) == 0 and time.monotonic() - t < 3


def survives(m, s, cause, pattern):
    r, w = a_pipe()
    s.store(web=[r, w], two=[w])
    m.orphans(2)
    exits = []
    while len(exits) < 2:
        exits += s.wait(EXITED).exits()
    time.sleep(0.1)
    cause()
    m.expect(pattern)
    assert m.children() == [s.host_pid], "its supervisor goes on"
    m.orphans(1, "exit 9")
    more = []
    while not [e for e in more if e[4] == 9]:
        more += s.wait(EXITED).exits()
    assert more[-1][0] == exits[-1][0] + 1
    entries, again, starts = s.hello()
    assert set(entries) == {"web", "two"} and same_file(entries["web"][0], r) and starts == 1
    assert [e[0] for e in again] == [e[0] for e in exits + more[-1:]], "nothing was acknowledged: everything comes again"
    s.kill()
    s = m.supervisor()
    assert s.hello()[2] == 2
    return s


def a_fault_of_pid_one_costs_nothing():
    for sig in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS):
        with Pid1() as m:
            s = m.supervisor()
            s.hello()
            s.send(STATUS, b"all is well")
            s = survives(m, s, lambda: m.signal(sig), rf"(?s)PID 1 had a fault: {sig.name}.*all is well.*PID 1 is back")
            m.signal(sig)  # and again
            m.expect("fault 2 of this boot")
            s.send(SHUTDOWN, arg=POWEROFF)
            assert m.init.wait(15) == 0


def fault(pid):
    """Have the process run into address 0, as a bug would: a fault of the processor's, not a signal that somebody sent."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    peek, attach, detach, poke_user = 3, 16, 17, 6
    assert libc.ptrace(attach, pid, None, None) == 0, os.strerror(ctypes.get_errno())
    os.waitpid(pid, 0x40000000)  # __WALL
    rip = 16 * 8  # struct user_regs_struct of x86-64
    assert libc.ptrace(poke_user, pid, rip, 0) == 0, os.strerror(ctypes.get_errno())
    assert libc.ptrace(detach, pid, None, None) == 0 and peek


def a_bug_that_jumps_into_nowhere_costs_nothing():
    if os.uname().machine != "x86_64":
        return
    with Pid1() as m:
        s = m.supervisor()
        s.hello()
        s.send(STATUS, b"all is well")
        survives(m, s, lambda: fault(m.pid()), r"(?s)PID 1 had a fault: SIGSEGV.*all is well.*PID 1 is back")


def a_container_gets_its_file_systems_and_cgroups_and_all_of_it_ends_with_it():
    if not cgroup2_root():
        return
    with Pid1(container=True) as m:
        s = m.supervisor()
        s.hello()
        p = m.pid()
        mounts = pathlib.Path(f"/proc/{p}/mounts").read_text()
        for at, kind in (("/dev/pts", "devpts"), ("/dev/shm", "tmpfs"), ("/dev/mqueue", "mqueue"), ("/sys/fs/cgroup", "cgroup2")):
            assert re.search(rf"^\S+ {at} {kind} ", mounts, re.M), (at, mounts)
        assert os.readlink(f"/proc/{p}/root/dev/fd") == "/proc/self/fd" and os.path.isdir(f"/proc/{p}/root/run/rastos")
        assert pathlib.Path(f"/proc/{s.host_pid}/cgroup").read_text().strip().endswith("/rastos.init/rastd")
        assert pathlib.Path(f"/proc/{p}/cgroup").read_text().strip().endswith("/rastos.init/pid1")
        for group in ("rastos.service", "rastos.container"):
            assert os.path.isdir(f"{m.cgroup}/{group}")
        os.mkdir(f"{m.cgroup}/rastos.service/web")
        stubborn = m.inside("echo $$ > /sys/fs/cgroup/rastos.service/web/cgroup.procs; trap '' TERM HUP; while :; do sleep 1; done")
        time.sleep(0.3)
        s.send(SHUTDOWN, arg=REBOOT)
        t = time.monotonic()
        assert m.init.wait(10) == 0 and time.monotonic() - t < 1.5, "a cgroup is killed as a whole, without asking"
        stubborn.wait(5)


def pid_one_can_be_replaced_by_a_newer_program_without_losing_anything():
    with Pid1() as m:
        s = m.supervisor()
        s.hello()
        m.signal(signal.SIGHUP)
        s.wait(SIGNAL)
        survives(m, s, lambda: m.signal(signal.SIGRTMIN + 25), "PID 1 is back, with its supervisor")


def a_fault_while_the_supervisor_is_dead_starts_a_new_one():
    with Pid1() as m:
        s = m.supervisor()
        s.hello()
        r, _ = a_pipe()
        s.store(x=[r])
        time.sleep(0.1)
        m.signal(signal.SIGSTOP)
        s.kill()
        m.signal(signal.SIGSEGV)
        m.signal(signal.SIGCONT)
        s = m.supervisor()
        assert set(s.hello()[0]) == {"x"}


def nonsense_on_the_socket_is_said_and_ignored():
    with Pid1() as m:
        s = m.supervisor()
        s.hello()
        r, w = a_pipe()
        s.conn.send(b"x")
        s.conn.send(HEAD.pack(9, HELLO, 0, 0, 0, 0))
        s.conn.send(HEAD.pack(1, HELLO, 5000, 0, 0, 0))
        s.send(4711)
        s.send(FD_STORE, ENTRY.pack(b"a" * 80, 2) + ENTRY.pack(b"b", 7) + b"rest", fds=[r, w])
        s.send(FD_DROP, b"no end")
        s.send(FD_DROP, b"")
        s.send(ACK, seq=2**64 - 1)
        s.send(STATUS, b"s" * 8000)
        assert set(s.hello()[0]) == {"a" * 79}
        before = len(os.listdir(f"/proc/{m.pid()}/fd"))
        for _ in range(50):
            s.send(FD_STORE, ENTRY.pack(b"", 2), fds=[r, w])
        s.hello()
        assert len(os.listdir(f"/proc/{m.pid()}/fd")) == before, "descriptors that can't be stored are closed"


def an_idle_pid_one_does_not_wake_up_and_is_small():
    with Pid1() as m:
        s = m.supervisor()
        s.hello()
        s.send(BOOTED, arg=1)
        s.send(IDLE)
        pss = lambda: int(re.search(r"^Pss:\s*(\d+)", pathlib.Path(f"/proc/{m.pid()}/smaps_rollup").read_text(), re.M)[1])
        end = time.monotonic() + 20
        limit = 300 if b"__asan_init" not in pathlib.Path(INIT).read_bytes() else 20000  # a sanitizer has tables of its own
        while pss() >= limit:
            assert time.monotonic() < end, f"{pss()} KiB"
            time.sleep(0.05)
        time.sleep(3)  # PID 1 drops its memory two seconds after the last event
        before = m.status("voluntary_ctxt_switches")
        time.sleep(4)
        assert m.status("voluntary_ctxt_switches") == before


if not os.access(INIT, os.X_OK):
    raise SystemExit(f"{INIT} is not there: RAST_STAGE names a staged installation, or RAST_INIT the program")
run([v for v in list(globals().values()) if callable(v) and getattr(v, "__module__", "") == "__main__" and "_" in v.__name__ and v.__name__ not in ("a_pipe", "same_file", "cgroup2_root")])
