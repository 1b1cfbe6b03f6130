/* varlink-io.h: messages on a stream: JSON text that ends in NUL, descriptors beside it. Used by server and client. */
#ifndef RAST_BASE_VARLINK_IO_H
#define RAST_BASE_VARLINK_IO_H

#include <jansson.h>
#include <stdint.h>
#include "base/str.h"

#define VARLINK_FDS_MAX 16

struct fd_queue {
	struct {
		uint64_t pos; /* for received ones: stream position behind the bytes that they came with */
		int fd;
	} *items;
	size_t n;
};

int fd_queue_push(struct fd_queue *q, int fd, uint64_t pos); /* takes fd; closes it and returns -EMFILE over VARLINK_FDS_MAX */
int fd_queue_take(struct fd_queue *q);                       /* the first one, the caller owns it; -ENOENT */
void fd_queue_split(struct fd_queue *from, uint64_t pos, struct fd_queue *to); /* move those up to pos to an empty queue */
void fd_queue_free(struct fd_queue *q);

/* What has come in and is no complete message yet, or waits for its turn. */
struct in_stream {
	struct buf buf;
	size_t start;   /* of the first message in buf */
	size_t scanned; /* bytes from start on that hold no NUL */
	uint64_t pos;   /* stream position of buf.data[start] */
	struct fd_queue fds;
};

/* One read of at most `room` bytes. Number of bytes, 0: end of file, -EAGAIN, negative errno. */
ssize_t in_stream_read(struct in_stream *in, int fd, size_t room);
/* The next complete message (valid until the next read) with the descriptors that came with it. False: none yet. */
bool in_stream_next(struct in_stream *in, const char **msg, size_t *len, struct fd_queue *fds);
bool in_stream_has_message(struct in_stream *in);
size_t in_stream_pending(const struct in_stream *in);
void in_stream_shrink(struct in_stream *in); /* give back the buffer when it is empty */
void in_stream_free(struct in_stream *in);

/* A message to send. */
struct out_msg {
	struct out_msg *next;
	struct buf buf;
	size_t sent;
	struct fd_queue fds; /* go with the first byte */
};

/* From a JSON object (borrowed) and descriptors (moved). NULL without memory. */
struct out_msg *out_msg_new(json_t *json, struct fd_queue *fds);
int out_msg_send(struct out_msg *m, int sock); /* 1: all sent; 0: the socket is full; negative errno */
void out_msg_free(struct out_msg *m);

#endif
