#include <errno.h>
#include "base/base.h"
#include "tests/unit/unit.h"
#include "vecstore/decide/problem.h"
#include "vecstore/history/history.h"
#include "vecstore/history/pack.h"

/* --- secrets --- */

static const struct salt salt = {.bytes = "a salt of a test, thirty long"};

START_TEST(no_credential_gets_past_the_redaction_whatever_way_it_is_written)
{
	static const char *const texts[] = {
		"password = SECRET", "db_password: SECRET", "  PASSWORD=\"SECRET\"  # x", "environment = API_TOKEN=SECRET LANG=C", "exec = foo --password=SECRET -v", "exec = foo --api-key SECRET",
		"url = https://user:SECRET@host/x", "DATABASE_URL=postgres://me:SECRET@db:5432/x", "Authorization: Bearer SECRET", "psk=SECRET", "wpa-psk \"SECRET\"", "aws_secret_access_key = SECRET",
		"clientSecret = SECRET", "private-key = SECRET", "token SECRET", "-----BEGIN RSA PRIVATE KEY-----\nSECRET\nSECRET2\n-----END RSA PRIVATE KEY-----\n", "-----BEGIN PRIVATE KEY-----\nSECRET",
		"url = http://x:SECRET/more@host", "pass='SECRET'", "x = 1; password=SECRET; y = 2", "[wifi]\npassphrase=SECRET\n", "MYSQL_PWD=SECRET", "accessToken=SECRET", "smtp_passwd SECRET",
	};
	static const char *const values[] = {"hunter2", "p4$$w0rd!x", "0123456789abcdef", "aaaaaaaa"};
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		for (size_t k = 0; k < ARRAY_SIZE(values); k++) {
			_cleanup_buf_ struct buf text = {0}, out = {0};
			for (const char *p = texts[i]; *p;)
				if (str_starts(p, "SECRET")) {
					buf_addf(&text, "%s", values[k]);
					p += 6;
				} else
					buf_add(&text, p++, 1);
			unsigned n = 0;
			ck_assert_int_eq(secret_redact(&salt, text.data, text.len, &out, &n), 0);
			buf_add(&out, "", 1);
			ck_assert_msg(n > 0 && !strstr(out.data, values[k]) && strstr(out.data, SECRET_MARK), "%s -> %s", texts[i], out.data);
		}
}
END_TEST

START_TEST(what_is_no_credential_stays_as_it_is)
{
	static const char *const texts[] = {"[service]\nexec = sshd -D\nuser = web\n", "keyboard = de\nkey = value\n", "UUID=2f1c3d44-1234-4a5b-9c8d-0123456789ab / btrfs defaults 0 0\n", "monkey = banana\n",
		"passive = yes\n", "listen = http://0.0.0.0:80/\n", "# a comment: nothing\n", "compass=north\n"};
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_buf_ struct buf out = {0};
		unsigned n = 1;
		ck_assert_int_eq(secret_redact(&salt, texts[i], strlen(texts[i]), &out, &n), 0);
		ck_assert_msg(n == 0 && out.len == strlen(texts[i]) && memcmp(out.data, texts[i], out.len) == 0, "%.*s", (int)out.len, out.data);
	}
}
END_TEST

START_TEST(equal_secrets_have_equal_hashes_on_one_machine_and_others_on_another)
{
	struct salt other = {.bytes = "another machine's other salt"};
	_cleanup_buf_ struct buf a = {0}, b = {0}, c = {0}, d = {0};
	secret_redact(&salt, "token = x1", 10, &a, NULL);
	secret_redact(&salt, "token = x1", 10, &b, NULL);
	secret_redact(&salt, "token = x2", 10, &c, NULL);
	secret_redact(&other, "token = x1", 10, &d, NULL);
	ck_assert(a.len == b.len && memcmp(a.data, b.data, a.len) == 0);
	ck_assert(memcmp(a.data, c.data, a.len) != 0 && memcmp(a.data, d.data, a.len) != 0);
	_cleanup_buf_ struct buf again = {0}; /* what is redacted already stays what it is */
	secret_redact(&other, a.data, a.len, &again, NULL);
	ck_assert(again.len == a.len && memcmp(a.data, again.data, a.len) == 0);
}
END_TEST

