/* The configuration of a container: every field arrives, and what is wrong is named by file and JSON path. JSON is written with ' for ". */
#include "tests/unit/unit.h"

#include <errno.h>
#include <jansson.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <time.h>
#include "base/str.h"
#include "runtime/spec/spec.h"

static const struct oci_load how = { .file = "config.json" }, how_systemd = { .file = "config.json", .systemd_cgroup = true };

static char *quoted(const char *text)
{
	char *s = strdup(text);

	ck_assert_ptr_nonnull(s);
	for (char *p = s; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	return s;
}

static struct oci_spec *good(const char *text)
{
	_cleanup_free_ char *s = quoted(text);
	_cleanup_err_ struct err e = { 0 };
	struct oci_spec *spec = NULL;

	if (oci_spec_parse(s, strlen(s), &how, &spec, &e) < 0)
		ck_abort_msg("%s", err_text(&e));
	return spec;
}

#define HEAD "'ociVersion':'1.2.0','root':{'path':'rootfs'}"
#define SPEC(x) "{" HEAD "," x "}"
#define PROCESS(x) SPEC("'process':{'args':['sh'],'cwd':'/'," x "}")
#define LINUX(x) SPEC("'linux':{" x "}")
#define RES(x) LINUX("'resources':{" x "}")
#define MOUNT(x) SPEC("'mounts':[{" x "}],'linux':{'namespaces':[{'type':'mount'}]}")
#define SECCOMP(x) LINUX("'seccomp':{" x "}")

static const struct {
	const char *json, *error;
} wrong[] = {
#include "tests/unit/runtime_spec_errors.inc"
};

START_TEST(an_error_names_the_file_the_path_and_the_mend)
{
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup_free_ char *s = quoted(wrong[i].json);
		_cleanup_err_ struct err e = { 0 };
		struct oci_spec *spec = NULL;
		const struct oci_load *h = str_starts(wrong[i].error, "config.json: linux.cgroupsPath: 'a:b' is") ? &how_systemd : &how;
		int r = oci_spec_parse(s, strlen(s), h, &spec, &e);
		if (r >= 0)
			ck_abort_msg("accepted: %s", wrong[i].json);
		ck_assert_ptr_null(spec);
		ck_assert_str_eq(err_text(&e), wrong[i].error);
		ck_assert(r == -EINVAL || r == -EBADMSG);
	}
}
END_TEST

START_TEST(the_smallest_configuration_is_enough)
{
	_cleanup_oci_spec_ struct oci_spec *s = good("{" HEAD "}");

	ck_assert_str_eq(s->oci_version, "1.2.0");
	ck_assert_str_eq(s->root_path, "rootfs");
	ck_assert(!s->root_readonly && !s->process && !s->hostname && !s->resources && !s->seccomp && !s->cgroups_path && !s->landlock);
	ck_assert_uint_eq(s->n_mounts, 0);
	for (int i = 0; i < OCI_NS_N; i++)
		ck_assert(!s->ns[i].listed);
}
END_TEST

START_TEST(unknown_keys_and_null_are_passed_over)
{
	_cleanup_oci_spec_ struct oci_spec *s = good(LINUX("'frobnicate':[1,{'a':null}],'seccomp':null,'resources':{'memory':null,'x':1}"));

	ck_assert_ptr_null(s->seccomp);
	ck_assert(!s->resources->memory_limit.set);
}
END_TEST

