"""The program behind qemu/boot: boots the Debian image with a serial console, for a person, or for a check without one."""
import json
import os
import pathlib
import shutil
import sys

from . import cache, disk, image, vm
from .bootargs import arguments
from .console import Console

# What has to be up, and what it has to answer: command in the guest and what its output has to contain.
EXPECTED = {
    "sshd": ("exec 3<>/dev/tcp/127.0.0.1/22; head -n 1 <&3", "SSH-2.0-"),
    "dbus": ("test -S /run/dbus/system_bus_socket && echo there", "there"),
    "nginx": ("exec 3<>/dev/tcp/127.0.0.1/80; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; head -n 1 <&3", "200 OK"),
    "cron": ("cat /run/crond.pid", ""),
    "getty@ttyS0": ("tty", "/dev/ttyS0"),
    "getty@tty1": ("cat /sys/fs/cgroup/rastos.service/getty@tty1/cgroup.procs", ""),
    "crun@demo": ("exec 3<>/dev/tcp/127.0.0.1/8080; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3", "Hello from a container"),
}


def disk_for(choice, img, folder):
    """Path of the disk to use, made from the image when it is not there yet."""
    if choice == "throwaway":
        path = pathlib.Path(folder) / "disk.img"
    else:
        path = cache.root() / "kept-disk.img" if choice == "keep" else pathlib.Path(choice)
    if not path.exists():
        cache.run("cp", "--sparse=always", img.disk, path)
    return path


def extra_append(args):
    return " ".join(filter(None, [f"rast.snapshot={args.snapshot}" if args.snapshot is not None else "", args.append]))


def network(args):
    return ["-nic", f"user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:{args.ssh}-:22"] if args.ssh else []


def interactive(args, img, folder):
    argv = ["qemu-system-x86_64", "-machine", "pc", *vm.MACHINE, *vm.accelerator(args.accel), "-m", str(args.memory), "-serial", "mon:stdio",
            "-kernel", str(img.vmlinux), "-initrd", str(img.initramfs), "-append", f"{vm.KERNEL_ARGS} rast.root=/dev/vda {extra_append(args)}",
            "-drive", f"file={disk_for(args.disk, img, folder)},format=raw,if=virtio", "-device", "virtio-rng-pci", *network(args)]
    cache.say("starting the machine: log in as root with the password rastos; Ctrl-A X leaves")
    return os.spawnvp(os.P_WAIT, argv[0], argv)


class Report:
    def __init__(self):
        self.fine = True

    def line(self, good, text):
        print(f"{'ok    ' if good else 'FAILED'}  {text}", flush=True)
        self.fine = self.fine and good


def check(args, img, folder):
    report = Report()
    machine = vm.VM("debian", append=extra_append(args), memory=args.memory, disk_path=disk_for(args.disk, img, folder), deadline=600, qemu=network(args), accel=args.accel, name="boot", cold=True)
    with machine:
        try:
            _check_running(machine, report)
            _check_end(machine, report)
        except (AssertionError, cache.Failed) as e:
            report.line(False, str(e))
    print("the machine is fine" if report.fine else "the machine is NOT fine")
    return 0 if report.fine else 1


def _check_running(machine, report):
    console = Console(machine)
    console.login(timeout=300)
    report.line(True, "boot: login prompt, and root can log in on ttyS0")
    names = " ".join(f"'{n}'" for n in EXPECTED)
    status, text = console.run(f"rastctl wait --timeout 120 default {names}", timeout=150)
    report.line(status == 0, f"boot: the target and all that is looked at below are up{'' if status == 0 else ': ' + text.strip()}")
    _, text = console.run("rastctl list --json")
    states = {s["name"]: s["state"] for s in _parse(text)}
    report.line(states.get("default") == "up", f"target default is {states.get('default')}")
    for name, (command, wanted) in EXPECTED.items():
        status, text = console.run(f"({command})")
        good = states.get(name) == "up" and status == 0 and wanted in text and text.strip() != ""
        report.line(good, f"service {name} is {states.get(name)}, {'answers' if good else f'but says (status {status}): {text.strip()[-300:]}'}")
    bad = sorted(n for n, s in states.items() if s == "failed")
    report.line(not bad, f"no service has failed{': ' + ' '.join(bad) if bad else ''}")
    machine.type("rastctl poweroff\n")


def _parse(text):
    listed = json.loads(text[text.index("{") if "{" in text and (text.find("[") < 0 or text.index("{") < text.index("[")) else text.index("["):])
    return listed["services"] if isinstance(listed, dict) else listed


def _check_end(machine, report):
    end = machine.wait_exit(120)
    report.line(end.reason == "guest-shutdown", f"power-off: the machine switched itself off ({end})")
    wrong = disk.is_clean(machine.disk)
    report.line(not wrong, f"disk: btrfs check finds {'nothing wrong' if not wrong else wrong}")


def main(argv):
    args = arguments(argv)
    img = image.get("debian", vm.build_dir())
    folder = cache.scratch("rastos-boot-")
    try:
        return check(args, img, folder) if args.check else interactive(args, img, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except cache.Failed as failure:
        sys.exit(f"qemu/boot: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
