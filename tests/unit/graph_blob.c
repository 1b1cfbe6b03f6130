/* The compiled graph as a file: it is verified before it is believed, and no damage can lead a reader astray. */
#include <sys/mman.h>
#include "tests/unit/graph_set.h"
#include "tests/unit/graph_walk.h"

static const struct set_file set[] = {
	{ "s/a.ini", "[service]\ntype = longrun\nexec = /bin/x 1 2\ndescription = d\nuser = u\ngroups = g\nenvironment = A=1\nenvironment-file = /e\ntty = tty1\npre-start = p\n[readiness]\nnotify = fd:4\n"
		"[restart]\nsuccess = 3 HUP\n[limits]\nnofile = 100\n[cgroup]\nmemory.max = 1M\n[dependencies]\ndepends = b\nwants = nobody\nrequires-one = net\n[install]\nenabled = yes\n" },
	{ "s/b.ini", LONGRUN "output = pipe:c\n" }, { "s/c.ini", LONGRUN DEPS "provides = net\n" }, { "s/d.ini", LONGRUN DEPS "conflicts = a\nafter = b\nbefore = z\n" }, { "s/z.ini", BUNDLE("b") }, { NULL, NULL },
};

static void *make(size_t *size)
{
	_cleanup_buf_ struct buf said = { 0 };
	void *blob;

	ck_assert_msg(compile_files(set, &said, &blob, size) == 0, "%s", said.data);
	return blob;
}

START_TEST(every_changed_byte_is_noticed)
{
	size_t size;
	_cleanup_free_ unsigned char *blob = make(&size);

	ck_assert_int_eq(graph_verify(blob, size), 0);
	for (size_t i = 0; i < size; i++)
		for (int bit = 0; bit < 8; bit++) {
			blob[i] ^= (unsigned char)(1 << bit);
			int r = graph_verify(blob, size);
			/* the checksum begins behind its own field; the generation and all else are in it */
			ck_assert_msg(r == -EBADMSG, "byte %zu bit %d", i, bit);
			blob[i] ^= (unsigned char)(1 << bit);
		}
	ck_assert_int_eq(graph_verify(blob, size), 0);
}
END_TEST

START_TEST(every_truncation_is_noticed)
{
	size_t size;
	_cleanup_free_ char *blob = make(&size);

	for (size_t n = 0; n < size; n++) {
		_cleanup_free_ char *cut = malloc(n ? n : 1); /* of its own, so that the sanitizer sees what is read behind it */
		memcpy(cut, blob, n);
		ck_assert_int_eq(graph_verify(cut, n), -EBADMSG);
	}
}
END_TEST

static void put_crc(char *blob, size_t size)
{
	uint32_t crc = crc32c(0, blob + 16, size - 16);

	memcpy(blob + offsetof(struct graph, crc), &crc, sizeof(crc));
}

START_TEST(damage_under_a_right_checksum_never_leads_outside)
{
	static const unsigned char values[] = { 0, 1, 0x7f, 0x80, 0xff };
	size_t size, refused = 0;
	_cleanup_free_ char *blob = make(&size);

	for (size_t i = 16; i < size; i++)
		for (size_t v = 0; v < ARRAY_SIZE(values) + 1; v++) {
			char old = blob[i];
			blob[i] = v < ARRAY_SIZE(values) ? (char)values[v] : (char)(old + 4);
			put_crc(blob, size);
			if (graph_verify(blob, size) == 0)
				ck_assert(walk_graph((const struct graph *)blob));
			else
				refused++;
			blob[i] = old;
		}
	ck_assert_uint_gt(refused, size); /* otherwise nothing has been checked */
}
END_TEST

