/* keys.c: see keys.h. The table is the reference of what a service file can say; rast.service(5) prints it. */
#include "supervisor/graph/keys.h"

#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include "base/str.h"
#include "supervisor/graph/compile.h"

const char *const type_names[] = { "oneshot", "longrun", "bundle", "virtual", NULL };
static const char *const policies[] = { "no", "on-failure", "always", NULL };
static const char *const accesses[] = { "main", "all", "none", NULL };
static const char *const kill_modes[] = { "cgroup", "process", NULL };

#define AT(field) .offset = offsetof(struct values, field)
#define REFS(k) .kind = KEY_REFS, .ref = (k), .value = "NAME..."

const struct key keys[] = {
	{ "service", "type", KEY_ENUM, FOR_ALL, AT(type), .choices = type_names, .value = "oneshot|longrun|bundle|virtual",
	  .help = "What the service is. A oneshot runs to its end and is up when it exited with success; a longrun stays; a bundle is a named set, up when all of its contents are; a virtual is a name that several can provide, up when one provider is. Always needed." },
	{ "service", "description", KEY_TEXT, FOR_ALL, AT(description), .value = "TEXT", .help = "One line for people." },
	{ "service", "exec", KEY_COMMAND, FOR_PROCESS, AT(exec), .value = "COMMAND",
	  .help = "The command, split into words as a shell does ('...', \"...\", backslash) without a shell's expansion. Needed for oneshot and longrun." },
	{ "service", "exec-stop", KEY_COMMAND, FOR_PROCESS, AT(exec_stop), .value = "COMMAND",
	  .help = "Run to stop the service, in place of the stop signal; what is left when it ends gets the signal. For a oneshot: what undoes it." },
	{ "service", "exec-reload", KEY_COMMAND, FOR_LONGRUN, AT(exec_reload), .value = "COMMAND", .help = "Run by rastctl reload. Not together with reload-signal." },
	{ "service", "reload-signal", KEY_SIGNAL, FOR_LONGRUN, AT(reload_signal), .value = "SIGNAL", .def = "none: reload is refused", .help = "Sent to the main process by rastctl reload." },
	{ "service", "pre-start", KEY_COMMAND, FOR_PROCESS, AT(pre_start), .value = "COMMAND", .help = "Run before exec, in the same cgroup and as the same user. When it fails, exec is not started." },
	{ "service", "post-stop", KEY_COMMAND, FOR_PROCESS, AT(post_stop), .value = "COMMAND", .help = "Run after every end of the service, a crash included." },
	{ "service", "user", KEY_ACCOUNT, FOR_PROCESS, AT(user), .value = "USER", .def = "root", .help = "Name or number. Its group is the user's own unless group says otherwise." },
	{ "service", "group", KEY_ACCOUNT, FOR_PROCESS, AT(group), .value = "GROUP", .help = "Name or number." },
	{ "service", "groups", KEY_ACCOUNTS, FOR_PROCESS, AT(groups), .value = "GROUP...", .help = "Supplementary groups, besides those that the user has." },
	{ "service", "working-directory", KEY_PATH, FOR_PROCESS, AT(working_directory), .value = "PATH", .def = "/", .help = "Inside root-directory, if there is one." },
	{ "service", "root-directory", KEY_PATH, FOR_PROCESS, AT(root_directory), .value = "PATH", .help = "chroot(2) to it first." },
	{ "service", "environment", KEY_ENVIRONMENT, FOR_PROCESS, AT(environment), .value = "KEY=VALUE",
	  .help = "One variable; everything after the second = is its value, quotes included. May be repeated." },
	{ "service", "environment-file", KEY_FILES, FOR_PROCESS, AT(environment_files), .value = "[-]PATH...", .help = "Read at each start: lines KEY=VALUE. With - in front it may be missing." },
	{ "service", "umask", KEY_UMASK, FOR_PROCESS, AT(umask), .value = "OCTAL", .def = "0022", .help = "File mode creation mask." },
	{ "service", "nice", KEY_INT, FOR_PROCESS, AT(nice), .min = -20, .max = 19, .value = "-20..19", .help = "Scheduling priority, see nice(2)." },
	{ "service", "oom-score-adj", KEY_INT, FOR_PROCESS, AT(oom_score_adj), .min = -1000, .max = 1000, .value = "-1000..1000", .help = "How gladly the kernel kills it when memory is short, see proc(5)." },
	{ "service", "no-new-privileges", KEY_BOOL, FOR_PROCESS, AT(no_new_privileges), .value = "yes|no", .def = "no", .help = "PR_SET_NO_NEW_PRIVS, see prctl(2)." },
	{ "service", "tty", KEY_TTY, FOR_PROCESS, AT(tty), .value = "DEVICE", .help = "Opened and made the controlling terminal of the process. With output = tty, which is then the default, it is stdin, stdout and stderr too. A bare name is one below /dev." },
	{ "service", "output", KEY_OUTPUT, FOR_PROCESS, AT(output), .value = "log|null|console|tty|inherit|pipe:NAME", .def = "log",
	  .help = "Where stdout and stderr go: the logger, nowhere, the console, the terminal of tty, where rastd's own go, or the stdin of the longrun NAME, on which the service then depends." },
	{ "service", "log-max-size", KEY_LOG_SIZE, FOR_PROCESS, AT(log_size), .value = "SIZE", .def = "1M", .help = "With output = log: how big the log file may grow before it is rotated: NAME.log becomes NAME.log.1, and so on. From 64K to 4G." },
	{ "service", "log-max-files", KEY_INT, FOR_PROCESS, AT(log_files), .min = 0, .max = 99, .value = "0..99", .def = "8", .help = "With output = log: how many rotated files are kept beside NAME.log; with 0 a full log begins anew." },
	{ "service", "boot-critical", KEY_BOOL, FOR_ALL, AT(boot_critical), .value = "yes|no", .def = "no", .help = "A boot is good only when this service came up and stayed up for its settle-time; if it is enabled, the boot target can't come up without it." },
	{ "service", "settle-time", KEY_DURATION, FOR_ALL, AT(settle_time), .zero = true, .value = "TIME", .def = "5s", .help = "See boot-critical." },

	{ "dependencies", "depends", REFS(REF_DEPENDS), .types = FOR_ALL, .help = "Started with this one, and up before it; when one of them stops or fails, this one is stopped. Stopping one of them alone is refused while this one is up." },
	{ "dependencies", "requires", REFS(REF_DEPENDS), .types = FOR_ALL, .alias_of = "depends" },
	{ "dependencies", "requires-one", REFS(REF_REQUIRES_ONE), .types = FOR_ALL, .help = "At least one of these has to be up before this one starts, the first if none is." },
	{ "dependencies", "wants", REFS(REF_WANTS), .types = FOR_ALL, .help = "Started with this one and waited for; whether they fail does not matter." },
	{ "dependencies", "after", REFS(REF_AFTER), .types = FOR_ALL, .help = "If both are to be started, the named ones are up (or have failed) first; stopped in reverse order. Starts nothing." },
	{ "dependencies", "before", REFS(REF_BEFORE), .types = FOR_ALL, .help = "The same, seen from the other side." },
	{ "dependencies", "conflicts", REFS(REF_CONFLICTS), .types = FOR_ALL, .help = "Never up at the same time, whichever of the two says so." },
	{ "dependencies", "provides", REFS(REF_PROVIDES), .types = FOR_PROCESS | FOR_BUNDLE, .help = "Virtual names that this one can stand for. A name without a file of its own becomes a virtual by being provided." },
	{ "dependencies", "contents", REFS(REF_CONTENTS), .types = FOR_BUNDLE, .help = "The members of a bundle. Always said for a bundle; may be empty." },
	{ "dependencies", "providers", REFS(REF_PROVIDERS), .types = FOR_VIRTUAL, .help = "Who can provide this virtual, best first. Those whose provides names it come after them, by name." },

	{ "readiness", "notify", KEY_NOTIFY, FOR_LONGRUN, AT(notify), .value = "none|fd:N|socket", .def = "none",
	  .help = "How a longrun says that it is ready. none: it is as soon as it runs. fd:N: a newline written to descriptor N (3 or higher), as s6 has it. socket: READY=1 as in sd_notify(3)." },
	{ "readiness", "notify-access", KEY_ENUM, FOR_LONGRUN, AT(notify_access), .choices = accesses, .value = "main|all|none", .def = "main", .help = "Whose messages on the socket count: the main process's, those of all in the cgroup, or nobody's." },
	{ "readiness", "reload-notify", KEY_BOOL, FOR_LONGRUN, AT(reload_notify), .value = "yes|no", .def = "no", .help = "The service answers reload-signal on the socket, by RELOADING=1 with MONOTONIC_USEC and then READY=1, as with Type=notify-reload of systemd: rastctl reload waits for that, as long as start-timeout says." },
	{ "readiness", "start-timeout", KEY_DURATION, FOR_PROCESS, AT(start_timeout), .infinite = true, .value = "TIME|infinity", .def = "90s", .help = "How long pre-start may take, and then the start until it is ready (oneshot: until its end). A reload has the same time." },

	{ "restart", "policy", KEY_ENUM, FOR_PROCESS, AT(policy), .choices = policies, .value = "no|on-failure|always", .def = "always for a longrun, no for a oneshot", .help = "Whether a service that ended by itself is started again." },
	{ "restart", "delay", KEY_DURATION, FOR_PROCESS, AT(delay), .zero = true, .value = "TIME", .def = "100ms", .help = "Wait before the first restart; doubles with each." },
	{ "restart", "delay-max", KEY_DURATION, FOR_PROCESS, AT(delay_max), .zero = true, .value = "TIME", .def = "30s", .help = "The longest wait." },
	{ "restart", "limit", KEY_COUNT, FOR_PROCESS, AT(limit), .value = "N|infinity", .def = "5", .help = "So many starts within interval; at the next end the service has failed." },
	{ "restart", "max-deaths", KEY_COUNT, FOR_PROCESS, AT(limit), .alias_of = "limit" },
	{ "restart", "interval", KEY_DURATION, FOR_PROCESS, AT(interval), .value = "TIME", .def = "10s", .help = "See limit. A service that was up for this long starts anew with delay." },
	{ "restart", "success", KEY_STATUSES, FOR_PROCESS, AT(success), .value = "STATUS|SIGNAL...", .help = "Exit statuses (numbers) and signals (names) that count as success, besides 0 and, for a stop, the stop signal." },
	{ "restart", "watchdog", KEY_DURATION, FOR_LONGRUN, AT(watchdog), .value = "TIME", .def = "off", .help = "With notify = socket: WATCHDOG=1 has to come at least this often, else the service is killed and counts as failed." },

	{ "stop", "signal", KEY_SIGNAL, FOR_PROCESS, AT(stop_signal), .value = "SIGNAL", .def = "TERM", .help = "Sent to stop the service." },
	{ "stop", "down-signal", KEY_SIGNAL, FOR_PROCESS, AT(stop_signal), .alias_of = "signal" },
	{ "stop", "timeout", KEY_DURATION, FOR_PROCESS, AT(stop_timeout), .infinite = true, .value = "TIME|infinity", .def = "10s", .help = "After this long everything that is left in the cgroup is killed." },
	{ "stop", "timeout-kill", KEY_DURATION, FOR_PROCESS, AT(stop_timeout), .infinite = true, .alias_of = "timeout" },
	{ "stop", "kill-mode", KEY_ENUM, FOR_PROCESS, AT(kill_mode), .choices = kill_modes, .value = "cgroup|process", .def = "cgroup", .help = "Whether the stop signal goes to every process of the service or to the main one only." },

	{ "limits", NULL, KEY_LIMIT, FOR_PROCESS, AT(limits), .value = "SOFT[:HARD]",
	  .help = "A resource limit by its prlimit(1) name: as, core, cpu, data, fsize, locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, sigpending, stack. A number (sizes with K, M, G, T), or infinity. One value sets both." },
	{ "cgroup", NULL, KEY_CGROUP, FOR_PROCESS, AT(cgroup), .value = "VALUE",
	  .help = "A file of the service's cgroup by the kernel's name, such as memory.max, cpu.weight, io.max, pids.max. Sizes may have K, M, G, T. Keys with a value for each device (io.max) may be repeated." },

	{ "install", "enabled", KEY_BOOL, FOR_ALL, AT(install), .value = "yes|no", .def = "no", .help = "The distribution's default: started at boot, as part of the bundle default. A link in /etc/rastos/enabled decides otherwise: to this file for yes, to /dev/null for no." },
};
const size_t n_keys = ARRAY_SIZE(keys);