START_TEST(a_process_arrives_whole)
{
	_cleanup_oci_spec_ struct oci_spec *s = good(SPEC("'process':{'terminal':true,'consoleSize':{'height':25,'width':80},"
		"'user':{'uid':1,'gid':2,'umask':63,'additionalGids':[5,6]},'args':['sh','-c',''],'env':['A=1','B='],'cwd':'/x',"
		"'capabilities':{'bounding':['CAP_KILL','CAP_BPF'],'permitted':['CAP_KILL'],'effective':['CAP_KILL'],'inheritable':['CAP_KILL'],'ambient':['CAP_KILL']},"
		"'rlimits':[{'type':'RLIMIT_NOFILE','soft':10,'hard':18446744073709551615}],'noNewPrivileges':true,'apparmorProfile':'p','selinuxLabel':'l',"
		"'oomScoreAdj':-5,'scheduler':{'policy':'SCHED_FIFO','priority':7,'flags':['SCHED_FLAG_RESET_ON_FORK']},"
		"'ioPriority':{'class':'IOPRIO_CLASS_BE','priority':4},'execCPUAffinity':{'initial':'7','final':'0-3,70'}}"));
	const struct oci_process *p = s->process;

	ck_assert(p->terminal && p->has_console_size && p->console_height == 25 && p->console_width == 80);
	ck_assert(p->user.uid == 1 && p->user.gid == 2 && p->user.has_umask && p->user.umask == 077 && p->user.n_gids == 2 && p->user.gids[1] == 6);
	ck_assert(p->args.n == 3 && streq(p->args.v[1], "-c") && streq(p->args.v[2], "") && !p->args.v[3]);
	ck_assert(p->env.n == 2 && streq(p->env.v[1], "B=") && !p->env.v[2]);
	ck_assert(p->has_caps && p->caps.bounding == (1ULL << 5 | 1ULL << 39) && p->caps.ambient == 1U << 5);
	ck_assert(p->n_rlimits == 1 && p->rlimits[0].resource == RLIMIT_NOFILE && p->rlimits[0].soft == 10 && p->rlimits[0].hard == UINT64_MAX);
	ck_assert(p->no_new_privileges && p->has_oom_score_adj && p->oom_score_adj == -5);
	ck_assert(p->scheduler->policy == SCHED_FIFO && p->scheduler->priority == 7 && p->scheduler->flags == SCHED_FLAG_RESET_ON_FORK);
	ck_assert(p->has_io_priority && p->io_priority == (2 << 13 | 4));
	ck_assert(p->exec_affinity_initial.n_bits == 8 && p->exec_affinity_initial.bits[0] == 1U << 7);
	ck_assert(p->exec_affinity_final.n_bytes == 16 && p->exec_affinity_final.bits[0] == 0xf && p->exec_affinity_final.bits[1] == 1U << 6);
	ck_assert_str_eq(p->apparmor_profile, "p");
	ck_assert_str_eq(p->selinux_label, "l");
	ck_assert_str_eq(p->cwd, "/x");
}
END_TEST

