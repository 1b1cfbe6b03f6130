#include <math.h>
#include "base/str.h"
#include "tests/unit/unit.h"
#include "vecstore/embed/embed.h"

static bool has(const struct tokens *ts, const char *text)
{
	for (size_t i = 0; i < ts->n; i++)
		if (streq(ts->t[i].text, text))
			return true;
	return false;
}

static void read_document(struct facts *fs, enum doc_kind kind, const char *name, const char *text)
{
	ck_assert_int_eq(facts_add_document(fs, kind, name, text, strlen(text)), 0);
	facts_sort(fs);
}

static float cosine(const float *a, const float *b)
{
	float dot = 0;
	for (int i = 0; i < EMBED_DIM; i++)
		dot += a[i] * b[i];
	return dot;
}

struct found { unsigned n; char text[8][256]; struct tokens tokens; float v[8][EMBED_DIM]; bool data[8]; };

static int note_change(const struct change *c, void *data)
{
	struct found *f = data;
	_cleanup_tokens_ struct tokens ts = {0};
	change_describe(c, f->text[f->n], sizeof(f->text[0]));
	f->data[f->n] = change_touches_data(c);
	ck_assert_int_eq(tokens_of_change(&ts, c->before, c->n_before, c->after, c->n_after), 0);
	ck_assert_int_eq(tokens_seal(&ts), 0);
	embed_vector(&ts, f->v[f->n++]);
	tokens_free(&f->tokens);
	f->tokens = ts;
	ts = (struct tokens){0};
	return 0;
}

static struct found between(enum doc_kind kind, const char *name, const char *before, const char *after)
{
	_cleanup_facts_ struct facts from = {0}, to = {0};
	struct found f = {0};
	if (before)
		read_document(&from, kind, name, before);
	if (after)
		read_document(&to, kind, name, after);
	ck_assert_int_eq(changes_between(&from, &to, note_change, &f), 0);
	return f;
}

