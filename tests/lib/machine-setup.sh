#!/bin/sh
# Inside fresh namespaces, as their PID 1: build the machine's root and become rastinit. Called by machine.py, which sets MACHINE_*.
set -e
d=$MACHINE_DIR
mount -t tmpfs -o mode=755 machine "$d/rw"
mkdir "$d/rw/up" "$d/rw/work" "$d/rw/low"
# A layer must not lie below another one: what goes on top of the host's root is copied to a file system of its own
cp -a "$MACHINE_STAGE/." "$d/seed/." "$d/rw/low/"
mount -t overlay -o "lowerdir=$d/rw/low:/,upperdir=$d/rw/up,workdir=$d/rw/work" machine "$d/root"
r=$d/root
mount -t proc proc "$r/proc"
mount --bind "$r/proc/sys" "$r/proc/sys"
mount -o remount,bind,ro "$r/proc/sys"
# A command line of the machine's own: the host's says nothing to it
printf 'quiet %s\n' "$MACHINE_CMDLINE" > "$d/rw/cmdline"
mount --bind "$d/rw/cmdline" "$r/proc/cmdline"
mount -t sysfs -o ro sysfs "$r/sys"
mount -t tmpfs -o mode=755 dev "$r/dev"
for n in null zero full random urandom tty; do
	: > "$r/dev/$n"
	mount --bind "/dev/$n" "$r/dev/$n"
done
mkdir "$r/dev/pts" "$r/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$r/dev/pts"
ln -s pts/ptmx "$r/dev/ptmx"
ln -s /proc/self/fd "$r/dev/fd"
: > "$r/dev/console"
mount --bind "$d/console" "$r/dev/console"
for n in run tmp var/log var/lib/rastos; do
	mkdir -p "$r/$n"
	mount -t tmpfs -o mode=755 tmpfs "$r/$n"
done
chmod 1777 "$r/tmp"
# A v2 hierarchy of its own at the usual place
echo $$ > "$MACHINE_CGROUP/cgroup.procs"
exec unshare --cgroup sh -c '
	r=$1; shift
	mount -t tmpfs -o mode=755 tmpfs "$r/sys/fs/cgroup" 2>/dev/null || true
	mount -t cgroup2 -o nsdelegate cgroup2 "$r/sys/fs/cgroup" || mount -t cgroup2 cgroup2 "$r/sys/fs/cgroup"
	cd "$r"
	mkdir -p "$r/tmp/.old"
	pivot_root . tmp/.old
	cd /
	umount -l /tmp/.old
	rmdir /tmp/.old
	hostname machine
	exec setpriv --bounding-set -sys_time,-sys_boot --inh-caps -sys_time,-sys_boot /usr/lib/rastos/rastinit "$@" < /dev/null
' sh "$r" "$@"
