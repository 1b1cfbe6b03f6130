/* cli.h: the program rastrun: runc's command line over runtime/container. */
#ifndef RAST_RUNTIME_CLI_H
#define RAST_RUNTIME_CLI_H

#include "base/opt.h"
#include "runtime/container/container.h"

struct cli { /* the options before the command */
	const char *root, *log, *log_format, *log_level, *rootless, *cgroup_manager;
	bool debug, systemd_cgroup;
};
extern struct cli cli;
extern const struct program rastrun;

/* Print the error once, as runc does: on stderr, and as a line in --log. Returns the exit status 1. */
int cli_fail(struct err *e);
int cli_usage(const char *verb, const char *what); /* exit status 1, as runc's */
int log_open(void); /* after the options are parsed; 0 or exit status */

/* 2019-5736: run from a read-only clone of the own file, so that a container never gets a descriptor that could write the host's. Returns when that is so;
 * otherwise executes itself again. */
int protect_self(char **argv, struct err *e);

/* Wait for a process of ours in the foreground: forward signals, connect terminals (master -1: none). Its exit status, 128 + signal. */
void foreground_block(void); /* before the process is made: signals wait for foreground() from then on */
int foreground(const struct rt_child *child, struct err *e);

typedef int verb_fn(int argc, char **argv, void *data);
verb_fn cmd_create, cmd_run, cmd_start, cmd_exec, cmd_state, cmd_list, cmd_ps, cmd_kill, cmd_delete, cmd_pause, cmd_resume, cmd_update, cmd_events, cmd_spec,
	cmd_features, cmd_mounts_add, cmd_mounts_remove;

/* The tables of options; a definition of another length does not compile. */
extern const struct opt create_opts[9], run_opts[12], exec_opts[18], list_opts[2], ps_opts[1], kill_opts[2], delete_opts[2],
	update_opts[14], events_opts[2], spec_opts[3];

#endif