START_TEST(secrets_come_back_from_the_file_as_it_is_now_and_only_the_same_ones)
{
	static const char old[] = "a = 1\npassword = hunter2\nurl = ftp://u:pw1@h/\n", now[] = "password = hunter2\na = 2\nurl = ftp://u:pw1@h/\n", other[] = "password = changed\n";
	_cleanup_buf_ struct buf red = {0}, out = {0}, lost = {0};
	secret_redact(&salt, old, strlen(old), &red, NULL);
	ck_assert_int_eq(secret_restore(&salt, red.data, red.len, now, strlen(now), &out), 0);
	ck_assert(out.len == strlen(old) && memcmp(out.data, old, out.len) == 0);
	ck_assert_int_eq(secret_restore(&salt, red.data, red.len, other, strlen(other), &lost), 2);
}
END_TEST

/* --- the history --- */

static struct history h;
static struct err e;

#define OK(call) ck_assert_msg((call) == 0, "%s: %s", #call, err_text(&e))

static void documents_of(struct documents *ds, const char *packages, const char *sysctl)
{
	documents_add(ds, DOC_SERVICE, "/etc/rastos/services/web.ini", "[service]\nexec = web\ntoken = hunter2\n", 38);
	documents_add(ds, DOC_PACKAGES, "packages", packages, strlen(packages));
	documents_add(ds, DOC_SYSCTL, "/etc/sysctl.conf", sysctl, strlen(sysctl));
}

static uint32_t record(uint32_t snapshot, const char *packages, const char *sysctl, uint64_t attempt, enum ledger_result result)
{
	_cleanup_documents_ struct documents ds = {0};
	uint32_t version;
	bool fresh;
	documents_of(&ds, packages, sysctl);
	OK(history_begin(&h, HISTORY_WRITE, &e));
	struct record_request q = {.kind = "boot", .snapshot = snapshot, .documents = &ds};
	OK(history_record(&h, &q, &version, &fresh, &e));
	if (attempt) {
		struct outcome o = {.attempt = attempt, .snapshot = snapshot, .version = version, .result = result};
		OK(history_outcome(&h, &o, &e));
	}
	OK(history_commit(&h, &e));
	return version;
}

static struct version get(uint32_t number)
{
	struct version v;
	OK(history_begin(&h, HISTORY_READ, &e));
	OK(history_version(&h, number, &v, &e));
	history_abort(&h);
	return v;
}

static int fd;

static void begin(void)
{
	fd = make_test_dir();
	OK(history_open(&h, test_dir_path, HISTORY_WRITE, &e));
}

static void end(void)
{
	history_close(&h);
	rm_rf(AT_FDCWD, test_dir_path);
	close(fd);
}

START_TEST(the_same_configuration_is_one_version_and_its_documents_are_kept_once)
{
	begin();
	uint32_t a = record(1, "nginx 1\n", "vm.swappiness=60\n", 1, LEDGER_RESULT_GOOD), b = record(1, "nginx 1\n", "vm.swappiness=60\n", 2, LEDGER_RESULT_GOOD);
	ck_assert_uint_eq(a, b);
	ck_assert_uint_eq(get(a).goods, 2);
	uint32_t c = record(1, "nginx 2\n", "vm.swappiness=60\n", 3, LEDGER_RESULT_FAILED);
	ck_assert(c == a + 1 && get(c).changes == 1 && get(c).parent == a && streq(get(c).outcome, "failed"));
	_cleanup_documents_ struct documents ds = {0};
	OK(history_begin(&h, HISTORY_READ, &e));
	OK(history_documents(&h, a, &ds, &e));
	history_abort(&h);
	ck_assert_uint_eq(ds.n, 3);
	ck_assert_str_eq(ds.d[1].text, "nginx 1\n");
	end();
}
END_TEST

START_TEST(an_outcome_that_is_told_twice_counts_once_and_a_later_judgement_replaces_the_first)
{
	begin();
	uint32_t a = record(1, "nginx 1\n", "x=1\n", 1, LEDGER_RESULT_ATTEMPT);
	ck_assert_uint_eq(get(a).fails, 1);
	record(1, "nginx 1\n", "x=1\n", 1, LEDGER_RESULT_ATTEMPT);
	ck_assert_uint_eq(get(a).fails, 1);
	record(1, "nginx 1\n", "x=1\n", 1, LEDGER_RESULT_GOOD);
	ck_assert(get(a).fails == 0 && get(a).goods == 1);
	end();
}
END_TEST

