/*
 * The outbox: the durable store of deliveries, in SQLite (WAL, synchronous=FULL), one database in the data folder.
 *
 * One writer thread owns the writing connection. All functions here are for the main thread unless they say otherwise;
 * they queue operations and return at once. Operations run in the order they were queued, many in one transaction, and
 * each one's callback runs on the main thread, from xh_outbox_dispatch, after the commit (or its failure). `wake` (called on the
 * writer thread) tells the main thread to call xh_outbox_dispatch; uv_async_send fits.
 *
 * What is accepted stays: states go queued/waiting → delivered or dead and nowhere else (a retry by hand makes a dead one
 * waiting again).
 */
#ifndef XH_OUTBOX_OUTBOX_H
#define XH_OUTBOX_OUTBOX_H

#include "base/str.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Immutable, reference-counted bytes: a body shared by deliveries, by the writer and by running attempts. Any thread. */
typedef struct xh_blob {
  atomic_int references;
  int64_t row;   /* the writer thread's: its row in `body`; 0 before it is stored */
  int64_t users; /* the writer thread's: how many columns refer to it */
  size_t len;
  char bytes[];
} xh_blob;

xh_blob *xh_blob_new(xh_str bytes); /* copies; NULL without memory */
xh_blob *xh_blob_ref(xh_blob *blob);
void xh_blob_unref(xh_blob *blob); /* NULL allowed */

/* As stored; what is sending or held at the moment only the running program knows. */
typedef enum xh_state { XH_PENDING = 0, XH_DELIVERED = 1, XH_DEAD = 2 } xh_state;

typedef enum xh_fault {
  XH_FAULT_NONE = 0,
  XH_FAULT_TARGET,  /* its answer or its silence */
  XH_FAULT_NETWORK, /* name look-up, route, refused connection */
  XH_FAULT_PROXY,
  XH_FAULT_TLS,   /* certificate or handshake */
  XH_FAULT_OURS,  /* this program or its configuration */
} xh_fault;

const char *xh_state_name(xh_state state);
const char *xh_fault_name(xh_fault fault);

enum { XH_ANSWER_KEPT_BYTES = 4096 };

/* One delivery in memory, in one block of memory with its strings (xh_delivery_copy); blobs are references. */
typedef struct xh_delivery {
  int64_t id;
  int64_t hook_id;
  int64_t target_id;
  int64_t source_id;
  xh_blob *event; /* as kept for `show` (credentials masked); NULL when it was read back to be sent */
  xh_blob *body;  /* what is sent; may be the same blob */
  const char *method;
  const char *call_id;   /* text without quotes, NULL when absent */
  const char *user_name; /* same */
  uint8_t type;    /* xh_event_type */
  uint16_t attempt_count;
  int64_t accepted_ms; /* from which its schedule and its expiry count: read back, that is the last retry by hand if there was one */
  int64_t next_attempt_ms; /* 0: at once */
  struct xh_delivery *next; /* for the owner's lists */
} xh_delivery;

/* A delivery of its own: `from`'s strings are copied, its blobs referenced, `next` is NULL. NULL without memory. */
xh_delivery *xh_delivery_copy(const xh_delivery *from);

void xh_delivery_free(xh_delivery *delivery); /* what xh_delivery_copy gave; NULL allowed */

/* One attempt, to be kept. Times in microseconds; negative when that step was not reached. */
typedef struct xh_attempt {
  int64_t started_ms; /* wall clock */
  int64_t name_us, connect_us, tls_us, first_byte_us, total_us;
  int http_status; /* 0 without an answer */
  xh_fault fault;
  char words[256];     /* what happened, for a person; no secrets */
  char *answer;        /* first bytes of the answer, owned; NULL when none */
  size_t answer_len;   /* at most XH_ANSWER_KEPT_BYTES */
} xh_attempt;

typedef struct xh_outbox xh_outbox;

typedef struct xh_outbox_options {
  const char *folder; /* made with mode 0700 when missing */
  void (*wake)(void *arg); /* called on the writer thread */
  void *wake_arg;
  void (*lost)(void *arg); /* from xh_outbox_dispatch: a new database was begun, what was stored is gone; may be NULL */
  void *lost_arg;
  int64_t delivered_keep_ms;    /* default 7 days */
  int64_t delivered_keep_bytes; /* default 1 GiB, of the whole database */
  int64_t dead_keep_ms;         /* default 30 days */
  size_t memory_cap_bytes;      /* operations kept in memory while the disk refuses; default 64 MiB */
  bool begin_in_trouble; /* a full disk at the beginning is the same as one later: from memory, until there is room */
} xh_outbox_options;

