/* values.c: from the text of a value to what struct values holds, one small function per kind of key. */
#include "base/log.h"
#include "supervisor/graph/values.h"

int refuse(struct setting *s, const char *fmt, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (!text)
		return compiler_oom(s->c);
	problem(s->c, LOG_ERR, s->at, "%s = %.100s: %s", s->name, s->value, text);
	s->u->broken = true;
	return -EINVAL;
}

static char *keep(struct setting *s, const char *text)
{
	char *copy = arena_str(&s->c->arena, text);

	if (!copy)
		(void)compiler_oom(s->c);
	return copy;
}

static int add_word(struct setting *s, struct words *w, const char *text)
{
	const char **p = ARENA_PUSH(&s->c->arena, w);

	if (!p || !(*p = keep(s, text)))
		return compiler_oom(s->c);
	return 0;
}

/* Call take() for each word of a white-space separated list. */
static int each_word(struct setting *s, int (*take)(struct setting *s, const char *word))
{
	_cleanup_free_ char *list = strdup(s->value);
	char *rest = list, *word;
	int r = list ? 0 : compiler_oom(s->c);

	while (list && (word = strsep(&rest, " \t\r\f\v")))
		if (*word) {
			int one = take(s, word);
			r = one < 0 ? one : r;
		}
	return r;
}

static int choice(struct setting *s, const char *word, const char *const *choices, int32_t *to)
{
	_cleanup_buf_ struct buf list = { 0 };
	size_t n = 0;

	for (; choices[n]; n++) {
		if (streq(word, choices[n])) {
			*to = (int32_t)n;
			return 0;
		}
		buf_addf(&list, "%s%s", n ? ", " : "", choices[n]);
	}
	return refuse(s, "not one of %s%s", list.data ? list.data : "the possible values", near_word(s->c, word, choices, n));
}

static int take_enum(struct setting *s)
{
	return choice(s, s->value, s->key->choices, s->to);
}

static int take_bool(struct setting *s)
{
	bool b;

	if (parse_bool(s->value, &b) < 0)
		return refuse(s, "neither yes nor no; write one of them");
	*(int32_t *)s->to = b;
	return 0;
}

static int take_int(struct setting *s)
{
	int64_t n;

	if (parse_i64(s->value, &n) < 0 || n < s->key->min || n > s->key->max)
		return refuse(s, "write a number from %d to %d", s->key->min, s->key->max);
	*(int32_t *)s->to = (int32_t)n;
	return 0;
}

static int take_umask(struct setting *s)
{
	mode_t mode;

	if (parse_mode(s->value, &mode) < 0 || mode > 0777)
		return refuse(s, "write an octal number up to 0777, such as 0022");
	*(int32_t *)s->to = (int32_t)mode;
	return 0;
}

static int take_signal(struct setting *s)
{
	int sig = parse_signal(s->value);

	if (sig < 0)
		return refuse(s, "no such signal; write a name such as TERM or HUP, see signal(7)");
	*(int32_t *)s->to = sig;
	return 0;
}

static int take_count(struct setting *s)
{
	uint64_t n;

	if (streq(s->value, "infinity"))
		n = UINT32_MAX;
	else if (parse_u64(s->value, &n) < 0 || n == 0 || n > UINT16_MAX)
		return refuse(s, "write a number of starts from 1 to %d, or infinity for no limit", UINT16_MAX);
	*(uint32_t *)s->to = (uint32_t)n;
	return 0;
}

/* What services/logger/ takes: it writes up to 64 KiB at once, and counts in 32 bits. */
static int take_log_size(struct setting *s)
{
	uint64_t n;

	if (parse_size(s->value, &n) < 0 || n < 65536 || n > 1ull << 32)
		return refuse(s, "write a size from 64K to 4G, such as 500K or 16M");
	*(uint32_t *)s->to = (uint32_t)MIN(n, UINT32_MAX);
	return 0;
}

static int take_duration(struct setting *s)
{
	uint64_t us;

	if (parse_duration(s->value, &us) < 0)
		return refuse(s, "no time; write for instance 500ms, 10s, 2min 30s%s", s->key->infinite ? ", or infinity" : "");
	if (us == UINT64_MAX && !s->key->infinite)
		return refuse(s, "this can't be infinite; write a time");
	if (us == 0 && !s->key->zero)
		return refuse(s, "0 is no time to do anything in; write a longer one%s", s->key->infinite ? ", or infinity for no limit" : "");
	*(uint64_t *)s->to = us;
	return 0;
}

