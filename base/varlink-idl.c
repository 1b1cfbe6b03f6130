/* varlink-idl.c: recursive descent over the grammar of varlink.org/Interface-Definition; see varlink-idl.h. */
#include "base/varlink-idl.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include "base/str.h"

#define DEPTH_MAX 32
#define CHUNK 4000 /* a chunk and malloc's own header fit in a page */

struct chunk {
	struct chunk *next;
	size_t used, size;
	_Alignas(max_align_t) char mem[];
};

struct idl {
	struct chunk *chunks;
	const char *name;
	struct idl_member *members;
	struct idl_type *unresolved; /* NAMED types, chained through named.member until they are resolved */
};

struct parser {
	struct idl *idl;
	const char *p;
	int line, depth;
	struct err *e;
	int error;
};

static void *idl_alloc(struct idl *idl, size_t n)
{
	struct chunk *c = idl->chunks;
	size_t size;

	n = (n + sizeof(void *) - 1) & ~(sizeof(void *) - 1);
	if (!c || c->size - c->used < n) {
		size = MAX(n, CHUNK - sizeof(*c));
		c = calloc(1, sizeof(*c) + size);
		if (!c)
			return NULL;
		c->size = size;
		c->next = idl->chunks;
		idl->chunks = c;
	}
	c->used += n;
	return c->mem + c->used - n;
}

static _printf_(2, 3) void *fail(struct parser *ps, const char *fmt, ...)
{
	_cleanup_free_ char *what = NULL;
	va_list ap;

	if (ps->error < 0) /* the first is the cause */
		return NULL;
	va_start(ap, fmt);
	if (vasprintf(&what, fmt, ap) < 0)
		what = NULL;
	va_end(ap);
	ps->error = err_set(ps->e, -EBADMSG, "line %d: %s", ps->line, what ? what : "syntax error");
	return NULL;
}

static void *new_node(struct parser *ps, size_t n)
{
	void *p = idl_alloc(ps->idl, n);

	if (!p && ps->error >= 0)
		ps->error = err_sys(ps->e, -ENOMEM, "interface description");
	return p;
}

static void skip(struct parser *ps)
{
	for (;; ps->p++) {
		if (*ps->p == '#')
			ps->p += strcspn(ps->p, "\n");
		if (*ps->p == '\n')
			ps->line++;
		else if (*ps->p != ' ' && *ps->p != '\t' && *ps->p != '\r')
			return;
	}
}

static bool take_token(struct parser *ps, const char *token)
{
	skip(ps);
	if (!str_starts(ps->p, token))
		return false;
	ps->p += strlen(token);
	return true;
}

static bool expect(struct parser *ps, const char *token)
{
	if (take_token(ps, token))
		return true;
	fail(ps, "'%s' expected before '%.10s'", token, ps->p);
	return false;
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_alpha(char c)
{
	return is_upper(c) || (c >= 'a' && c <= 'z');
}

static bool is_alnum(char c)
{
	return is_alpha(c) || (c >= '0' && c <= '9');
}

/* [A-Za-z]([joint]?[A-Za-z0-9])*: a word whose parts are held together by single characters of `joints`. */
static size_t word_span(const char *s, const char *joints)
{
	size_t n = 0;

	if (!is_alpha(*s))
		return 0;
	while (is_alnum(s[n]) || (s[n] && strchr(joints, s[n]) && is_alnum(s[n + 1])))
		n++;
	return n;
}

static const char *take_word(struct parser *ps, const char *joints, const char *what)
{
	size_t n;
	char *s;

	skip(ps);
	n = word_span(ps->p, joints);
	if (n == 0)
		return fail(ps, "%s expected before '%.10s'", what, ps->p);
	s = new_node(ps, n + 1);
	if (s)
		memcpy(s, ps->p, n);
	ps->p += n;
	return s;
}

static const struct idl_type *parse_type(struct parser *ps);

/* The rest of "(name: type, ...)" or "(name, ...)"; an empty pair is a struct. */
static bool parse_fields(struct parser *ps, struct idl_type *t)
{
	struct idl_field **tail = (struct idl_field **)(uintptr_t)&t->fields;
	bool first = true;

	t->kind = IDL_STRUCT;
	while (!take_token(ps, ")")) {
		if (!first && !expect(ps, ","))
			return false;
		struct idl_field *f = new_node(ps, sizeof(*f));
		if (!f)
			return false;
		f->name = take_word(ps, "_", "field name");
		if (!f->name)
			return false;
		for (const struct idl_field *other = t->fields; other; other = other->next)
			if (streq(other->name, f->name))
				return fail(ps, "field '%s' is there twice", f->name);
		bool typed = take_token(ps, ":");
		if (first)
			t->kind = typed ? IDL_STRUCT : IDL_ENUM;
		else if (typed != (t->kind == IDL_STRUCT))
			return fail(ps, "field '%s': either all fields have a type or none", f->name);
		if (typed && !(f->type = parse_type(ps)))
			return false;
		*tail = f;
		tail = &f->next;
		first = false;
	}
	return true;
}

static bool parse_element(struct parser *ps, struct idl_type *t, enum idl_kind kind)
{
	t->kind = kind;
	t->element = parse_type(ps);
	if (t->element && kind == IDL_MAYBE && t->element->kind == IDL_MAYBE)
		return fail(ps, "one '?' is enough");
	return t->element != NULL;
}

static bool parse_word_type(struct parser *ps, struct idl_type *t)
{
	static const struct {
		const char *name;
		enum idl_kind kind;
	} basic[] = { { "bool", IDL_BOOL }, { "int", IDL_INT }, { "float", IDL_FLOAT }, { "string", IDL_STRING },
		{ "object", IDL_OBJECT }, { "any", IDL_ANY } };
	const char *name = take_word(ps, "", "type");

	if (!name)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(basic); i++)
		if (streq(name, basic[i].name)) {
			t->kind = basic[i].kind;
			return true;
		}
	if (!is_upper(*name))
		return fail(ps, "'%s' is no type", name);
	t->kind = IDL_NAMED;
	t->named.name = name;
	t->named.member = (const struct idl_member *)ps->idl->unresolved;
	ps->idl->unresolved = t;
	return true;
}

