/* http.h: requests over HTTPS, by libcurl. */
#ifndef RAST_IMAGE_HTTP_H
#define RAST_IMAGE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

struct http;
/* ca_file: certificates to trust instead of the system's; NULL: those. verify: false takes any certificate. */
int http_new(const char *ca_file, bool verify, struct http **ret, struct err *e);
void http_free(struct http *h);
void http_freep(struct http **h);
#define _cleanup_http_ _cleanup_(http_freep)

struct http_request {
	const char *url;           /* https only, also after redirects */
	const char *accept;        /* NULL: anything */
	const char *authorization; /* "Basic ...": never sent on to another host by a redirect */
	const char *form;          /* POST this; NULL: GET */
	uint64_t from;             /* bytes=FROM- */
	uint64_t max;              /* bytes of the body */
	int fd;                    /* the body goes there if the status is 200 or 206, from offset `from`, or 0 when the server sends it all */
	bool to_fd;
};
struct http_reply {
	long status;
	char *body; /* NUL-terminated, unless it went to fd */
	size_t n;
	uint64_t written;
	char *challenge; /* WWW-Authenticate; of several the first that is Bearer or Basic */
};
/* 0 with any status; -EIO and so on when there was no answer, or not all of it. */
int http_do(struct http *h, const struct http_request *q, struct http_reply *ret, struct err *e);
void http_reply_clear(struct http_reply *r);
#define _cleanup_reply_ _cleanup_(http_reply_clear)

char *http_escape(struct http *h, const char *s); /* for a query or a form; owned by the caller */

#endif