static struct risk_report risk_of(uint32_t from, const char *packages, const char *sysctl)
{
	_cleanup_documents_ struct documents ds = {0};
	struct risk_report rep;
	documents_of(&ds, packages, sysctl);
	OK(history_begin(&h, HISTORY_READ, &e));
	OK(history_risk(&h, from, &ds, &rep, &e));
	history_abort(&h);
	return rep;
}

START_TEST(a_change_that_failed_is_blamed_and_warned_about_when_it_comes_again)
{
	begin();
	uint32_t good = record(1, "nginx 1.0\n", "vm.swappiness=60\n", 1, LEDGER_RESULT_GOOD);
	record(2, "nginx 1.0\n", "vm.swappiness=10\n", 2, LEDGER_RESULT_GOOD);
	for (uint64_t b = 3; b < 6; b++)
		record(3, "nginx 2.0\n", "vm.swappiness=10\n", b, LEDGER_RESULT_FAILED);
	record(2, "nginx 1.0\n", "vm.swappiness=10\n", 6, LEDGER_RESULT_GOOD);
	struct risk_report again = risk_of(good, "nginx 2.0\n", "vm.swappiness=60\n"), fine = risk_of(good, "nginx 1.0\n", "vm.swappiness=10\n"), other = risk_of(good, "nginx 1.0\n", "net.x=1\n");
	ck_assert_uint_eq(again.n, 1);
	ck_assert_uint_ge(again.like_failed, 1);
	ck_assert(again.total > 0.4f && again.total > 2 * fine.total);
	ck_assert_ptr_nonnull(strstr(again.line[0].near_text[0], "nginx: version 1.0 -> 2.0"));
	ck_assert_ptr_nonnull(strstr(again.line[0].shared[0], "nginx@2.0"));
	ck_assert_uint_eq(fine.like_failed, 0);
	ck_assert(fine.total < other.total);
	risk_report_free(&again);
	risk_report_free(&fine);
	risk_report_free(&other);
	end();
}
END_TEST

START_TEST(the_store_decides_for_the_newest_snapshot_without_the_change_that_failed_before)
{
	static const char *const sysctls[] = {"a=1\n", "a=1\nb=1\n", "a=1\nb=1\nc=1\n", "a=1\nb=1\nc=1\nd=1\n"};
	struct ledger l;
	uint64_t boot = 0;
	begin();
	ledger_empty(&l);
	/* nginx 2.0 failed three times; sysctls of the same sort went well */
	record(1, "nginx 1.0\n", sysctls[0], ++boot, LEDGER_RESULT_GOOD);
	for (int i = 0; i < 3; i++)
		record(2, "nginx 2.0\n", sysctls[0], ++boot, LEDGER_RESULT_FAILED);
	record(1, "nginx 1.0\n", sysctls[0], ++boot, LEDGER_RESULT_GOOD);
	/* 3: good; 4 and 5 were staged over it and never booted; 6 has nginx 2.0 again, and fails */
	record(3, "nginx 1.0\n", sysctls[1], ++boot, LEDGER_RESULT_GOOD);
	l.boot = boot;
	ledger_attempt(&l, 3);
	ledger_good(&l, 3);
	record(4, "nginx 1.0\n", sysctls[2], 0, 0);
	record(5, "nginx 1.0\n", sysctls[3], 0, 0);
	record(6, "nginx 2.0\n", sysctls[3], 0, 0);
	ledger_deploy(&l, 6);
	for (int i = 0; i < 3; i++)
		ledger_attempt(&l, 6);
	ledger_settle(&l);
	uint32_t candidates[] = {3, 6, 1, 2, 5, 4};
	_cleanup_buf_ struct buf json = {0};
	OK(history_begin(&h, HISTORY_READ, &e));
	int best = problem_decide(h.txn, &l, candidates, 6, 6, 3, &decide_params_default, &json, &e);
	buf_add(&json, "", 1);
	ck_assert_msg(best == 4, "%d: %s", best, json.data);
	ck_assert_ptr_nonnull(strstr(json.data, "\"chosen\":5"));
	history_abort(&h);
	/* and knows nothing of snapshots that it has never seen */
	OK(history_begin(&h, HISTORY_READ, &e));
	ck_assert_int_eq(problem_decide(h.txn, &l, candidates, 6, 77, 3, &decide_params_default, NULL, &e), -ENODATA);
	err_clear(&e);
	e = (struct err){0};
	end();
}
END_TEST