/* Keys by hash of section and name: a file has a handful of lines, and a machine a thousand files. */
#define SLOTS 256 /* a power of two, well above n_keys */
static const struct key *slots[SLOTS];

static unsigned slot_of(const char *section, const char *name)
{
	unsigned h = 5381;

	for (; *section; section++)
		h = h * 33 + (unsigned char)*section;
	for (; *name; name++)
		h = h * 33 + (unsigned char)*name;
	return h % SLOTS;
}

static bool key_is(const struct key *k, const char *section, const char *name)
{
	return streq(k->name ? k->name : "", name) && streq(k->section, section);
}

static __attribute__((constructor)) void fill_slots(void)
{
	_Static_assert(ARRAY_SIZE(keys) * 2 < SLOTS, "the hash table is too full");
	for (size_t i = 0; i < n_keys; i++) {
		unsigned at = slot_of(keys[i].section, keys[i].name ? keys[i].name : "");
		while (slots[at])
			at = (at + 1) % SLOTS;
		slots[at] = &keys[i];
	}
}

static const struct key *look_up(const char *section, const char *name)
{
	for (unsigned at = slot_of(section, name); slots[at]; at = (at + 1) % SLOTS)
		if (key_is(slots[at], section, name))
			return slots[at];
	return NULL;
}

