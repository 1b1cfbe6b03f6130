/* Options as tables: base/opt.h. */
#include "base/opt.h"

#include <sys/wait.h>
#include "base/file.h"
#include "base/str.h"
#include "tests/unit/unit.h"

static bool quiet, force;
static const char *file;
static long number;
static uint64_t timeout_us;
static char **list;
static char ran[200];

static int run(int argc, char **argv, void *data)
{
	ran[0] = 0;
	ck_assert_ptr_null(argv[argc]);
	for (int i = 0; i < argc; i++)
		snprintf(ran + strlen(ran), sizeof(ran) - strlen(ran), "%s%s", i ? " " : "", argv[i]);
	return data ? *(int *)data : 0;
}

static const struct opt opts[] = {
	{ "quiet", 'q', OPT_FLAG, NULL, "Say less", &quiet },
	{ "Numbers", 0, OPT_GROUP, NULL, NULL, NULL },
	{ "number", 'n', OPT_INT, "N", "How many", &number },
	{ "timeout", 0, OPT_DURATION, "TIME", "Wait no longer", &timeout_us },
	{ "file", 'f', OPT_STRING, "FILE", "Read FILE; don't ask", &file },
};
static const struct opt start_opts[] = { { "force", 0, OPT_FLAG, NULL, "Start what is up, too", &force } };
static const struct verb verbs[] = {
	{ "start", "NAME...", "Start services", run, start_opts, 1, "service" },
	{ "cat", "FILE", "Print a file", run, NULL, 0, "file" },
	{ "image list", "", "List images", run, NULL, 0, "" },
	{ "image rm", "NAME...", "Remove images", run, start_opts, 1, "$(tool image list --names 2>/dev/null)" },
	{ "Other", NULL, NULL, NULL, NULL, 0, NULL },
	{ "log-level", "LEVEL", "Log more or less", run, NULL, 0, "debug info" },
};
static const struct program with_verbs = { "tool", "Do things.", "tool(1)", opts, ARRAY_SIZE(opts), verbs, ARRAY_SIZE(verbs), NULL, "1.2" };
static const struct program plain = { "plain", "Do one thing.", NULL, opts, ARRAY_SIZE(opts), NULL, 0, "[FILE...]", NULL };

static int loud;
static const struct opt loud_opts[] = { { "loud", 'l', OPT_COUNT, NULL, "Say more", &loud }, { "message", 'm', OPT_STRING, "TEXT", "Say this", &file } };
static const struct program counter = { "tool", "Count.", NULL, loud_opts, ARRAY_SIZE(loud_opts), NULL, 0, "[FILE...]", NULL };

static const struct opt exec_opts[] = { { "env", 'e', OPT_LIST, "K=V", "Set a variable", &list } };
static const struct verb exec_verbs[] = { { "exec", "ID CMD...", "Run a command", run, exec_opts, 1, "", true }, { "cat", "FILE", "Print", run, exec_opts, 1, "", false } };
static const struct program wrapper = { "tool", "Run things.", NULL, opts, ARRAY_SIZE(opts), exec_verbs, ARRAY_SIZE(exec_verbs), NULL, NULL };

#define ARGV(...) (char *[]){ (char *)"tool", __VA_ARGS__ __VA_OPT__(,) NULL }
#define W(s) ((char *)(s))

static int main_of(char **argv)
{
	return program_main(&with_verbs, (int)strv_len(argv), argv, NULL);
}

START_TEST(a_flag_that_counts_counts_itself_alone)
{
	char **argv = ARGV(W("-ll"), W("-lmlll"), W("--loud"), W("l"), W("--"), W("-l"));
	int argc = (int)strv_len(argv);

	loud = 0;
	ck_assert_int_eq(opt_parse(&counter, loud_opts, ARRAY_SIZE(loud_opts), &argc, &argv), 0);
	ck_assert_int_eq(loud, 4);
	ck_assert_str_eq(file, "lll");
}
END_TEST

