/* varlink-server.h: how server, connections and calls hang together; nothing for others than varlink-*.c.
 *
 * A connection answers one call at a time, in order, as the protocol wants; what is pipelined waits in its input. It is
 * held by the server's list, and by whoever is at work on it (refs), so that a handler may free the server. A call knows
 * its connection while an answer is still of use. */
#ifndef RAST_BASE_VARLINK_SERVER_H
#define RAST_BASE_VARLINK_SERVER_H

#include "base/varlink-idl.h"
#include "base/varlink-io.h"
#include "base/varlink.h"

#define CONNECTIONS_MAX 256
#define CONNECTIONS_FOR_ROOT 32    /* of those, kept free of others, so that root can always get in */
#define CONNECTIONS_PER_UID 64
#define MESSAGE_MAX (1 << 20)
#define INPUT_OF_OTHERS_MAX (8 << 20) /* bytes of unfinished messages of all who are not root */
#define OUTPUT_MAX (256 << 10)     /* bytes queued, over which `more` replies and further calls wait */
#define CALLS_PER_ROUND 32
#define BIG (64 << 10)             /* a message this long is worth a malloc_trim() when it is done with */

struct iface {
	const struct varlink_interface *def;
	struct idl *idl;
	void *data; /* for its handlers */
};

struct conn;
struct varlink_server {
	struct loop *loop;
	int listen_fd, spare_fd;
	struct source *source;
	struct iface *ifaces; /* the last one is org.varlink.service */
	size_t n_ifaces;
	char *product, *version;
	struct conn *conns;
	size_t n_conns;
	size_t input_of_others;
};

struct conn {
	unsigned refs;
	struct varlink_server *server; /* NULL: closed */
	struct conn *next, *prev;
	int fd;
	struct source *source;
	uint32_t events;      /* what the loop waits for */
	struct timer resume;  /* calls are left in the input after a round's share, or after an answer from outside */
	uid_t uid;
	gid_t gid;
	pid_t pid;
	struct in_stream in;
	struct out_msg *out, **out_tail;
	size_t out_bytes;
	struct varlink_call *call; /* being answered */
	size_t counted;       /* of the input in server->input_of_others */
	bool eof, gone;       /* nothing more comes; nobody listens */
	bool big, want_drain, in_dispatch;
};

struct varlink_call {
	unsigned refs;
	struct conn *conn; /* NULL: answered, or the peer is gone */
	const struct varlink_interface *def; /* NULL: none was found */
	uid_t uid;
	gid_t gid;
	pid_t pid;
	bool oneway, more, answered;
	struct fd_queue in_fds, out_fds;
	void (*on_close)(struct varlink_call *c, void *data);
	void *close_data;
	void (*on_drain)(struct varlink_call *c, void *data);
	void *drain_data;
};

/* varlink-conn.c */
int conn_new(struct varlink_server *s, int fd); /* takes fd */
void conn_close(struct conn *c);
struct conn *conn_ref(struct conn *c);
void conn_unref(struct conn *c);
int conn_send(struct conn *c, struct out_msg *m); /* takes m */
void conn_call_done(struct conn *c);               /* the call has been answered: go on with the next one */
bool conn_is_privileged(const struct conn *c);

/* varlink-call.c: run one message. Negative errno: the peer doesn't speak Varlink. */
int call_dispatch(struct conn *c, const char *msg, size_t len, struct fd_queue *fds);
void call_cancel(struct varlink_call *call); /* the peer is gone */

/* varlink-service.c */
extern const struct varlink_interface varlink_service_interface;

#endif