const struct key *key_find(const char *section, const char *name)
{
	const struct key *k = *name ? look_up(section, name) : NULL;

	if (!k)
		return look_up(section, "");
	return k->alias_of ? look_up(section, k->alias_of) : k;
}

bool section_known(const char *section)
{
	for (size_t i = 0; i < n_keys; i++)
		if (streq(keys[i].section, section))
			return true;
	return false;
}

size_t key_names(const char *section, const char **ret, size_t max)
{
	size_t n = 0;

	for (size_t i = 0; i < n_keys && n < max; i++) {
		if (section && keys[i].name && streq(keys[i].section, section))
			ret[n++] = keys[i].name;
		if (!section && (n == 0 || !streq(ret[n - 1], keys[i].section)))
			ret[n++] = keys[i].section;
	}
	return n;
}

/* prlimit(1); sizes are those that setrlimit(2) counts in bytes. */
static const struct {
	const char *name;
	int resource;
	bool is_bytes;
} limit_table[] = {
	{ "as", RLIMIT_AS, true }, { "core", RLIMIT_CORE, true }, { "cpu", RLIMIT_CPU, false }, { "data", RLIMIT_DATA, true },
	{ "fsize", RLIMIT_FSIZE, true }, { "locks", RLIMIT_LOCKS, false }, { "memlock", RLIMIT_MEMLOCK, true }, { "msgqueue", RLIMIT_MSGQUEUE, true },
	{ "nice", RLIMIT_NICE, false }, { "nofile", RLIMIT_NOFILE, false }, { "nproc", RLIMIT_NPROC, false }, { "rss", RLIMIT_RSS, true },
	{ "rtprio", RLIMIT_RTPRIO, false }, { "rttime", RLIMIT_RTTIME, false }, { "sigpending", RLIMIT_SIGPENDING, false }, { "stack", RLIMIT_STACK, true },
};