static int take_text(struct setting *s)
{
	*(const char **)s->to = keep(s, s->value);
	return s->c->failed;
}

/* useradd(8) allows more than POSIX; what can't be in passwd(5) is refused. */
static bool account_valid(const char *s)
{
	return *s != '-' && strlen(s) <= 256 && strcspn(s, ":/ \t,") == strlen(s);
}

static int take_account(struct setting *s)
{
	if (!account_valid(s->value))
		return refuse(s, "no name of a %s; write one name or number", s->key->name);
	return take_text(s);
}

static bool path_valid(const char *path)
{
	return *path == '/' && strlen(path) < 4096;
}

static int take_path(struct setting *s)
{
	return path_valid(s->value) ? take_text(s) : refuse(s, "not an absolute path; begin it with a slash");
}

static int take_tty(struct setting *s)
{
	if (*s->value == '/')
		return take_path(s);
	*(const char **)s->to = arena_printf(&s->c->arena, "/dev/%s", s->value);
	return *(const char **)s->to ? 0 : compiler_oom(s->c);
}

static int take_command(struct setting *s)
{
	_cleanup_strv_ char **v = NULL;
	struct words *w = s->to;
	int r = str_split_words(s->value, &v);

	if (r == -EINVAL)
		return refuse(s, "a quote is not closed or the line ends in a backslash; close it, or write \\' or \\\" for the character itself");
	if (r < 0)
		return compiler_oom(s->c);
	if (!*v[0])
		return refuse(s, "the command is an empty word; write the program first");
	if (*v[0] != '/' && strchr(v[0], '/'))
		return refuse(s, "'%s' is relative to no folder; write the whole path, or a bare name that is looked for in PATH", v[0]);
	*w = (struct words){ 0 };
	for (char **p = v; *p && r >= 0; p++)
		r = add_word(s, w, *p);
	return r;
}

static int take_one_account(struct setting *s, const char *word)
{
	return account_valid(word) ? add_word(s, s->to, word) : refuse(s, "'%s' is no name of a group; write names or numbers, separated by spaces", word);
}

static int take_accounts(struct setting *s)
{
	return each_word(s, take_one_account);
}

static int take_one_file(struct setting *s, const char *word)
{
	return path_valid(word + (*word == '-')) ? add_word(s, s->to, word) : refuse(s, "'%s' is no absolute path; begin it with a slash (after the '-', if it may be missing)", word);
}

static int take_files(struct setting *s)
{
	return each_word(s, take_one_file);
}

/* The pair with this key, or a new one. */
static int put_pair(struct setting *s, struct pairs *pairs, const char *key, const char *value, bool again)
{
	struct pair *p = NULL;

	for (unsigned i = 0; i < pairs->n && !again; i++)
		if (streq(pairs->v[i].key, key))
			p = &pairs->v[i];
	if (p && p->at.file == s->at.file)
		return refuse(s, "'%s' is set in line %d already; keep one of them", key, p->at.line);
	if (!p && !(p = ARENA_PUSH(&s->c->arena, pairs)))
		return compiler_oom(s->c);
	*p = (struct pair){ keep(s, key), keep(s, value), s->at };
	return s->c->failed;
}

static bool variable_valid(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!(s[i] == '_' || (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || (i > 0 && s[i] >= '0' && s[i] <= '9')))
			return false;
	return n > 0;
}

static int take_environment(struct setting *s)
{
	const char *equals = strchr(s->value, '=');
	char *key;

	if (!equals || !variable_valid(s->value, (size_t)(equals - s->value)))
		return refuse(s, "write one variable per line, as environment = KEY=VALUE, with a key of letters, digits and _");
	key = arena_strn(&s->c->arena, s->value, (size_t)(equals - s->value));
	return key ? put_pair(s, s->to, key, equals + 1, false) : compiler_oom(s->c);
}

static int take_one_status(struct setting *s, const char *word)
{
	uint64_t code;
	int sig = 0;
	int32_t *n;

	if (parse_u64(word, &code) < 0)
		sig = parse_signal(word);
	if (sig < 0 || (sig == 0 && code > 255))
		return refuse(s, "'%s' is neither an exit status from 0 to 255 nor the name of a signal", word);
	n = ARENA_PUSH(&s->c->arena, (struct numbers *)s->to);
	if (!n)
		return compiler_oom(s->c);
	*n = sig > 0 ? -sig : (int32_t)code;
	return 0;
}

