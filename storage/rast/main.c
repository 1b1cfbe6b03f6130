/* main.c: the list of parts; see commands.h. */
#include "storage/rast/commands.h"

#include <errno.h>
#include <locale.h>
#include <stdarg.h>
#include "config.h"

static const struct rast_commands *const parts[] = {
	&rast_image,
	&rast_history,
	&rast_fleet,
};

struct rast_settings rast;

static const struct opt program_options[] = {
	{"json", 'j', OPT_FLAG, NULL, "print JSON", &rast.json},
	{"quiet", 'q', OPT_FLAG, NULL, "print only what was asked for, and errors", &rast.quiet},
	{"no-color", 0, OPT_FLAG, NULL, "no colours; NO_COLOR in the environment says the same", &text_no_color},
};

int rast_error(int status, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("rast: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

int rast_fail(const struct err *e)
{
	fflush(stdout);
	fputs("rast: ", stderr);
	print_clean(stderr, err_text(e)); /* names out of images are in it */
	fputc('\n', stderr);
	return e->code == -ENOENT || e->code == -EPERM || e->code == -EACCES ? RAST_NOT_THERE : RAST_FAILED;
}

/* All parts' verbs in one array, each part under its heading. */
static struct verb *join(size_t *n)
{
	size_t total = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		total += parts[i]->n + 1;
	struct verb *v = calloc(total, sizeof(*v));
	if (!v)
		return NULL;
	*n = 0;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		v[(*n)++] = (struct verb){.name = parts[i]->title};
		memcpy(v + *n, parts[i]->verbs, parts[i]->n * sizeof(*v));
		*n += parts[i]->n;
	}
	return v;
}

int main(int argc, char **argv)
{
	struct program program = {
		.name = "rast",
		.summary = "look after what the machine is made of",
		.man = "rast(8)",
		.opts = program_options,
		.n_opts = ARRAY_SIZE(program_options),
		.version = RAST_VERSION,
	};
	char help[] = "--help";

	setlocale(LC_TIME, "C");
	log_init("rast", LOG_TO_STDERR, -1);
	_cleanup_free_ struct verb *verbs = join(&program.n_verbs);
	if (!verbs)
		return rast_error(RAST_FAILED, "out of memory");
	program.verbs = verbs;
	if (argc == 2 && streq(argv[1], "help"))
		argv[1] = help;
	char *list[] = {argv[0], argc > 1 ? argv[1] : NULL, (char[]){"list"}, NULL};
	bool bare = argc == 2 && streq(argv[1], "history"); /* a group that has a most frequent command */
	int status = bare ? program_main(&program, 3, list, NULL) : program_main(&program, argc, argv, NULL);
	if (fflush(stdout) != 0 || ferror(stdout))
		return rast_error(RAST_FAILED, "writing the output failed: %s", strerror(errno));
	return status;
}