START_TEST(forgetting_keeps_what_exists_and_what_was_learned)
{
	uint32_t keep[] = {3}, n, last = 0;
	char sysctl[64];
	begin();
	for (uint32_t i = 1; i <= 12; i++) {
		snprintf(sysctl, sizeof(sysctl), "vm.x=%u\n", i);
		last = record(i, "nginx 1.0\n", sysctl, i, i == 5 ? LEDGER_RESULT_FAILED : LEDGER_RESULT_GOOD);
	}
	struct risk_report before = risk_of(last, "nginx 1.0\n", "vm.x=5\n");
	OK(history_begin(&h, HISTORY_WRITE, &e));
	struct retention q = {.max_versions = 2};
	OK(history_forget(&h, &q, keep, 1, 0, &n, &e));
	OK(history_commit(&h, &e));
	ck_assert_uint_eq(n, 9);
	_cleanup_documents_ struct documents ds = {0};
	OK(history_begin(&h, HISTORY_READ, &e));
	OK(history_documents(&h, 3, &ds, &e));
	ck_assert_str_eq(ds.d[2].text, "vm.x=3\n");
	ck_assert_int_eq(history_documents(&h, 4, &ds, &e), -ENOENT);
	err_clear(&e);
	e = (struct err){0};
	history_abort(&h);
	struct risk_report after = risk_of(last, "nginx 1.0\n", "vm.x=5\n");
	ck_assert(before.n == 1 && after.n == 1 && before.line[0].risk.p == after.line[0].risk.p && after.line[0].risk.p > after.base);
	risk_report_free(&before);
	risk_report_free(&after);
	end();
}
END_TEST

START_TEST(a_boot_that_needs_much_more_memory_than_the_last_ones_is_unlike_them)
{
	char text[512];
	begin();
	uint32_t v = record(1, "nginx 1.0\n", "a=1\n", 1, LEDGER_RESULT_GOOD);
	OK(history_begin(&h, HISTORY_WRITE, &e));
	for (uint64_t b = 2; b < 30; b++) {
		struct outcome o = {.attempt = b, .snapshot = 1, .version = v, .result = LEDGER_RESULT_GOOD, .has_health = true,
			.health = {3 + (double)(b % 3) * 0.1, 6, 1, 180 + (double)(b % 5), 0, 0, 1, 0, 2, 20}};
		OK(history_outcome(&h, &o, &e));
	}
	struct health same = {3.1, 6, 1, 183, 0, 0, 1, 0, 2, 20}, odd = {3.1, 6, 1, 512, 0, 0, 1, 0, 2, 20};
	ck_assert_int_eq(health_unusual(&h, &same, text, sizeof(text), &e), 0);
	ck_assert_int_eq(health_unusual(&h, &odd, text, sizeof(text), &e), 1);
	ck_assert_msg(str_starts(text, "memory: 512.0 MB, usually 182"), "%s", text);
	history_abort(&h);
	end();
}
END_TEST

START_TEST(what_the_ledger_knows_of_boots_that_died_is_taken_over_once)
{
	struct ledger l;
	begin();
	uint32_t v = record(2, "nginx 1.0\n", "a=1\n", 0, 0);
	ledger_empty(&l);
	ledger_deploy(&l, 2);
	for (int i = 0; i < 3; i++)
		ledger_attempt(&l, 2); /* the third is this boot */
	for (int i = 0; i < 2; i++) {
		OK(history_begin(&h, HISTORY_WRITE, &e));
		OK(history_import(&h, &l, &e));
		OK(history_commit(&h, &e));
		ck_assert_uint_eq(get(v).fails, 2);
	}
	ck_assert_str_eq(get(v).outcome, "failed");
	ck_assert_ptr_nonnull(strstr(get(v).why, "died before it was judged"));
	end();
}
END_TEST