START_TEST(an_option_that_may_be_given_several_times_adds_up)
{
	char **argv = ARGV(W("cat"), W("-e"), W("A=1"), W("--env=B=2"), W("x"), W("-eC=3"));

	ck_assert_int_eq(program_main(&wrapper, (int)strv_len(argv), argv, NULL), 0);
	ck_assert_uint_eq(strv_len(list), 3);
	ck_assert_str_eq(list[1], "B=2");
	ck_assert_str_eq(list[2], "C=3");
	strv_free(list);
	list = NULL;
}
END_TEST

START_TEST(another_programs_options_are_left_alone)
{
	char **argv = ARGV(W("exec"), W("--number=3"), W("id"), W("ls"), W("-q"), W("--force"));

	quiet = false;
	ck_assert_int_eq(program_main(&wrapper, (int)strv_len(argv), argv, NULL), 0);
	ck_assert(number == 3 && !quiet);
	ck_assert_str_eq(ran, "exec id ls -q --force");
}
END_TEST

START_TEST(options_come_in_every_form_of_getopt_long)
{
	static const char *const forms[][3] = { { "--file=x", NULL }, { "--file", "x" }, { "-f", "x" }, { "-fx", NULL }, { "-qfx", NULL } };

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		char *words[] = { W("plain"), W(forms[i][0]), W(forms[i][1] ? forms[i][1] : "op"), W("op2"), NULL }, **argv = words;
		int argc = 4;
		file = NULL;
		ck_assert_int_eq(opt_parse(&plain, opts, ARRAY_SIZE(opts), &argc, &argv), 0);
		ck_assert_str_eq(file, "x");
		ck_assert_int_eq(argc, forms[i][1] ? 1 : 2);
		ck_assert_str_eq(argv[argc - 1], "op2");
		ck_assert_ptr_null(argv[argc]);
	}
	ck_assert(quiet);
}
END_TEST

START_TEST(operands_may_come_between_options_and_after_two_dashes)
{
	char *words[] = { W("plain"), W("a"), W("-q"), W("-"), W("-n5"), W("b"), W("--"), W("-x"), W("--"), NULL }, **argv = words;
	int argc = 9;

	ck_assert_int_eq(opt_parse(&plain, opts, ARRAY_SIZE(opts), &argc, &argv), 0);
	ck_assert_int_eq(argc, 5);
	ck_assert_str_eq(argv[0], "a");
	ck_assert_str_eq(argv[1], "-");
	ck_assert_str_eq(argv[2], "b");
	ck_assert_str_eq(argv[3], "-x");
	ck_assert_str_eq(argv[4], "--");
	ck_assert(quiet);
	ck_assert_int_eq(number, 5);
}
END_TEST

START_TEST(a_verb_has_its_own_options_and_the_programs)
{
	ck_assert_int_eq(main_of(ARGV(W("-q"), W("start"), W("a"), W("--force"), W("b"), W("-n"), W("-3"))), 0);
	ck_assert_str_eq(ran, "start a b");
	ck_assert(quiet && force);
	ck_assert_int_eq(number, -3);
	ck_assert_int_eq(main_of(ARGV(W("--force"), W("start"))), 2);
	ck_assert_int_eq(main_of(ARGV(W("cat"), W("--force"))), 2);
}
END_TEST

START_TEST(the_exit_status_is_that_of_the_verb)
{
	int status = 7;

	ck_assert_int_eq(program_main(&with_verbs, 2, ARGV(W("cat")), &status), 7);
}
END_TEST

START_TEST(values_are_checked)
{
	ck_assert_int_eq(main_of(ARGV(W("--timeout=2min"), W("cat"))), 0);
	ck_assert_uint_eq(timeout_us, 120000000);
	ck_assert_int_eq(main_of(ARGV(W("--timeout=abc"), W("cat"))), 2);
	ck_assert_int_eq(main_of(ARGV(W("--number=1x"), W("cat"))), 2);
	ck_assert_int_eq(main_of(ARGV(W("--number"))), 2);
	ck_assert_int_eq(main_of(ARGV(W("--quiet=1"), W("cat"))), 2);
	ck_assert_int_eq(main_of(ARGV(W("-x"), W("cat"))), 2);
	ck_assert_int_eq(main_of(ARGV(W("Other"))), 2);
	ck_assert_int_eq(main_of(ARGV(W("--Numbers"), W("cat"))), 2);
	ck_assert_int_eq(program_main(&with_verbs, 1, ARGV(), NULL), 2);
}
END_TEST