START_TEST(namespaces_maps_and_devices_arrive)
{
	_cleanup_oci_spec_ struct oci_spec *s = good(SPEC("'hostname':'h','domainname':'d','linux':{"
		"'namespaces':[{'type':'user'},{'type':'network','path':'/run/netns/x'},{'type':'time'},{'type':'uts'},{'type':'mount'}],"
		"'uidMappings':[{'containerID':0,'hostID':100,'size':10},{'containerID':10,'hostID':0,'size':100}],"
		"'gidMappings':[{'containerID':0,'hostID':4294967294,'size':1}],"
		"'timeOffsets':{'monotonic':{'secs':-7,'nanosecs':5},'boottime':{'secs':3}},"
		"'devices':[{'type':'u','path':'/dev/x','major':1,'minor':3,'fileMode':8624,'uid':7},{'type':'p','path':'/p'}],"
		"'netDevices':{'eth0':{'name':'c0'},'eth1':{}},'cgroupsPath':'/a/b','rootfsPropagation':'rslave',"
		"'sysctl':{'net.ipv4.conf.eth0/1.x':'1','net/core/somaxconn':'2'},'maskedPaths':['/proc/kcore'],'readonlyPaths':['/proc/sys'],'mountLabel':'m',"
		"'intelRdt':{'closID':'c','schemata':['L3:0=f'],'enableMonitoring':true},'memoryPolicy':{'mode':'MPOL_BIND','nodes':'0-1','flags':['MPOL_F_STATIC_NODES']},"
		"'personality':{'domain':'LINUX32'}}"));

	ck_assert(s->ns[OCI_NS_USER].listed && !s->ns[OCI_NS_USER].path && s->ns[OCI_NS_NETWORK].listed && !s->ns[OCI_NS_PID].listed);
	ck_assert_str_eq(s->ns[OCI_NS_NETWORK].path, "/run/netns/x");
	ck_assert(s->uid_maps.n == 2 && s->uid_maps.v[0].host == 100 && s->gid_maps.v[0].host == 4294967294U);
	ck_assert(s->n_time_offsets == 2 && s->time_offsets[0].clock == CLOCK_MONOTONIC && s->time_offsets[0].secs == -7 && s->time_offsets[0].nanosecs == 5);
	ck_assert(s->time_offsets[1].clock == CLOCK_BOOTTIME && s->time_offsets[1].secs == 3);
	ck_assert(s->n_devices == 2 && s->devices[0].type == S_IFCHR && s->devices[0].mode == 0660 && s->devices[0].uid == 7 && s->devices[0].minor == 3);
	ck_assert(s->devices[1].type == S_IFIFO && s->devices[1].mode == 0666);
	ck_assert(s->n_net_devices == 2 && streq(s->net_devices[0].name, "c0") && streq(s->net_devices[1].name, "eth1"));
	ck_assert_str_eq(s->cgroups_path, "/a/b");
	ck_assert_uint_eq(s->rootfs_propagation, MS_SLAVE | MS_REC);
	ck_assert_str_eq(s->sysctl.v[0].key, "net/ipv4/conf/eth0.1/x");
	ck_assert_str_eq(s->sysctl.v[1].key, "net/core/somaxconn");
	ck_assert(s->masked_paths.n == 1 && s->readonly_paths.n == 1);
	ck_assert(streq(s->intel_rdt->clos_id, "c") && s->intel_rdt->schemata.n == 1 && s->intel_rdt->monitoring);
	ck_assert(s->memory_policy->mode == (2 | 1 << 15) && s->memory_policy->nodes.bits[0] == 3);
	ck_assert(s->has_personality && s->personality == 8);
}
END_TEST

static const struct oci_mount *one_mount(struct oci_spec **s, const char *options)
{
	char text[1024];

	snprintf(text, sizeof(text), MOUNT("'destination':'x','source':'/s','options':[%s]"), options);
	*s = good(text);
	return (*s)->mounts;
}

