/* opt-completion.c: the tables as completion scripts for bash, zsh and fish. */
#include "base/opt-print.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include "base/mem.h"
#include "base/str.h"

enum operand { OPERAND_NONE, OPERAND_SERVICE, OPERAND_FILE, OPERAND_WORDS, OPERAND_OUTPUT };

static enum operand operand_kind(const char *complete)
{
	if (strempty(complete))
		return OPERAND_NONE;
	if (streq(complete, "service"))
		return OPERAND_SERVICE;
	if (str_starts(complete, "$("))
		return OPERAND_OUTPUT;
	return streq(complete, "file") ? OPERAND_FILE : OPERAND_WORDS;
}

static bool takes_path(const struct opt *o)
{
	return o->kind == OPT_STRING && o->arg && (str_starts(o->arg, "FILE") || str_starts(o->arg, "DIR") || str_starts(o->arg, "PATH"));
}

static bool shown(const struct opt *o)
{
	return o->kind != OPT_GROUP && o->help;
}

/* The program's name as a name of a shell function. */
static void print_function(const struct program *p)
{
	putchar('_');
	for (const char *c = p->name; *c; c++)
		putchar(isalnum((unsigned char)*c) ? *c : '_');
}

/* Text between single quotes; `special` are characters that take a backslash there. */
static void print_quoted(const char *s, const char *special)
{
	for (; *s; s++) {
		if (*s == '\'')
			fputs("'\\''", stdout);
		else if (strchr(special, *s))
			printf("\\%c", *s);
		else
			putchar(*s);
	}
}

/* fish has \' inside of single quotes. */
static void print_fish_text(const char *s)
{
	for (; *s; s++) {
		if (*s == '\'' || *s == '\\')
			putchar('\\');
		putchar(*s);
	}
}

/* --- bash --- */

static void bash_names(const struct opt *opts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (shown(&opts[i]))
			printf("--%s ", opts[i].name);
}

static void bash_values(const struct opt *opts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!shown(&opts[i]) || !opt_has_value(&opts[i]))
			continue;
		printf("\t--%s", opts[i].name);
		if (opts[i].letter)
			printf("|-%c", opts[i].letter);
		printf(") %sreturn ;;\n", takes_path(&opts[i]) ? "compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- \"$cur\")); " : "");
	}
}

static void bash_operands(const struct program *p, enum operand kind, const char *words)
{
	if (kind == OPERAND_SERVICE)
		printf("COMPREPLY=($(compgen -W \"$(%s list --names 2>/dev/null)\" -- \"$cur\"))", p->name);
	else if (kind == OPERAND_FILE)
		printf("compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- \"$cur\"))");
	else if (kind == OPERAND_WORDS)
		printf("COMPREPLY=($(compgen -W '%s' -- \"$cur\"))", words);
	else if (kind == OPERAND_OUTPUT)
		printf("COMPREPLY=($(compgen -W \"%s\" -- \"$cur\"))", words);
	else
		putchar(':');
}

/* True for the first verb of each group, and for verbs of one word: those are the words that can follow the program's name. */
static bool first_of_its_word(const struct program *p, size_t verb)
{
	const char *name = p->verbs[verb].name;
	size_t len = strcspn(name, " ");

	if (!p->verbs[verb].run)
		return false;
	for (size_t i = 0; name[len] && i < verb; i++)
		if (verb_in_group(&p->verbs[i], name, len))
			return false;
	return true;
}

static bool opens_group(const struct program *p, size_t verb)
{
	return strchr(p->verbs[verb].name, ' ') && first_of_its_word(p, verb);
}

/* Length of the first word of a verb's name. */
static int word_len(const char *name)
{
	return (int)strcspn(name, " ");
}

static void bash_verb_names(const struct program *p, const char *separator)
{
	bool first = true;

	for (size_t i = 0; i < p->n_verbs; i++) {
		if (!first_of_its_word(p, i))
			continue;
		printf("%s%.*s", first ? "" : separator, word_len(p->verbs[i].name), p->verbs[i].name);
		first = false;
	}
}

