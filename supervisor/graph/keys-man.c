/* keys-man.c: the key table as roff, the part of rast.service(5) between its two marks. */
#include "base/str.h"
#include "supervisor/graph/compile.h"
#include "supervisor/graph/keys.h"

/* Text for roff: backslashes and dashes are escaped, and no line begins with a control character. */
static void put_text(FILE *f, const char *s)
{
	if (*s == '.' || *s == '\'')
		fputs("\\&", f);
	for (; *s; s++) {
		if (*s == '\\')
			fputs("\\e", f);
		else if (*s == '-')
			fputs("\\-", f);
		else
			fputc(*s, f);
	}
}

static void put_types(FILE *f, unsigned types)
{
	unsigned left = (unsigned)__builtin_popcount(types);

	if (types == FOR_ALL || types == FOR_PROCESS) /* the page says which these are */
		return;
	fputs(" Only for ", f);
	for (unsigned i = 0; type_names[i]; i++)
		if (types & 1u << i)
			fprintf(f, "%s%s", type_names[i], --left == 0 ? "." : left == 1 ? " and " : ", ");
}

static void put_aliases(FILE *f, const struct key *k)
{
	for (size_t i = 0; i < n_keys; i++)
		if (keys[i].alias_of && streq(keys[i].alias_of, k->name) && streq(keys[i].section, k->section)) {
			fputs(" Also written ", f);
			put_text(f, keys[i].name);
			fputs(".", f);
		}
}

static void put_key(FILE *f, const struct key *k)
{
	fputs(".TP\n.BR ", f);
	put_text(f, k->name ? k->name : "NAME");
	fputs(" \" = ", f);
	put_text(f, k->value);
	fputs("\"\n", f);
	put_text(f, k->help);
	if (k->name)
		put_aliases(f, k);
	if (k->def) {
		fputs(" Default: ", f);
		put_text(f, k->def);
		fputs(".", f);
	}
	put_types(f, k->types);
	fputs("\n", f);
}

void keys_print_man(FILE *f)
{
	const char *section = "";

	for (size_t i = 0; i < n_keys; i++) {
		if (!streq(section, keys[i].section))
			fprintf(f, ".SS [%s]\n", keys[i].section);
		section = keys[i].section;
		if (!keys[i].alias_of)
			put_key(f, &keys[i]);
	}
}
