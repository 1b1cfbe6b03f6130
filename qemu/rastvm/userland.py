"""Root trees to put rastOS into: Debian as packed by mmdebstrap, and a tiny one of busybox and the libraries that our programs need."""
import os
import pathlib
import re
import shutil
import subprocess

from . import cache

DROP = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/lintian/*", "/usr/share/bug/*"]
# Settings that only make sense while packages are installed on this machine.
HOST_SETTINGS = re.compile(r"^(Acquire::(http|https|ftp|Check-Valid-Until|Check-Date|Retries|ForceIPv4|ForceIPv6|AllowInsecureRepositories)\b.*)$", re.M)


def codename():
    found = re.search(r"^VERSION_CODENAME=(\S+)", pathlib.Path("/etc/os-release").read_text(), re.M)
    if not found:
        raise cache.Failed("/etc/os-release names no VERSION_CODENAME: is this Debian?")
    return found[1]


def _sources():
    """This machine's own apt sources of its release, as one-line entries: the guest is made from what the host trusts, and nothing else."""
    fmt = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    lines = []
    for line in cache.run("apt-get", "indextargets", "--format", fmt, "Created-By: Packages").splitlines():
        uri, release, component = line.split()
        if (release == codename() or release.startswith(codename() + "-")) and component == "main" and "-backports" not in release:
            lines.append(f"deb {uri} {release} {component}")
    if not lines:
        raise cache.Failed(f"apt has no package lists of {codename()} main: run apt-get update, and look at the apt sources")
    return list(dict.fromkeys(lines))


def _make_debian(tmp):
    packages = ",".join(cache.package_section("guest"))
    settings = HOST_SETTINGS.findall(cache.run("apt-config", "dump", "Acquire"))
    work = tmp.with_suffix(".work")  # a whole root tree: it must not stay when this is killed
    cache.remove(work)
    work.mkdir()
    try:
        sources = work / "sources.list"
        sources.write_text("\n".join(_sources()) + "\n")
        argv = ["env", f"TMPDIR={work}", "unshare", "-m", "--propagation", "private", "mmdebstrap", "--mode=root", "--variant=minbase", "--format=tar", f"--include={packages}"]
        argv += [f"--dpkgopt=path-exclude={d}" for d in DROP]
        argv += [f"--aptopt={found[0]}" for found in settings]
        # ssh's host keys are each machine's own, made at its first boot; machine-id likewise.
        argv += ["--customize-hook=rm -f $1/etc/ssh/ssh_host_* $1/etc/apt/apt.conf.d/99mmdebstrap $1/etc/dpkg/dpkg.cfg.d/99mmdebstrap",
                 "--customize-hook=rm -rf $1/var/lib/apt/lists/* $1/var/cache/apt/*.bin $1/etc/machine-id", codename(), tmp, sources]
        cache.run(*argv)
    finally:
        cache.remove(work)


def debian_tar():
    """Path of the Debian userland, a tar."""
    names = cache.package_section("guest")
    versions = cache.candidate_versions(names)
    recipe = cache.digest(",".join(names), cache.source(_make_debian, _sources), codename())
    return cache.artefact("debian", recipe, cache.digest(versions), _make_debian, f"the Debian userland ({len(names)} packages and what they need; a few minutes)")


PASSWD = "root::0:0:root:/root:/bin/sh\ndaemon:x:1:1::/:/bin/false\nsshd:x:33:33::/:/bin/false\nnobody:x:65534:65534::/:/bin/false\n"
GROUP = "root:x:0:\ndaemon:x:1:\ntty:x:5:\ndisk:x:6:\nadm:x:4:\nsshd:x:33:\nnogroup:x:65534:\n"


def make_tiny(root, busybox):
    """A root tree in which a shell, mount and the like work, and nothing else is."""
    for d in ("bin", "etc", "usr/bin", "usr/sbin", "usr/lib", "dev", "proc", "sys", "run", "tmp", "var/log", "var/lib", "root", "home", "srv", "mnt"):
        (root / d).mkdir(parents=True, exist_ok=True)
    for link, target in (("sbin", "usr/sbin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")):
        (root / link).symlink_to(target)
    (root / "usr/lib64").mkdir()
    os.chmod(root / "tmp", 0o1777)
    os.chmod(root / "root", 0o700)
    shutil.copy2(busybox, root / "bin/busybox")
    ours = {"busybox", "init", "reboot", "poweroff", "halt", "linuxrc"}
    for name in cache.run(busybox, "--list").split():
        if name not in ours:
            (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text(PASSWD)
    (root / "etc/group").write_text(GROUP)
    (root / "etc/shadow").write_text("root::19000:0:99999:7:::\n")
    os.chmod(root / "etc/shadow", 0o600)
    (root / "etc/os-release").write_text("NAME=rastOS\nID=rastos\nPRETTY_NAME=\"rastOS (tiny test image)\"\n")
    (root / "etc/profile").write_text("export PATH=/usr/bin:/usr/sbin:/bin:/sbin\n")


def add_libraries(root, extra=()):
    """Copy the shared libraries, and the loader, that the programs under root need: where this machine has them is where they go."""
    wanted = set(extra)
    for f in list(root.rglob("*")):
        if f.is_file() and not f.is_symlink() and f.stat().st_mode & 0o111 and f.open("rb").read(4) == b"\x7fELF":
            wanted.update(libraries_of(f))
    copy_libraries(root, wanted)


def copy_libraries(root, libraries):
    """Copy libraries of this machine to the same place under root, with the /lib that a merged root has."""
    for lib in sorted(libraries):
        to = root / lib.lstrip("/")
        if not to.exists():
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(os.path.realpath(lib), to)


def libraries_of(program):
    """Paths of the shared libraries, and of the loader, that a program needs; none for a static one."""
    out = subprocess.run(["ldd", str(program)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout.decode()
    return re.findall(r"(/\S+) \(0x", out)


def debian_package(name):
    """Path of a Debian package's files, unpacked and not installed."""
    versions = cache.candidate_versions([name])

    def make(tmp):
        deb = tmp / ".deb"
        deb.mkdir(parents=True)
        cache.run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", name, cwd=deb)
        cache.run("dpkg-deb", "-x", next(deb.glob("*.deb")), tmp)
        cache.remove(deb)
    return cache.artefact(f"package-{name}", cache.digest(name), cache.digest(versions), make, f"the package {name}, unpacked")
