/* opt.h: command-line options as a table that also prints the help text, the man page's list and the shell completion.
 *
 * A verb without run is a heading in the help, as OPT_GROUP is among options. An option whose arg is FILE or DIR completes paths.
 *
 * getopt_long(3) conventions: --name=value, --name value, -n value, -nvalue, "--" ends options. */
#ifndef RAST_BASE_OPT_H
#define RAST_BASE_OPT_H

#include <stdbool.h>
#include <stddef.h>

enum opt_kind { OPT_FLAG, OPT_COUNT /* a flag that counts how often it is given */, OPT_STRING, OPT_INT, OPT_DURATION, OPT_LIST /* may be given several times */, OPT_GROUP /* a heading in the help */ };

struct opt {
	const char *name;  /* long name without dashes; the heading for OPT_GROUP */
	char letter;       /* 0: none */
	enum opt_kind kind;
	const char *arg;   /* name of the value in the help: "FILE" */
	const char *help;  /* one line */
	void *to;          /* bool *, int * (OPT_COUNT), const char **, long *, uint64_t * (microseconds), char *** (strv_free) */
};

struct verb {
	const char *name;  /* one word, or two: "image list", where the first one is a group */
	const char *args;  /* "NAME...", "[NAME]" */
	const char *help;
	int (*run)(int argc, char **argv, void *data); /* returns the exit status; argv[0] is the (second word of the) verb */
	const struct opt *opts; size_t n_opts;         /* options of this verb, besides the program's */
	const char *complete;  /* what its operands are, for the shell completion: "service", "file", "$(command)" for what that prints, "" */
	bool in_order;         /* its options end at the first operand: what comes behind is another program's */
};

struct program {
	const char *name, *summary, *man; /* man: "rastctl(1)" */
	const struct opt *opts; size_t n_opts;
	const struct verb *verbs; size_t n_verbs; /* none: a program without verbs */
	const char *operands;
	const char *version;
};

/* Parse what belongs to opts. (*argv)[0] is the program's name on entry and the first operand on return, *argc the number of
 * operands, (*argv)[*argc] NULL. Operands may come between options for programs without verbs; else the first one ends them.
 * --help, --version and the hidden --help-man, --completion=bash|zsh|fish print and exit 0.
 * An unknown option prints what is near it and returns 2 (the exit status for wrong usage); 0 is success. */
int opt_parse(const struct program *p, const struct opt *opts, size_t n, int *argc, char ***argv);
/* The whole main of a program with verbs: parse, look the verb up ("did you mean"), parse its options, run it. */
int program_main(const struct program *p, int argc, char **argv, void *data);

#endif
