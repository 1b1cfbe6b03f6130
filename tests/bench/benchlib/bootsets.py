"""Ten standard services, in the language of each init; what the boot benchmark puts into each system's root.

Every system gets the same run scripts (/etc/bench/run/NAME), and of the forms that it offers the leanest that a person would write: no
distribution's boot scripts, only the mounts that every system needs. systemd comes twice: as it is, and with journald, logind and tmpfiles masked."""

SERVICES = {
    "dbus": "mkdir -p /run/dbus\nexec /bench/stamp exec 0 /usr/bin/dbus-daemon --system --nofork --nopidfile",
    "sshd": "mkdir -p /run/sshd\nexec /bench/stamp exec 1 /usr/sbin/sshd -D -e",
    "syslogd": "exec /bench/stamp exec 2 /bin/busybox syslogd -n",
    "crond": "mkdir -p /var/spool/cron/crontabs\nexec /bench/stamp exec 3 /bin/busybox crond -f",
    "getty-tty1": "exec /bench/stamp exec 4 /sbin/agetty --noclear tty1 linux",
}
# What they print goes nowhere: else the serial console, which some inits leave them and which is slow, is what would be measured.
SERVICES = {name: "exec >/dev/null 2>&1\n" + text for name, text in SERVICES.items()}
SERVICES.update({f"daemon{i}": f"exec /bench/stamp stay {i + 4}" for i in range(1, 6)})

# What a hand-written boot script has to do: the API file systems, a place for /run, the host's name.
MOUNTS = """mount -n -t proc proc /proc
mount -n -t sysfs sysfs /sys
mount -n -t tmpfs -o mode=755 tmpfs /run
mkdir -p /dev/pts /dev/shm /run/lock
mount -n -t devpts -o gid=5,mode=620 devpts /dev/pts
mount -n -t tmpfs tmpfs /dev/shm
mount -n -t cgroup2 cgroup2 /sys/fs/cgroup
hostname -F /etc/hostname
"""
BUSYBOX_MOUNTS = "#!/bin/busybox sh\n" + MOUNTS.replace("mount -n", "mount").replace("\nhostname", "\nbusybox hostname")
SH_MOUNTS = "#!/bin/sh\n" + MOUNTS

GONE = (None, None)    # take the file or folder away
Script = lambda text: (text, 0o755)
Link = lambda target: (target, None)


class System:
    """files: path -> text, (text, mode), (target, None) for a link, or GONE."""
    init = ""
    off = ""

    def files(self):
        raise NotImplementedError


class Busybox(System):
    init, off = "/bin/busybox", "kill -USR2 1"

    def files(self):
        tab = "::sysinit:/etc/rc\n::shutdown:/etc/rc.stop\n" + "".join(f"::respawn:/etc/bench/run/{s}\n" for s in SERVICES)
        return {"etc/inittab": tab, "etc/rc": Script(BUSYBOX_MOUNTS), "etc/rc.stop": Script("#!/bin/busybox sh\nbusybox mount -o remount,ro /\n")}


class Runit(System):
    init, off = "/sbin/runit", "/usr/lib/runit/runit-init 0"

    def files(self):
        out = {"etc/runit/1": Script(SH_MOUNTS + "touch /run/runit.stopit /run/runit.reboot; chmod 0 /run/runit.stopit /run/runit.reboot\n"),
               "etc/runit/2": Script("#!/bin/sh\nexec runsvdir -P /etc/bench/sv\n"),
               "etc/runit/3": Script("#!/bin/sh\nsv -w 20 force-stop /etc/bench/sv/*\nsv exit /etc/bench/sv/*\nmount -n -o remount,ro /\n"),
               "etc/runit/stopit": Link("/run/runit.stopit"), "etc/runit/reboot": Link("/run/runit.reboot")}
        return out | {f"etc/bench/sv/{s}/run": Script("#!/bin/sh\n" + text + "\n") for s, text in SERVICES.items()} | {
            f"etc/bench/sv/{s}/supervise": Link(f"/run/sv.{s}") for s in SERVICES}


class S6(System):
    """s6-svscan as PID 1 after a script, which is how s6 is used without s6-rc; Debian 12 has no s6-rc."""
    init, off = "/etc/s6/init", "s6-svscanctl -t /run/service"

    def files(self):
        start = SH_MOUNTS + "cp -a /etc/s6/sv /run/service\nexec s6-svscan /run/service\n"
        finish = "#!/bin/sh\nkill -TERM -1\nmount -n -o remount,ro /\nexec busybox poweroff -f\n"
        return {"etc/s6/init": Script(start), "etc/s6/sv/.s6-svscan/finish": Script(finish)} | {
            f"etc/s6/sv/{s}/run": Script("#!/bin/sh\n" + text + "\n") for s, text in SERVICES.items()}


