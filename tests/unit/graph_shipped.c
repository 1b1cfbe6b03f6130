/* What rastOS ships: service files without a mistake, and a man page that has every key. With --man: print the part of the page that is made from the table. */
#include "supervisor/graph/keys.h"
#include "tests/unit/graph_set.h"

#define BEGIN ".\\\" keys: begin\n"
#define END ".\\\" keys: end\n"

static void print_problem(int level, const char *file, int line, const char *text, void *data)
{
	buf_addf(data, "%s:%d: %s\n", file, line, text);
}

START_TEST(the_service_files_that_are_installed_compile_without_a_word)
{
	const char *dirs[] = { SERVICES_DIR "/targets", SERVICES_DIR "/getty", SERVICES_DIR "/busybox", SERVICES_DIR "/debian", SERVICES_DIR "/container", test_dir_path };
	struct graph_source src = { dirs, ARRAY_SIZE(dirs), NULL };
	_cleanup_buf_ struct buf said = { 0 };
	_cleanup_free_ struct graph *g = NULL;
	_cleanup_free_ char *dhcp = NULL, *network = NULL, *ifupdown = NULL;
	size_t size;
	int fd = make_test_dir(), r;

	/* the network's folder has a program beside its files, so they are copied */
	ck_assert_int_eq(file_read(AT_FDCWD, SERVICES_DIR "/network/network-dhcp.ini.in", 65536, &dhcp, NULL), 0);
	ck_assert_int_eq(file_read(AT_FDCWD, SERVICES_DIR "/network/network.ini", 65536, &network, NULL), 0);
	ck_assert_int_eq(file_read(AT_FDCWD, SERVICES_DIR "/network/network-ifupdown.ini", 65536, &ifupdown, NULL), 0);
	ck_assert_ptr_nonnull(strstr(dhcp, "@libdir@")); /* what meson puts there is absolute */
	*strstr(dhcp, "@libdir@") = '/';
	put_set_file("network-dhcp.ini", dhcp);
	put_set_file("network.ini", network);
	put_set_file("network-ifupdown.ini", ifupdown);
	buf_add(&said, "", 0);
	r = graph_compile(&src, 1, print_problem, &said, (void **)&g, &size);
	close(fd);
	rm_rf(AT_FDCWD, test_dir_path);
	ck_assert_msg(r == 0 && said.len == 0, "%s", said.data);
	ck_assert_uint_ne(g->boot_target, UINT32_MAX);
	ck_assert_uint_ne(graph_find(g, "rescue"), UINT32_MAX);
	ck_assert_uint_ne(graph_find(g, "emergency"), UINT32_MAX);
	for (uint32_t i = 0; i < g->n_services; i++) {
		const struct gservice *s = graph_service(g, i);
		ck_assert_msg(!s->enabled, "%s is enabled", graph_str(g, s->name));
		ck_assert_msg(s->description, "%s has no description", graph_str(g, s->name));
	}
}
END_TEST

static char *generated(void)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	ck_assert_ptr_nonnull(f);
	keys_print_man(f);
	ck_assert_int_eq(fclose(f), 0);
	return text;
}

START_TEST(the_man_page_has_the_keys_of_the_table)
{
	_cleanup_free_ char *page = NULL, *made = generated();
	char *begin, *end;

	ck_assert_int_eq(file_read(AT_FDCWD, MAN_PAGE, 1 << 20, &page, NULL), 0);
	begin = strstr(page, BEGIN);
	end = strstr(page, END);
	ck_assert(begin && end && begin < end);
	*end = 0;
	ck_assert_msg(streq(begin + strlen(BEGIN), made), "docs/man/rast.service.5 is not of the same opinion as supervisor/graph/keys.c: put in what unit_graph_shipped --man prints");
}
END_TEST

START_TEST(every_key_of_the_table_has_help_and_a_form_or_is_an_alias_of_one_that_has)
{
	for (size_t i = 0; i < n_keys; i++) {
		const struct key *k = &keys[i], *to = key_find(k->section, k->name ? k->name : "x");
		ck_assert_msg(to && !to->alias_of && to->help && to->value && to->types, "[%s] %s", k->section, k->name);
		ck_assert_ptr_eq(to, k->alias_of ? key_find(k->section, k->alias_of) : k);
		ck_assert_int_eq(to->kind, k->kind);
		ck_assert_int_eq(to->offset, k->offset);
	}
	ck_assert_ptr_null(key_find("service", "exce"));
	ck_assert_ptr_null(key_find("", "exec"));
	ck_assert_ptr_null(key_find("stop", "policy"));
}
END_TEST

static int run_tests(int argc, char **argv);
#define main(...) run_tests(int argc, char **argv)
PROMISES("graph: shipped", the_service_files_that_are_installed_compile_without_a_word, the_man_page_has_the_keys_of_the_table, every_key_of_the_table_has_help_and_a_form_or_is_an_alias_of_one_that_has)
#undef main

int main(int argc, char **argv)
{
	if (argc == 2 && streq(argv[1], "--man")) {
		keys_print_man(stdout);
		return 0;
	}
	return run_tests(argc, argv);
}