START_TEST(a_pack_is_believed_only_as_it_was_signed_and_counts_as_evidence_of_others)
{
	char key[80], pub[80], cmd[1000], signer[256];
	_cleanup_buf_ struct buf rows = {0}, pack = {0};
	const void *part;
	uint32_t n;
	size_t len;
	begin();
	uint32_t good = record(1, "nginx 1.0\n", "a=1\n", 1, LEDGER_RESULT_GOOD);
	for (uint64_t b = 2; b < 5; b++)
		record(2, "nginx 2.0\n", "a=1\n", b, LEDGER_RESULT_FAILED);
	record(1, "nginx 1.0\n", "a=1\n", 5, LEDGER_RESULT_GOOD);
	snprintf(key, sizeof(key), "%s/key", test_dir_path);
	snprintf(pub, sizeof(pub), "%s/keys", test_dir_path);
	snprintf(cmd, sizeof(cmd), "mkdir %s && openssl genpkey -algorithm ed25519 -out %s 2>/dev/null && openssl pkey -in %s -pubout -out %s/a.pem", pub, key, key, pub);
	ck_assert_int_eq(system(cmd), 0);
	OK(history_begin(&h, HISTORY_READ, &e));
	OK(pack_rows(&h, &rows, &n, &e));
	history_abort(&h);
	ck_assert_uint_eq(n, 1);
	OK(pack_sign(&rows, 1, key, &pack, &e));
	OK(pack_verify(pack.data, pack.len, pub, &part, &len, signer, &e));
	ck_assert_str_eq(signer, "a.pem");
	for (size_t i = 0; i < pack.len; i++) { /* any bit of it */
		pack.data[i] ^= 4;
		ck_assert_int_lt(pack_verify(pack.data, pack.len, pub, &part, &len, signer, &e), 0);
		err_clear(&e);
		e = (struct err){0};
		pack.data[i] ^= 4;
	}
	for (size_t i = 0; i < pack.len; i++) {
		ck_assert_int_lt(pack_verify(pack.data, i, pub, &part, &len, signer, &e), 0);
		err_clear(&e);
		e = (struct err){0};
	}
	/* another machine, which has seen nothing of the sort */
	history_close(&h);
	snprintf(cmd, sizeof(cmd), "%s/other", test_dir_path);
	OK(history_open(&h, cmd, HISTORY_WRITE, &e));
	good = record(1, "nginx 1.0\n", "b=1\n", 1, LEDGER_RESULT_GOOD);
	struct risk_report before = risk_of(good, "nginx 2.0\n", "b=1\n");
	OK(pack_verify(pack.data, pack.len, pub, &part, &len, signer, &e));
	OK(history_begin(&h, HISTORY_WRITE, &e));
	OK(pack_put(&h, "other", part, len, &e));
	OK(history_commit(&h, &e));
	struct risk_report after = risk_of(good, "nginx 2.0\n", "b=1\n");
	ck_assert(after.total > 0.4f && after.total > before.total && after.line[0].near_fleet[0]);
	risk_report_free(&before);
	risk_report_free(&after);
	end();
}
END_TEST

PROMISES("history", a_pack_is_believed_only_as_it_was_signed_and_counts_as_evidence_of_others, no_credential_gets_past_the_redaction_whatever_way_it_is_written, what_is_no_credential_stays_as_it_is, equal_secrets_have_equal_hashes_on_one_machine_and_others_on_another,
	secrets_come_back_from_the_file_as_it_is_now_and_only_the_same_ones, the_same_configuration_is_one_version_and_its_documents_are_kept_once,
	an_outcome_that_is_told_twice_counts_once_and_a_later_judgement_replaces_the_first, a_change_that_failed_is_blamed_and_warned_about_when_it_comes_again,
	the_store_decides_for_the_newest_snapshot_without_the_change_that_failed_before, forgetting_keeps_what_exists_and_what_was_learned,
	a_boot_that_needs_much_more_memory_than_the_last_ones_is_unlike_them, what_the_ledger_knows_of_boots_that_died_is_taken_over_once)
