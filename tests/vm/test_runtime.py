#!/usr/bin/python3
"""rastrun on a machine with all controllers of cgroup v2: limits hold, are changed, and are counted."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from vmtest import VM, run  # noqa: E402

CG = "/sys/fs/cgroup/rastos.container"
MAKE = "for d in bin proc dev sys tmp; do mkdir -p /tmp/b/rootfs/$d; done && cp /proc/self/exe /tmp/b/rootfs/bin/busybox && " \
       "for a in sh cat sleep echo true tail mknod dd id; do ln -sf busybox /tmp/b/rootfs/bin/$a; done"


def _config(args, resources):
    return json.dumps({
        "ociVersion": "1.3.0", "root": {"path": "rootfs"}, "process": {"args": args, "cwd": "/", "env": ["PATH=/bin"], "capabilities": {
            k: ["CAP_MKNOD", "CAP_DAC_OVERRIDE"] for k in ("bounding", "effective", "permitted")}},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}, {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
                   {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]}],
        "linux": {"namespaces": [{"type": t} for t in ("pid", "mount", "ipc", "uts", "network", "cgroup")], "resources": resources}})


def _bundle(vm, args, resources=None):
    vm.check(MAKE)
    vm.copy_in("/tmp/b/config.json", _config(args, resources or {}))


def _value(vm, name, key):
    return vm.check(f"cat {CG}/{name}/{key}").strip()


def limits_arrive_in_the_kernel_are_changed_by_update_and_counted_by_events():
    with VM(up=True, memory=512) as vm:
        _bundle(vm, ["sleep", "100000"], {
            "memory": {"limit": 64 << 20, "reservation": 32 << 20, "swap": 96 << 20}, "cpu": {"shares": 2048, "quota": 50000, "period": 100000, "cpus": "0", "mems": "0"},
            "pids": {"limit": 33}, "unified": {"memory.high": str(60 << 20)}})
        vm.check("rastrun run -d -b /tmp/b one </dev/null >/dev/null 2>&1")
        want = {"memory.max": str(64 << 20), "memory.low": str(32 << 20), "memory.high": str(60 << 20), "cpu.weight": "174", "cpu.max": "50000 100000",
                "cpuset.cpus": "0", "cpuset.mems": "0", "pids.max": "33"}
        got = {k: _value(vm, "one", k) for k in want}
        assert got == want, got
        if vm.run(f"test -e {CG}/one/memory.swap.max").ok:
            assert _value(vm, "one", "memory.swap.max") == str(32 << 20)
        vm.check("echo '{\"pids\":{\"limit\":44},\"cpu\":{\"period\":200000},\"memory\":{\"limit\":67108864}}' | rastrun update --resources - one")
        assert (_value(vm, "one", "pids.max"), _value(vm, "one", "cpu.max")) == ("44", "50000 200000")
        refused = vm.run("echo '{\"memory\":{\"limit\":4096,\"checkBeforeUpdate\":true}}' | rastrun update --resources - one")
        assert not refused.ok and "memory.limit: 4096 is below the" in refused.err, refused
        data = json.loads(vm.check("rastrun events --stats one"))["data"]
        assert data["pids"] == {"current": 1, "limit": 44} and data["memory"]["usage"]["limit"] == 64 << 20 and data["memory"]["usage"]["usage"] > 0, data
        assert data["cpu"]["usage"]["total"] > 0 and data["cpuset"]["cpus"] == [0], data
        assert json.loads(vm.check("rastrun ps --format json one")) == [int(_value(vm, "one", "cgroup.procs"))]
        vm.check("rastrun delete --force one")
        assert not vm.run(f"test -e {CG}").ok, "the folder of all containers goes with the last one"


def a_limit_holds_and_what_the_machine_hasnt_is_refused_with_nothing_left():
    with VM(up=True, memory=512) as vm:
        _bundle(vm, ["tail", "-c", "100000000", "/dev/zero"], {"memory": {"limit": 8 << 20, "swap": 8 << 20}})
        assert vm.run("rastrun run -b /tmp/b hungry", timeout=60).status == 137
        _bundle(vm, ["sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 100 & done; echo all"], {"pids": {"limit": 4}})
        crowd = vm.run("rastrun run -b /tmp/b crowd", timeout=60)
        assert "all" not in crowd.out.split() and "fork" in crowd.err, crowd
        for resources, path in (({"rdma": {"nodev": {"hcaHandles": 1}}}, "linux.resources.rdma"), ({"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]}, "linux.resources.hugepageLimits"),
                                ({"unified": {"nocontroller.max": "1"}}, 'linux.resources.unified["nocontroller.max"]'), ({"cpu": {"cpus": "4000"}}, "linux.resources.cpu.cpus")):
            _bundle(vm, ["true"], resources)
            r = vm.run("rastrun run -b /tmp/b no")
            assert not r.ok and path in r.err, r
        assert not vm.run(f"test -e {CG}").ok and vm.check("ls /run/rastrun").strip() == "", vm.check(f"ls -R {CG} /run/rastrun")


def devices_are_those_of_the_rules_and_update_changes_them():
    script = "mknod /dev/disk b {} {}; while :; do if dd if=/dev/disk of=/dev/null bs=512 count=1 2>/dev/null; then echo yes; else echo no; fi > /tmp/new; cat /tmp/new > /tmp/now; sleep 0.2; done"
    with VM(up=True, memory=512) as vm:
        major, minor = map(int, vm.check("cat /sys/block/vda/dev").split(":"))
        _bundle(vm, ["sh", "-c", script.format(major, minor)], {"devices": [{"allow": False, "access": "rwm"}]})
        vm.check("rastrun run -d -b /tmp/b dev </dev/null >/dev/null 2>&1")
        vm.wait_until("grep -qx no /tmp/b/rootfs/tmp/now", timeout=30)
        rules = json.dumps({"devices": [{"allow": False}, {"allow": True, "type": "b", "major": major, "minor": minor, "access": "r"}]})
        vm.check(f"echo '{rules}' | rastrun update --resources - dev")
        vm.wait_until("grep -qx yes /tmp/b/rootfs/tmp/now", timeout=30)
        assert not vm.run("rastrun exec dev dd if=/dev/null of=/dev/disk bs=512 count=1").ok, "only reading is allowed"
        vm.check("rastrun exec dev sh -c 'echo > /dev/null && cat /dev/urandom | dd bs=1 count=1 >/dev/null'")
        vm.check("rastrun pause dev && rastrun state dev | grep -q paused && rastrun resume dev && rastrun delete -f dev")


run(globals())
