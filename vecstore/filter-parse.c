/* filter-parse.c: the filter language, by recursive descent. The grammar is in vecstore.h. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "vecstore/filter.h"
#include "vecstore/meta.h"

enum token { END, WORD, STRING, NUMBER, OPERATOR, OPEN, CLOSE, COMMA };
static const char *const token_names[] = { "the end", "a word", "a text", "a number", "an operator", "'('", "')'", "','" };

struct parser {
	const char *text, *at;   /* at: behind the token */
	const char *start;       /* of the token */
	enum token token;
	enum filter_op op;       /* of OPERATOR */
	struct buf s;            /* of WORD and STRING, NUL-terminated */
	struct literal number;
	unsigned depth;
	struct err *e;
};

static const struct { const char *text; enum filter_op op; } operators[] = {
	{ "!=", F_NE }, { "<=", F_LE }, { ">=", F_GE }, { "==", F_EQ }, { "=", F_EQ }, { "<", F_LT }, { ">", F_GT },
};

static int wrong(struct parser *p, const char *at, const char *what)
{
	return err_set(p->e, -EINVAL, "filter, column %zu: %s (a filter is like: kind = \"boot\" and (seconds < 12.5 or not exists failed))", (size_t)(at - p->text) + 1, what);
}

static bool word_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

static int read_text(struct parser *p)
{
	char quote = *p->at++;

	for (; *p->at != quote; p->at++) {
		if (*p->at == '\\' && p->at[1])
			p->at++;
		if (!*p->at)
			return wrong(p, p->start, "this text has no closing quote");
		buf_add(&p->s, p->at, 1);
	}
	p->at++;
	p->token = STRING;
	return 0;
}

static int read_number(struct parser *p)
{
	char text[64];
	size_t n = strspn(p->at, "+-0123456789.eE_abcdfxX");
	char *end;

	if (n >= sizeof(text))
		return wrong(p, p->start, "this number is too long");
	memcpy(text, p->at, n);
	text[n] = 0;
	p->at += n;
	p->token = NUMBER;
	p->number = (struct literal){ .type = VS_INT };
	if (parse_i64(text, &p->number.i) == 0)
		return 0;
	p->number.type = VS_FLOAT;
	errno = 0;
	p->number.f = strtod(text, &end);
	if (*end || end == text || !isfinite(p->number.f) || strpbrk(text, "xX"))
		return wrong(p, p->start, "this is no number");
	return 0;
}

static int read_operator(struct parser *p)
{
	static const struct { char c; enum token t; } signs[] = { { '(', OPEN }, { ')', CLOSE }, { ',', COMMA } };

	for (size_t i = 0; i < ARRAY_SIZE(operators); i++)
		if (str_starts(p->at, operators[i].text)) {
			p->at += strlen(operators[i].text);
			p->token = OPERATOR;
			p->op = operators[i].op;
			return 0;
		}
	for (size_t i = 0; i < ARRAY_SIZE(signs); i++)
		if (*p->at == signs[i].c) {
			p->at++;
			p->token = signs[i].t;
			return 0;
		}
	return wrong(p, p->start, "this character means nothing here");
}

static int next(struct parser *p)
{
	p->at += strspn(p->at, " \t\r\n");
	p->start = p->at;
	p->s.len = 0;
	if (!*p->at) {
		p->token = END;
		return 0;
	}
	if (*p->at == '"' || *p->at == '\'') {
		int r = read_text(p);
		if (r < 0)
			return r;
	} else if ((*p->at >= '0' && *p->at <= '9') || ((*p->at == '-' || *p->at == '+') && ((p->at[1] >= '0' && p->at[1] <= '9') || p->at[1] == '.'))) {
		return read_number(p);
	} else if (word_char(*p->at) || *p->at == '@') {
		p->token = WORD;
		do
			buf_add(&p->s, p->at++, 1);
		while (word_char(*p->at));
	} else {
		return read_operator(p);
	}
	buf_add(&p->s, "", 1);
	return p->s.failed ? err_set(p->e, -ENOMEM, "filter: out of memory") : 0;
}

static bool is_word(const struct parser *p, const char *word) { return p->token == WORD && streq(p->s.data, word); }

static struct vs_filter *make(struct parser *p, enum filter_op op)
{
	struct vs_filter *f = calloc(1, sizeof(*f));

	if (f)
		f->op = op;
	else
		err_set(p->e, -ENOMEM, "filter: out of memory");
	return f;
}

static int parse_or(struct parser *p, struct vs_filter **ret);

