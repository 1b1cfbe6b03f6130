/* opt.c: parsing by tables; see opt.h. */
#include "base/opt.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "base/opt-print.h"
#include "base/str.h"

#define EXIT_USAGE 2
#define NAMES_MAX 128

struct set {
	const struct opt *opts;
	size_t n;
};

struct parser {
	const struct program *program;
	const struct verb *verb; /* NULL: the program's own options */
	struct set sets[3];
	size_t n_sets;
	int argc;
	char **argv;
	int i;          /* the word at hand */
	int n_operands; /* moved to argv[1...] so far */
};

const struct opt opt_builtin[] = {
	{ "help", 'h', OPT_FLAG, NULL, "Show this help", NULL },
	{ "version", 0, OPT_FLAG, NULL, "Show the version", NULL },
	{ "help-man", 0, OPT_FLAG, NULL, NULL, NULL },
	{ "completion", 0, OPT_STRING, "SHELL", NULL, NULL },
};

size_t opt_n_builtin(const struct program *p)
{
	return p->version ? 2 : 1;
}

static _printf_(2, 3) int usage_error(const struct parser *ps, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *p = text; *p; p++) /* what was typed is in it */
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	fprintf(stderr, "%s: %s\nTry '%s%s%s --help'.\n", ps->program->name, text, ps->program->name, ps->verb ? " " : "", ps->verb ? ps->verb->name : "");
	return EXIT_USAGE;
}

static const struct opt *find_long(const struct parser *ps, const char *name, size_t len)
{
	for (size_t s = 0; s < ps->n_sets; s++)
		for (size_t i = 0; i < ps->sets[s].n; i++) {
			const struct opt *o = &ps->sets[s].opts[i];
			if (o->kind != OPT_GROUP && strlen(o->name) == len && strncmp(o->name, name, len) == 0)
				return o;
		}
	return NULL;
}

static const struct opt *find_letter(const struct parser *ps, char letter)
{
	for (size_t s = 0; s < ps->n_sets; s++)
		for (size_t i = 0; i < ps->sets[s].n; i++)
			if (ps->sets[s].opts[i].kind != OPT_GROUP && ps->sets[s].opts[i].letter == letter)
				return &ps->sets[s].opts[i];
	return NULL;
}

static int unknown_option(const struct parser *ps, const char *name, size_t len)
{
	const char *names[NAMES_MAX], *near;
	char word[64];
	size_t n = 0;

	snprintf(word, sizeof(word), "%.*s", (int)MIN(len, sizeof(word) - 1), name);
	for (size_t s = 0; s < ps->n_sets; s++)
		for (size_t i = 0; i < ps->sets[s].n && n < NAMES_MAX; i++)
			if (ps->sets[s].opts[i].kind != OPT_GROUP && ps->sets[s].opts[i].help)
				names[n++] = ps->sets[s].opts[i].name;
	near = str_nearest(word, names, n);
	if (near)
		return usage_error(ps, "unknown option '--%s'; did you mean '--%s'?", word, near);
	return usage_error(ps, "unknown option '--%s'", word);
}

static _Noreturn void finish_output(void)
{
	exit(fflush(stdout) == 0 && !ferror(stdout) ? EXIT_SUCCESS : EXIT_FAILURE);
}

/* One of opt_builtin; most of them end the program. */
static int run_builtin(const struct parser *ps, const struct opt *o, const char *value)
{
	switch (o - opt_builtin) {
	case 0:
		opt_print_help(ps->program, ps->verb);
		break;
	case 1:
		printf("%s %s\n", ps->program->name, ps->program->version ? ps->program->version : "");
		break;
	case 2:
		opt_print_man(ps->program);
		break;
	default:
		if (opt_print_completion(ps->program, value) < 0)
			return usage_error(ps, "--completion=%s: bash, zsh and fish are known", value);
	}
	finish_output();
}

static int store(const struct parser *ps, const struct opt *o, const char *value)
{
	int64_t number;

	switch (o->kind) {
	case OPT_FLAG:
		*(bool *)o->to = true;
		return 0;
	case OPT_COUNT:
		++*(int *)o->to;
		return 0;
	case OPT_STRING:
		*(const char **)o->to = value;
		return 0;
	case OPT_INT:
		if (parse_i64(value, &number) < 0 || number < LONG_MIN || number > LONG_MAX)
			return usage_error(ps, "--%s=%s: not a whole number", o->name, value);
		*(long *)o->to = (long)number;
		return 0;
	case OPT_DURATION:
		if (parse_duration(value, o->to) < 0)
			return usage_error(ps, "--%s=%s: not a duration; write 5s, 500ms, 2min 30s or infinity", o->name, value);
		return 0;
	case OPT_LIST:
		return strv_push(o->to, value) < 0 ? usage_error(ps, "--%s: no memory", o->name) : 0;
	case OPT_GROUP:
		break;
	}
	return 0;
}

/* value NULL: the next word, when the option wants one. */
static int take_option(struct parser *ps, const struct opt *o, const char *value)
{
	if (opt_has_value(o) && !value) {
		if (ps->i + 1 >= ps->argc)
			return usage_error(ps, "--%s needs a value: --%s=%s", o->name, o->name, o->arg ? o->arg : "VALUE");
		value = ps->argv[++ps->i];
	}
	if (o >= opt_builtin && o < opt_builtin + ARRAY_SIZE(opt_builtin))
		return run_builtin(ps, o, value);
	return store(ps, o, value);
}

static int take_long(struct parser *ps, const char *word)
{
	size_t len = strcspn(word, "=");
	const struct opt *o = find_long(ps, word, len);

	if (!o)
		return unknown_option(ps, word, len);
	if (!opt_has_value(o) && word[len])
		return usage_error(ps, "--%s takes no value", o->name);
	return take_option(ps, o, word[len] ? word + len + 1 : NULL);
}