static void bash_find_verb(const struct program *p)
{
	if (p->n_verbs == 0)
		return;
	printf("\tfor ((i = 1; i < COMP_CWORD; i++)); do\n\t\tcase ${COMP_WORDS[i]} in\n\t\t");
	bash_verb_names(p, "|");
	printf(") verb=${COMP_WORDS[i]}; break ;;\n\t\tesac\n\tdone\n");
	for (size_t i = 0; i < p->n_verbs; i++)
		if (opens_group(p, i))
			printf("\t[[ $verb == %.*s ]] && ((i + 1 < COMP_CWORD)) && verb+=\" ${COMP_WORDS[i + 1]}\"\n", word_len(p->verbs[i].name), p->verbs[i].name);
}

/* The second words of the group that the verb is in. */
static void bash_group_words(const struct program *p, size_t verb)
{
	const char *name = p->verbs[verb].name, *separator = "";
	int len = word_len(name);

	printf("\t%.*s) COMPREPLY=($(compgen -W '", len, name);
	for (size_t i = 0; i < p->n_verbs; i++)
		if (verb_in_group(&p->verbs[i], name, (size_t)len)) {
			printf("%s%s", separator, p->verbs[i].name + len + 1);
			separator = " ";
		}
	printf("' -- \"$cur\")) ;;\n");
}

static void bash_option_words(const struct program *p)
{
	printf("\tif [[ $cur == -* ]]; then\n\t\tcase $verb in\n");
	for (size_t i = 0; i < p->n_verbs; i++) {
		if (!p->verbs[i].run || p->verbs[i].n_opts == 0)
			continue;
		printf("\t\t'%s') opts='", p->verbs[i].name);
		bash_names(p->verbs[i].opts, p->verbs[i].n_opts);
		printf("' ;;\n");
	}
	printf("\t\tesac\n\t\tCOMPREPLY=($(compgen -W \"$opts ");
	bash_names(p->opts, p->n_opts);
	bash_names(opt_builtin, opt_n_builtin(p));
	printf("\" -- \"$cur\"))\n\t\treturn\n\tfi\n");
}

static void bash_operand_words(const struct program *p)
{
	if (p->n_verbs == 0) {
		printf("\tcompopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- \"$cur\"))\n");
		return;
	}
	printf("\tcase $verb in\n\t'') COMPREPLY=($(compgen -W '");
	bash_verb_names(p, " ");
	printf("' -- \"$cur\")) ;;\n");
	for (size_t i = 0; i < p->n_verbs; i++) {
		if (!p->verbs[i].run)
			continue;
		if (opens_group(p, i))
			bash_group_words(p, i);
		printf("\t'%s') ", p->verbs[i].name);
		bash_operands(p, operand_kind(p->verbs[i].complete), p->verbs[i].complete);
		printf(" ;;\n");
	}
	printf("\tesac\n");
}

static void print_bash(const struct program *p)
{
	printf("# bash completion for %s; made by %s --completion=bash\n", p->name, p->name);
	print_function(p);
	printf("()\n{\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= opts= i\n"
	       "\tCOMPREPLY=()\n"
	       "\t[[ $cur == = ]] && cur=\n"
	       "\t[[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD-2]}\n");
	bash_find_verb(p);
	printf("\tcase $prev in\n");
	bash_values(p->opts, p->n_opts);
	for (size_t i = 0; i < p->n_verbs; i++)
		bash_values(p->verbs[i].opts, p->verbs[i].n_opts);
	printf("\tesac\n");
	bash_option_words(p);
	bash_operand_words(p);
	printf("}\ncomplete -F ");
	print_function(p);
	printf(" %s\n", p->name);
}

/* --- zsh --- */

static void zsh_options(const struct opt *opts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct opt *o = &opts[i];
		const char *assign = !opt_has_value(o) ? "" : "=";
		if (!shown(o))
			continue;
		if (o->letter)
			printf("\t\t'(-%c --%s)'{-%c%s,--%s%s}'[", o->letter, o->name, o->letter, *assign ? "+" : "", o->name, assign);
		else
			printf("\t\t'--%s%s[", o->name, assign);
		print_quoted(o->help, "[]\\");
		putchar(']');
		if (opt_has_value(o))
			printf(":%s:%s", o->arg ? o->arg : "value", takes_path(o) ? "_files" : "");
		printf("' \\\n");
	}
}

