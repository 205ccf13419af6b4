/*
 * Intake: lines from sources → events (docs/protocol.md). Unix stream sockets and standard input/output.
 *
 * Everything runs on the libuv loop's thread. The sink is told of what arrives and answers with the xh_peer_…
 * functions, then or later.
 */
#ifndef XH_INTAKE_INTAKE_H
#define XH_INTAKE_INTAKE_H

#include "base/buf.h"
#include "base/event.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum {
  XH_LINE_CAP_DEFAULT_BYTES = 64 * 1024 * 1024,
  XH_SOURCE_NAME_MAX = 64,
  XH_PROTOCOL = 1
};

typedef struct xh_intake xh_intake;
typedef struct xh_peer xh_peer; /* one connection; reference-counted, outlives its socket while somebody holds it */

typedef struct xh_hello {
  char source[XH_SOURCE_NAME_MAX + 1];
  char session[64]; /* "" when none was given */
  bool cumulative;  /* acknowledgements */
} xh_hello;

typedef struct xh_sink {
  void *arg;
  /* A valid hello. Returns the last committed number of that session (0: none), which answers it. */
  int64_t (*hello)(void *arg, xh_peer *peer, const xh_hello *hello);
  /* `config` is the object's JSON text, borrowed for the call. Answer with xh_peer_ok or xh_peer_error or a line. */
  void (*configure)(void *arg, xh_peer *peer, int64_t id, xh_str config);
  /* A valid event; spans are borrowed for the call. `id` is 0 without one: then nothing is answered. */
  void (*event)(void *arg, xh_peer *peer, int64_t id, bool wait, const xh_event *event);
  /* `params` is JSON text ("{}" when absent), borrowed for the call. */
  void (*call)(void *arg, xh_peer *peer, int64_t id, xh_str name, xh_str params);
  /* A line was refused (the peer has been told): code of base/err.h. `id` is the number of an event whose line could be read so far, else 0. */
  void (*refused)(void *arg, xh_peer *peer, int64_t id, int code);
  /* The connection is gone; nothing more comes from it. `stdio` tells that it was the program's standard input. */
  void (*closed)(void *arg, xh_peer *peer, bool stdio);
} xh_sink;

typedef struct xh_intake_options {
  size_t line_cap_bytes;
  const char *instance; /* told in hello's answer */
  const uid_t *allow_uids; /* peers' user ids allowed beside our own and root's */
  size_t allow_uid_count;
} xh_intake_options;

/* Copies what it keeps of `options` and `sink`. Returns 0 or XH_ENOMEM. */
int xh_intake_new(uv_loop_t *loop, const xh_intake_options *options, const xh_sink *sink, xh_intake **ret_intake);

/* Listens on a Unix socket, mode 0600; a dead socket file is replaced, a live one is XH_EBUSY. May be called several times. */
int xh_intake_listen(xh_intake *intake, const char *path);

/* Serves standard input and output as one connection. */
int xh_intake_stdio(xh_intake *intake);

/* Stops or resumes reading from all connections: for back-pressure. */
void xh_intake_pause(xh_intake *intake, bool paused);

/* Takes no more: closes listeners (removing their files) and reads from no connection any more. What is answered is still written. */
void xh_intake_end(xh_intake *intake);

/* Does the same and, after what is queued is written or 1 s, connections; then calls `done`. */
void xh_intake_close(xh_intake *intake, void (*done)(void *arg), void *arg);

/* After `done`. NULL allowed. */
void xh_intake_free(xh_intake *intake);

/* ---- answering; no-ops on a connection that is gone. Output is gathered and written once a loop iteration. ---- */

void xh_peer_line(xh_peer *peer, xh_str json); /* copied; without the newline */
void xh_peer_ok(xh_peer *peer, int64_t id);
void xh_peer_error(xh_peer *peer, int64_t id, int code, const char *message); /* id 0: none */

/* Acknowledges in the way the hello asked for. Call it in the order of the events. */
void xh_peer_accepted(xh_peer *peer, int64_t id, bool durable);

/* An event that was told its error: cumulative acknowledgements go past it. In the order of the events, as above. */
void xh_peer_covered(xh_peer *peer, int64_t id);

xh_peer *xh_peer_ref(xh_peer *peer);
void xh_peer_unref(xh_peer *peer); /* NULL allowed */

/* What its hello said; source "local" and said = false without one. Borrowed. */
const xh_hello *xh_peer_hello(const xh_peer *peer, bool *ret_said);

/* The sink's own pointer. */
void xh_peer_set_data(xh_peer *peer, void *data);
void *xh_peer_data(const xh_peer *peer);

#endif
