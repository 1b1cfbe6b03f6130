/* http.c: see http.h. */
#include "runtime/image/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include "base/str.h"
#include "base/sys.h"
#include "config.h"

#define REDIRECTS_MAX 5
#define CONNECT_SECONDS 20
#define STALL_SECONDS 60 /* without a byte */

struct http {
	CURL *curl;
	char *ca_file;
	bool verify;
	char why[CURL_ERROR_SIZE];
};

struct receiving {
	struct http *http;
	const struct http_request *q;
	struct http_reply *reply;
	struct buf body;
	int error;
};

int http_new(const char *ca_file, bool verify, struct http **ret, struct err *e)
{
	static bool done;
	struct http *h = calloc(1, sizeof(*h));

	if (!done && curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
		free(h);
		return err_set(e, -ENOMEM, "libcurl can't be started");
	}
	done = true;
	if (!h || !(h->curl = curl_easy_init())) {
		free(h);
		return err_set(e, -ENOMEM, "out of memory");
	}
	h->verify = verify;
	h->ca_file = ca_file ? strdup(ca_file) : NULL;
	*ret = h;
	return 0;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	curl_easy_cleanup(h->curl);
	free(h->ca_file);
	free(h);
}

void http_freep(struct http **h)
{
	http_free(*h);
}

char *http_escape(struct http *h, const char *s)
{
	char *curls = curl_easy_escape(h->curl, s, 0), *ours = curls ? strdup(curls) : NULL;

	curl_free(curls);
	return ours;
}

void http_reply_clear(struct http_reply *r)
{
	free(r->body);
	free(r->challenge);
	*r = (struct http_reply){0};
}

/* Of the last answer: one before a redirect says "HTTP/" anew. */
static size_t on_header(char *line, size_t size, size_t n, void *data)
{
	static const char name[] = "www-authenticate:";
	struct receiving *r = data;
	size_t len = strlen(name);

	n *= size;
	if (n > 5 && strncmp(line, "HTTP/", 5) == 0) {
		free(r->reply->challenge);
		r->reply->challenge = NULL;
	} else if (!r->reply->challenge && n > len && strncasecmp(line, name, len) == 0) {
		const char *value = line + len;
		while (value < line + n && *value == ' ')
			value++;
		size_t left = n - (size_t)(value - line);
		while (left > 0 && (value[left - 1] == '\r' || value[left - 1] == '\n'))
			left--;
		if ((left > 6 && strncasecmp(value, "bearer", 6) == 0) || (left >= 5 && strncasecmp(value, "basic", 5) == 0))
			r->reply->challenge = strndup(value, left);
	}
	return n;
}

static int write_body(struct receiving *r, const char *p, size_t n, long status)
{
	uint64_t base = status == 206 ? r->q->from : 0;

	if (r->reply->written == 0 && (base > 0 || status == 200)) { /* the whole of it comes, whatever there was */
		int t = sys_ftruncate(r->q->fd, (off_t)base);
		if (t < 0)
			return t;
	}
	while (n > 0) {
		ssize_t w = sys_pwrite(r->q->fd, p, n, (off_t)(base + r->reply->written));
		if (w < 0)
			return (int)w;
		p += w;
		n -= (size_t)w;
		r->reply->written += (uint64_t)w;
	}
	return 0;
}

static size_t on_body(char *p, size_t size, size_t n, void *data)
{
	struct receiving *r = data;
	long status = 0;

	n *= size;
	curl_easy_getinfo(r->http->curl, CURLINFO_RESPONSE_CODE, &status);
	bool to_fd = r->q->to_fd && (status == 200 || status == 206);
	uint64_t base = status == 206 ? r->q->from : 0, have = to_fd ? base + r->reply->written : r->body.len, max = to_fd ? r->q->max : MIN(r->q->max, 4u << 20);
	if (n > max - MIN(have, max))
		r->error = -EFBIG;
	else
		r->error = to_fd ? write_body(r, p, n, status) : buf_add(&r->body, p, n);
	return r->error < 0 ? 0 : n;
}

static struct curl_slist *make_headers(const struct http_request *q)
{
	struct curl_slist *list = NULL;
	const struct {
		const char *name, *value;
	} headers[] = {{"Accept", q->accept}, {"Authorization", q->authorization}};

	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		_cleanup_free_ char *line = NULL;
		if (headers[i].value && asprintf(&line, "%s: %s", headers[i].name, headers[i].value) > 0)
			list = curl_slist_append(list, line);
	}
	return list;
}

static void set_options(struct http *h, const struct http_request *q, struct receiving *r, struct curl_slist *headers)
{
	CURL *c = h->curl;
	char range[32];

	curl_easy_reset(c); /* keeps connections */
	curl_easy_setopt(c, CURLOPT_URL, q->url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https");
	curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "https");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(c, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "rast/" RAST_VERSION);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, h->why);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, h->verify ? 1L : 0L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, h->verify ? 2L : 0L);
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (h->ca_file)
		curl_easy_setopt(c, CURLOPT_CAINFO, h->ca_file);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, r);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, r);
	if (q->form)
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, q->form);
	if (q->from > 0) {
		snprintf(range, sizeof(range), "%llu-", (unsigned long long)q->from);
		curl_easy_setopt(c, CURLOPT_RANGE, range);
	}
}

int http_do(struct http *h, const struct http_request *q, struct http_reply *ret, struct err *e)
{
	struct receiving r = {.http = h, .q = q, .reply = ret};
	struct curl_slist *headers = make_headers(q);

	*ret = (struct http_reply){0};
	h->why[0] = '\0';
	set_options(h, q, &r, headers);
	CURLcode code = curl_easy_perform(h->curl);
	curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &ret->status);
	curl_slist_free_all(headers);
	ret->body = r.body.data;
	ret->n = r.body.len;
	if (r.error == -EFBIG)
		return err_set(e, -EFBIG, "%s: the answer is longer than the %llu bytes that it should have", q->url, (unsigned long long)q->max);
	if (r.error < 0)
		return err_sys(e, r.error, "%s: keep the answer", q->url);
	if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE)
		return err_set(e, -EACCES, "%s: the server's certificate is not to be trusted: %s; --ca-file names who else may sign it", q->url,
			*h->why ? h->why : curl_easy_strerror(code));
	if (code != CURLE_OK)
		return err_set(e, code == CURLE_UNSUPPORTED_PROTOCOL ? -EPROTONOSUPPORT : -EIO, "%s: %s", q->url, *h->why ? h->why : curl_easy_strerror(code));
	return 0;
}
