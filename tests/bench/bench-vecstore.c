/* bench-vecstore.c: figures of the vector store, in CPU time of one thread, as JSON lines for tests/bench/vecstore. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include "base/file.h"
#include "base/mem.h"
#include "vecstore/vector.h"
#include "vecstore/vecstore.h"

#define K 10
static struct err e;
static char dir[200];
static struct vs_npy base, queries;
static uint64_t (*truth)[K]; /* rows */

#define OK(x) do { int r_ = (x); if (r_) { fprintf(stderr, "%s: %d %s\n", #x, r_, err_text(&e)); exit(1); } } while (0)

static double clock_of(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}
static double cpu(void) { return clock_of(CLOCK_PROCESS_CPUTIME_ID); }
static double wall(void) { return clock_of(CLOCK_MONOTONIC); }

static void load(const char *name, struct vs_npy *to)
{
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0) {
		perror(name);
		exit(1);
	}
	OK(vs_npy_parse(mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0), (size_t)st.st_size, to, &e));
}

static void fill(struct vs *s, const char *coll, uint64_t n, uint64_t batch)
{
	float v[VS_DIM_MAX];
	struct vs_txn *t;

	for (uint64_t i = 0; i < n;) {
		OK(vs_begin(s, VS_WRITE, &t, &e));
		if (i == 0)
			OK(vs_coll_create(t, coll, base.dim, VS_COSINE, VS_F32, &e));
		for (uint64_t k = 0; k < batch && i < n; k++, i++) {
			_cleanup_vs_meta_ struct vs_meta m = { 0 };
			char id[24];
			snprintf(id, sizeof(id), "%llu", (unsigned long long)i);
			vs_meta_int(&m, "hundred", (int64_t)(i * 2654435761u % 100));
			vs_npy_row(&base, i % base.n, v);
			OK(vs_put(t, coll, VS_INSERT, id, v, &m, &e));
		}
		OK(vs_commit(&t, NULL, &e));
	}
}

struct result { double qps, recall; };

/* All queries by one plan; the best of some rounds. filtered: compare with the truth of this filter, which is asked for first. */
static struct result ask(struct vs *s, enum vs_plan plan, uint32_t ef, const struct vs_filter *f, bool is_truth, unsigned rounds)
{
	struct result best = { 0 };
	struct vs_txn *t;

	OK(vs_begin(s, VS_READ, &t, &e));
	for (unsigned round = 0; round < rounds; round++) {
		unsigned found = 0, all = 0;
		double spent = 0;
		for (uint64_t i = 0; i < queries.n; i++) {
			float v[VS_DIM_MAX];
			struct vs_hits h;
			struct vs_query q = { .vector = v, .k = K, .plan = plan, .ef = ef, .filter = f };
			double began;
			vs_npy_row(&queries, i, v);
			began = cpu();
			OK(vs_search(t, "c", &q, &h, &e));
			spent += cpu() - began;
			for (size_t k = 0; k < h.n; k++) {
				if (is_truth)
					truth[i][k] = h.hit[k].record.row;
				for (size_t j = 0; j < K; j++)
					found += truth[i][j] == h.hit[k].record.row;
			}
			all += K;
			vs_hits_free(&h);
		}
		if ((double)queries.n / spent > best.qps)
			best.qps = (double)queries.n / spent;
		best.recall = (double)found / all;
	}
	vs_abort(&t);
	return best;
}

static void graph(struct vs *s)
{
	static const uint32_t efs[] = { 10, 14, 18, 22, 27, 33, 40, 50, 60, 75, 90, 110, 140, 180, 230, 300, 400, 520, 700, 1000 };

	for (size_t i = 0; i < ARRAY_SIZE(efs); i++) {
		struct result r = ask(s, VS_PLAN_GRAPH, efs[i], NULL, false, 2);
		printf("{\"what\":\"graph\",\"ef\":%u,\"qps\":%.0f,\"recall\":%.4f}\n", efs[i], r.qps, r.recall);
		fflush(stdout);
		if (r.recall > 0.995)
			break;
	}
}

static void filtered(struct vs *s)
{
	static const int shares[] = { 1, 10, 50 };

	for (size_t i = 0; i < ARRAY_SIZE(shares); i++) {
		char text[32];
		struct vs_filter *f;
		struct result r;
		double began;
		snprintf(text, sizeof(text), "hundred < %d", shares[i]);
		OK(vs_filter_parse(text, &f, &e));
		(void)ask(s, VS_PLAN_EXACT, 0, f, true, 1);
		began = cpu();
		queries.n = 1;
		(void)ask(s, VS_PLAN_AUTO, 0, f, false, 1);
		began = cpu() - began;
		queries.n = 1000;
		r = ask(s, VS_PLAN_AUTO, 0, f, false, 3);
		printf("{\"what\":\"filtered\",\"percent\":%d,\"qps\":%.0f,\"recall\":%.4f,\"first_ms\":%.2f}\n", shares[i], r.qps, r.recall, began * 1e3);
		vs_filter_free(f);
	}
}