START_TEST(whole_words_of_damage_never_lead_outside)
{
	static const uint32_t values[] = { 0, 1, 15, 16, 63, 64, 1u << 31, UINT32_MAX, UINT32_MAX - 3, UINT32_MAX / 2 + 1 };
	size_t size;
	_cleanup_free_ char *blob = make(&size);

	for (size_t i = 16; i + 4 <= size; i += 4)
		for (size_t v = 0; v < ARRAY_SIZE(values) + 3; v++) {
			uint32_t old, new;
			memcpy(&old, blob + i, 4);
			new = v < ARRAY_SIZE(values) ? values[v] : v == ARRAY_SIZE(values) ? (uint32_t)size : v == ARRAY_SIZE(values) + 1 ? (uint32_t)size - 4 : old + 8;
			memcpy(blob + i, &new, 4);
			put_crc(blob, size);
			if (graph_verify(blob, size) == 0)
				ck_assert(walk_graph((const struct graph *)blob));
			memcpy(blob + i, &old, 4);
		}
}
END_TEST

START_TEST(a_graph_is_mapped_and_looked_up_by_name)
{
	size_t size;
	_cleanup_free_ void *blob = make(&size);
	_cleanup_err_ struct err e = { 0 };
	const struct graph *g;
	int fd = make_test_dir();

	ck_assert_int_eq(file_replace(fd, "g", blob, size, 0644), 0);
	ck_assert_msg(graph_map(fd, "g", &g, &e) == 0, "%s", err_text(&e));
	for (uint32_t i = 0; i < g->n_services; i++)
		ck_assert_uint_eq(graph_find(g, graph_str(g, graph_service(g, i)->name)), i);
	ck_assert_uint_eq(graph_find(g, ""), UINT32_MAX);
	ck_assert_uint_eq(graph_find(g, "aa"), UINT32_MAX);
	ck_assert_uint_eq(graph_find(g, "zz"), UINT32_MAX);
	ck_assert(walk_graph(g));
	graph_unmap(g);
	graph_unmap(NULL);
	close(fd);
	rm_rf(AT_FDCWD, test_dir_path);
}
END_TEST

static void ck_no_map(int fd, const char *name, int code, const char *text)
{
	_cleanup_err_ struct err e = { 0 };
	const struct graph *g = NULL;

	ck_assert_int_eq(graph_map(fd, name, &g, &e), code);
	ck_assert_msg(strstr(err_text(&e), text) && strstr(err_text(&e), name), "%s", err_text(&e));
	ck_assert_ptr_null(g);
}

START_TEST(a_file_that_is_no_graph_is_named_and_not_mapped)
{
	size_t size;
	_cleanup_free_ char *blob = make(&size);
	int fd = make_test_dir();

	ck_no_map(fd, "none", -ENOENT, "No such file");
	ck_assert_int_eq(file_replace(fd, "empty", "", 0, 0644), 0);
	ck_no_map(fd, "empty", -EBADMSG, "0 bytes");
	ck_assert_int_eq(file_replace(fd, "cut", blob, size - 8, 0644), 0);
	ck_no_map(fd, "cut", -EBADMSG, "damaged");
	blob[size / 2] ^= 1;
	ck_assert_int_eq(file_replace(fd, "flipped", blob, size, 0644), 0);
	ck_no_map(fd, "flipped", -EBADMSG, "damaged");
	ck_no_map(fd, ".", -EBADMSG, "no graph");
	close(fd);
	rm_rf(AT_FDCWD, test_dir_path);
}
END_TEST

START_TEST(the_same_files_make_the_same_bytes_but_for_the_generation)
{
	size_t n, m;
	_cleanup_free_ char *a = make(&n);
	struct graph *g = (struct graph *)a;

	/* the folder's name is in it, and has always the same length */
	_cleanup_free_ char *b = make(&m);
	ck_assert_uint_eq(n, m);
	ck_assert_uint_eq(g->generation, 7);
	for (uint32_t i = 0; i < g->n_services; i++) {
		const void *x = graph_service(g, i), *y = graph_service((const struct graph *)b, i);
		ck_assert_int_eq(memcmp(x, y, sizeof(struct gservice)), 0);
	}
}
END_TEST

PROMISES("graph: blob", every_changed_byte_is_noticed, every_truncation_is_noticed, damage_under_a_right_checksum_never_leads_outside, whole_words_of_damage_never_lead_outside,
	a_graph_is_mapped_and_looked_up_by_name, a_file_that_is_no_graph_is_named_and_not_mapped, the_same_files_make_the_same_bytes_but_for_the_generation)
