/* logs.c: the lines of several services, merged by time. Works without rastd. */
#include "supervisor/ctl/logs.h"

#include <errno.h>
#include <limits.h>
#include <sys/resource.h>
#include <time.h>

static char since_key[LOG_KEY_LEN + 1], until_key[LOG_KEY_LEN + 1];

/* --- printing --- */

static json_t *text_value(const char *s, size_t n)
{
	json_t *v = json_stringn(s, n);
	if (v)
		return v;
	_cleanup_free_ char *copy = strndup(s, n); /* not UTF-8 */
	for (char *c = copy; c && *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	return json_string(copy ? copy : "");
}

static void print_object(const struct stream *s, const struct log_line *l)
{
	json_t *o = json_object();
	json_object_set_new(o, "time", json_string(s->key));
	json_object_set_new(o, "service", json_string(s->name));
	json_object_set_new(o, "text", text_value(l->text, l->text_len));
	json_dumpf(o, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(o);
}

void logs_print(const struct stream *s, const char *line, size_t n)
{
	struct log_line l;
	bool whole = log_line_parse(line, n, &l);
	if (!whole)
		l = (struct log_line){.name = s->name, .name_len = strlen(s->name), .text = line, .text_len = n};
	if (set.json) {
		print_object(s, &l);
		return;
	}
	_cleanup_free_ char *text = isatty(STDOUT_FILENO) ? strndup(l.text, l.text_len) : NULL;
	if (whole && !set.plain)
		printf("%s%.*s%s %.*s: ", paint_on(PAINT_DIM), LOG_KEY_LEN, line, paint_off(), (int)l.name_len, l.name);
	if (text)
		print_clean(stdout, text);
	else
		fwrite(l.text, 1, l.text_len, stdout);
	putchar('\n');
}

bool logs_wanted(const struct stream *s)
{
	return (!*since_key || strcmp(s->key, since_key) >= 0) && (!*until_key || strcmp(s->key, until_key) <= 0);
}

/* --- merging: a heap of streams by the time of the line at hand --- */

struct head {
	struct stream *s;
	const char *line;
	size_t len;
	unsigned order; /* equal times: as the services were named */
};

static bool before(const struct head *a, const struct head *b)
{
	int c = strcmp(a->s->key, b->s->key);
	return c ? c < 0 : a->order < b->order;
}

static void sift_down(struct head *h, unsigned n, unsigned i)
{
	for (;;) {
		unsigned least = i;
		for (unsigned c = 2 * i + 1; c <= 2 * i + 2 && c < n; c++)
			if (before(&h[c], &h[least]))
				least = c;
		if (least == i)
			return;
		struct head t = h[i];
		h[i] = h[least];
		h[least] = t;
		i = least;
	}
}

/* The stream's next line inside of --since and --until. */
static bool advance(struct head *h, bool unfinished)
{
	for (;;) {
		int r = stream_next(h->s, unfinished, &h->line, &h->len);
		if (r < 0)
			ctl_error(CTL_FAILED, "read the log of '%s': %s", h->s->name, strerror(-r));
		if (r <= 0)
			return false;
		if (logs_wanted(h->s))
			return true;
	}
}

/* The last lines, when only so many are wanted. */
struct ring {
	char **text;
	struct stream **of;
	size_t *len, cap, n;
};

static int ring_add(struct ring *r, const struct head *h)
{
	size_t i = r->n++ % r->cap;
	char *copy = malloc(h->len + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, h->line, h->len);
	free(r->text[i]);
	r->text[i] = copy;
	r->of[i] = h->s;
	r->len[i] = h->len;
	return 0;
}

static void ring_print(struct ring *r)
{
	size_t first = r->n > r->cap ? r->n - r->cap : 0;
	for (size_t i = first; i < r->n; i++) {
		struct stream copy = {0};
		size_t k = i % r->cap;
		memcpy(copy.name, r->of[k]->name, sizeof copy.name);
		if (r->len[k] >= LOG_KEY_LEN)
			memcpy(copy.key, r->text[k], LOG_KEY_LEN);
		logs_print(&copy, r->text[k], r->len[k]);
		free(r->text[k]);
	}
}

static int ring_init(struct ring *r, unsigned long lines)
{
	r->cap = lines;
	r->text = calloc(r->cap, sizeof *r->text);
	r->of = calloc(r->cap, sizeof *r->of);
	r->len = calloc(r->cap, sizeof *r->len);
	return r->text && r->of && r->len ? 0 : -ENOMEM;
}

static int merge_to(struct stream **streams, unsigned n, bool unfinished, struct ring *ring)
{
	_cleanup_free_ struct head *heap = calloc(n ? n : 1, sizeof *heap);
	unsigned live = 0;
	if (!heap)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		heap[live] = (struct head){.s = streams[i], .order = i};
		live += advance(&heap[live], unfinished);
	}
	for (unsigned i = live; i-- > 0;)
		sift_down(heap, live, i);
	while (live) {
		if (ring->cap) {
			int r = ring_add(ring, &heap[0]);
			if (r < 0)
				return r;
		} else {
			logs_print(heap[0].s, heap[0].line, heap[0].len);
		}
		if (!advance(&heap[0], unfinished))
			heap[0] = heap[--live];
		sift_down(heap, live, 0);
	}
	return 0;
}

int logs_merge(struct stream **streams, unsigned n, bool unfinished, unsigned long lines)
{
	struct ring ring = {0};
	int r = lines == ULONG_MAX || !lines ? 0 : ring_init(&ring, lines);
	if (r >= 0 && lines)
		r = merge_to(streams, n, unfinished, &ring);
	if (r >= 0 && ring.cap)
		ring_print(&ring);
	free(ring.text);
	free(ring.of);
	free(ring.len);
	return r;
}

/* --- which --- */

static int time_option(const char *name, const char *text, char key[LOG_KEY_LEN + 1])
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	if (text && log_key_from_text(text, (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000, key) < 0)
		return ctl_error(
			CTL_USAGE, "--%s: '%s' is not a time; for example 10:30, '2026-11-22 10:30', '5min ago', yesterday", name, text);
	return CTL_OK;
}

static bool is_log(const char *file, char name[64])
{
	size_t n = strlen(file);
	if (n < 5 || n - 4 > 63 || !streq(file + n - 4, ".log"))
		return false;
	memcpy(name, file, n - 4);
	name[n - 4] = '\0';
	return name_valid(name);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int all_names(char ***names)
{
	_cleanup_closedir_ DIR *dir = opendir(set.log_dir);
	char name[64];
	if (!dir)
		return -errno;
	for (struct dirent *e; (e = readdir(dir));)
		if (is_log(e->d_name, name) && strv_push(names, name) < 0)
			return -ENOMEM;
	if (*names)
		qsort(*names, strv_len(*names), sizeof **names, compare_names);
	return 0;
}

static int complain(const char *name, int r)
{
	if (!name_valid(name))
		return ctl_error(CTL_USAGE, "'%s' is not a name of a service", name);
	if (r == -ENOENT)
		return ctl_error(CTL_DENIED, "there is no log of '%s' in %s; has it written something? See 'rastctl status %s'", name,
			set.log_dir, name);
	if (r == -EACCES || r == -EPERM)
		return ctl_error(CTL_DENIED, "user %u may not read the log of '%s'; try it with sudo or su", (unsigned)getuid(), name);
	if (r == -EMFILE)
		return ctl_error(CTL_FAILED, "too many files for one look; name the services you want to see");
	return ctl_error(CTL_FAILED, "open the log of '%s': %s", name, strerror(-r));
}

static int open_streams(char **names, unsigned long lines, struct stream ***ret, unsigned *n)
{
	char spare[4096];
	int status = CTL_OK;
	snprintf(spare, sizeof spare, "%s/log", set.run_dir);
	*ret = calloc(strv_len(names) + 1, sizeof **ret);
	for (; *ret && names && *names; names++) {
		int r = name_valid(*names) ? stream_open(&(*ret)[*n], set.log_dir, set.follow ? NULL : spare, *names, lines) : -EINVAL;
		*n += r >= 0;
		if (r == -EACCES && status == CTL_DENIED)
			continue; /* said once is enough */
		if (r == -ENOENT && set.follow)
			ctl_error(CTL_OK, "there is no log of '%s' yet: waiting for it", *names);
		else if (r < 0)
			status = complain(*names, r);
	}
	return status;
}

static void raise_files(void)
{
	struct rlimit l;
	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
}

VERB(logs)
{
	ctl_json_lines();
	_cleanup_strv_ char **names = NULL;
	struct stream **streams = NULL;
	unsigned n = 0;
	if (time_option("since", set.since, since_key) || time_option("until", set.until, until_key))
		return CTL_USAGE;
	unsigned long lines = set.lines >= 0 ? (unsigned long)set.lines : set.follow && !set.since ? 10 : ULONG_MAX;
	/* With a window in time, the last lines are the last ones inside of it: those can only be known after reading. */
	unsigned long from = set.until || set.since ? ULONG_MAX : lines;
	raise_files();
	if (!set.no_sync)
		ctl_try("SyncLogs", NULL, 2000000, NULL);
	int r = 0;
	for (int i = 1; i < argc && r >= 0; i++)
		r = strv_push(&names, argv[i]);
	if (argc < 2)
		r = all_names(&names);
	if (r < 0)
		return ctl_error(r == -EACCES ? CTL_DENIED : CTL_FAILED, "read %s: %s", set.log_dir, strerror(-r));
	int status = open_streams(names, from, &streams, &n);
	if (n && (r = logs_merge(streams, n, !set.follow, lines)) < 0)
		status = ctl_error(CTL_FAILED, "read the logs: %s", strerror(-r));
	if (set.follow && (n || status == CTL_OK))
		status = logs_follow(&streams, &n, argc < 2 ? NULL : names);
	for (unsigned i = 0; i < n; i++)
		stream_free(streams[i]);
	free(streams);
	return status;
}