/*
 * Opens or makes the database, takes the folder's lock, sets a corrupted database aside (logged) and starts the writer.
 * Returns 0; XH_EBUSY with `ret_pid` of the process that has the folder; XH_EVERSION; XH_EDENIED, XH_EFULL, XH_EIO.
 */
int xh_outbox_open(const xh_outbox_options *options, xh_outbox **ret_outbox, int *ret_pid);

/* Runs what is queued, commits, stops the writer, gives the lock up. Callbacks not yet run are run from here. */
void xh_outbox_close(xh_outbox *outbox);

/* Runs the callbacks of finished operations. */
void xh_outbox_dispatch(xh_outbox *outbox);

/* 16 hex digits, drawn when the database was made: part of each webhook-id. Valid as long as the outbox. */
const char *xh_outbox_instance(const xh_outbox *outbox);

/* ---- identities: known from the start, made in memory, stored by the writer ---- */

/* The id of the source of that name, stored when new. */
int64_t xh_outbox_source(xh_outbox *outbox, xh_str name);

/* The last session of a source and the last sequence number committed for it; `ret_session` gets "" when there is none. */
void xh_outbox_source_progress(xh_outbox *outbox, int64_t source_id, char ret_session[64], int64_t *ret_seq);

/* The id of the hook with that digest in that source; its configuration and what lists show are stored when it is new. */
int64_t xh_outbox_hook(xh_outbox *outbox, int64_t source_id, xh_str digest, xh_str config, xh_str label, xh_str url_shown);

/* The stored configuration of a hook (to free()), or XH_ENOENT. From memory or by one quick read. */
int xh_outbox_hook_config(xh_outbox *outbox, int64_t hook_id, char **ret_config);

/* When was the hook stopped by a 410? 0: it was not. Setting is kept over restarts. */
int64_t xh_outbox_hook_stopped(xh_outbox *outbox, int64_t hook_id);
void xh_outbox_hook_set_stopped(xh_outbox *outbox, int64_t hook_id, int64_t wall_ms);

/* The id of the target with that key (hashed before it is stored: keys hold secrets); `shown` is for lists. */
int64_t xh_outbox_target(xh_outbox *outbox, xh_str key, xh_str shown);
const char *xh_outbox_target_shown(const xh_outbox *outbox, int64_t target_id); /* borrowed; "" for an unknown one */

/* What lists show of the target; "" when it is not known. Valid as long as the outbox. */
const char *xh_outbox_target_shown(const xh_outbox *outbox, int64_t target_id);

/* Since when is the target held (0: it is not)? For `log` and over restarts. */
int64_t xh_outbox_target_held(xh_outbox *outbox, int64_t target_id);
void xh_outbox_target_set_held(xh_outbox *outbox, int64_t target_id, int64_t wall_ms);

/* ---- accept ---- */

/* Called after the commit: `rc` 0; XH_EFULL when the disk refused and memory is over its cap (nothing was kept). `durable` is false
 * when the deliveries are in memory only, because the disk refuses. */
typedef void (*xh_accept_cb)(void *arg, int rc, bool durable);

typedef struct xh_accept {
  int64_t source_id;
  char session[64]; /* "" when the source gave none */
  int64_t seq;      /* the source's number of the event; 0 when it gave none */
  int64_t progress; /* up to here the source need not send again, when this is committed: `seq`, or less when it was refused one before */
  xh_delivery *first; /* list through `next`, may be empty (then only the progress is stored); copied, not taken */
} xh_accept;

/* A fresh id; ids grow. */
int64_t xh_outbox_next_id(xh_outbox *outbox);

/* Queues one event's deliveries for storage. Returns 0, XH_ENOMEM, or XH_EFULL when the disk has refused for so long that no ids are left (nothing
 * queued, `done` not called). */
int xh_outbox_accept(xh_outbox *outbox, const xh_accept *accept, xh_accept_cb done, void *arg);

/* ---- settle ---- */

typedef struct xh_settlement {
  int64_t delivery_id;
  int64_t target_id;
  xh_state state;          /* after this attempt */
  int64_t next_attempt_ms; /* when XH_PENDING: wall clock, > 0 */
  uint16_t attempt_count;  /* after this attempt; attempts that burn nothing do not raise it */
  bool has_attempt;        /* false: only the state changes (expired, stopped) */
  bool first_attempt;      /* there was none before: its number is known */
  xh_attempt attempt;      /* its answer is taken */
  char reason[128];        /* when XH_DEAD: why */
} xh_settlement;