static void zsh_operands(const struct program *p, const struct verb *v)
{
	switch (operand_kind(v->complete)) {
	case OPERAND_SERVICE:
		printf("\t\t\"*:service:($(%s list --names 2>/dev/null | tr '\\n' ' '))\"\n", p->name);
		break;
	case OPERAND_FILE:
		printf("\t\t'*:file:_files'\n");
		break;
	case OPERAND_WORDS:
		printf("\t\t'*:value:(%s)'\n", v->complete);
		break;
	case OPERAND_OUTPUT:
		printf("\t\t\"*:value:(%s)\"\n", v->complete);
		break;
	case OPERAND_NONE:
		printf("\t\t'*:: :'\n");
		break;
	}
}

/* name: of the verb, or its second word */
static void zsh_verb(const struct program *p, const struct verb *v, const char *name)
{
	printf("\t%s) _arguments -s \\\n", name);
	zsh_options(v->opts, v->n_opts);
	zsh_options(p->opts, p->n_opts);
	zsh_options(opt_builtin, opt_n_builtin(p));
	zsh_operands(p, v);
	printf("\t\t;;\n");
}

static void zsh_describe(const char *name, int len, const char *help)
{
	printf("\t\t\t'%.*s:", len, name);
	print_quoted(help ? help : "", "\\");
	printf("'\n");
}

/* A group: the word after it is described, or decides. */
static void zsh_group(const struct program *p, const char *name)
{
	int len = word_len(name);

	printf("\t%.*s)\n\tif ((CURRENT == 2)); then\n\t\tcommands=(\n", len, name);
	for (size_t i = 0; i < p->n_verbs; i++)
		if (verb_in_group(&p->verbs[i], name, (size_t)len))
			zsh_describe(p->verbs[i].name + len + 1, (int)strlen(p->verbs[i].name + len + 1), p->verbs[i].help);
	printf("\t\t)\n\t\t_describe command commands\n\t\treturn\n\tfi\n\tshift words\n\t((CURRENT--))\n\tcase $words[1] in\n");
	for (size_t i = 0; i < p->n_verbs; i++)
		if (verb_in_group(&p->verbs[i], name, (size_t)len))
			zsh_verb(p, &p->verbs[i], p->verbs[i].name + len + 1);
	printf("\tesac\n\t;;\n");
}

static void zsh_verbs(const struct program *p)
{
	printf("\t[[ -z $state ]] && return\n\tif [[ $state == command ]]; then\n\t\tcommands=(\n");
	for (size_t i = 0; i < p->n_verbs; i++)
		if (first_of_its_word(p, i))
			zsh_describe(p->verbs[i].name, word_len(p->verbs[i].name), opens_group(p, i) ? "Commands of this group" : p->verbs[i].help);
	printf("\t\t)\n\t\t_describe command commands\n\t\treturn\n\tfi\n\tcase $words[1] in\n");
	for (size_t i = 0; i < p->n_verbs; i++) {
		if (opens_group(p, i))
			zsh_group(p, p->verbs[i].name);
		else if (p->verbs[i].run && !strchr(p->verbs[i].name, ' '))
			zsh_verb(p, &p->verbs[i], p->verbs[i].name);
	}
	printf("\tesac\n");
}

static void print_zsh(const struct program *p)
{
	printf("#compdef %s\n# made by %s --completion=zsh\n", p->name, p->name);
	print_function(p);
	printf("()\n{\n\tlocal curcontext=\"$curcontext\" state line\n\tlocal -a commands\n\t_arguments -s -C \\\n");
	zsh_options(p->opts, p->n_opts);
	zsh_options(opt_builtin, opt_n_builtin(p));
	if (p->n_verbs > 0) {
		printf("\t\t'1:command:->command' '*:: :->operands'\n");
		zsh_verbs(p);
	} else {
		printf("\t\t'*:file:_files'\n");
	}
	printf("}\n\n");
	print_function(p);
	printf(" \"$@\"\n");
}

