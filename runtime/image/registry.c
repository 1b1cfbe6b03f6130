/* registry.c: pulling (OCI distribution-spec 1.1, "Pulling"): a manifest by tag or digest, then what it names. */
#include "runtime/image/plan.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include "runtime/image/auth.h"
#include "runtime/image/name.h"
#include "runtime/image/registries.h"

#define TRIES 5 /* of a download that gets nowhere; what gets on may go on */
#define HOSTS_MAX 16

static const char manifests[] = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
				"application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

struct host {
	char *name;
	struct http *http;
	struct credentials credentials;
	char *authorization; /* what it has accepted; NULL: nothing was asked yet */
};

struct registry {
	struct source source;
	struct image_store *store;
	const struct image_name *name;
	struct host hosts[HOSTS_MAX]; /* mirrors, then the registry itself */
	size_t n_hosts;
	unsigned pause_ms; /* between tries, doubled each time */
};

/* --- one host --- */

static int host_add(struct registry *g, const char *name, const struct image_pull *p, const char *file, bool must, struct err *e)
{
	_cleanup_registry_settings_ struct registry_settings s = {0};
	struct host *h = &g->hosts[g->n_hosts];
	int r = registries_read(file, must, name, &s, e);

	if (r < 0)
		return r;
	if (g->n_hosts == HOSTS_MAX)
		return err_set(e, -E2BIG, "more than %d mirrors", HOSTS_MAX - 1);
	bool verify = p->verify >= 0 ? p->verify > 0 : !s.no_verify;
	h->name = strdup(name);
	g->n_hosts++;
	r = h->name ? http_new(p->ca_file ? p->ca_file : s.ca_file, verify, &h->http, e) : err_set(e, -ENOMEM, "out of memory");
	return r < 0 ? r : credentials_find(p->auth_file, name, g->name->path, &h->credentials, e);
}

static void registry_clear(struct registry *g)
{
	for (size_t i = 0; i < g->n_hosts; i++) {
		http_free(g->hosts[i].http);
		credentials_clear(&g->hosts[i].credentials);
		free(g->hosts[i].authorization);
		free(g->hosts[i].name);
	}
}

/* What a status means for the one who asked. */
static int status_error(const struct registry *g, const struct host *h, const char *what, const struct http_reply *reply, struct err *e)
{
	switch (reply->status) {
	case 401:
	case 403:
		return err_set(e, -EACCES, "%s does not let us have %s (%ld): it may be private; log in, so that the auth file has an entry for it", h->name, g->name->path, reply->status);
	case 404:
		return err_set(e, -ENOENT, "%s has no %s of %s", h->name, what, g->name->path);
	case 429:
		return err_set(e, -EAGAIN, "%s: too many requests (429); try again later", h->name);
	default:
		return err_set(e, -EIO, "%s: the answer for %s is %ld", h->name, what, reply->status);
	}
}

/* Ask; when the host wants to know who asks, tell it and ask again. The answer's status is whatever it is. */
static int ask(struct registry *g, struct host *h, struct http_request *q, struct http_reply *reply, struct err *e)
{
	char scope[IMAGE_NAME_MAX + 32];
	int r = 0;

	snprintf(scope, sizeof(scope), "repository:%s:pull", g->name->path);
	for (int round = 0; round < 2; round++) {
		q->authorization = h->authorization;
		r = http_do(h->http, q, reply, e);
		if (r < 0 || reply->status != 401 || round > 0)
			return r;
		free(h->authorization);
		r = auth_answer(h->http, reply->challenge, &h->credentials, scope, &h->authorization, e);
		if (r < 0)
			return within(r, e, "%s", h->name);
		http_reply_clear(reply);
	}
	return r;
}

/* --- documents --- */