/* Queues the outcome of an attempt. Returns 0, or XH_ENOMEM (logged): to the outbox the delivery is as it was before the attempt. */
int xh_outbox_settle(xh_outbox *outbox, xh_settlement *settlement);

/* ---- refill ---- */

typedef enum xh_refill_kind {
  XH_REFILL_FRESH, /* next_attempt_ms = 0 and id > after_id, by id */
  XH_REFILL_DUE    /* 0 < next_attempt_ms <= due_ms, by (next_attempt_ms, id) */
} xh_refill_kind;

typedef struct xh_refill {
  int64_t target_id;
  xh_refill_kind kind;
  int64_t after_id;
  int64_t due_ms;
  size_t count_max;
  size_t bytes_max; /* of bodies; at least one delivery is read whatever its size */
} xh_refill;

/* `list` (taken by the callee, through `next`) holds the deliveries read; `more` tells that the limits cut it short. */
typedef void (*xh_refill_cb)(void *arg, int rc, xh_delivery *list, bool more);
int xh_outbox_refill(xh_outbox *outbox, const xh_refill *refill, xh_refill_cb done, void *arg);

/* The wall-clock time of the target's earliest waiting retry, or 0; given to the callback. */
typedef void (*xh_due_cb)(void *arg, int rc, int64_t earliest_ms);
int xh_outbox_next_due(xh_outbox *outbox, int64_t target_id, xh_due_cb done, void *arg);

/* ---- at start, and for the operator ---- */

typedef struct xh_target_backlog {
  int64_t target_id;
  int64_t hook_id;  /* a hook that has deliveries there */
  int64_t pending_count;
  int64_t held_since_ms;
} xh_target_backlog;

/* The targets with pending deliveries as they were at open; array owned by the outbox. */
size_t xh_outbox_backlog(const xh_outbox *outbox, const xh_target_backlog **ret_items);

/* Which deliveries an operator's retry means: the dead ones that fit all that is set. */
typedef struct xh_retry_filter {
  const int64_t *ids; /* these, whatever their state: a pending one is made due now, a delivered one is left alone */
  size_t id_count;
  int64_t hook_id;   /* 0: any */
  int64_t source_id; /* 0: any */
  int64_t since_ms, until_ms; /* by acceptance; 0: open */
} xh_retry_filter;

/* A target that has deliveries due by a retry; how many of them were dead. A target may stand in the list more than once. */
typedef struct xh_retried {
  int64_t target_id;
  int64_t revived_count;
} xh_retried;

/* Makes them waiting, due now, with a fresh schedule. */
typedef void (*xh_retry_cb)(void *arg, int rc, int64_t count, const xh_retried *targets, size_t target_count);
int xh_outbox_retry(xh_outbox *outbox, const xh_retry_filter *filter, xh_retry_cb done, void *arg);

/* The wall clock was set by that much: what waits moves along, its next attempt as well as what its expiry counts from. */
int xh_outbox_shift_due(xh_outbox *outbox, int64_t shift_ms);

/* Deletes what is past its keeping time; `all_settled` every delivered and dead one older than `before_ms`. The callback gets the count. */
typedef void (*xh_prune_cb)(void *arg, int rc, int64_t count);
int xh_outbox_prune(xh_outbox *outbox, bool all_settled, int64_t before_ms, xh_prune_cb done, void *arg);

/* The moment of the next automatic prune on the wall clock, or 0 when nothing is kept that could expire: no timer is needed then. */
int64_t xh_outbox_next_prune_ms(const xh_outbox *outbox);

typedef struct xh_outbox_stats {
  int64_t accepted_total, delivered_total, dead_total, attempt_total; /* since the database was made */
  int64_t pending_count, dead_count;                                  /* now */
  int64_t file_bytes;
  int64_t commit_count; /* since start */
  int64_t memory_bytes; /* of operations waiting to be written */
  bool degraded;        /* the disk refuses; deliveries are in memory only */
  char trouble[160];    /* why, in words; "" when all is well */
  int64_t degraded_since_ms;
  int64_t refused_count; /* events refused because memory was over its cap, since start */
} xh_outbox_stats;

void xh_outbox_get_stats(const xh_outbox *outbox, xh_outbox_stats *ret_stats);

#endif