/* --- fish --- */

static void fish_option(const struct program *p, const char *condition, const struct opt *o)
{
	if (!shown(o))
		return;
	printf("complete -c %s%s", p->name, condition);
	if (o->letter)
		printf(" -s %c", o->letter);
	printf(" -l %s", o->name);
	if (opt_has_value(o))
		printf(" -r%s", takes_path(o) ? " -F" : "");
	printf(" -d '");
	print_fish_text(o->help);
	printf("'\n");
}

static void fish_options(const struct program *p, const char *condition, const struct opt *opts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		fish_option(p, condition, &opts[i]);
}

static void fish_candidate(const struct program *p, const char *condition, const char *word, int len, const char *help)
{
	printf("complete -c %s -n %s -a %.*s -d '", p->name, condition, len, word);
	print_fish_text(help ? help : "");
	printf("'\n");
}

/* The condition under which options and operands of v are offered. */
static void fish_condition(char *buf, size_t size, const struct verb *v)
{
	int len = word_len(v->name);

	if (v->name[len])
		snprintf(buf, size, " -n '__fish_seen_subcommand_from %.*s; and __fish_seen_subcommand_from %s'", len, v->name, v->name + len + 1);
	else
		snprintf(buf, size, " -n '__fish_seen_subcommand_from %s'", v->name);
}

/* The words that may follow the first word of a group. */
static void fish_group(const struct program *p, const char *name)
{
	int len = word_len(name);

	fish_candidate(p, "__fish_use_subcommand", name, len, "Commands of this group");
	for (size_t i = 0; i < p->n_verbs; i++) {
		const struct verb *v = &p->verbs[i];
		if (!verb_in_group(v, name, (size_t)len))
			continue;
		printf("complete -c %s -n '__fish_seen_subcommand_from %.*s; and test (count (commandline -opc)) -eq 2' -a %s -d '", p->name, len, name,
			v->name + len + 1);
		print_fish_text(v->help ? v->help : "");
		printf("'\n");
	}
}

static void fish_verb(const struct program *p, size_t verb)
{
	const struct verb *v = &p->verbs[verb];
	char condition[192];

	if (opens_group(p, verb))
		fish_group(p, v->name);
	else if (!strchr(v->name, ' '))
		fish_candidate(p, "__fish_use_subcommand", v->name, (int)strlen(v->name), v->help);
	fish_condition(condition, sizeof(condition), v);
	fish_options(p, condition, v->opts, v->n_opts);
	switch (operand_kind(v->complete)) {
	case OPERAND_SERVICE:
		printf("complete -c %s%s -a '(%s list --names 2>/dev/null)'\n", p->name, condition, p->name);
		break;
	case OPERAND_FILE:
		printf("complete -c %s%s -F\n", p->name, condition);
		break;
	case OPERAND_WORDS:
		printf("complete -c %s%s -a '%s'\n", p->name, condition, v->complete);
		break;
	case OPERAND_OUTPUT:
		printf("complete -c %s%s -a '%s'\n", p->name, condition, v->complete + 1); /* fish 3.0 knows only (command) */
		break;
	case OPERAND_NONE:
		break;
	}
}

static void print_fish(const struct program *p)
{
	printf("# fish completion for %s; made by %s --completion=fish\n", p->name, p->name);
	if (p->n_verbs > 0)
		printf("complete -c %s -f\n", p->name);
	fish_options(p, "", p->opts, p->n_opts);
	fish_options(p, "", opt_builtin, opt_n_builtin(p));
	for (size_t i = 0; i < p->n_verbs; i++)
		if (p->verbs[i].run)
			fish_verb(p, i);
}

int opt_print_completion(const struct program *p, const char *shell)
{
	static const struct {
		const char *name;
		void (*print)(const struct program *p);
	} shells[] = { { "bash", print_bash }, { "zsh", print_zsh }, { "fish", print_fish } };

	for (size_t i = 0; i < ARRAY_SIZE(shells); i++)
		if (streq(shell, shells[i].name)) {
			shells[i].print(p);
			return 0;
		}
	return -EINVAL;
}