static int get_from(struct registry *g, struct host *h, const char *kind, const char *ref, uint64_t max, char **text, size_t *n, struct err *e)
{
	_cleanup_reply_ struct http_reply reply = {0};
	_cleanup_free_ char *url = NULL;

	if (asprintf(&url, "https://%s/v2/%s/%s/%s", h->name, g->name->path, kind, ref) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	int r = ask(g, h, &(struct http_request){.url = url, .accept = streq(kind, "manifests") ? manifests : NULL, .max = max}, &reply, e);
	if (r < 0)
		return r;
	if (reply.status != 200)
		return status_error(g, h, ref, &reply, e);
	*n = reply.n;
	*text = reply.body ? TAKE_PTR(reply.body) : strdup("");
	return *text ? 0 : err_set(e, -ENOMEM, "out of memory");
}

/* From the first host that has it; the last one's error counts. */
static int get_any(struct registry *g, const char *kind, const char *ref, uint64_t max, char **text, size_t *n, struct err *e)
{
	int r = -ENOENT;

	for (size_t i = 0; i < g->n_hosts; i++) {
		_cleanup_err_ struct err why = {0};
		r = get_from(g, &g->hosts[i], kind, ref, max, text, n, &why);
		if (r >= 0)
			return 0;
		if (i + 1 == g->n_hosts)
			return err_set(e, r, "%s", err_text(&why));
		log_warning("mirror %s: %s", g->hosts[i].name, err_text(&why));
	}
	return r;
}

static int get_document(struct source *s, const struct descriptor *d, char **text, size_t *n, struct err *e)
{
	struct registry *g = (struct registry *)s;
	bool manifest = strstr(d->media, "manifest") || strstr(d->media, "index");

	return get_any(g, manifest ? "manifests" : "blobs", d->digest.text, d->size, text, n, e);
}

/* --- layers: into partial/blob-sha256-HEX, which is kept until the layer is unpacked --- */

static void download_name(const struct plan_layer *l, char buf[DIGEST_TEXT_MAX + 8])
{
	char file[DIGEST_TEXT_MAX];

	snprintf(buf, DIGEST_TEXT_MAX + 8, "blob-%s", digest_file(&l->blob, file));
}

/* What is missing of the layer. *have: bytes that are there, before and after. */
static int download_once(struct registry *g, struct host *h, const struct plan_layer *l, int fd, uint64_t *have, struct err *e)
{
	_cleanup_reply_ struct http_reply reply = {0};
	_cleanup_free_ char *url = NULL;
	struct stat st;

	if (asprintf(&url, "https://%s/v2/%s/blobs/%s", h->name, g->name->path, l->blob.text) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	int r = ask(g, h, &(struct http_request){.url = url, .from = *have, .max = l->size, .fd = fd, .to_fd = true}, &reply, e);
	if (fstat(fd, &st) == 0) /* also when it broke off */
		*have = (uint64_t)st.st_size;
	if (r < 0)
		return r;
	if (reply.status == 416) { /* the server doesn't know such a place in it: begin anew */
		*have = 0;
		return sys_ftruncate(fd, 0) < 0 ? err_set(e, -EIO, "the download can't be begun anew") : 0;
	}
	if (reply.status != 200 && reply.status != 206)
		return status_error(g, h, l->blob.text, &reply, e);
	return 0;
}

static bool may_pass(int error)
{
	return error == -EIO || error == -EAGAIN;
}

/* A mirror has one try: there is another host to ask. */
static int download_from(struct registry *g, struct host *h, const struct plan_layer *l, int fd, int max_tries, struct err *e)
{
	struct stat st;
	uint64_t have = fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
	unsigned pause_ms = g->pause_ms;

	for (int tries = 0; have != l->size;) {
		_cleanup_err_ struct err why = {0};
		uint64_t before = have;
		if (have > l->size && sys_ftruncate(fd, 0) == 0)
			have = 0;
		int r = download_once(g, h, l, fd, &have, &why);
		tries = have > before ? 0 : tries + 1;
		if ((r < 0 && !may_pass(r)) || tries >= max_tries)
			return err_set(e, r < 0 ? r : -EIO, "%s", r < 0 ? err_text(&why) : "the server sends less than the layer has");
		if (r < 0) {
			struct timespec t = {pause_ms / 1000, pause_ms % 1000 * 1000000};
			log_warning("%s; trying again", err_text(&why));
			nanosleep(&t, NULL);
			pause_ms = have > before ? g->pause_ms : pause_ms * 2;
		}
	}
	return 0;
}

static int get_layer(struct source *s, const struct plan_layer *l, struct file_part *part, struct err *e)
{
	struct registry *g = (struct registry *)s;
	char name[DIGEST_TEXT_MAX + 8];
	int r = -ENOENT;

	download_name(l, name);
	_cleanup_close_ int fd = sys_openat(g->store->partial, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, fd, "make partial/%s", name);
	for (size_t i = 0; i < g->n_hosts; i++) {
		_cleanup_err_ struct err why = {0};
		r = download_from(g, &g->hosts[i], l, fd, i + 1 < g->n_hosts ? 1 : TRIES, &why);
		if (r >= 0)
			break;
		if (i + 1 == g->n_hosts)
			return err_set(e, r, "%s", err_text(&why));
		log_warning("mirror %s: %s", g->hosts[i].name, err_text(&why));
	}
	*part = (struct file_part){take_fd(&fd), 0, l->size};
	return 0;
}

/* A download that was wrong is of no use; one that was right neither. What a full disk or a signal has ended goes on later. */
static void layer_done(struct source *s, const struct plan_layer *l, int result)
{
	const struct registry *g = (const struct registry *)s;
	char name[DIGEST_TEXT_MAX + 8];

	download_name(l, name);
	if (result == 0 || result == -EBADMSG)
		sys_unlinkat(g->store->partial, name, 0);
}

static const struct source_ops ops = {get_document, get_layer, layer_done};

/* --- the whole --- */

static int add_hosts(struct registry *g, const struct image_pull *p, const char *file, bool must, struct err *e)
{
	_cleanup_registry_settings_ struct registry_settings s = {0};
	int r = registries_read(file, must, g->name->host, &s, e);

	if (r == 0 && p->mirror)
		r = host_add(g, p->mirror, p, file, must, e);
	for (char **m = p->mirror ? NULL : s.mirrors; m && *m && r == 0; m++)
		r = host_add(g, *m, p, file, must, e);
	return r < 0 ? r : host_add(g, g->name->host, p, file, must, e);
}

static int pull(struct registry *g, const struct image_pull *p, const struct platform *want, image_cb cb, void *data, struct err *e)
{
	const struct image_name *n = g->name;
	_cleanup_free_ char *text = NULL, *name = image_name_text(n);
	_cleanup_plan_ struct plan plan = {0};
	struct descriptor d = {.digest = n->digest};
	struct image_name given;
	size_t size = 0;
	int r = p->o.name ? image_name_parse(p->o.name, &given, e) : 0;

	r = r < 0 ? r : get_any(g, "manifests", digest_is_set(&n->digest) ? n->digest.text : n->tag, DOCUMENT_MAX, &text, &size, e);
	r = r < 0 ? r : plan_from_document(&g->source, text, size, &d, want, &plan, e);
	if (r < 0)
		return r;
	plan.name = p->o.name ? image_name_text(&given) : strdup(name ? name : "");
	return plan.name ? import_plan(g->store, &g->source, &plan, &p->o, cb, data, e) : err_set(e, -ENOMEM, "out of memory");
}

/* A name without a host gets the one that the file of registries has for it. */
static int set_host(struct image_name *n, const char *file, bool must, struct err *e)
{
	_cleanup_free_ char *host = NULL, *text = NULL;
	int r = *n->host ? 0 : registries_default(file, must, &host, e);

	if (r < 0 || *n->host)
		return r;
	if (!host)
		return err_set(e, -EINVAL, "'%s' names no registry; write HOST/%s, or name one in [default] of %s", n->path, n->path, file);
	text = image_name_text(n);
	if (!text)
		return err_set(e, -ENOMEM, "out of memory");
	_cleanup_free_ char *whole = NULL;
	if (asprintf(&whole, "%s/%s", host, text) < 0)
		return err_set(e, -ENOMEM, "out of memory");
	return image_name_parse(whole, n, e);
}

int image_pull(struct image_store *s, const char *name, const struct image_pull *p, image_cb cb, void *data, struct err *e)
{
	const char *file = p->registries ? p->registries : IMAGE_REGISTRIES_DEFAULT;
	struct image_name n;
	struct platform want;
	_cleanup_free_ char *text = NULL;
	_cleanup_(registry_clear) struct registry g = {.source = {.ops = &ops}, .store = s, .name = &n, .pause_ms = 1000};
	int r = image_name_parse(name, &n, e);

	platform_host(&want);
	if (r == 0 && p->o.platform && platform_parse(p->o.platform, &want) < 0)
		r = err_set(e, -EINVAL, "'%s' is no platform; write linux/amd64 or linux/arm64/v8", p->o.platform);
	r = r < 0 ? r : set_host(&n, file, p->registries, e);
	r = r < 0 ? r : add_hosts(&g, p, file, p->registries, e);
	if (r < 0)
		return r;
	text = image_name_text(&n);
	g.source.text = text ? text : name;
	r = pull(&g, p, &want, cb, data, e);
	return within(r, e, "pull %s", name);
}