/* "-abc" is -a -b -c, "-nvalue" is -n value. */
static int take_letters(struct parser *ps, const char *word)
{
	for (; *word; word++) {
		const struct opt *o = find_letter(ps, *word);
		int r;
		if (!o)
			return usage_error(ps, "unknown option '-%c'", *word);
		if (opt_has_value(o))
			return take_option(ps, o, word[1] ? word + 1 : NULL);
		r = take_option(ps, o, NULL);
		if (r != 0)
			return r;
	}
	return 0;
}

/* Words from ps->i on are operands. */
static void take_rest(struct parser *ps)
{
	while (ps->i < ps->argc)
		ps->argv[1 + ps->n_operands++] = ps->argv[ps->i++];
}

/* Leave the operands in argv[1...n_operands], NULL behind them. */
static int parse_words(struct parser *ps, bool first_operand_ends)
{
	int r = 0;

	for (ps->i = 1; ps->i < ps->argc && r == 0; ps->i++) {
		char *word = ps->argv[ps->i];
		if (word[0] == '-' && word[1] == '-' && word[2])
			r = take_long(ps, word + 2);
		else if (word[0] == '-' && word[1] && word[1] != '-')
			r = take_letters(ps, word + 1);
		else if (word[0] == '-' && word[1] == '-') {
			ps->i++;
			take_rest(ps);
		} else if (first_operand_ends)
			take_rest(ps);
		else
			ps->argv[1 + ps->n_operands++] = word;
	}
	if (r == 0 && ps->argc > 0)
		ps->argv[1 + ps->n_operands] = NULL;
	return r;
}

int opt_parse(const struct program *p, const struct opt *opts, size_t n, int *argc, char ***argv)
{
	struct parser ps = { .program = p, .argc = *argc, .argv = *argv, .n_sets = 2,
		.sets = { { opts, n }, { opt_builtin, ARRAY_SIZE(opt_builtin) } } };
	int r = parse_words(&ps, p->n_verbs > 0);

	if (r != 0)
		return r;
	*argc = ps.n_operands;
	*argv += ps.argc > 0;
	return 0;
}

bool verb_in_group(const struct verb *v, const char *group, size_t len)
{
	return v->run && strncmp(v->name, group, len) == 0 && v->name[len] == ' ';
}

static bool is_group(const struct program *p, const char *word)
{
	for (size_t i = 0; i < p->n_verbs; i++)
		if (verb_in_group(&p->verbs[i], word, strlen(word)))
			return true;
	return false;
}

/* The verb that argv begins with; of two words when the first one is a group. */
static const struct verb *find_verb(const struct program *p, int argc, char **argv, bool group)
{
	size_t len = strlen(argv[0]);

	for (size_t i = 0; i < p->n_verbs; i++) {
		const struct verb *v = &p->verbs[i];
		if (group ? argc > 1 && verb_in_group(v, argv[0], len) && streq(v->name + len + 1, argv[1]) : v->run && !strchr(v->name, ' ') && streq(v->name, argv[0]))
			return v;
	}
	return NULL;
}

/* group: name is the word after it */
static int unknown_verb(const struct parser *ps, const char *group, const char *name)
{
	const char *names[NAMES_MAX], *near, *space = group ? " " : "";
	size_t n = 0, len = group ? strlen(group) : 0;

	group = group ? group : "";
	for (size_t i = 0; i < ps->program->n_verbs && n < NAMES_MAX; i++) {
		const struct verb *v = &ps->program->verbs[i];
		if (*space ? verb_in_group(v, group, len) : v->run != NULL)
			names[n++] = v->name + (*space ? len + 1 : 0);
	}
	near = str_nearest(name, names, n);
	if (near)
		return usage_error(ps, "unknown command '%s%s%s'; did you mean '%s%s%s'?", group, space, name, group, space, near);
	return usage_error(ps, "unknown command '%s%s%s'", group, space, name);
}

/* `tool image` and `tool image --help`: a group without a command of it. */
static int group_alone(const struct parser *ps, const char *group, const char *word)
{
	if (!word)
		return usage_error(ps, "'%s' needs a command: '%s %s COMMAND'", group, ps->program->name, group);
	if (!streq(word, "--help") && !streq(word, "-h"))
		return unknown_verb(ps, group, word);
	opt_print_group_help(ps->program, group);
	finish_output();
}

int program_main(const struct program *p, int argc, char **argv, void *data)
{
	struct parser ps = { .program = p };
	const struct verb *v;
	bool group;
	int r = opt_parse(p, p->opts, p->n_opts, &argc, &argv);

	if (r != 0)
		return r;
	if (argc == 0)
		return usage_error(&ps, "no command given");
	group = is_group(p, argv[0]);
	v = find_verb(p, argc, argv, group);
	if (!v)
		return group ? group_alone(&ps, argv[0], argv[1]) : unknown_verb(&ps, NULL, argv[0]);
	argc -= group;
	argv += group;
	ps = (struct parser){ .program = p, .verb = v, .argc = argc, .argv = argv, .n_sets = 3,
		.sets = { { v->opts, v->n_opts }, { p->opts, p->n_opts }, { opt_builtin, ARRAY_SIZE(opt_builtin) } } };
	r = parse_words(&ps, v->in_order);
	if (r == 0 && v->args && !*v->args && ps.n_operands > 0)
		return usage_error(&ps, "'%s' takes no operand, and '%.80s' is one", v->name, argv[1]);
	return r != 0 ? r : v->run(1 + ps.n_operands, argv, data);
}
