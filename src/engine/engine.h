/*
 * The engine: the way of one event through the stages. Intake's sink on one side, the outbox and the dispatcher on the other; `serve`
 * and `send --config` are thin around it. Loop thread only.
 */
#ifndef XH_ENGINE_ENGINE_H
#define XH_ENGINE_ENGINE_H

#include "base/event.h"
#include "hooks/hooks.h"
#include "intake/intake.h"
#include "outbox/outbox.h"

#include <uv.h>

enum {
  XH_ACCEPTING_BYTES_MAX = 32 * 1024 * 1024, /* events taken in and not yet committed: above it, reading pauses */
  XH_STOP_GRACE_MS = 5000
};

typedef struct xh_engine xh_engine;

typedef struct xh_engine_options {
  uv_loop_t *loop;
  const char *folder;                /* the data folder */
  const char *const *allow_metadata; /* see xh_transport_options */
  size_t allow_metadata_count;
  int64_t delivered_keep_ms, delivered_keep_bytes, dead_keep_ms; /* 0: the default */
  size_t memory_cap_bytes;                                       /* 0: the default */
  bool begin_in_trouble;                                         /* see xh_outbox_options */
} xh_engine_options;

/* Opens the outbox and everything after it. Errors are those of xh_outbox_open. */
int xh_engine_open(const xh_engine_options *options, xh_engine **ret_engine, int *ret_pid);

/* Begins to deliver. */
void xh_engine_start(xh_engine *engine);

/* Delivers no more; when running attempts have ended (or after XH_STOP_GRACE_MS) writes everything down and calls `done`. */
void xh_engine_stop(xh_engine *engine, void (*done)(void *arg), void *arg);
void xh_engine_free(xh_engine *engine); /* after `done`, or instead of xh_engine_start */

/* 16 hex digits that identify the outbox; valid as long as the engine. */
const char *xh_engine_instance(const xh_engine *engine);

/* What intake is given; and the intake whose reading is paused while too much is on the way (NULL: none). */
const xh_sink *xh_engine_sink(xh_engine *engine);
void xh_engine_set_intake(xh_engine *engine, xh_intake *intake);

/* Called when the program's standard input, as a source, has ended. */
void xh_engine_on_stdio_end(xh_engine *engine, void (*ended)(void *arg), void *arg);

/* Replaces a source's hooks (references the table). Returns 0 or XH_ENOMEM, then the old ones stay. */
int xh_engine_configure(xh_engine *engine, xh_str source, xh_hooks *hooks);

/* An event from within the program (`send --config`). `done` is called when it is committed (or `rc` says why not). Returns the number of hooks that
 * fit, or XH_ENOMEM. */
typedef void (*xh_engine_event_cb)(void *arg, int rc, bool durable);
int xh_engine_event(xh_engine *engine, xh_str source, const xh_event *event, xh_engine_event_cb done, void *arg);

/* Everything that was accepted has ended: nothing pending, nothing being written. */
bool xh_engine_is_settled(const xh_engine *engine);

typedef struct xh_engine_totals {
  int64_t pending, delivered, dead; /* since the database was made, but pending: now */
  int64_t accepting;                /* events not yet committed */
} xh_engine_totals;
void xh_engine_get_totals(const xh_engine *engine, xh_engine_totals *ret_totals);

/* The body of `stats` in docs/protocol.md. */
void xh_engine_stats_json(xh_engine *engine, xh_buf *out);

#endif
