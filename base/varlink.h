/* varlink.h: Varlink (varlink.org), server and client, on UNIX stream sockets. JSON by jansson, messages end in NUL.
 *
 * The server answers org.varlink.service (GetInfo, GetInterfaceDescription) by itself from the interface texts it is given,
 * checks that method and parameters exist, limits the number of connections, of bytes in a message (1 MiB) and of
 * queued output, and gives each handler the peer's credentials (SO_PEERCRED). `more` and `oneway` work as in the protocol.
 * References: json_t arguments are borrowed unless a comment says "steals". */
#ifndef RAST_BASE_VARLINK_H
#define RAST_BASE_VARLINK_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>
#include "base/loop.h"
#include "base/err.h"

struct varlink_server;
struct varlink_call; /* one request being answered; ends with the last reply or the end of the connection */

typedef int (*varlink_method)(struct varlink_call *call, json_t *params, void *data);
struct varlink_method_entry { const char *name; /* "Start", without the interface */ varlink_method run; bool privileged; /* uid 0 or the server's own uid only, else PermissionDenied */ };
struct varlink_interface {
	const char *name;        /* "io.rastos.Supervisor" */
	const char *description; /* the whole .varlink text: what introspection returns and what calls are checked against */
	const struct varlink_method_entry *methods; size_t n_methods;
};

/* listen_fd is owned by the server from here on, on failure too; -1: connections come by varlink_server_add_connection() alone.
 * ifs, their texts and methods are borrowed. -EINVAL when a description can't be parsed or a method isn't in it (logged). */
int  varlink_server_new(struct loop *l, int listen_fd, const struct varlink_interface *ifs, size_t n_ifs, const char *product, const char *version, void *data, struct varlink_server **ret);
void varlink_server_free(struct varlink_server *s); /* NULL is allowed; ends all connections */
/* Serve a connected socket, e.g. of a socket pair; fd is owned by the server from here on. -EMFILE: too many connections. */
int  varlink_server_add_connection(struct varlink_server *s, int fd);
size_t varlink_server_connections(const struct varlink_server *s);

/* Replies. Parameters are stolen. A handler may return before it has replied and keep the call: varlink_call_ref first,
 * unref when done. After the peer went away a reply is dropped silently and on_close (if set) has been called. */
int  varlink_reply(struct varlink_call *c, json_t *params);
/* A handler that returns a negative errno without having replied is answered for by varlink_error_errno(), -EPROTO by ExpectedMore. */
int  varlink_reply_continues(struct varlink_call *c, json_t *params); /* -EPROTO unless the caller asked for more; -EAGAIN when the output queue is over its limit: wait for on_drain */
int  varlink_error(struct varlink_call *c, const char *error, json_t *params); /* "io.rastos.Supervisor.NoSuchService" */
int  varlink_error_errno(struct varlink_call *c, int err, const char *text);   /* INTERFACE.Error {errno, name, text}; err of either sign; text NULL: strerror */
bool varlink_call_wants_more(const struct varlink_call *c);
void varlink_call_peer(const struct varlink_call *c, uid_t *uid, gid_t *gid, pid_t *pid);
struct varlink_call *varlink_call_ref(struct varlink_call *c);
void varlink_call_unref(struct varlink_call *c);
void varlink_call_on_close(struct varlink_call *c, void (*cb)(struct varlink_call *c, void *data), void *data);
void varlink_call_on_drain(struct varlink_call *c, void (*cb)(struct varlink_call *c, void *data), void *data);
/* Descriptors to pass beside the next reply (dup'ed by the kernel when sent; owned by the call until then, on failure too). At most 16. */
int  varlink_call_push_fd(struct varlink_call *c, int fd);
/* The next descriptor that came with the call: the caller owns it. -ENOENT when there is none (left). */
int  varlink_call_take_fd(struct varlink_call *c);

/* The client, blocking. */
struct varlink_client;
int  varlink_connect(const char *path, struct varlink_client **ret, struct err *e);
int  varlink_client_from_fd(int fd, struct varlink_client **ret); /* a connected socket, owned by the client from here on, on failure too */
void varlink_client_free(struct varlink_client *c);
void varlink_client_freep(struct varlink_client **c);
int  varlink_client_fd(struct varlink_client *c);
int  varlink_client_push_fd(struct varlink_client *c, int fd); /* goes with the next call; owned by the client, on failure too */
int  varlink_client_take_fd(struct varlink_client *c);         /* the next one that came with a reply, or -ENOENT; the caller owns it */
int  varlink_call_oneway(struct varlink_client *c, const char *method, json_t *params); /* no answer is waited for; params are stolen */
/* Call and wait. 0: *reply is the parameters (owned by the caller). -EREMOTEIO: the server answered with an error, whose name is in *error
 * (owned by the caller, may be NULL if not wanted) and parameters in *reply. timeout_us UINT64_MAX: none; -ETIMEDOUT. params are stolen.
 * After any other error than -EREMOTEIO the connection can't be used any more: further calls give -ENOTCONN. */
int  varlink_call_sync(struct varlink_client *c, const char *method, json_t *params, uint64_t timeout_us, json_t **reply, char **error);
/* Send with `more`; then varlink_next() until *continues is false. */
int  varlink_call_more(struct varlink_client *c, const char *method, json_t *params);
int  varlink_next(struct varlink_client *c, uint64_t timeout_us, json_t **reply, char **error, bool *continues);

#endif