/* What the program prints on both outputs. */
static char *output(char **argv, int *status)
{
	char *text = NULL;
	int p[2];
	pid_t pid;

	ck_assert_int_eq(pipe(p), 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		dup2(p[1], STDOUT_FILENO);
		dup2(p[1], STDERR_FILENO);
		close(p[0]);
		close(p[1]);
		exit(main_of(argv));
	}
	close(p[1]);
	ck_assert_int_eq(fd_read_all(p[0], 1 << 20, &text, NULL), 0);
	close(p[0]);
	waitpid(pid, status, 0);
	*status = WEXITSTATUS(*status);
	return text;
}

#define ck_prints(argv, code, want)                                            \
	do {                                                                   \
		int status_;                                                   \
		_cleanup_free_ char *text_ = output(argv, &status_);           \
		ck_assert_int_eq(status_, code);                               \
		ck_assert_msg(strstr(text_, want), "no '%s' in\n%s", want, text_); \
	} while (0)

START_TEST(a_typing_error_is_answered_with_what_was_meant)
{
	ck_prints(ARGV(W("strat")), 2, "tool: unknown command 'strat'; did you mean 'start'?\nTry 'tool --help'.\n");
	ck_prints(ARGV(W("--quite")), 2, "tool: unknown option '--quite'; did you mean '--quiet'?");
	ck_prints(ARGV(W("start"), W("--forse")), 2, "did you mean '--force'?\nTry 'tool start --help'.");
	ck_prints(ARGV(W("xxxxxxxx")), 2, "tool: unknown command 'xxxxxxxx'\n");
}
END_TEST

START_TEST(a_command_may_have_two_words)
{
	ran[0] = 0;
	ck_assert_int_eq(main_of(ARGV(W("-q"), W("image"), W("rm"), W("a"), W("-n"), W("4"))), 0);
	ck_assert_str_eq(ran, "rm a");
	ck_assert_int_eq(number, 4);
	ck_assert_int_eq(main_of(ARGV(W("image list"))), 2);
	ck_prints(ARGV(W("image")), 2, "tool: 'image' needs a command: 'tool image COMMAND'\n");
	ck_prints(ARGV(W("image"), W("lisst")), 2, "tool: unknown command 'image lisst'; did you mean 'image list'?");
	ck_prints(ARGV(W("imagge"), W("list")), 2, "tool: unknown command 'imagge'");
	ck_prints(ARGV(W("image"), W("--help")), 0, "tool image COMMAND ...\n\nCommands:\n  image list        List images\n  image rm NAME...  Remove images\n");
	ck_prints(ARGV(W("image"), W("rm"), W("--help")), 0, "tool image rm [OPTIONS...] NAME...\n\nRemove images\n");
	ck_prints(ARGV(W("--completion=zsh")), 0, "\timage)\n\tif ((CURRENT == 2)); then\n\t\tcommands=(\n\t\t\t'list:List images'\n");
	ck_prints(ARGV(W("--completion=fish")), 0, "complete -c tool -n '__fish_seen_subcommand_from image; and __fish_seen_subcommand_from rm' -l force ");
}
END_TEST

START_TEST(the_help_is_grouped_and_aligned)
{
	ck_prints(ARGV(W("--help")), 0,
		"tool [OPTIONS...] COMMAND ...\n\nDo things.\n\n"
		"Commands:\n"
		"  start NAME...      Start services\n"
		"  cat FILE           Print a file\n"
		"  image list         List images\n"
		"  image rm NAME...   Remove images\n"
		"\nOther:\n"
		"  log-level LEVEL    Log more or less\n"
		"\nOptions:\n"
		"  -q --quiet         Say less\n");
	ck_prints(ARGV(W("-h")), 0, "\nNumbers:\n  -n --number=N      How many\n     --timeout=TIME  Wait no longer\n  -f --file=FILE     Read FILE; don't ask\n");
	ck_prints(ARGV(W("start"), W("--help")), 0, "tool start [OPTIONS...] NAME...\n\nStart services\n\nOptions of this command:\n     --force ");
	ck_prints(ARGV(W("--help")), 0, "\nSee the tool(1) man page for details.\n");
	ck_prints(ARGV(W("--version")), 0, "tool 1.2\n");
}
END_TEST