static off_t size_of(const char *name)
{
	char path[300];
	struct stat st;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return stat(path, &st) == 0 ? st.st_size : 0;
}

static void search_bench(void)
{
	struct vs *s;
	double began, spent;
	struct result r;
	uint64_t most = queries.n;

	OK(vs_open(&s, dir, VS_CREATE, &e));
	began = cpu();
	fill(s, "c", base.n, 5000);
	printf("{\"what\":\"fill\",\"cpu_s\":%.2f,\"rows\":%llu}\n", cpu() - began, (unsigned long long)base.n);
	truth = calloc(queries.n, sizeof(*truth));
	queries.n = MIN(most, 1000);
	r = ask(s, VS_PLAN_EXACT, 0, NULL, true, 1);
	printf("{\"what\":\"exact\",\"qps\":%.0f,\"kernel\":\"%s\"}\n", r.qps, kernel_best()->name);
	OK(vs_index_build(s, "c", &(struct vs_build){ .threads = 1, .graph_from = 1u << 30 }, &e));
	r = ask(s, VS_PLAN_FLAT, 0, NULL, false, 3);
	printf("{\"what\":\"flat\",\"qps\":%.0f,\"recall\":%.4f,\"index_bytes_per_vector\":%.0f}\n", r.qps, r.recall, (double)size_of("c.idx") / (double)base.n);
	began = cpu();
	OK(vs_index_build(s, "c", &(struct vs_build){ .threads = 1, .graph_from = 1, .m = 16, .ef = 200, .rebuild = true }, &e));
	spent = cpu() - began;
	printf("{\"what\":\"build\",\"cpu_s\":%.2f,\"index_bytes_per_vector\":%.0f,\"truth_bytes_per_vector\":%.0f}\n", spent, (double)size_of("c.idx") / (double)base.n,
	       (double)size_of("data.mdb") / (double)base.n);
	fflush(stdout);
	graph(s);
	filtered(s);
	vs_close(s);
}

/* --- memory bandwidth --- */
static void scan_bench(void)
{
	size_t n = 400000, dim = 384;
	float *v = malloc(n * dim * 4), q[384], sum = 0;
	uint64_t words = 0;
	double best_scan = 1e9, best_read = 1e9;
	const struct kernel *k = kernel_best();

	if (!v)
		return;
	for (size_t i = 0; i < n * dim; i++)
		v[i] = (float)(i % 97);
	for (size_t i = 0; i < dim; i++)
		q[i] = (float)(i % 7);
	for (int round = 0; round < 5; round++) {
		double began = cpu();
		for (size_t i = 0; i < n; i++)
			sum += k->dot_f32(v + i * dim, q, dim);
		best_scan = fmin(best_scan, cpu() - began);
		began = cpu();
		{ /* the least that reading it costs: sums of words, four at a time */
			const uint64_t *p = (const uint64_t *)v;
			uint64_t a = 0, b = 0, c = 0, d = 0;
			for (size_t i = 0; i < n * dim / 2; i += 4) {
				a += p[i];
				b += p[i + 1];
				c += p[i + 2];
				d += p[i + 3];
			}
			words += a + b + c + d;
		}
		best_read = fmin(best_read, cpu() - began);
	}
	printf("{\"what\":\"scan\",\"gb_per_s\":%.1f,\"read_gb_per_s\":%.1f,\"check\":%d}\n", (double)n * (double)dim * 4 / best_scan / 1e9, (double)n * (double)dim * 4 / best_read / 1e9,
	       sum > 0 && words > 0);
	free(v);
}

/* --- opening and writing --- */
static void open_bench(void)
{
	struct vs *s;
	struct vs_txn *t;
	struct vs_record r;
	double best[2] = { 1e9, 1e9 };

	OK(vs_open(&s, dir, VS_CREATE, &e));
	fill(s, "c", 100000, 5000);
	vs_close(s);
	for (int i = 0; i < 50; i++)
		for (int mode = 0; mode < 2; mode++) {
			double began = wall();
			OK(vs_open(&s, dir, mode ? VS_NOLOCK : VS_RDONLY, &e));
			OK(vs_begin(s, VS_READ, &t, &e));
			OK(vs_get(t, "c", "99999", &r, &e));
			best[mode] = fmin(best[mode], wall() - began);
			vs_abort(&t);
			vs_close(s);
		}
	printf("{\"what\":\"open\",\"rows\":100000,\"locked_ms\":%.3f,\"nolock_ms\":%.3f}\n", best[0] * 1e3, best[1] * 1e3);
}