/* The token is a value: append it, and go on. */
static int take_value(struct parser *p, struct vs_filter *f)
{
	struct literal l = { 0 }, *grown;

	if (p->token == NUMBER)
		l = p->number;
	else if (is_word(p, "true") || is_word(p, "false"))
		l = (struct literal){ .type = VS_BOOL, .b = p->s.data[0] == 't' };
	else if (p->token == STRING)
		l = (struct literal){ .type = VS_STRING };
	else
		return wrong(p, p->start, p->token == WORD ? "a value is missing: text needs quotes" : "a value is missing here");
	if (f->op == F_PREFIX && l.type != VS_STRING)
		return wrong(p, p->start, "prefix needs a text in quotes");
	grown = realloc(f->value, (f->n + 1) * sizeof(*grown));
	if (!grown)
		return err_set(p->e, -ENOMEM, "filter: out of memory");
	f->value = grown;
	if (l.type == VS_STRING) {
		l.n = p->s.len - 1;
		l.s = malloc(l.n + 1);
		if (!l.s)
			return err_set(p->e, -ENOMEM, "filter: out of memory");
		memcpy(l.s, p->s.data, l.n + 1);
	}
	grown[f->n++] = l;
	return next(p);
}

static int take_list(struct parser *p, struct vs_filter *f)
{
	int r;

	if (p->token != OPEN)
		return wrong(p, p->start, "`in` is followed by a list: in (\"a\", \"b\")");
	do {
		r = next(p);
		if (r == 0)
			r = take_value(p, f);
	} while (r == 0 && p->token == COMMA);
	if (r == 0 && p->token != CLOSE)
		return wrong(p, p->start, "',' or ')' is missing in this list");
	return r == 0 ? next(p) : r;
}

static int take_field(struct parser *p, struct vs_filter *f)
{
	static const char *const special[] = { "@id", "@version", "@row", "@time" };
	bool good = p->token == WORD && field_valid(p->s.data);

	for (size_t i = 0; i < ARRAY_SIZE(special) && !good; i++)
		good = is_word(p, special[i]);
	if (!good)
		return wrong(p, p->start, p->token == WORD ? "no field has such a name" : "the name of a field is missing here");
	f->field = strdup(p->s.data);
	return f->field ? next(p) : err_set(p->e, -ENOMEM, "filter: out of memory");
}

static int parse_comparison(struct parser *p, struct vs_filter *f)
{
	int r = take_field(p, f);

	if (r < 0)
		return r;
	if (p->token == OPERATOR)
		f->op = p->op;
	else if (is_word(p, "prefix"))
		f->op = F_PREFIX;
	else if (is_word(p, "in"))
		f->op = F_IN;
	else
		return wrong(p, p->start, "an operator is missing: = != < <= > >= in prefix");
	r = next(p);
	if (r < 0)
		return r;
	return f->op == F_IN ? take_list(p, f) : take_value(p, f);
}

static int parse_one(struct parser *p, struct vs_filter **ret)
{
	struct vs_filter *f;
	int r;

	if (++p->depth > FILTER_DEPTH_MAX)
		return wrong(p, p->start, "nested too deeply");
	if (p->token == OPEN) {
		r = next(p);
		if (r == 0)
			r = parse_or(p, ret);
		if (r == 0 && p->token != CLOSE)
			r = wrong(p, p->start, "')' is missing");
		p->depth--;
		return r == 0 ? next(p) : r;
	}
	f = *ret = make(p, is_word(p, "not") ? F_NOT : is_word(p, "exists") ? F_EXISTS : F_EQ);
	if (!f)
		return -ENOMEM;
	r = f->op != F_EQ ? next(p) : 0;
	if (r == 0)
		r = f->op == F_NOT ? parse_one(p, &f->left) : f->op == F_EXISTS ? take_field(p, f) : parse_comparison(p, f);
	p->depth--;
	return r;
}

/* left OP right OP right ...: the tree grows to the left; so that its depth stays bounded, so is the number of terms. */
static int parse_chain(struct parser *p, struct vs_filter **ret, const char *word, enum filter_op op, int (*term)(struct parser *, struct vs_filter **))
{
	int r = term(p, ret);

	for (unsigned n = 0; r == 0 && is_word(p, word); n++) {
		struct vs_filter *f = make(p, op);
		if (!f)
			return -ENOMEM;
		f->left = *ret;
		*ret = f;
		if (n >= 1000)
			return wrong(p, p->start, "too many terms: use `in`");
		r = next(p);
		if (r == 0)
			r = term(p, &f->right);
	}
	return r;
}

static int parse_and(struct parser *p, struct vs_filter **ret) { return parse_chain(p, ret, "and", F_AND, parse_one); }
static int parse_or(struct parser *p, struct vs_filter **ret) { return parse_chain(p, ret, "or", F_OR, parse_and); }

int vs_filter_parse(const char *text, struct vs_filter **ret, struct err *e)
{
	struct parser p = { .text = text, .at = text, .e = e };
	int r;

	*ret = NULL;
	if (strlen(text) > FILTER_TEXT_MAX)
		return err_set(e, -EINVAL, "filter: longer than %u bytes", FILTER_TEXT_MAX);
	r = next(&p);
	if (r == 0)
		r = parse_or(&p, ret);
	if (r == 0 && p.token != END)
		r = wrong(&p, p.start, p.token == WORD ? "`and` or `or` is missing before this word" : token_names[p.token]);
	if (r == 0 && *ret && !((*ret)->text = strdup(text)))
		r = err_set(e, -ENOMEM, "filter: out of memory");
	buf_free(&p.s);
	if (r < 0) {
		vs_filter_free(*ret);
		*ret = NULL;
	}
	return r;
}