START_TEST(mount_options_become_what_mount_setattr_takes)
{
	const struct {
		const char *options;
		struct oci_mount m;
		const char *fs;
	} cases[] = {
		{ "'ro','nosuid','size=1k'", { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, .sb_flags = MS_RDONLY }, "size=1k" },
		{ "'ro','rw'", { .attr_clr = MOUNT_ATTR_RDONLY }, NULL },
		{ "'bind','rro','rnoatime'", { .flags = OCI_MOUNT_BIND, .rattr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME, .rattr_clr = MOUNT_ATTR__ATIME }, NULL },
		{ "'rbind','rslave'", { .flags = OCI_MOUNT_BIND | OCI_MOUNT_REC, .propagation = MS_SLAVE | MS_REC }, NULL },
		{ "'strictatime','noatime'", { .attr_set = MOUNT_ATTR_NOATIME, .attr_clr = MOUNT_ATTR__ATIME }, NULL },
		{ "'noatime','atime'", { .attr_clr = MOUNT_ATTR__ATIME }, NULL },
		{ "'strictatime','atime'", { .attr_set = MOUNT_ATTR_STRICTATIME, .attr_clr = MOUNT_ATTR__ATIME }, NULL },
		{ "'sync','dirsync','async'", { .sb_flags = MS_DIRSYNC }, NULL },
		{ "'tmpcopyup','mode=755','x-gvfs','nofail'", { .flags = OCI_MOUNT_TMPCOPYUP }, "mode=755" },
		{ "'nosymfollow','noexec','exec','defaults'", { .attr_set = 0x200000, .attr_clr = MOUNT_ATTR_NOEXEC }, NULL },
		{ "'src-nofollow','dest-nofollow','copy-symlink','bind'",
		  { .flags = OCI_MOUNT_SRC_NOFOLLOW | OCI_MOUNT_DEST_NOFOLLOW | OCI_MOUNT_COPY_SYMLINK | OCI_MOUNT_BIND }, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_oci_spec_ struct oci_spec *s = NULL;
		const struct oci_mount *m = one_mount(&s, cases[i].options), *w = &cases[i].m;
		ck_assert_msg(m->attr_set == w->attr_set && m->attr_clr == w->attr_clr && m->rattr_set == w->rattr_set && m->rattr_clr == w->rattr_clr &&
			m->flags == w->flags && m->propagation == w->propagation && m->sb_flags == w->sb_flags, "%s: set %lx clr %lx rset %lx rclr %lx flags %x",
			cases[i].options, (long)m->attr_set, (long)m->attr_clr, (long)m->rattr_set, (long)m->rattr_clr, m->flags);
		ck_assert_uint_eq(m->fs_options.n, cases[i].fs != NULL);
		if (cases[i].fs)
			ck_assert_str_eq(m->fs_options.v[0], cases[i].fs);
		ck_assert_str_eq(m->destination, "/x");
		ck_assert_str_eq(m->type, "");
	}
}
END_TEST

START_TEST(hooks_arrive_in_their_order)
{
	_cleanup_oci_spec_ struct oci_spec *s = good(SPEC("'hooks':{'poststop':[{'path':'/a'},{'path':'/b','args':['b','1'],'env':['X=1'],'timeout':3}]}"));

	ck_assert(s->hooks[OCI_HOOK_POSTSTOP].n == 2 && s->hooks[OCI_HOOK_PRESTART].n == 0);
	ck_assert(streq(s->hooks[OCI_HOOK_POSTSTOP].v[0].path, "/a") && s->hooks[OCI_HOOK_POSTSTOP].v[0].args.n == 0 && s->hooks[OCI_HOOK_POSTSTOP].v[0].env.v);
	ck_assert(s->hooks[OCI_HOOK_POSTSTOP].v[1].args.n == 2 && s->hooks[OCI_HOOK_POSTSTOP].v[1].timeout == 3);
}
END_TEST

START_TEST(resources_arrive_and_idle_v1_values_pass)
{
	_cleanup_oci_spec_ struct oci_spec *s = good(RES("'devices':[{'allow':false},{'allow':true,'type':'c','major':5,'minor':-1,'access':'rw'}],"
		"'memory':{'limit':100,'reservation':50,'swap':200,'kernel':-1,'kernelTCP':0,'disableOOMKiller':false,'useHierarchy':true,'checkBeforeUpdate':true},"
		"'cpu':{'shares':1024,'quota':-1,'burst':0,'period':100000,'realtimeRuntime':0,'cpus':'0-1','mems':'0','idle':1},'pids':{'limit':0},"
		"'blockIO':{'weight':500,'weightDevice':[{'major':8,'minor':0,'weight':10}],'throttleReadBpsDevice':[{'major':8,'minor':0,'rate':1000}]},"
		"'hugepageLimits':[{'pageSize':'2MB','limit':4194304}],'network':{'classID':0,'priorities':[]},'rdma':{'mlx':{'hcaHandles':3}},'unified':{'memory.high':'5'}"));
	const struct oci_resources *r = s->resources;

	ck_assert(r->n_devices == 2 && r->devices[0].type == 'a' && r->devices[0].major == -1 && r->devices[0].access == 7 && !r->devices[0].allow);
	ck_assert(r->devices[1].type == 'c' && r->devices[1].major == 5 && r->devices[1].minor == -1 && r->devices[1].access == (OCI_ACCESS_READ | OCI_ACCESS_WRITE));
	ck_assert(r->memory_limit.v == 100 && r->memory_swap.v == 200 && r->memory_reservation.v == 50 && r->memory_check_before_update);
	ck_assert(r->cpu_shares.v == 1024 && r->cpu_quota.set && r->cpu_quota.v == -1 && r->cpu_burst.set && r->cpu_idle.v == 1 && streq(r->cpuset_cpus, "0-1"));
	ck_assert(r->pids_limit.set && r->pids_limit.v == 0 && r->io_weight.v == 500 && r->io_rbps.n == 1 && r->io_rbps.v[0].value == 1000);
	ck_assert(r->n_hugepages == 1 && r->n_rdma == 1 && r->rdma[0].handles.v == 3 && !r->rdma[0].objects.set && streq(r->rdma[0].device, "mlx"));
	ck_assert(r->unified.n == 1 && streq(r->unified.v[0].value, "5"));
}
END_TEST

START_TEST(a_seccomp_profile_becomes_numbers)
{
	_cleanup_oci_spec_ struct oci_spec *s = good(SECCOMP("'defaultAction':'SCMP_ACT_ERRNO','defaultErrnoRet':38,'architectures':['SCMP_ARCH_X86_64','SCMP_ARCH_X32'],"
		"'listenerPath':'/a.sock','listenerMetadata':'m','syscalls':[{'names':['read','write'],'action':'SCMP_ACT_ALLOW'},"
		"{'names':['clone'],'action':'SCMP_ACT_NOTIFY','args':[{'index':0,'value':18446744073709551615,'valueTwo':1,'op':'SCMP_CMP_MASKED_EQ'}]},"
		"{'names':['personality'],'action':'SCMP_ACT_TRACE','errnoRet':7}]"));
	const struct oci_seccomp *p = s->seccomp;

	ck_assert_uint_eq(p->default_action, SCMP_ACT_ERRNO(38));
	ck_assert(p->n_archs == 2 && p->archs[1] == SCMP_ARCH_X32 && p->flags == 4 && p->notifies && p->n_rules == 3);
	ck_assert(p->rules[1].n_args == 1 && p->rules[1].args[0].value == UINT64_MAX && p->rules[1].args[0].op == SCMP_CMP_MASKED_EQ);
	ck_assert_uint_eq(p->rules[2].action, SCMP_ACT_TRACE(7));
	ck_assert_uint_gt(p->canonical_len, 40);
}
END_TEST

START_TEST(different_profiles_have_different_bytes)
{
	static const char *const rules[] = {
		"{'names':['read','write'],'action':'SCMP_ACT_ERRNO'}", "{'names':['readwrite'],'action':'SCMP_ACT_ERRNO'}",
		"{'names':['read'],'action':'SCMP_ACT_ERRNO'},{'names':['write'],'action':'SCMP_ACT_ERRNO'}",
		"{'names':['read'],'action':'SCMP_ACT_ERRNO','args':[{'index':0,'value':1,'op':'SCMP_CMP_EQ'}]}",
		"{'names':['read'],'action':'SCMP_ACT_ERRNO','args':[{'index':1,'value':1,'op':'SCMP_CMP_EQ'}]}",
		"{'names':['read'],'action':'SCMP_ACT_ERRNO','errnoRet':2}",
	};
	struct oci_spec *s[ARRAY_SIZE(rules)];

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		char text[512];
		snprintf(text, sizeof(text), SECCOMP("'defaultAction':'SCMP_ACT_ALLOW','syscalls':[%s]"), rules[i]);
		s[i] = good(text);
		for (size_t k = 0; k < i; k++)
			ck_assert(s[i]->seccomp->canonical_len != s[k]->seccomp->canonical_len ||
				memcmp(s[i]->seccomp->canonical, s[k]->seccomp->canonical, s[i]->seccomp->canonical_len) != 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		oci_spec_free(s[i]);
}
END_TEST

START_TEST(landlock_annotations_become_rules)
{
	_cleanup_oci_spec_ struct oci_spec *s = good(SPEC("'annotations':{'io.rastos.landlock.read':'/usr:/etc','io.rastos.landlock.write':'/tmp','io.rastos.landlock.tcp-bind':'80, 443',"
		"'io.rastos.landlock.tcp-connect':'','io.rastos.landlock.scope':'signal','org.example':'x'}"));

	ck_assert(s->landlock && s->landlock->read.n == 2 && streq(s->landlock->read.v[1], "/etc") && s->landlock->write.n == 1 && s->landlock->execute.n == 0);
	ck_assert(s->landlock->has_bind && s->landlock->n_bind_ports == 2 && s->landlock->bind_ports[1] == 443);
	ck_assert(s->landlock->has_connect && s->landlock->n_connect_ports == 0 && s->landlock->scope == 2);
	ck_assert_str_eq(oci_annotation(s, "org.example"), "x");
	ck_assert_ptr_null(oci_annotation(s, "org"));
}
END_TEST

START_TEST(container_ids_are_names_of_files)
{
	static const char *const yes[] = { "a", "_", "+", "-x", "A.b", "0..", "a+b_c-d.e" }, *const no[] = { "", ".", "..", ".a", "a/b", "a b", "a\n", "ä", "a:b" };

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		ck_assert_msg(oci_id_valid(yes[i]), "%s", yes[i]);
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		ck_assert_msg(!oci_id_valid(no[i]), "%s", no[i]);
}
END_TEST

START_TEST(process_and_resources_stand_alone)
{
	_cleanup_free_ char *p = quoted("{'args':['a'],'cwd':'/'}"), *r = quoted("{'pids':{'limit':5}}"), *bad = quoted("{'pids':{'limit':'5'}}");
	const struct oci_load h = { .file = "r.json" };
	_cleanup_err_ struct err e = { 0 };
	struct oci_process *process;
	struct oci_resources *resources;

	ck_assert_int_eq(oci_process_parse(p, strlen(p), &h, &process, &e), 0);
	ck_assert_str_eq(process->args.v[0], "a");
	oci_process_free(process);
	ck_assert_int_eq(oci_resources_parse(r, strlen(r), &h, &resources, &e), 0);
	ck_assert_int_eq(resources->pids_limit.v, 5);
	oci_resources_free(resources);
	ck_assert_int_eq(oci_resources_parse(bad, strlen(bad), &h, &resources, &e), -EINVAL);
	ck_assert_str_eq(err_text(&e), "r.json: pids.limit: must be a whole number, not a string");
}
END_TEST

START_TEST(a_file_that_is_missing_or_endless_is_an_error)
{
	const struct oci_load h = { .file = "/nonexistent/config.json" };
	_cleanup_err_ struct err e = { 0 };
	struct oci_spec *s;

	ck_assert_int_eq(oci_spec_load(AT_FDCWD, h.file, &h, &s, &e), -ENOENT);
	ck_assert_str_eq(err_text(&e), "open /nonexistent/config.json: No such file or directory");
	ck_assert_int_eq(oci_spec_load(AT_FDCWD, "/dev/zero", &h, &s, &e), -EFBIG);
}
END_TEST

START_TEST(the_default_configuration_is_a_good_one)
{
	for (int rootless = 0; rootless < 2; rootless++) {
		_cleanup_free_ char *text = NULL;
		_cleanup_err_ struct err e = { 0 };
		_cleanup_oci_spec_ struct oci_spec *s = NULL;
		ck_assert_int_eq(oci_spec_default(rootless, &text), 0);
		if (oci_spec_parse(text, strlen(text), &how, &s, &e) < 0)
			ck_abort_msg("%s", err_text(&e));
		ck_assert(s->process->terminal && s->process->no_new_privileges && s->root_readonly && s->n_mounts == (rootless ? 6 : 7));
		ck_assert(s->ns[OCI_NS_USER].listed == rootless && s->ns[OCI_NS_NETWORK].listed == !rootless && (s->resources == NULL) == rootless);
		ck_assert_uint_eq(s->uid_maps.n, rootless);
		ck_assert_uint_eq(s->masked_paths.n, 10);
	}
}
END_TEST

/* Everything that features names is taken by the reader. */
START_TEST(features_names_what_the_reader_takes)
{
	static const struct { const char *at, *spec; } lists[] = {
		{ "mountOptions", MOUNT("'destination':'/a','source':'/b','type':'x','uidMappings':[{'containerID':0,'hostID':1,'size':1}],"
			"'gidMappings':[{'containerID':0,'hostID':1,'size':1}],'options':['%s']") },
		{ "hooks", SPEC("'hooks':{'%s':[{'path':'/x'}]}") },
		{ "linux.capabilities", PROCESS("'capabilities':{'bounding':['%s']}") },
		{ "linux.seccomp.actions", SECCOMP("'defaultAction':'SCMP_ACT_ALLOW','listenerPath':'/x','syscalls':[{'names':['a'],'action':'%s'}]") },
		{ "linux.seccomp.operators", SECCOMP("'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['a'],'action':'SCMP_ACT_KILL','args':[{'index':0,'value':1,'op':'%s'}]}]") },
		{ "linux.seccomp.archs", SECCOMP("'defaultAction':'SCMP_ACT_ALLOW','architectures':['%s']") },
		{ "linux.seccomp.supportedFlags", SECCOMP("'defaultAction':'SCMP_ACT_ALLOW','listenerPath':'/x','flags':['%s'],'syscalls':[{'names':['a'],'action':'SCMP_ACT_NOTIFY'}]") },
		{ "linux.memoryPolicy.flags", LINUX("'memoryPolicy':{'mode':'MPOL_BIND','nodes':'0','flags':['%s']}") },
	};
	_cleanup_free_ char *text = NULL;
	size_t counts[ARRAY_SIZE(lists)];

	ck_assert_int_eq(oci_features(&text), 0);
	json_t *root = json_loads(text, 0, NULL);
	ck_assert_ptr_nonnull(root);
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		char path[64], json[1024];
		json_t *list = root, *item;
		size_t k;
		snprintf(path, sizeof(path), "%s", lists[i].at);
		for (char *key = strtok(path, "."); key; key = strtok(NULL, "."))
			list = json_object_get(list, key);
		counts[i] = json_array_size(list);
		json_array_foreach(list, k, item) {
			_cleanup_oci_spec_ struct oci_spec *s = NULL;
			size_t at = (size_t)(strstr(lists[i].spec, "%s") - lists[i].spec);
			snprintf(json, sizeof(json), "%.*s%s%s", (int)at, lists[i].spec, json_string_value(item), lists[i].spec + at + 2);
			s = good(json);
			if (i == 0)
				ck_assert_msg(s->mounts[0].fs_options.n == 0, "%s", json_string_value(item));
		}
	}
	ck_assert(counts[0] >= 62 && counts[1] == 6 && counts[2] == 41 && counts[3] == 9 && counts[4] == 7 && counts[5] >= 17 && counts[6] >= 1 && counts[7] == 3);
	ck_assert_uint_eq(json_array_size(json_object_get(json_object_get(root, "linux"), "namespaces")), 8);
	json_decref(root);
}
END_TEST

PROMISES("runtime: configuration", an_error_names_the_file_the_path_and_the_mend, the_smallest_configuration_is_enough,
	unknown_keys_and_null_are_passed_over, a_process_arrives_whole, namespaces_maps_and_devices_arrive,
	mount_options_become_what_mount_setattr_takes, hooks_arrive_in_their_order, resources_arrive_and_idle_v1_values_pass,
	a_seccomp_profile_becomes_numbers, different_profiles_have_different_bytes, landlock_annotations_become_rules,
	container_ids_are_names_of_files, process_and_resources_stand_alone,
	the_default_configuration_is_a_good_one, features_names_what_the_reader_takes, a_file_that_is_missing_or_endless_is_an_error)