static double lmdb_commits(unsigned n)
{
	char path[300], value[1700] = "";
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
	double began;

	snprintf(path, sizeof(path), "%s/bare", dir);
	(void)mkdir(path, 0700);
	if (mdb_env_create(&env) || mdb_env_set_mapsize(env, 1u << 30) || mdb_env_open(env, path, 0, 0600))
		exit(1);
	began = wall();
	for (unsigned i = 0; i < n; i++) {
		MDB_val k = { sizeof(i), &i }, v = { sizeof(value), value };
		if (mdb_txn_begin(env, NULL, 0, &txn) || mdb_dbi_open(txn, NULL, MDB_INTEGERKEY, &dbi) || mdb_put(txn, dbi, &k, &v, 0) || mdb_txn_commit(txn))
			exit(1);
	}
	began = wall() - began;
	mdb_env_close(env);
	return began / n;
}

static double our_commits(struct vs *s, unsigned n, unsigned batch, unsigned round)
{
	float v[VS_DIM_MAX];
	double began = wall();

	for (unsigned i = 0; i < n; i++) {
		struct vs_txn *t;
		OK(vs_begin(s, VS_WRITE, &t, &e));
		for (unsigned k = 0; k < batch; k++) {
			char id[40];
			snprintf(id, sizeof(id), "w%u-%u-%u-%u", round, batch, i, k);
			vs_npy_row(&base, (i * batch + k) % base.n, v);
			OK(vs_put(t, "w", VS_INSERT, id, v, NULL, &e));
		}
		OK(vs_commit(&t, NULL, &e));
	}
	return (wall() - began) / n;
}

static void write_bench(void)
{
	struct vs *s;
	struct vs_txn *t;
	double ours = 1e9, bare = 1e9, batch = 1e9;

	OK(vs_open(&s, dir, VS_CREATE, &e));
	OK(vs_begin(s, VS_WRITE, &t, &e));
	OK(vs_coll_create(t, "w", base.dim, VS_COSINE, VS_F32, &e));
	OK(vs_commit(&t, NULL, &e));
	for (unsigned round = 0; round < 5; round++) { /* in turn: a disk has its moods */
		bare = fmin(bare, lmdb_commits(60));
		ours = fmin(ours, our_commits(s, 60, 1, round));
		batch = fmin(batch, our_commits(s, 30, 100, round));
	}
	printf("{\"what\":\"write\",\"ours_us\":%.0f,\"lmdb_us\":%.0f,\"ratio\":%.2f,\"batch_rows_per_s\":%.0f}\n", ours * 1e6, bare * 1e6, ours / bare, 100 / batch);
	vs_close(s);
}

/* --- a million --- */
static void million_bench(uint64_t n, uint32_t graph_from)
{
	struct vs *s;
	struct rusage u;
	double began = cpu(), last;
	struct result r;

	OK(vs_open(&s, dir, VS_CREATE, &e));
	fill(s, "c", n, 5000);
	last = cpu() - began;
	vs_close(s);
	OK(vs_open(&s, dir, 0, &e));
	began = cpu();
	OK(vs_index_build(s, "c", &(struct vs_build){ .threads = 2, .graph_from = graph_from }, &e));
	began = cpu() - began;
	truth = calloc(queries.n, sizeof(*truth));
	queries.n = 100;
	r = ask(s, VS_PLAN_AUTO, 0, NULL, false, 1);
	getrusage(RUSAGE_SELF, &u);
	printf("{\"what\":\"million\",\"rows\":%llu,\"fill_cpu_s\":%.0f,\"build_cpu_s\":%.0f,\"qps\":%.0f,\"max_resident_mib\":%ld}\n", (unsigned long long)n, last, began, r.qps, u.ru_maxrss / 1024);
	vs_close(s);
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: bench-vecstore search|scan|open|write|million:ROWS|flat:ROWS BASE.npy QUERIES.npy DIR\n");
		return 2;
	}
	load(argv[2], &base);
	load(argv[3], &queries);
	snprintf(dir, sizeof(dir), "%s", argv[4]);
	if (streq(argv[1], "search"))
		search_bench();
	else if (streq(argv[1], "scan"))
		scan_bench();
	else if (streq(argv[1], "open"))
		open_bench();
	else if (streq(argv[1], "write"))
		write_bench();
	else if (str_starts(argv[1], "million:"))
		million_bench(strtoull(argv[1] + 8, NULL, 10), 0);
	else if (str_starts(argv[1], "flat:"))
		million_bench(strtoull(argv[1] + 5, NULL, 10), UINT32_MAX);
	else
		return 2;
	return 0;
}