START_TEST(every_kind_of_document_becomes_facts_under_the_subject_that_is_changed_as_one)
{
	static const struct { enum doc_kind kind; const char *name, *text, *subject, *key, *value; } rows[] = {
		{DOC_SERVICE, "sshd", "[service]\ntype = longrun\n[restart]\ndelay = 2s\n", "service/sshd", "restart.delay", "2s"},
		{DOC_PACKAGES, "", "nginx 1.24.0-2\nzsh 5.9\n", "package/nginx", "version", "1.24.0-2"},
		{DOC_KERNEL, "", "6.1.0-9\nquiet console=ttyS0 rast.log=debug\n", "kernel/console", "value", "ttyS0"},
		{DOC_KERNEL, "", "6.1.0-9\nquiet\n", "kernel/release", "release", "6.1.0-9"},
		{DOC_MOUNTS, "", "/dev/vdb  /data ext4 noatime,commit=30 0 2\n", "mount//data", "option.commit", "30"},
		{DOC_SYSCTL, "", "# x\n-net/ipv4/ip_forward = 1\n", "sysctl/net.ipv4.ip_forward", "value", "1"},
		{DOC_ENVIRONMENT, "", "export LANG=C.UTF-8\n", "environment/LANG", "value", "C.UTF-8"},
		{DOC_NETWORK, "/etc/rastos/net/lan.ini", "[link]\nmtu = 9000\n", "network//etc/rastos/net/lan.ini", "link.mtu", "9000"},
		{DOC_TEXT, "/etc/motd", "hello\n\n", "file//etc/motd", "line", "hello"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		_cleanup_facts_ struct facts fs = {0};
		bool found = false;
		read_document(&fs, rows[i].kind, rows[i].name, rows[i].text);
		for (size_t k = 0; k < fs.n; k++)
			found |= streq(fs.f[k].subject, rows[i].subject) && streq(fs.f[k].key, rows[i].key) && streq(fs.f[k].value, rows[i].value);
		ck_assert_msg(found, "%s", rows[i].subject);
	}
}
END_TEST

START_TEST(a_file_with_a_syntax_error_or_binary_content_is_a_configuration_too)
{
	_cleanup_facts_ struct facts broken = {0}, binary = {0};
	read_document(&broken, DOC_SERVICE, "x", "[service\nexec = a\n");
	ck_assert_str_eq(broken.f[broken.n - 1].key, "syntax");
	ck_assert_int_eq(facts_add_document(&binary, DOC_TEXT, "b", "a\0b", 3), 0);
	ck_assert_str_eq(binary.f[0].key, "binary");
}
END_TEST

START_TEST(only_what_differs_is_a_change_and_it_is_described_in_words)
{
	struct found f = between(DOC_SERVICE, "sshd", "[service]\nexec = sshd -D\n[restart]\ndelay = 2s\n", "[restart]\ndelay = 5min\n[service]\nexec = sshd -D\n");
	ck_assert_uint_eq(f.n, 1);
	ck_assert_str_eq(f.text[0], "service/sshd: restart.delay 2s -> 5min");
	ck_assert(has(&f.tokens, "service.restart.delay") && has(&f.tokens, "delay=5min") == false && has(&f.tokens, "restart.delay=5min"));
	ck_assert(has(&f.tokens, "restart.delay: 2s > 5min") && has(&f.tokens, "restart.delay: a hundredfold") && !has(&f.tokens, "service.exec=sshd -D"));
	tokens_free(&f.tokens);
	f = between(DOC_PACKAGES, "", "nginx 1.24.0-2\n", "nginx 2.0.1-1\nzsh 5.9\n");
	ck_assert_uint_eq(f.n, 2);
	ck_assert_str_eq(f.text[0], "package/nginx: version 1.24.0-2 -> 2.0.1-1");
	ck_assert_str_eq(f.text[1], "package/zsh added");
	tokens_free(&f.tokens);
	f = between(DOC_PACKAGES, "", "nginx 1.24.0-2\n", "nginx 2.0.1-1\n");
	ck_assert(has(&f.tokens, "nginx@2.0.1-1") && has(&f.tokens, "nginx@2.0") && has(&f.tokens, "major upgrade of a package"));
	tokens_free(&f.tokens);
	f = between(DOC_SERVICE, "web", "[dependencies]\ndepends = net\n", "[dependencies]\ndepends = net db\n");
	ck_assert(has(&f.tokens, "web depends db") && has(&f.tokens, "not web depends net"));
	tokens_free(&f.tokens);
	f = between(DOC_SERVICE, "web", "[service]\nexec = a\n", "[service]\nexec = a\n");
	ck_assert_uint_eq(f.n, 0);
}
END_TEST

START_TEST(the_same_document_gives_the_same_vector_whatever_the_order_of_its_lines)
{
	static const char *const texts[] = {"[service]\nexec = a\ntype = longrun\n[restart]\nlimit = 3\n", "[restart]\nlimit=3\n[service]\ntype = longrun\nexec=a\n"};
	float v[2][EMBED_DIM];
	for (int i = 0; i < 2; i++) {
		_cleanup_facts_ struct facts fs = {0};
		_cleanup_tokens_ struct tokens ts = {0};
		read_document(&fs, DOC_SERVICE, "a", texts[i]);
		ck_assert_int_eq(tokens_of_state(&ts, &fs), 0);
		ck_assert_int_eq(tokens_seal(&ts), 0);
		embed_vector(&ts, v[i]);
	}
	ck_assert_mem_eq(v[0], v[1], sizeof(v[0]));
	ck_assert(fabsf(cosine(v[0], v[0]) - 1.0f) < 1e-4f);
}
END_TEST

/* What EMBED_VERSION promises: when this fails, the version has to change. */
START_TEST(a_vector_of_this_version_never_changes)
{
	struct found f = between(DOC_SYSCTL, "", "vm.swappiness = 60\n", "vm.swappiness = 10\n");
	uint64_t h = 0;
	for (size_t i = 0; i < f.tokens.n; i++)
		h = h * 31 + f.tokens.t[i].hash;
	tokens_free(&f.tokens);
	ck_assert_uint_eq(EMBED_VERSION, 1);
	ck_assert_uint_eq(h, UINT64_C(17369221488255873118));
}
END_TEST

START_TEST(changes_of_the_same_setting_are_nearer_than_others)
{
	struct found a = between(DOC_SYSCTL, "", "vm.swappiness = 60\n", "vm.swappiness = 10\n"), b = between(DOC_SYSCTL, "", "vm.swappiness = 60\n", "vm.swappiness = 5\n");
	struct found c = between(DOC_PACKAGES, "", "nginx 1.2\n", "nginx 1.3\n");
	ck_assert(cosine(a.v[0], b.v[0]) > 0.35f);
	ck_assert(cosine(a.v[0], c.v[0]) < 0.15f);
	tokens_free(&a.tokens);
	tokens_free(&b.tokens);
	tokens_free(&c.tokens);
}
END_TEST

START_TEST(a_change_of_what_keeps_data_outside_of_snapshots_is_known_as_such)
{
	struct found f = between(DOC_SERVICE, "pg", "[service]\nexec = postgres -D /var/lib/pg/14\n", "[service]\nexec = postgres -D /var/lib/pg/15\n");
	ck_assert(f.data[0]);
	tokens_free(&f.tokens);
	f = between(DOC_SYSCTL, "", "vm.swappiness = 60\n", "vm.swappiness = 10\n");
	ck_assert(!f.data[0]);
	tokens_free(&f.tokens);
}
END_TEST

START_TEST(a_value_has_the_type_that_a_person_would_see_in_it)
{
	static const struct { const char *v; enum value_type t; } rows[] = {
		{"", VALUE_EMPTY}, {"yes", VALUE_BOOL}, {"-8", VALUE_INT}, {"0.5", VALUE_REAL}, {"64M", VALUE_SIZE}, {"2min 30s", VALUE_DURATION}, {"50%", VALUE_PERCENT}, {"/var/lib", VALUE_PATH},
		{"http://a/b", VALUE_URL}, {"10.0.0.1/8", VALUE_ADDRESS}, {"fe80::1", VALUE_ADDRESS}, {"127.0.0.1:80", VALUE_ADDRESS}, {"1.24.0-2", VALUE_VERSION}, {"a,b", VALUE_LIST}, {"longrun", VALUE_WORD},
		{"sshd -D", VALUE_TEXT}, {"/usr/bin/a b", VALUE_TEXT}, {"nan", VALUE_WORD},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct value_shape s;
		value_shape(rows[i].v, &s);
		ck_assert_msg(s.type == rows[i].t, "%s is a %s", rows[i].v, value_type_name(s.type));
	}
}
END_TEST

PROMISES("embed", every_kind_of_document_becomes_facts_under_the_subject_that_is_changed_as_one, a_file_with_a_syntax_error_or_binary_content_is_a_configuration_too,
	only_what_differs_is_a_change_and_it_is_described_in_words, the_same_document_gives_the_same_vector_whatever_the_order_of_its_lines, a_vector_of_this_version_never_changes,
	changes_of_the_same_setting_are_nearer_than_others, a_change_of_what_keeps_data_outside_of_snapshots_is_known_as_such, a_value_has_the_type_that_a_person_would_see_in_it)
