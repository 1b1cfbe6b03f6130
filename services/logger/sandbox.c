/* sandbox.c: root's user id is needed to write root's files; nothing else of root is. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include "base/base.h"
#include "services/logger/sandbox.h"

/* A descriptor per service: the usual soft limit of 1024 is there for select(2), which is not used here. */
static void raise_files(void)
{
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

/* Without the logger every service would soon wait for it. Fails without CAP_SYS_RESOURCE, which is no reason not to start. */
static void hide_from_oom(void)
{
	(void)file_write_str(AT_FDCWD, "/proc/self/oom_score_adj", "-900");
}

void sandbox_enter(void)
{
	raise_files();
	hide_from_oom();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* the buffers hold other people's lines */
	for (int cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
		;
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {0};
	if (syscall(SYS_capset, &head, none) < 0)
		log_warning("can't drop capabilities: %s", strerror(errno));
}