static int take_statuses(struct setting *s)
{
	return each_word(s, take_one_status);
}

static int take_notify(struct setting *s)
{
	uint64_t fd;

	s->u->v.notify_fd = -1;
	s->u->v.notify = NOTIFY_NONE;
	if (streq(s->value, "none"))
		return 0;
	if (streq(s->value, "socket")) {
		s->u->v.notify = NOTIFY_SOCKET;
		return 0;
	}
	if (!str_starts(s->value, "fd:") || parse_u64(s->value + 3, &fd) < 0)
		return refuse(s, "write none, socket, or fd:N with the number of the descriptor");
	if (fd < 3 || fd > 1023)
		return refuse(s, "%s; take one from 3 to 1023", fd < 3 ? "0, 1 and 2 are stdin, stdout and stderr" : "the descriptor's number is too big");
	s->u->v.notify = NOTIFY_FD;
	s->u->v.notify_fd = (int32_t)fd;
	return 0;
}

static int add_ref(struct setting *s, enum ref_kind kind, const char *name)
{
	struct ref *ref;

	if (!name_valid(name))
		return refuse(s, "'%.80s' is no name of a service: up to %d of A-Z a-z 0-9 _ . @ : -, not beginning with . or -", name, NAME_LEN_MAX);
	if (str_ends(name, "@"))
		return refuse(s, "'%s' is a template, not a service; write an instance, %sINSTANCE", name, name);
	if (streq(name, s->u->name))
		return refuse(s, "'%s' names itself; take it out", name);
	ref = ARENA_PUSH(&s->c->arena, &s->u->refs);
	if (!ref || !(name = keep(s, name)))
		return compiler_oom(s->c);
	*ref = (struct ref){ name, s->at, kind };
	return 0;
}

static int take_one_ref(struct setting *s, const char *word)
{
	return add_ref(s, s->key->ref, word);
}

static int take_refs(struct setting *s)
{
	return each_word(s, take_one_ref);
}

void drop_refs(struct unit *u, enum ref_kind kind)
{
	unsigned n = 0;

	for (unsigned i = 0; i < u->refs.n; i++)
		if (u->refs.v[i].kind != kind)
			u->refs.v[n++] = u->refs.v[i];
	u->refs.n = n;
}

static int take_output(struct setting *s)
{
	static const char *const outputs[] = { "log", "null", "console", "tty", "pipe:NAME", "inherit", NULL }; /* as enum svc_output */

	drop_refs(s->u, REF_PIPE);
	if (str_starts(s->value, "pipe:")) {
		s->u->v.output = OUT_PIPE;
		return add_ref(s, REF_PIPE, s->value + strlen("pipe:"));
	}
	return choice(s, streq(s->value, outputs[OUT_PIPE]) ? "" : s->value, outputs, s->to);
}

static int one_limit(struct setting *s, const char *text, bool is_bytes, uint64_t *ret)
{
	if (streq(text, "infinity") || streq(text, "unlimited")) {
		*ret = UINT64_MAX; /* RLIM_INFINITY */
		return 0;
	}
	if ((is_bytes ? parse_size(text, ret) : parse_u64(text, ret)) < 0)
		return refuse(s, "'%s' is no limit; write SOFT, or SOFT:HARD, each %s or infinity", text, is_bytes ? "a size such as 64M" : "a number");
	return 0;
}

static struct limit *find_limit(struct limits *l, uint32_t resource)
{
	for (unsigned i = 0; i < l->n; i++)
		if (l->v[i].l.resource == resource)
			return &l->v[i];
	return NULL;
}

int limit_resource(struct setting *s, bool *is_bytes)
{
	const char *names[32];
	int resource = limit_find(s->name, is_bytes);

	return resource >= 0 ? resource : refuse(s, "there is no such limit%s; prlimit(1) has their names", near_word(s->c, s->name, names, limit_names(names, ARRAY_SIZE(names))));
}

