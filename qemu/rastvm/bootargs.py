"""What qemu/boot takes on its command line. Looked at before anything is built: nobody waits for minutes to hear of a typing error."""
import argparse
import os
import socket
import sys

DESCRIPTION = """Builds rastOS and an image of Debian on top of it, and boots that in QEMU with a serial console.

You see the services and a container come up and then a login prompt: root, password "rastos". `rastctl list` shows what
runs, `rastctl poweroff` stops the machine in order, Ctrl-A X leaves at once. The first run installs what it needs and
downloads Debian packages from your apt sources (some minutes); later ones start in seconds."""

MEMORY_MIN = 192  # Debian's kernel, its initramfs and all services; less ends in the kernel's out-of-memory killer


def _number(lowest, highest, unit):
    def number(text):
        if not text.isdecimal() or not lowest <= int(text) <= highest:
            raise argparse.ArgumentTypeError(f"'{text}' is not a number from {lowest} to {highest} {unit}".rstrip())
        return int(text)
    return number


def _port(text):
    port = _number(1, 65535, "")(text)
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError as e:
            raise argparse.ArgumentTypeError(f"port {port} of this machine can't be used: {e.strerror}") from e
    return port


def _disk(text):
    if text in ("throwaway", "keep"):
        return text
    folder = os.path.dirname(os.path.abspath(text))
    if not os.path.isdir(folder) or os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"'{text}' is neither throwaway, keep, nor a file" + ("" if os.path.isdir(folder) else f" (there is no folder {folder})"))
    return os.path.abspath(text)


def arguments(argv):
    p = argparse.ArgumentParser(prog="qemu/boot", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--check", action="store_true", help="nobody is there: wait for the services, look whether each answers, power off, check the disk; exit status 0 or 1")
    p.add_argument("--memory", type=_number(MEMORY_MIN, 1 << 20, "MB"), default=512, metavar="MB", help="memory of the machine (default %(default)s)")
    p.add_argument("--append", default="", metavar="ARGS", help="more kernel arguments, e.g. --append 'rast.target=rescue'")
    p.add_argument("--snapshot", type=_number(0, (1 << 32) - 2, ""), metavar="N", help="boot snapshot N (0 or 1) in place of what the ledger says")
    p.add_argument("--disk", type=_disk, default="throwaway", metavar="throwaway|keep|FILE", help="throwaway: changes are lost afterwards (default); keep: one disk, kept in the cache; FILE: that one, made when it is not there")
    p.add_argument("--ssh", type=_port, metavar="PORT", help="give the machine a network card, and forward this port of the loopback to its sshd")
    p.add_argument("--accel", default="tcg", choices=("tcg", "kvm"), help="how QEMU runs it (default %(default)s: works everywhere)")
    args = p.parse_args(argv)
    if args.accel == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        p.error("--accel kvm: /dev/kvm can't be used here (is the module kvm_intel or kvm_amd loaded?); without this option it works everywhere")
    return args


if __name__ == "__main__":
    arguments(sys.argv[1:])
