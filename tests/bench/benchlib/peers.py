"""The supervisors: is it there, which version, and the service set of a job in its own language.

A job is (kind, n): `oneshots` n independent ones, `chain` n oneshots of which each depends on the one before, `longruns` n that
stay and are started again when they die. Each peer gets the form that costs it least: no shell where it can do without, output to /dev/null,
restart without delay and limit where it has such options. find(layers) looks where the machine will see the program: in
the layers first, then on the host. prepare() writes the set into a Machine and returns PID 1's argv."""

import os
import re
import shutil
import subprocess


def in_layers(layers, *paths):
    """The first of paths that exists in a layer or on the host, as seen inside the machine; and as seen from here."""
    for path in paths:
        for root in list(layers) + [""]:
            if os.access(root + path, os.X_OK):
                return path, root + path
    return None, None


def libraries(layers):
    dirs = [layer + d for layer in layers for d in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu/systemd", "/usr/lib")]
    return dict(os.environ, LD_LIBRARY_PATH=":".join(d for d in dirs if os.path.isdir(d)))


def output(layers, *argv):
    try:
        r = subprocess.run(argv, env=libraries(layers), capture_output=True, text=True, timeout=10)
        return (r.stdout + r.stderr).strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def names(n):
    return [f"b{i:04}" for i in range(n)]


def package_version(layers, package):
    """What a layer's documentation says, for programs that don't tell their version."""
    for root in list(layers) + [""]:
        for name in ("changelog.Debian.gz", "changelog.gz"):
            path = f"{root}/usr/share/doc/{package}/{name}"
            if os.path.exists(path):
                import gzip
                first = gzip.open(path, "rt", errors="replace").readline()
                found = re.search(r"\(([^)]*)\)", first)
                return found.group(1) if found else "?"
    return "?"


class Peer:
    name = ""
    paths = ()
    kinds = ("oneshots", "chain", "longruns")
    timeout = 120

    def __init__(self, layers, override=None):
        self.layers = list(layers)
        self.inside, self.here = (override, override) if override else in_layers(layers, *self.paths)

    def missing(self):
        """None, or why it can't be measured here."""
        return None if self.here else "not installed"

    def version(self):
        return "?"


class Dinit(Peer):
    name = "dinit"
    paths = ("/usr/sbin/dinit", "/sbin/dinit", "/usr/local/sbin/dinit", "/usr/bin/dinit")

    def __init__(self, layers, override=None):
        super().__init__(layers, override or shutil.which("dinit"))

    def version(self):
        found = re.search(r"version (\S+?)\.?\s", output(self.layers, self.here, "--version") + "\n")
        return found.group(1) if found else "?"

    def prepare(self, m, kind, n):
        shutil.copy(self.here, m.dir + "/dinit")
        stay = kind == "longruns"
        for i, name in enumerate(names(n)):
            lines = [f"type = {'process' if stay else 'scripted'}", f"command = /bench/stamp {'stay' if stay else 'once'} {i}"]
            lines += ["restart = true", "restart-delay = 0", "restart-limit-count = 0"] if stay else ["restart = false"]
            if kind == "chain" and i:
                lines.append(f"depends-on = b{i - 1:04}")
            m.write(f"set/{name}", "\n".join(lines) + "\n")
        wanted = names(n) if kind != "chain" else names(n)[-1:]
        m.write("set/boot", "type = internal\n" + "".join(f"depends-on = {name}\n" for name in wanted))
        return ["/bench/dinit", "--services-dir", "/bench/set", "--socket-path", "/run/dinitctl", "--quiet", "boot"]


class S6(Peer):
    name = "s6"
    paths = ("/usr/bin/s6-svscan", "/bin/s6-svscan")
    kinds = ("longruns",)

    def version(self):
        return package_version(self.layers, "s6")

    def prepare(self, m, kind, n):
        for name in names(n):
            os.makedirs(f"{m.dir}/set/{name}")
            os.symlink("/bench/stamp", f"{m.dir}/set/{name}/run")
        return [self.inside, "-c", str(n + 10), "/bench/set"]


class S6Notify(S6):
    """The same with readiness reported: s6 then knows that a service was up, and starts it again without its second of delay."""
    name = "s6 notify"

    def prepare(self, m, kind, n):
        argv = super().prepare(m, kind, n)
        for i, name in enumerate(names(n)):
            os.unlink(f"{m.dir}/set/{name}/run")
            m.write(f"set/{name}/run", f"#!/usr/bin/execlineb -P\n/bench/stamp stay {i} 3\n", 0o755)
            m.write(f"set/{name}/notification-fd", "3\n")
        return argv


class Runit(Peer):
    name = "runit"
    paths = ("/usr/bin/runsvdir", "/usr/sbin/runsvdir", "/sbin/runsvdir")
    kinds = ("longruns",)

    def version(self):
        return package_version(self.layers, "runit")

    def prepare(self, m, kind, n):
        S6.prepare(self, m, kind, n)
        return [self.inside, "-P", "/bench/set"]


class Finit(Peer):
    name = "finit"
    paths = ("/usr/sbin/finit", "/sbin/finit")

    def version(self):
        return package_version(self.layers, "finit")

    def prepare(self, m, kind, n):
        form = {"oneshots": "task [S2345] name:{name} /bench/set/{name} once {i}",
                "chain": "run [S2345] name:{name} /bench/set/{name} once {i}",      # one after the other by definition
                "longruns": "service [S2345] name:{name} respawn /bench/set/{name} stay {i}"}[kind]
        os.makedirs(m.dir + "/set")
        for name in names(n):   # finit takes two services with one program for the same
            os.symlink("/bench/stamp", f"{m.dir}/set/{name}")
        lines = [form.format(name=name, i=i) + " -- " + name for i, name in enumerate(names(n))]
        m.write("etc/finit.conf", "host bench\nrunlevel 2\n" + "\n".join(lines) + "\n")
        os.makedirs(m.dir + "/etc/finit.d/enabled", exist_ok=True)
        return [self.inside]


class Systemd(Peer):
    name = "systemd"
    paths = ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")
    timeout = 240

    def version(self):
        found = re.search(r"systemd (\d+) \(([^)]*)\)", output(self.layers, self.here, "--version"))
        return found.group(2) if found else "?"

    def prepare(self, m, kind, n):
        stay = kind == "longruns"
        for i, name in enumerate(names(n)):
            unit = ["[Unit]", "DefaultDependencies=no"] + (["StartLimitIntervalSec=0"] if stay else [])
            if kind == "chain" and i:
                unit += [f"Requires=b{i - 1:04}.service", f"After=b{i - 1:04}.service"]
            unit += ["[Service]", "StandardOutput=null", "StandardError=null", f"ExecStart=/bench/stamp {'stay' if stay else 'once'} {i}"]
            unit += ["Restart=always", "RestartSec=0"] if stay else ["Type=oneshot", "RemainAfterExit=yes"]
            m.write(f"etc/systemd/system/{name}.service", "\n".join(unit) + "\n")
        wanted = names(n) if kind != "chain" else names(n)[-1:]
        m.write("etc/systemd/system/default.target", "[Unit]\nDefaultDependencies=no\nWants=" + " ".join(w + ".service" for w in wanted) + "\n")
        return [self.inside, "--log-target=null", "--show-status=no"]


class OpenRC(Peer):
    """In the form for containers: sysinit, boot and default runlevels by openrc itself, with nothing else in them."""
    name = "openrc"
    paths = ("/usr/sbin/openrc", "/sbin/openrc")
    timeout = 400

    def version(self):
        return package_version(self.layers, "openrc")

    def prepare(self, m, kind, n):
        stay = kind == "longruns"
        for i, name in enumerate(names(n)):
            lines = ["#!/usr/sbin/openrc-run"]
            if stay:
                lines += ["supervisor=supervise-daemon", "command=/bench/stamp", f'command_args="stay {i}"', "respawn_delay=0", "respawn_max=0"]
            else:
                lines += ["start() {", f"\t/bench/stamp once {i}", "}"]
            if kind == "chain" and i:
                lines += ["depend() {", f"\tneed b{i - 1:04}", "}"]
            m.write(f"etc/init.d/{name}", "\n".join(lines) + "\n", 0o755)
            os.makedirs(m.dir + "/etc/runlevels/default", exist_ok=True)
            os.symlink(f"/etc/init.d/{name}", f"{m.dir}/etc/runlevels/default/{name}")
        for level in ("sysinit", "boot", "shutdown", "nonetwork"):
            os.makedirs(f"{m.dir}/etc/runlevels/{level}", exist_ok=True)
        m.write("etc/insserv.conf", "")
        m.write("etc/rc.conf", 'rc_parallel="YES"\nrc_sys="lxc"\nrc_logger="NO"\nrc_depend_strict="NO"\n')
        m.write("set/start", "#!/bin/sh\nmkdir -p /run/openrc\ntouch /run/openrc/softlevel\nopenrc sysinit\nopenrc default\nwhile :; do sleep 1000 & wait; done\n", 0o755)
        return ["/bench/set/start"]


class RastOS(Peer):
    """As an installation runs it: rastinit is PID 1 and starts rastd."""
    name = "rastOS"
    paths = ("/usr/lib/rastos/rastinit", "/usr/local/lib/rastos/rastinit")
    output = "null"

    def version(self):
        _, ctl = in_layers(self.layers, "/usr/bin/rastctl", "/usr/local/bin/rastctl")
        found = re.search(r"[\d.]+", output(self.layers, ctl, "--version")) if ctl else None
        return found.group(0) if found else "?"

    def prepare(self, m, kind, n):
        stay = kind == "longruns"
        for i, name in enumerate(names(n)):
            lines = ["[service]", f"type = {'longrun' if stay else 'oneshot'}", f"exec = /bench/stamp {'stay' if stay else 'once'} {i}", f"output = {self.output}"]
            if kind == "chain" and i:
                lines += ["[dependencies]", f"depends = b{i - 1:04}"]
            if stay:
                lines += ["[restart]", "delay = 0", "limit = 100"]
            m.write(f"etc/rastos/services/{name}.ini", "\n".join(lines) + "\n")
        wanted = names(n) if kind != "chain" else names(n)[-1:]
        m.write("etc/rastos/services/default.ini", "[service]\ntype = bundle\n[dependencies]\n" + "".join(f"contents = {w}\n" for w in wanted))
        return [self.inside]


class RastOSLogged(RastOS):
    """With every service's output kept by the logger, as is the default of service files."""
    name = "rastOS logged"
    output = "log"


class Floor(Peer):
    def __init__(self, how):
        self.how = how
        self.name = "floor " + how

    def missing(self):
        return None

    def prepare(self, m, kind, n):
        return ["/bench/floor", kind, str(n), self.how]


FLOORS = ("fork", "vfork", "clone3", "clone3vm", "clone3+cgroup", "clone3vm+cgroup", "clone3vm+cgroup+session")
PEERS = (RastOS, RastOSLogged, Dinit, S6, S6Notify, Runit, Finit, Systemd, OpenRC)