static int take_limit(struct setting *s)
{
	_cleanup_free_ char *soft = strdup(s->value);
	struct glimit new = { 0 };
	struct limit *l;
	bool is_bytes;
	char *hard;
	int r = limit_resource(s, &is_bytes);

	if (r < 0)
		return r;
	if (!soft)
		return compiler_oom(s->c);
	new.resource = (uint32_t)r;
	hard = strchr(soft, ':');
	if (hard)
		*hard++ = 0;
	if ((r = one_limit(s, str_strip(soft), is_bytes, &new.soft)) < 0 || (r = one_limit(s, str_strip(hard ? hard : soft), is_bytes, &new.hard)) < 0)
		return r;
	if (new.soft > new.hard)
		return refuse(s, "the soft limit is above the hard one; write SOFT:HARD");
	l = find_limit(s->to, new.resource);
	if (l && l->at.file == s->at.file)
		return refuse(s, "'%s' is set in line %d already; keep one of them", s->name, l->at.line);
	if (!l && !(l = ARENA_PUSH(&s->c->arena, (struct limits *)s->to)))
		return compiler_oom(s->c);
	*l = (struct limit){ new, s->at };
	return 0;
}

static int check_cgroup_value(struct setting *s, enum cgroup_value kind)
{
	uint64_t n;
	bool max = streq(s->value, "max");

	if (kind == CGROUP_SIZE && !max && parse_size(s->value, &n) < 0)
		return refuse(s, "neither a size such as 64M nor max");
	if (kind == CGROUP_NUMBER && !max && parse_u64(s->value, &n) < 0)
		return refuse(s, "neither a number nor max");
	if (kind == CGROUP_WEIGHT && (parse_u64(s->value, &n) < 0 || n < 1 || n > 10000))
		return refuse(s, "a weight is a number from 1 to 10000");
	if (kind == CGROUP_BOOL && !streq(s->value, "0") && !streq(s->value, "1"))
		return refuse(s, "the kernel takes 0 or 1 here");
	return 0;
}

/* Sizes as plain bytes: the kernel's own parser (memparse) knows K, M, G, T and not KiB. */
static const char *cgroup_value(const char *value, enum cgroup_value kind, char buf[32])
{
	uint64_t n;

	if (kind != CGROUP_SIZE || parse_size(value, &n) < 0)
		return value;
	snprintf(buf, 32, "%ju", (uintmax_t)n);
	return buf;
}

int check_cgroup_name(struct setting *s)
{
	const char *names[64];

	if (cgroup_find(s->name) != CGROUP_UNKNOWN)
		return 0;
	return refuse(s, "there is no such key of a cgroup%s; the kernel's cgroup-v2 page has them", near_word(s->c, s->name, names, cgroup_names(names, ARRAY_SIZE(names))));
}

static int take_cgroup(struct setting *s)
{
	enum cgroup_value kind = cgroup_find(s->name);
	char buf[32];
	int r = check_cgroup_name(s);

	if (r >= 0)
		r = check_cgroup_value(s, kind);
	return r < 0 ? r : put_pair(s, s->to, s->name, cgroup_value(s->value, kind, buf), kind == CGROUP_DEVICE);
}

const struct value_kind value_kinds[KEY_KIND_N] = {
	[KEY_ENUM] = { take_enum, sizeof(int32_t), false },       [KEY_BOOL] = { take_bool, sizeof(int32_t), false },
	[KEY_LOG_SIZE] = { take_log_size, sizeof(uint32_t), false }, [KEY_INT] = { take_int, sizeof(int32_t), false },         [KEY_UMASK] = { take_umask, sizeof(int32_t), false },
	[KEY_SIGNAL] = { take_signal, sizeof(int32_t), false },   [KEY_COUNT] = { take_count, sizeof(uint32_t), false },
	[KEY_DURATION] = { take_duration, sizeof(uint64_t), false }, [KEY_TEXT] = { take_text, sizeof(char *), false },
	[KEY_ACCOUNT] = { take_account, sizeof(char *), false },  [KEY_PATH] = { take_path, sizeof(char *), false },
	[KEY_TTY] = { take_tty, sizeof(char *), false },          [KEY_COMMAND] = { take_command, sizeof(struct words), false },
	[KEY_ACCOUNTS] = { take_accounts, sizeof(struct words), true }, [KEY_FILES] = { take_files, sizeof(struct words), true },
	[KEY_ENVIRONMENT] = { take_environment, sizeof(struct pairs), true }, [KEY_STATUSES] = { take_statuses, sizeof(struct numbers), true },
	[KEY_NOTIFY] = { take_notify, sizeof(int32_t), false },   [KEY_OUTPUT] = { take_output, sizeof(int32_t), false },
	[KEY_REFS] = { take_refs, 0, true },
	[KEY_LIMIT] = { take_limit, 0, true },                    [KEY_CGROUP] = { take_cgroup, 0, true },
};
