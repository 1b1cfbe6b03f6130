/* opt-help.c: the tables as help text and as items of a man page. */
#include "base/opt-print.h"

#include <stdio.h>
#include <string.h>
#include "base/mem.h"

#define COLUMN_MAX 30 /* a longer left part gets a line of its own */

typedef void (*row_fn)(const char *left, const char *help, void *data);
typedef void (*heading_fn)(const char *text, void *data);

static void option_left(char *buf, size_t size, const struct opt *o)
{
	const char *arg = o->arg ? o->arg : "VALUE";
	char letter[4] = "  ";

	if (o->letter)
		snprintf(letter, sizeof(letter), "-%c", o->letter);
	if (!opt_has_value(o))
		snprintf(buf, size, "  %s --%s", letter, o->name);
	else
		snprintf(buf, size, "  %s --%s=%s", letter, o->name, arg);
}

static void verb_left(char *buf, size_t size, const struct verb *v)
{
	snprintf(buf, size, "  %s%s%s", v->name, v->args && *v->args ? " " : "", v->args ? v->args : "");
}

static void each_option(const struct opt *opts, size_t n, row_fn row, heading_fn heading, void *data)
{
	char left[128];

	for (size_t i = 0; i < n; i++) {
		if (opts[i].kind == OPT_GROUP) {
			heading(opts[i].name, data);
		} else if (opts[i].help) { /* hidden without */
			option_left(left, sizeof(left), &opts[i]);
			row(left, opts[i].help, data);
		}
	}
}

static void each_verb(const struct program *p, row_fn row, heading_fn heading, void *data)
{
	char left[128];

	if (p->n_verbs > 0 && p->verbs[0].run)
		heading("Commands", data);
	for (size_t i = 0; i < p->n_verbs; i++) {
		if (!p->verbs[i].run) {
			heading(p->verbs[i].name, data);
		} else if (p->verbs[i].help) {
			verb_left(left, sizeof(left), &p->verbs[i]);
			row(left, p->verbs[i].help, data);
		}
	}
}

/* Verbs, the options of v (or the program's), and what every program has, in the order of the help. */
static void each(const struct program *p, const struct verb *v, row_fn row, heading_fn heading, void *data)
{
	if (!v)
		each_verb(p, row, heading, data);
	else if (v->n_opts > 0) {
		if (v->opts[0].kind != OPT_GROUP)
			heading("Options of this command", data);
		each_option(v->opts, v->n_opts, row, heading, data);
	}
	if (p->n_opts == 0 || p->opts[0].kind != OPT_GROUP)
		heading("Options", data);
	each_option(p->opts, p->n_opts, row, heading, data);
	each_option(opt_builtin, opt_n_builtin(p), row, heading, data);
}

static void measure(const char *left, const char *help, void *data)
{
	size_t *width = data, n = strlen(left);

	if (n <= COLUMN_MAX && n > *width)
		*width = n;
}

static void no_heading(const char *text, void *data)
{
}

static void print_row(const char *left, const char *help, void *data)
{
	int width = (int)*(size_t *)data;

	if ((int)strlen(left) > width)
		printf("%s\n%*s  %s\n", left, width, "", help);
	else
		printf("%-*s  %s\n", width, left, help);
}

static void print_heading(const char *text, void *data)
{
	printf("\n%s:\n", text);
}

static void print_usage(const struct program *p, const struct verb *v)
{
	if (v)
		printf("%s %s [OPTIONS...] %s\n\n%s\n", p->name, v->name, v->args ? v->args : "", v->help ? v->help : "");
	else
		printf("%s [OPTIONS...] %s\n\n%s\n", p->name, p->n_verbs ? "COMMAND ..." : p->operands ? p->operands : "", p->summary ? p->summary : "");
}

void opt_print_help(const struct program *p, const struct verb *v)
{
	size_t width = 0;

	print_usage(p, v);
	each(p, v, measure, no_heading, &width);
	each(p, v, print_row, print_heading, &width);
	if (p->man)
		printf("\nSee the %s man page for details.\n", p->man);
}

void opt_print_group_help(const struct program *p, const char *group)
{
	size_t width = 0;
	char left[128];

	printf("%s %s COMMAND ...\n\nCommands:\n", p->name, group);
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < p->n_verbs; i++) {
			if (!verb_in_group(&p->verbs[i], group, strlen(group)) || !p->verbs[i].help)
				continue;
			verb_left(left, sizeof(left), &p->verbs[i]);
			(pass ? print_row : measure)(left, p->verbs[i].help, &width);
		}
	printf("\n'%s %s COMMAND --help' shows the options of one.\n", p->name, group);
}

/* man(7): a hyphen that is to be copied is \-, a backslash \e, and a line must not begin with a control character. */
static void print_roff(const char *s)
{
	if (*s == '.' || *s == '\'')
		fputs("\\&", stdout);
	for (; *s; s++) {
		if (*s == '-')
			fputs("\\-", stdout);
		else if (*s == '\\')
			fputs("\\e", stdout);
		else
			putchar(*s);
	}
}

static void man_heading(const char *text, void *data)
{
	printf(".SS ");
	print_roff(text);
	putchar('\n');
}

static void man_help(const char *help)
{
	putchar('\n');
	print_roff(help);
	puts(".");
}

static void man_options(const struct opt *opts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct opt *o = &opts[i];
		if (o->kind == OPT_GROUP) {
			man_heading(o->name, NULL);
			continue;
		}
		if (!o->help)
			continue;
		puts(".TP");
		if (o->letter)
			printf("\\fB\\-%c\\fR, ", o->letter);
		fputs("\\fB\\-\\-", stdout);
		print_roff(o->name);
		fputs("\\fR", stdout);
		if (opt_has_value(o))
			printf("=\\fI%s\\fR", o->arg ? o->arg : "VALUE");
		man_help(o->help);
	}
}

static void man_verb(const struct verb *v)
{
	if (!v->run) {
		man_heading(v->name, NULL);
		return;
	}
	if (!v->help)
		return;
	fputs(".TP\n\\fB", stdout);
	print_roff(v->name);
	fputs("\\fR", stdout);
	if (v->args && *v->args) {
		fputs(" \\fI", stdout);
		print_roff(v->args);
		fputs("\\fR", stdout);
	}
	man_help(v->help);
	if (v->n_opts > 0) {
		puts(".RS");
		man_options(v->opts, v->n_opts);
		puts(".RE");
	}
}

void opt_print_man(const struct program *p)
{
	if (p->n_verbs > 0)
		puts(".SH COMMANDS");
	for (size_t i = 0; i < p->n_verbs; i++)
		man_verb(&p->verbs[i]);
	puts(".SH OPTIONS");
	man_options(p->opts, p->n_opts);
	man_options(opt_builtin, opt_n_builtin(p));
}
