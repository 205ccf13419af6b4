/* One connection, and what the files of src/intake share. Loop thread only. */
#ifndef XH_INTAKE_PEER_H
#define XH_INTAKE_PEER_H

#include "intake/framing.h"
#include "intake/intake.h"

enum {
  PEER_READ_BYTES = 64 * 1024,
  PEER_UNREAD_BYTES_MAX = 1024 * 1024,           /* answers a peer has not read: above it, nothing more is read from it */
  PEER_UNREAD_BYTES_DROP = 640 * 1024 * 1024,    /* and above that it is cut off */
  PEER_CLOSE_GRACE_MS = 1000,
  PEER_UNFINISHED_BYTES_FREE = 1024 * 1024, /* so long a line never waits for those of others */
  INTAKE_UNFINISHED_LINES = 2               /* so many lines of the longest kind may be unfinished at once, in bytes */
};

typedef union peer_stream {
  uv_handle_t handle;
  uv_stream_t stream;
  uv_pipe_t pipe;
  uv_tty_t tty;
} peer_stream;

struct xh_peer {
  unsigned references;
  xh_intake *intake;
  xh_peer *next, **to_this; /* of the intake's peers */
  xh_peer *next_dirty;
  peer_stream in, out; /* `out` is used when `two` */
  bool two;            /* standard input and output: two streams */
  bool stdio;
  bool reading, ended, closing, dirty;
  unsigned handles_open;
  framing framing;
  size_t unfinished_bytes; /* of a line whose end is still to come, as the intake counts it */
  uint64_t line_order;     /* when that line began, among all */
  int64_t line_number;     /* which one that is */
  xh_hello hello;
  bool said, spoke; /* said hello; said anything */
  void *data;
  xh_buf output; /* to be written */
  size_t writing_bytes;
  int64_t accepted_up_to, told_up_to; /* cumulative acknowledgements */
};

typedef struct listener {
  struct listener *next;
  uv_pipe_t pipe;
  uv_timer_t again; /* for a connection that could not be taken */
  unsigned handles_open;
  xh_intake *intake;
  char *path;
  dev_t device; /* of the socket's file, so that only ours is removed */
  ino_t inode;
} listener;

struct xh_intake {
  uv_loop_t *loop;
  xh_sink sink;
  size_t line_cap_bytes;
  char instance[32];
  uid_t *allow_uids;
  size_t allow_uid_count;
  listener *listeners;
  xh_peer *peers;
  xh_peer *dirty;
  uv_prepare_t flusher;
  uv_timer_t grace;
  unsigned handles_open;
  size_t unfinished_bytes; /* of all peers */
  uint64_t lines_begun;
  const xh_peer *oldest; /* while too much is unfinished: whose line goes on; else NULL */
  bool paused, ending, closing;
  void (*done)(void *arg);
  void *done_arg;
  char read_buffer[PEER_READ_BYTES]; /* one read at a time */
};

/* peer.c */
xh_peer *peer_new(xh_intake *intake); /* in the intake's list, one reference, no stream yet */
void peer_start(xh_peer *peer);       /* its streams are open: reads */
void peer_read_or_not(xh_peer *peer); /* as pauses and unread output say */
void peer_close(xh_peer *peer);       /* at once; nothing more is written */
void peer_handle_closed(uv_handle_t *handle);
xh_peer *peer_of(uv_handle_t *handle);

/* output.c */
void peer_touch(xh_peer *peer); /* looked at before the loop sleeps */
void intake_flush(uv_prepare_t *flusher);
bool peer_has_output(const xh_peer *peer);

/* intake.c */
void intake_handle_closed(uv_handle_t *handle);
void intake_check_done(xh_intake *intake);

/* listener.c */
void listener_close(listener *l);

#endif