START_TEST(the_man_page_list_escapes_hyphens)
{
	ck_prints(ARGV(W("--help-man")), 0, ".TP\n\\fB\\-n\\fR, \\fB\\-\\-number\\fR=\\fIN\\fR\nHow many.\n");
	ck_prints(ARGV(W("--help-man")), 0, ".TP\n\\fBlog\\-level\\fR \\fILEVEL\\fR\nLog more or less.\n");
	ck_prints(ARGV(W("--help-man")), 0, ".SS Numbers\n");
}
END_TEST

/* Run the bash completion on words; the candidates, separated by spaces. */
static void ck_completes(const char *line, const char *want)
{
	int dir = make_test_dir(), status;
	_cleanup_free_ char *script = output(ARGV(W("--completion=bash")), &status);
	char command[1000], got[1000] = "";
	FILE *f;

	ck_assert_int_eq(file_replace(dir, "c", script, strlen(script), 0600), 0);
	snprintf(command, sizeof(command),
		"bash -c 'cd %s; . ./c; tool() { case $* in list*) echo web db;; image*) echo nginx;; esac; }; COMP_WORDS=(%s); "
		"COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _tool; echo ${COMPREPLY[@]}'",
		test_dir_path, line);
	f = popen(command, "r");
	if (!fgets(got, sizeof(got), f))
		got[0] = 0;
	ck_assert_int_eq(pclose(f), 0);
	ck_assert_str_eq(str_strip(got), want);
	close(dir);
	rm_rf(AT_FDCWD, test_dir_path);
}

START_TEST(bash_completes_verbs_options_services_and_files)
{
	ck_completes("tool \"\"", "start cat image log-level");
	ck_completes("tool st", "start");
	ck_completes("tool -q start w", "web");
	ck_completes("tool start \"\"", "web db");
	ck_completes("tool start --fo", "--force");
	ck_completes("tool cat --fo", "");
	ck_completes("tool --qu", "--quiet");
	ck_completes("tool cat \"\"", "c");
	ck_completes("tool -f \"\"", "c");
	ck_completes("tool -n \"\"", "");
	ck_completes("tool log-level d", "debug");
	ck_completes("tool image \"\"", "list rm");
	ck_completes("tool -q image rm n", "nginx");
	ck_completes("tool image rm --fo", "--force");
	ck_completes("tool image list --fo", "");
}
END_TEST

START_TEST(zsh_and_fish_scripts_quote_the_help)
{
	ck_prints(ARGV(W("--completion=zsh")), 0, "'(-f --file)'{-f+,--file=}'[Read FILE; don'\\''t ask]:FILE:_files'");
	ck_prints(ARGV(W("--completion=fish")), 0, "complete -c tool -s f -l file -r -F -d 'Read FILE; don\\'t ask'\n");
	ck_prints(ARGV(W("--completion=fish")), 0, "complete -c tool -n '__fish_seen_subcommand_from start' -a '(tool list --names 2>/dev/null)'\n");
	ck_prints(ARGV(W("--completion=tcsh")), 2, "bash, zsh and fish");
}
END_TEST

PROMISES("base: options", a_flag_that_counts_counts_itself_alone, an_option_that_may_be_given_several_times_adds_up, another_programs_options_are_left_alone, options_come_in_every_form_of_getopt_long, operands_may_come_between_options_and_after_two_dashes,
	a_verb_has_its_own_options_and_the_programs, the_exit_status_is_that_of_the_verb, values_are_checked,
	a_typing_error_is_answered_with_what_was_meant, a_command_may_have_two_words, the_help_is_grouped_and_aligned, the_man_page_list_escapes_hyphens,
	bash_completes_verbs_options_services_and_files, zsh_and_fish_scripts_quote_the_help)