class Finit(System):
    init, off = "/sbin/finit", "/usr/lib/finit/initctl poweroff"

    def files(self):
        lines = [f"service [2345] name:{s} /etc/bench/run/{s} -- {s}" for s in SERVICES]
        return {"etc/finit.d": GONE, "etc/finit.conf": "host bench\nrunlevel 2\n" + "\n".join(lines) + "\n", "etc/finit.d/enabled/.keep": ""}


class Systemd(System):
    init, off = "/usr/lib/systemd/systemd", "systemctl poweroff"
    masked = ()

    def files(self):
        out = {"etc/systemd/system/default.target": "[Unit]\nRequires=basic.target\nAfter=basic.target\nWants=" + " ".join(s + ".service" for s in SERVICES) + "\nAllowIsolate=yes\n"}
        for s in SERVICES:
            out[f"etc/systemd/system/{s}.service"] = f"[Unit]\nDescription={s}\n[Service]\nExecStart=/etc/bench/run/{s}\nRestart=always\n"
        # the bus is a service of the ten, in its own right
        return out | {f"etc/systemd/system/{m}": Link("/dev/null") for m in ("dbus.socket", *self.masked)}


class SystemdLean(Systemd):
    masked = ("systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket", "systemd-journald-audit.socket", "systemd-journal-flush.service", "systemd-logind.service",
              "systemd-tmpfiles-setup.service", "systemd-tmpfiles-setup-dev.service", "systemd-tmpfiles-clean.timer", "systemd-update-utmp.service")


class OpenRC(System):
    """Under its own openrc-init; its runlevels hold one service that mounts, and the ten, supervised."""
    init, off = "/sbin/openrc-init", "openrc-shutdown -p now"

    def files(self):
        mounts = "\tmkdir -p /dev/pts /dev/shm\n\tmount -n -t devpts -o gid=5,mode=620 devpts /dev/pts\n\tmount -n -t tmpfs tmpfs /dev/shm\n\thostname -F /etc/hostname\n"
        out = {"etc/rc.conf": 'rc_parallel="YES"\nrc_logger="NO"\nrc_sys=""\n', "etc/insserv.conf": "",
               "etc/init.d/bench-mounts": Script("#!/sbin/openrc-run\nstart() {\n" + mounts + "}\n"), "etc/runlevels/boot/bench-mounts": Link("/etc/init.d/bench-mounts")}
        out |= {f"etc/runlevels/{level}/.keep": "" for level in ("sysinit", "shutdown", "nonetwork")}
        for s in SERVICES:
            out[f"etc/init.d/{s}"] = Script(f"#!/sbin/openrc-run\nsupervisor=supervise-daemon\ncommand=/etc/bench/run/{s}\ndepend() {{\n\tneed bench-mounts\n}}\n")
            out[f"etc/runlevels/default/{s}"] = Link(f"/etc/init.d/{s}")
        return out


class Dinit(System):
    init, off = "/sbin/dinit", "dinit-shutdown -p"

    def files(self):
        out = {"etc/dinit.d/boot": "type = internal\n" + "".join(f"depends-on = {s}\n" for s in SERVICES), "etc/bench/mounts": Script(SH_MOUNTS),
               "etc/dinit.d/mounts": "type = scripted\ncommand = /etc/bench/mounts\n"}
        return out | {f"etc/dinit.d/{s}": f"type = process\ncommand = /etc/bench/run/{s}\ndepends-on = mounts\n" for s in SERVICES}


class RastOS(System):
    """The default in everything: each service's output goes to the logger, each has a cgroup of its own."""
    init, off = "/usr/lib/rastos/rastinit", "rastctl poweroff"

    def files(self):
        out = {"etc/rastos/services/default.ini": "[service]\ntype = bundle\n[dependencies]\n" + "".join(f"contents = {s}\n" for s in SERVICES)}
        return out | {f"etc/rastos/services/{s}.ini": f"[service]\ntype = longrun\nexec = /etc/bench/run/{s}\n" for s in SERVICES}


SYSTEMS = {"rastos": RastOS, "busybox": Busybox, "runit": Runit, "s6": S6, "dinit": Dinit, "finit": Finit, "systemd": Systemd, "systemd-lean": SystemdLean, "openrc": OpenRC}
