/* settings.c: what a line KEY = VALUE means: which key it is, whether it may be said again, what %i and an empty value stand for. */
#include "base/log.h"
#include "supervisor/graph/values.h"

static const struct values defaults = {
	.type = -1, .notify_fd = -1, .policy = -1, .output = -1, .nice = INT32_MIN, .oom_score_adj = INT32_MIN, .umask = -1,
	.stop_signal = 15 /* SIGTERM */, .install = -1, .log_files = -1, .limit = 5, .interval = 10000000, .delay = 100000, .delay_max = 30000000,
	.start_timeout = 90000000, .stop_timeout = 10000000, .settle_time = 5000000, .watchdog = UINT64_MAX,
};

void unit_defaults(struct unit *u)
{
	u->v = defaults;
}

/* Take out what an earlier file said about this limit or key of the cgroup. */
static int clear_named(struct setting *s)
{
	struct pairs *p = &s->u->v.cgroup;
	struct limits *l = &s->u->v.limits;
	unsigned n = 0;
	bool is_bytes;
	int resource;

	if (s->key->kind == KEY_CGROUP) {
		for (unsigned i = 0; i < p->n; i++)
			if (!streq(p->v[i].key, s->name))
				p->v[n++] = p->v[i];
		p->n = n;
		return check_cgroup_name(s);
	}
	resource = limit_resource(s, &is_bytes);
	for (unsigned i = 0; i < l->n; i++)
		if ((int)l->v[i].l.resource != resource)
			l->v[n++] = l->v[i];
	l->n = n;
	return MIN(resource, 0);
}

/* An empty value: back to the default. */
static int clear(struct setting *s)
{
	const struct key *k = s->key;

	if (k->kind == KEY_LIMIT || k->kind == KEY_CGROUP)
		return clear_named(s);
	if (k->kind == KEY_REFS)
		drop_refs(s->u, k->ref);
	else
		memcpy(s->to, (const char *)&defaults + k->offset, value_kinds[k->kind].size);
	if (k->kind == KEY_OUTPUT)
		drop_refs(s->u, REF_PIPE);
	if (k->kind == KEY_NOTIFY)
		s->u->v.notify_fd = -1;
	return 0;
}

static const struct given *find_given(const struct unit *u, const struct key *key)
{
	for (unsigned i = u->given.n; i-- > 0;)
		if (u->given.v[i].key == key)
			return &u->given.v[i];
	return NULL;
}

const struct given *unit_given(const struct unit *u, const char *section, const char *key)
{
	return find_given(u, key_find(section, key));
}

/* Remember that the key was said; one that does not add up may be said once in a file. */
static int note_given(struct setting *s)
{
	const struct given *before = find_given(s->u, s->key);
	struct given *g;

	if (before && before->at.file == s->at.file && !value_kinds[s->key->kind].adds_up)
		return refuse(s, "'%s' is set in line %d already; keep one of them", s->key->name, before->at.line);
	if (before && before->at.file == s->at.file)
		return 0;
	g = ARENA_PUSH(&s->c->arena, &s->u->given);
	if (!g)
		return compiler_oom(s->c);
	*g = (struct given){ s->key, s->at };
	return 0;
}

/* Other sections that have the key: people put `depends` below [service]. */
static const char *section_of(const char *key)
{
	for (size_t i = 0; i < n_keys; i++)
		if (keys[i].name && streq(keys[i].name, key))
			return keys[i].section;
	bool is_bytes;
	return cgroup_find(key) != CGROUP_UNKNOWN ? "cgroup" : limit_find(key, &is_bytes) >= 0 ? "limits" : NULL;
}

static void unknown_key(struct compiler *c, struct place at, const char *section, const char *key)
{
	const char *names[64], *other = section_of(key);

	if (other)
		problem(c, LOG_ERR, at, "key '%s' does not belong to [%s]; move it to [%s]", key, section, other);
	else
		problem(c, LOG_ERR, at, "unknown key '%s' in [%s]%s; rast.service(5) has the keys", key, section, near_word(c, key, names, key_names(section, names, ARRAY_SIZE(names))));
}

/* What %X stands for in an instance of a template; NULL: nothing. */
static const char *expansion(const struct unit *u, char c)
{
	return c == 'i' ? u->instance : c == 'n' ? u->name : c == '%' ? "%" : NULL;
}

/* %i, %n and %% in an instance of a template; everywhere else a percent sign is one. Returns value itself, or heap memory in *owned; NULL after an error. */
static const char *expand(struct setting *s, char **owned)
{
	_cleanup_buf_ struct buf b = { 0 };

	if (!s->u->instance || !strchr(s->value, '%'))
		return s->value;
	for (const char *p = s->value; *p;) {
		size_t plain = strcspn(p, "%");
		buf_add(&b, p, plain);
		p += plain;
		if (!*p)
			break;
		const char *with = expansion(s->u, p[1]);
		if (!with) {
			(void)refuse(s, "'%.2s' means nothing in a template, where %%i is the instance and %%n the name; write %%%% for a percent sign", p);
			return NULL;
		}
		buf_add(&b, with, strlen(with));
		p += 2;
	}
	if (b.failed) {
		(void)compiler_oom(s->c);
		return NULL;
	}
	*owned = TAKE_PTR(b.data);
	return *owned;
}

int take_key(struct compiler *c, struct unit *u, struct place at, const char *section, const char *key, const char *value)
{
	_cleanup_free_ char *expanded = NULL;
	const struct key *k = key_find(section, key);
	struct setting s = { c, u, at, k, key, value, NULL };
	int r;

	if (!k) {
		u->broken = true;
		if (!*section)
			problem(c, LOG_ERR, at, "key '%s' stands before the first section; put it below [service] or where it belongs", key);
		else if (section_known(section))
			unknown_key(c, at, section, key);
		else if (!u->bad_section) /* reported at its header as a rule */
			unknown_section(c, u, at, section);
		return -EINVAL;
	}
	if (u->at.line == 0)
		u->at.line = at.line;
	s.to = (char *)&u->v + k->offset;
	r = note_given(&s);
	if (r < 0)
		return r;
	s.value = expand(&s, &expanded);
	if (!s.value)
		return -EINVAL;
	return *s.value ? value_kinds[k->kind].take(&s) : clear(&s);
}