static bool parse_type_into(struct parser *ps, struct idl_type *t)
{
	if (take_token(ps, "?"))
		return parse_element(ps, t, IDL_MAYBE);
	if (take_token(ps, "[]"))
		return parse_element(ps, t, IDL_ARRAY);
	if (take_token(ps, "[string]"))
		return parse_element(ps, t, IDL_DICT);
	if (take_token(ps, "("))
		return parse_fields(ps, t);
	return parse_word_type(ps, t);
}

static const struct idl_type *parse_type(struct parser *ps)
{
	struct idl_type *t = new_node(ps, sizeof(*t));
	bool ok;

	if (!t)
		return NULL;
	if (ps->depth >= DEPTH_MAX)
		return fail(ps, "types are nested more than %d deep", DEPTH_MAX);
	ps->depth++;
	ok = parse_type_into(ps, t);
	ps->depth--;
	return ok ? t : NULL;
}

static const struct idl_type *parse_struct(struct parser *ps)
{
	const struct idl_type *t;

	skip(ps);
	if (*ps->p != '(')
		return fail(ps, "'(' expected before '%.10s'", ps->p);
	t = parse_type(ps);
	return t && t->kind != IDL_STRUCT ? fail(ps, "parameters need types") : t;
}

static bool parse_member_types(struct parser *ps, struct idl_member *m)
{
	skip(ps);
	if (m->kind == IDL_ERROR && *ps->p != '(')
		return true;
	if (m->kind == IDL_TYPE) {
		m->in = *ps->p == '(' ? parse_type(ps) : fail(ps, "'(' expected before '%.10s'", ps->p);
		return m->in != NULL;
	}
	m->in = parse_struct(ps);
	if (!m->in || m->kind != IDL_METHOD)
		return m->in != NULL;
	m->out = expect(ps, "->") ? parse_struct(ps) : NULL;
	return m->out != NULL;
}

static const struct idl_member *find_any(const struct idl *idl, const char *name)
{
	const struct idl_member *m = idl->members;

	while (m && !streq(m->name, name))
		m = m->next;
	return m;
}

static struct idl_member *parse_member(struct parser *ps)
{
	static const char *const keywords[] = { [IDL_TYPE] = "type", [IDL_METHOD] = "method", [IDL_ERROR] = "error" };
	struct idl_member *m = new_node(ps, sizeof(*m));
	size_t kind = 0, n = word_span(ps->p, "");

	if (!m)
		return NULL;
	while (kind < ARRAY_SIZE(keywords) && (strlen(keywords[kind]) != n || strncmp(ps->p, keywords[kind], n) != 0))
		kind++;
	if (kind == ARRAY_SIZE(keywords))
		return fail(ps, "'type', 'method' or 'error' expected before '%.10s'", ps->p);
	ps->p += n;
	m->kind = (enum idl_member_kind)kind;
	m->name = take_word(ps, "", "name");
	if (!m->name)
		return NULL;
	if (!is_upper(*m->name))
		return fail(ps, "'%s' must begin with a capital letter", m->name);
	if (find_any(ps->idl, m->name))
		return fail(ps, "'%s' is there twice", m->name);
	return parse_member_types(ps, m) ? m : NULL;
}

/* All members are known: let the types that are used by name point to them. */
static void resolve(struct parser *ps)
{
	for (struct idl_type *t = ps->idl->unresolved, *next; t && ps->error >= 0; t = next) {
		next = (struct idl_type *)(uintptr_t)t->named.member;
		t->named.member = idl_find(ps->idl, IDL_TYPE, t->named.name);
		if (!t->named.member)
			fail(ps, "type '%s' is used and not described", t->named.name);
	}
}

static void parse_interface(struct parser *ps)
{
	struct idl_member **tail = &ps->idl->members;

	if (!expect(ps, "interface"))
		return;
	ps->idl->name = take_word(ps, ".-", "name of the interface");
	if (ps->idl->name && !strchr(ps->idl->name, '.'))
		fail(ps, "'%s' must have a dot, as in org.example.Thing", ps->idl->name);
	for (skip(ps); ps->error >= 0 && *ps->p; skip(ps)) {
		struct idl_member *m = parse_member(ps);
		if (!m)
			return;
		*tail = m;
		tail = &m->next;
	}
	resolve(ps);
}

int idl_parse(const char *text, struct idl **ret, struct err *e)
{
	struct parser ps = { .idl = calloc(1, sizeof(struct idl)), .p = text, .line = 1, .e = e };

	if (!ps.idl)
		return err_sys(e, -ENOMEM, "interface description");
	parse_interface(&ps);
	if (ps.error < 0) {
		idl_free(ps.idl);
		return ps.error;
	}
	*ret = ps.idl;
	return 0;
}

void idl_free(struct idl *idl)
{
	if (!idl)
		return;
	while (idl->chunks) {
		struct chunk *c = idl->chunks;
		idl->chunks = c->next;
		free(c);
	}
	free(idl);
}

void idl_freep(struct idl **idl)
{
	idl_free(*idl);
}

const char *idl_name(const struct idl *idl)
{
	return idl->name;
}

const struct idl_member *idl_find(const struct idl *idl, enum idl_member_kind kind, const char *name)
{
	const struct idl_member *m = find_any(idl, name);

	return m && m->kind == kind ? m : NULL;
}
