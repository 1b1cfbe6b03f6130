#!/usr/bin/python3
"""rastrun is killed at one system call after the other: what it was making can be deleted, and then nothing of it is left."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import runtimerig as rig  # noqa: E402
from runtimerig import Bundle, until  # noqa: E402

def strace(b, inject, args):
    asan = os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"  # what looks for leaks can't under strace
    return subprocess.run(["strace", "-qq", "-o", b.dir + "/trace", *inject, rig.RASTRUN, "--root", b.root, *args],
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=rig.TIMEOUT, check=False,
                          env={**os.environ, "ASAN_OPTIONS": asan}).returncode


def calls_of(b, args):
    """The system calls of a whole run, in their order: (name, how many of that name so far)."""
    status, seen = strace(b, [], args), {}
    assert status == 0, f"{args}: exit {status}"
    calls = []
    with open(b.dir + "/trace", errors="replace") as f:
        for name in (line.split("(")[0] for line in f if "(" in line):
            seen[name] = seen.get(name, 0) + 1
            calls.append((name, seen[name]))
    return calls


def killed_at(b, name, n, args):
    """rastrun, killed when it enters the nth call of that name. False: it had ended before."""
    return strace(b, ["-e", f"inject={name}:signal=KILL:when={n}"], args) in (-9, 137)


def processes_of(b):
    """Those that have the container's cgroup or its mounts, by /proc."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cgroup") as f:
                group = f"/{rig.CGROUP}/{b.id}\n" in f.read()
            with open(f"/proc/{pid}/mountinfo") as f:
                mounts = b.dir in f.read()
        except OSError:
            continue
        if group or (mounts and int(pid) != os.getpid() and os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt")):
            found.append(int(pid))
    return found


def left_over(b):
    left = []
    if os.path.exists(f"/sys/fs/cgroup/{rig.CGROUP}/{b.id}"):
        left.append("its cgroup")
    if os.path.isdir(b.root) and os.listdir(b.root):
        left.append(f"in the state folder: {os.listdir(b.root)}")
    with open("/proc/self/mountinfo") as f:
        left += [line for line in f if b.dir in line]
    return left


def gone_after_delete(b, what):
    r = b.cmd("delete", "--force", b.id)
    assert r.ok, f"{what}: delete --force: {r!r}"
    until(lambda: not processes_of(b), 20, lambda: f"{what}: processes stay: {processes_of(b)}")
    assert not left_over(b), f"{what}: left over: {left_over(b)}"


def rounds(args, prepare=lambda b: None, every=1):
    with Bundle(args=["sleep", "1000"]) as b:
        args = [a.replace("BUNDLE", b.dir).replace("ID", b.id) for a in args]
        prepare(b)
        calls, hits = calls_of(b, args), 0
        gone_after_delete(b, args[0])
        calls = calls[::every * (5 if "ASAN_OPTIONS" in os.environ else 1)]  # sanitizers make many calls of their own
        for name, n in calls:
            prepare(b)
            hits += killed_at(b, name, n, args)
            gone_after_delete(b, f"{args[0]} killed at {name} number {n}")
        assert hits > len(calls) * 0.7, f"{args[0]} was killed {hits} times only, of {len(calls)}"
        print(f"# {args[0]} was killed at {hits} calls", flush=True)


def nothing_stays_of_a_create_that_was_killed():
    rounds(["create", "--bundle", "BUNDLE", "ID"], every=2)


def nothing_stays_of_a_start_that_was_killed():
    rounds(["start", "ID"], prepare=lambda b: b.created(), every=2)


def nothing_stays_of_an_exec_that_was_killed():
    # Its zombie is the machine's to reap, which takes some machines two seconds.
    rounds(["exec", "ID", "true"], prepare=lambda b: b.started(), every=5)


def a_delete_that_was_killed_can_be_done_again():
    rounds(["delete", "--force", "ID"], prepare=lambda b: b.created(), every=3)


def _mount(**m):
    return lambda c: c["mounts"].append(m)


def _linux(**fields):
    return lambda c: c["linux"].update(fields)


def _process(**fields):
    return lambda c: c["process"].update(fields)


# A change of the configuration that only the kernel, or the machine, can refuse; words of the message.
FAILURES = {
    "a type of file system that there isn't": (_mount(destination="/x", type="nosuchfs", source="x"), "/x"),
    "a source that isn't there": (_mount(destination="/x", source="/nonexistent/y", options=["bind"]), "/nonexistent/y"),
    "an option that the file system refuses": (_mount(destination="/x", type="tmpfs", source="t", options=["size=banana"]), "/x"),
    "a folder over a file": (_mount(destination="/bin/busybox", type="tmpfs", source="t"), "/bin/busybox"),
    "a working folder that is a file": (_process(cwd="/bin/busybox"), "cwd"),
    "no such program": (_process(args=["/no/such"]), "no such file or directory"),
    "a root that isn't there": (lambda c: c["root"].update(path="nowhere"), "nowhere"),
    "a namespace of another type": (_linux(namespaces=rig.namespaces("pid", "mount", "ipc", "uts") + [{"type": "network", "path": "/proc/self/ns/ipc"}]), "network"),
    "a namespace that isn't there": (_linux(namespaces=rig.namespaces("pid", "mount", "ipc", "uts") + [{"type": "network", "path": "/run/netns/none"}]), "/run/netns/none"),
    "a kernel parameter that isn't there": (_linux(sysctl={"net.no.such": "1"}), "net"),
    "a value that a kernel parameter refuses": (_linux(sysctl={"net.ipv4.ip_forward": "banana"}), "ip_forward"),
    "a network device that isn't there": (_linux(netDevices={"nodev7": {}}), "nodev7"),
    "a hook that fails": (lambda c: c.update(hooks={"createRuntime": [{"path": "/bin/false"}]}), "createRuntime"),
    "a hook in the container that isn't there": (lambda c: c.update(hooks={"startContainer": [{"path": "/no/hook"}]}), "/no/hook"),
    "a capability that nobody has any more": (_process(capabilities={k: ["CAP_SYS_TIME"] for k in ("bounding", "effective", "permitted")}), "capabilities"),
    "a scheduler that refuses": (_process(scheduler={"policy": "SCHED_DEADLINE", "runtime": 10**18, "deadline": 10**18, "period": 10**18}), "scheduler"),
    "a CPU that isn't there": (_linux(memoryPolicy={"mode": "MPOL_BIND", "nodes": "1000"}), "memory policy"),
    "an agent that doesn't listen": (_linux(seccomp={"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/nonexistent/agent",
                                                     "syscalls": [{"names": ["getppid"], "action": "SCMP_ACT_NOTIFY"}]}), "/nonexistent/agent"),
    "a cgroup file that there isn't": (_linux(resources={"unified": {"nocontroller.max": "1"}}), 'linux.resources.unified["nocontroller.max"]'),
    "resctrl, which isn't mounted": (_linux(intelRdt={"closID": "x"}), "linux.intelRdt"),
    "a label without SELinux": (_linux(mountLabel="x:y:z:s0"), "linux.mountLabel"),
    "a Landlock path that isn't there": (lambda c: c.update(annotations={"io.rastos.landlock.read": "/nonexistent/z"}), "/nonexistent/z"),
    "a device where a folder is": (_linux(devices=[{"path": "/tmp", "type": "c", "major": 1, "minor": 3}]), "/tmp"),
}


def what_fails_says_why_and_leaves_nothing():
    for name, (change, words) in FAILURES.items():
        if name == "a label without SELinux" and os.path.exists("/sys/fs/selinux/enforce"):
            continue
        for command in ["run"] if name.startswith(("a hook in the container", "an agent")) else ["run", "create"]:  # these come with start
            with Bundle(args=["true"], change=change) as b:
                try:
                    r = b.cmd(command, "--bundle", b.dir, b.id, timeout=10)
                except rig.Failed as e:
                    raise rig.Failed(f"{name}: it went well, or hangs: {e}") from None
                assert r.status == 1 and words in r.err and len(r.err.strip().splitlines()) == 1, f"{name}: {command}: {r!r}"
                until(lambda: not processes_of(b), 20, lambda: f"{name}: processes stay")
                assert not left_over(b), f"{name}: {left_over(b)}"


if __name__ == "__main__":
    rig.start()
    rig.main([nothing_stays_of_a_create_that_was_killed, nothing_stays_of_a_start_that_was_killed, nothing_stays_of_an_exec_that_was_killed,
              a_delete_that_was_killed_can_be_done_again, what_fails_says_why_and_leaves_nothing])