/* Documentation/admin-guide/cgroup-v2.rst: the files of a non-root cgroup that set something. */
static const struct {
	const char *name;
	enum cgroup_value value;
} cgroup_table[] = {
	{ "cgroup.max.depth", CGROUP_NUMBER }, { "cgroup.max.descendants", CGROUP_NUMBER }, { "cgroup.pressure", CGROUP_BOOL },
	{ "cpu.idle", CGROUP_BOOL }, { "cpu.max", CGROUP_TEXT }, { "cpu.max.burst", CGROUP_NUMBER }, { "cpu.uclamp.max", CGROUP_TEXT }, { "cpu.uclamp.min", CGROUP_TEXT },
	{ "cpu.weight", CGROUP_WEIGHT }, { "cpu.weight.nice", CGROUP_TEXT },
	{ "cpuset.cpus", CGROUP_TEXT }, { "cpuset.cpus.exclusive", CGROUP_TEXT }, { "cpuset.cpus.partition", CGROUP_TEXT }, { "cpuset.mems", CGROUP_TEXT },
	{ "dmem.low", CGROUP_DEVICE }, { "dmem.max", CGROUP_DEVICE }, { "dmem.min", CGROUP_DEVICE },
	{ "hugetlb.1GB.max", CGROUP_SIZE }, { "hugetlb.1GB.rsvd.max", CGROUP_SIZE }, { "hugetlb.2MB.max", CGROUP_SIZE }, { "hugetlb.2MB.rsvd.max", CGROUP_SIZE },
	{ "hugetlb.32MB.max", CGROUP_SIZE }, { "hugetlb.32MB.rsvd.max", CGROUP_SIZE }, { "hugetlb.64KB.max", CGROUP_SIZE }, { "hugetlb.64KB.rsvd.max", CGROUP_SIZE },
	{ "io.bfq.weight", CGROUP_DEVICE }, { "io.latency", CGROUP_DEVICE }, { "io.max", CGROUP_DEVICE }, { "io.prio.class", CGROUP_TEXT }, { "io.weight", CGROUP_DEVICE },
	{ "memory.high", CGROUP_SIZE }, { "memory.low", CGROUP_SIZE }, { "memory.max", CGROUP_SIZE }, { "memory.min", CGROUP_SIZE }, { "memory.oom.group", CGROUP_BOOL },
	{ "memory.swap.high", CGROUP_SIZE }, { "memory.swap.max", CGROUP_SIZE }, { "memory.zswap.max", CGROUP_SIZE }, { "memory.zswap.writeback", CGROUP_BOOL },
	{ "misc.max", CGROUP_DEVICE }, { "pids.max", CGROUP_NUMBER }, { "rdma.max", CGROUP_DEVICE },
};

int limit_find(const char *name, bool *is_bytes)
{
	for (size_t i = 0; i < ARRAY_SIZE(limit_table); i++)
		if (streq(limit_table[i].name, name)) {
			*is_bytes = limit_table[i].is_bytes;
			return limit_table[i].resource;
		}
	return -1;
}

enum cgroup_value cgroup_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(cgroup_table); i++)
		if (streq(cgroup_table[i].name, name))
			return cgroup_table[i].value;
	return CGROUP_UNKNOWN;
}

size_t limit_names(const char **ret, size_t max)
{
	size_t n = 0;

	for (; n < ARRAY_SIZE(limit_table) && n < max; n++)
		ret[n] = limit_table[n].name;
	return n;
}

size_t cgroup_names(const char **ret, size_t max)
{
	size_t n = 0;

	for (; n < ARRAY_SIZE(cgroup_table) && n < max; n++)
		ret[n] = cgroup_table[n].name;
	return n;
}
