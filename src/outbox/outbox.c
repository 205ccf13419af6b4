#include "outbox/outbox.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "outbox/identity.h"
#include "outbox/lock.h"
#include "outbox/schema.h"
#include "outbox/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DAY_MS = 86400000 };

struct xh_outbox {
  xh_outbox_options options;
  char *folder;
  char instance[17];
  int lock_fd;
  int64_t next_id, id_limit;
  identities ids;
  writer *writer;
  xh_target_backlog *backlog;
  size_t backlog_count;
};

/* ---- open and close ---- */

static void fill_options(xh_outbox_options *o)
{
  if (o->delivered_keep_ms <= 0)
    o->delivered_keep_ms = (int64_t)7 * DAY_MS;
  if (o->delivered_keep_bytes <= 0)
    o->delivered_keep_bytes = (int64_t)1 << 30;
  if (o->dead_keep_ms <= 0)
    o->dead_keep_ms = (int64_t)30 * DAY_MS;
  if (o->memory_cap_bytes == 0)
    o->memory_cap_bytes = (size_t)64 << 20;
}

static int load_backlog(xh_outbox *o, sqlite3 *db)
{
  sqlite3_stmt *row;
  size_t room = 0;
  int code = sqlite3_prepare_v2(db, "SELECT id, hook_id, pending_count, held_since_ms FROM target WHERE pending_count > 0", -1, &row,
                                NULL);
  if (code != SQLITE_OK)
    return xh_schema_error(code);
  while ((code = sqlite3_step(row)) == SQLITE_ROW) {
    if (o->backlog_count == room) {
      room = room ? room * 2 : 16;
      xh_target_backlog *items = realloc(o->backlog, room * sizeof *items);
      if (!items) {
        code = SQLITE_NOMEM;
        break;
      }
      o->backlog = items;
    }
    o->backlog[o->backlog_count++] = (xh_target_backlog){.target_id = sqlite3_column_int64(row, 0),
                                                         .hook_id = sqlite3_column_int64(row, 1),
                                                         .pending_count = sqlite3_column_int64(row, 2),
                                                         .held_since_ms = sqlite3_column_int64(row, 3)};
  }
  sqlite3_finalize(row);
  return xh_schema_error(code);
}

static int load_rest(xh_outbox *o, store *s)
{
  int rc = identities_load(&o->ids, s->db);
  if (rc == 0)
    rc = load_backlog(o, s->db);
  return rc;
}

static int load_all(xh_outbox *o, store *s)
{
  int rc = store_open(s, o->folder, NULL);
  return rc ? rc : load_rest(o, s);
}

static void unload(xh_outbox *o, store *s)
{
  store_close(s, false);
  identities_done(&o->ids);
  o->ids = (identities){0};
  free(o->backlog);
  o->backlog = NULL;
  o->backlog_count = 0;
}

static int open_store(xh_outbox *o, store *s)
{
  int rc = load_all(o, s);
  if (rc != XH_ECORRUPT)
    return rc;
  char name[4200];
  unload(o, s);
  rc = store_set_aside(o->folder, name, sizeof name);
  if (rc)
    return rc;
  xh_log(XH_LOG_ERROR, "the outbox is damaged and was set aside as %s; a new one begins. What waited in it is not delivered any more",
         name);
  return load_all(o, s);
}

/* What is known already is read, and no more: the writer opens the database when there is room. */
static int open_in_trouble(xh_outbox *o, store *s)
{
  unload(o, s);
  int rc = store_open_alone(s, o->folder);
  if (rc == 0 && s->db)
    rc = load_rest(o, s);
  store_disconnect(s);
  o->next_id = s->next_id;
  o->id_limit = s->id_limit;
  return rc;
}

/* Since the last commit some time has passed, never less than none. If the clock says so, it was set back, and what waits moves along:
 * otherwise it would wait for the old time to come again. */
static int follow_clock(store *s)
{
  int64_t ahead_ms = s->clock_ms - xh_wall_ms();
  if (ahead_ms < XH_CLOCK_JUMP_MS)
    return 0;
  xh_log(XH_LOG_WARN, "the clock was set back by %lld ms or more since the last run; times of retries and expiry move with it",
         (long long)ahead_ms);
  return store_shift(s, -ahead_ms);
}

/* Numbers that may have been given out before a crash are not used again: the note moves on before the first is. */
static int begin_life(xh_outbox *o, store *s)
{
  int rc = store_begin(s);
  s->meta_moved = true;
  if (rc == 0)
    rc = follow_clock(s);
  if (rc == 0)
    rc = store_end(s);
  if (rc)
    store_rollback(s);
  o->next_id = s->next_id;
  o->id_limit = s->id_limit;
  return rc;
}

static void free_outbox(xh_outbox *o)
{
  identities_done(&o->ids);
  free(o->backlog);
  free(o->folder);
  if (o->lock_fd >= 0)
    close(o->lock_fd);
  free(o);
}

int xh_outbox_open(const xh_outbox_options *options, xh_outbox **ret_outbox, int *ret_pid)
{
  xh_outbox *o = calloc(1, sizeof *o);
  store s = {0};
  if (!o)
    return XH_ENOMEM;
  o->lock_fd = -1;
  o->options = *options;
  fill_options(&o->options);
  o->folder = strdup(options->folder);
  int rc = o->folder ? xh_folder_lock(o->folder, &o->lock_fd, ret_pid) : XH_ENOMEM;
  if (rc == 0)
    rc = open_store(o, &s);
  if (rc == 0)
    rc = begin_life(o, &s);
  int trouble = 0;
  if (rc == XH_EFULL && o->lock_fd >= 0 && o->options.begin_in_trouble) {
    trouble = XH_EFULL;
    rc = open_in_trouble(o, &s);
  }
  if (rc == 0) {
    memcpy(o->instance, s.instance, sizeof o->instance);
    rc = writer_start(&(writer_options){.wake = o->options.wake,
                                        .wake_arg = o->options.wake_arg,
                                        .memory_cap_bytes = o->options.memory_cap_bytes,
                                        .trouble = trouble},
                      &s, &o->writer);
  }
  if (rc) {
    store_close(&s, false);
    free_outbox(o);
    return rc;
  }
  *ret_outbox = o;
  return 0;
}

void xh_outbox_close(xh_outbox *outbox)
{
  if (!outbox)
    return;
  op_queue ops = {0};
  identities_again(&outbox->ids, &ops);
  writer_stop(outbox->writer, &ops);
  xh_outbox_dispatch(outbox);
  writer_free(outbox->writer);
  free_outbox(outbox);
}

const char *xh_outbox_instance(const xh_outbox *outbox)
{
  return outbox->instance;
}

size_t xh_outbox_backlog(const xh_outbox *outbox, const xh_target_backlog **ret_items)
{
  *ret_items = outbox->backlog;
  return outbox->backlog_count;
}

/* ---- callbacks ---- */

static void note_progress(xh_outbox *o, const op_accept *accept)
{
  identity_source *source = accept->seq ? xh_map_get_id(&o->ids.sources_by_id, accept->source_id) : NULL;
  if (!source)
    return;
  memcpy(source->session, accept->session, sizeof source->session);
  source->seq = accept->progress;
}

static void note_restarted(xh_outbox *o, const id_list *hooks)
{
  for (size_t i = 0; i < hooks->count; i++) {
    identity_hook *hook = xh_map_get_id(&o->ids.hooks_by_id, hooks->items[i]);
    if (hook)
      hook->stopped_ms = 0;
  }
}

static void finish(xh_outbox *o, operation *op)
{
  switch (op->kind) {
  case OP_ACCEPT:
    if (op->rc == 0)
      note_progress(o, &op->u.accept);
    if (!op->answered)
      op->u.accept.done(op->arg, op->rc, !op->lost);
    break;
  case OP_REFILL: {
    xh_delivery *list = op->u.refill.list;
    op->u.refill.list = NULL;
    op->u.refill.done(op->arg, op->rc, list, op->u.refill.more);
    break;
  }
  case OP_NEXT_DUE:
    op->u.next_due.done(op->arg, op->rc, op->u.next_due.earliest_ms);
    break;
  case OP_RETRY:
    note_restarted(o, &op->u.retry.hooks);
    op->u.retry.done(op->arg, op->rc, op->u.retry.at.count, op->u.retry.targets, op->u.retry.at.target_count);
    break;
  case OP_PRUNE:
    op->u.prune.done(op->arg, op->rc, op->u.prune.count);
    break;
  case OP_SOURCE:
  case OP_HOOK:
  case OP_TARGET:
  case OP_HOOK_STOPPED:
  case OP_TARGET_HELD:
  case OP_SETTLE:
  case OP_SHIFT:
    break;
  }
}

static void store_identities_again(xh_outbox *o)
{
  op_queue ops = {0};
  identities_again(&o->ids, &ops);
  writer_restore(o->writer, &ops);
  if (o->options.lost)
    o->options.lost(o->options.lost_arg);
}

void xh_outbox_dispatch(xh_outbox *outbox)
{
  for (;;) {
    writer_output output;
    writer_take(outbox->writer, &output);
    if (!output.early && !output.done.first && !output.lost)
      return;
    if (output.lost)
      store_identities_again(outbox);
    /* Events are answered in the order they came, also at the moment when the disk begins to refuse. */
    for (operation *early = output.early, *op;;) {
      if (early && (!output.done.first || early->number <= output.done.first->number)) {
        op = early;
        early = op->next_early;
        op->u.accept.done(op->arg, 0, false);
      } else if ((op = op_queue_take(&output.done)) != NULL) {
        finish(outbox, op);
        op_free(op);
      } else {
        break;
      }
    }
  }
}

/* ---- identities ---- */

static void put_if(xh_outbox *o, operation *op)
{
  if (op)
    writer_put(o->writer, op);
}

int64_t xh_outbox_source(xh_outbox *outbox, xh_str name)
{
  operation *op;
  identity_source *source = identities_source(&outbox->ids, name, &op);
  put_if(outbox, op);
  return source ? source->id : 0;
}

void xh_outbox_source_progress(xh_outbox *outbox, int64_t source_id, char ret_session[64], int64_t *ret_seq)
{
  const identity_source *source = xh_map_get_id(&outbox->ids.sources_by_id, source_id);
  snprintf(ret_session, 64, "%s", source ? source->session : "");
  *ret_seq = source ? source->seq : 0;
}

int64_t xh_outbox_hook(xh_outbox *outbox, int64_t source_id, xh_str digest, xh_str config, xh_str label, xh_str url_shown)
{
  operation *op;
  identity_hook *hook = identities_hook(&outbox->ids, source_id, digest, config, label, url_shown, &op);
  put_if(outbox, op);
  return hook ? hook->id : 0;
}

static int read_hook_config(const char *folder, int64_t hook_id, char **ret_config)
{
  sqlite3 *db;
  sqlite3_stmt *row;
  int rc = xh_schema_open_readonly(folder, &db);
  if (rc)
    return rc;
  int code = sqlite3_prepare_v2(db, "SELECT config FROM hook WHERE id = ?1", -1, &row, NULL);
  if (code == SQLITE_OK) {
    sqlite3_bind_int64(row, 1, hook_id);
    code = sqlite3_step(row);
    char *config = code == SQLITE_ROW ? strdup((const char *)sqlite3_column_text(row, 0)) : NULL;
    rc = code == SQLITE_DONE ? XH_ENOENT : code != SQLITE_ROW ? xh_schema_error(code) : config ? 0 : XH_ENOMEM;
    if (rc == 0)
      *ret_config = config;
    sqlite3_finalize(row);
  } else {
    rc = xh_schema_error(code);
  }
  sqlite3_close(db);
  return rc;
}

int xh_outbox_hook_config(xh_outbox *outbox, int64_t hook_id, char **ret_config)
{
  const identity_hook *hook = xh_map_get_id(&outbox->ids.hooks_by_id, hook_id);
  if (!hook || !hook->config)
    return read_hook_config(outbox->folder, hook_id, ret_config);
  char *config = strdup(hook->config);
  if (!config)
    return XH_ENOMEM;
  *ret_config = config;
  return 0;
}

static void put_moment(xh_outbox *o, op_kind kind, int64_t id, int64_t wall_ms)
{
  operation *op = op_new(kind);
  if (!op) {
    xh_log(XH_LOG_ERROR, "outbox: out of memory; a state is not stored");
    return;
  }
  op->u.identity.id = id;
  op->u.identity.wall_ms = wall_ms;
  writer_put(o->writer, op);
}

int64_t xh_outbox_hook_stopped(xh_outbox *outbox, int64_t hook_id)
{
  const identity_hook *hook = xh_map_get_id(&outbox->ids.hooks_by_id, hook_id);
  return hook ? hook->stopped_ms : 0;
}

void xh_outbox_hook_set_stopped(xh_outbox *outbox, int64_t hook_id, int64_t wall_ms)
{
  identity_hook *hook = xh_map_get_id(&outbox->ids.hooks_by_id, hook_id);
  if (!hook || hook->stopped_ms == wall_ms)
    return;
  hook->stopped_ms = wall_ms;
  put_moment(outbox, OP_HOOK_STOPPED, hook_id, wall_ms);
}

int64_t xh_outbox_target(xh_outbox *outbox, xh_str key, xh_str shown)
{
  operation *op;
  identity_target *target = identities_target(&outbox->ids, key, shown, &op);
  put_if(outbox, op);
  return target ? target->id : 0;
}

const char *xh_outbox_target_shown(const xh_outbox *outbox, int64_t target_id)
{
  const identity_target *target = xh_map_get_id(&outbox->ids.targets_by_id, target_id);
  return target ? target->shown : "";
}

int64_t xh_outbox_target_held(xh_outbox *outbox, int64_t target_id)
{
  const identity_target *target = xh_map_get_id(&outbox->ids.targets_by_id, target_id);
  return target ? target->held_since_ms : 0;
}

void xh_outbox_target_set_held(xh_outbox *outbox, int64_t target_id, int64_t wall_ms)
{
  identity_target *target = xh_map_get_id(&outbox->ids.targets_by_id, target_id);
  if (!target || target->held_since_ms == wall_ms)
    return;
  target->held_since_ms = wall_ms;
  put_moment(outbox, OP_TARGET_HELD, target_id, wall_ms);
}

/* ---- deliveries ---- */

int64_t xh_outbox_next_id(xh_outbox *outbox)
{
  return outbox->next_id++;
}

/* May all ids that were given out be used, whatever happens? */
static bool ids_are_noted(xh_outbox *o)
{
  if (o->next_id > o->id_limit) {
    writer_state state;
    writer_get_state(o->writer, &state);
    o->id_limit = state.id_limit;
  }
  return o->next_id <= o->id_limit;
}

int xh_outbox_accept(xh_outbox *outbox, const xh_accept *accept, xh_accept_cb done, void *arg)
{
  int rc = 0;
  if (!ids_are_noted(outbox))
    return XH_EFULL;
  operation *op = op_new(OP_ACCEPT);
  if (!op)
    return XH_ENOMEM;
  op_accept *a = &op->u.accept;
  a->source_id = accept->source_id;
  memcpy(a->session, accept->session, sizeof a->session);
  a->seq = accept->seq;
  a->progress = a->progress_max = accept->progress;
  a->next_id = outbox->next_id;
  a->done = done;
  a->first = op_copy_deliveries(accept->first, &op->bytes, &rc);
  if (rc) {
    op_free(op);
    return rc;
  }
  op->arg = arg;
  writer_put(outbox->writer, op);
  return 0;
}

int xh_outbox_settle(xh_outbox *outbox, xh_settlement *settlement)
{
  operation *op = op_new(OP_SETTLE);
  if (!op) {
    xh_log(XH_LOG_ERROR, "outbox: out of memory; the outcome of delivery %lld is not stored, it may be sent again after a restart",
           (long long)settlement->delivery_id);
    free(settlement->attempt.answer);
    settlement->attempt.answer = NULL;
    return XH_ENOMEM;
  }
  op->u.settle = *settlement;
  op->bytes += settlement->attempt.answer_len;
  settlement->attempt.answer = NULL;
  writer_put(outbox->writer, op);
  return 0;
}

int xh_outbox_refill(xh_outbox *outbox, const xh_refill *refill, xh_refill_cb done, void *arg)
{
  operation *op = op_new(OP_REFILL);
  if (!op)
    return XH_ENOMEM;
  op->u.refill.ask = *refill;
  op->u.refill.done = done;
  op->arg = arg;
  writer_put(outbox->writer, op);
  return 0;
}

int xh_outbox_next_due(xh_outbox *outbox, int64_t target_id, xh_due_cb done, void *arg)
{
  operation *op = op_new(OP_NEXT_DUE);
  if (!op)
    return XH_ENOMEM;
  op->u.next_due.target_id = target_id;
  op->u.next_due.done = done;
  op->arg = arg;
  writer_put(outbox->writer, op);
  return 0;
}

/* ---- the operator's ---- */

int xh_outbox_retry(xh_outbox *outbox, const xh_retry_filter *filter, xh_retry_cb done, void *arg)
{
  operation *op = op_new(OP_RETRY);
  if (!op)
    return XH_ENOMEM;
  op_retry *retry = &op->u.retry;
  retry->filter = *filter;
  retry->filter.ids = NULL;
  retry->now_ms = xh_wall_ms();
  retry->done = done;
  op->arg = arg;
  if (filter->ids) {
    retry->ids = malloc((filter->id_count + 1) * sizeof *retry->ids);
    if (!retry->ids) {
      op_free(op);
      return XH_ENOMEM;
    }
    if (filter->id_count > 0)
      memcpy(retry->ids, filter->ids, filter->id_count * sizeof *retry->ids);
  }
  writer_put(outbox->writer, op);
  return 0;
}

int xh_outbox_shift_due(xh_outbox *outbox, int64_t shift_ms)
{
  operation *op = op_new(OP_SHIFT);
  if (!op)
    return XH_ENOMEM;
  op->u.shift_ms = shift_ms;
  writer_put(outbox->writer, op);
  return 0;
}

int xh_outbox_prune(xh_outbox *outbox, bool all_settled, int64_t before_ms, xh_prune_cb done, void *arg)
{
  operation *op = op_new(OP_PRUNE);
  if (!op)
    return XH_ENOMEM;
  int64_t now_ms = xh_wall_ms();
  op->u.prune = (op_prune){.all_settled = all_settled,
                           .before_ms = before_ms,
                           .delivered_before_ms = now_ms - outbox->options.delivered_keep_ms,
                           .dead_before_ms = now_ms - outbox->options.dead_keep_ms,
                           .keep_bytes = outbox->options.delivered_keep_bytes,
                           .done = done};
  op->arg = arg;
  writer_put(outbox->writer, op);
  return 0;
}

int64_t xh_outbox_next_prune_ms(const xh_outbox *outbox)
{
  writer_state state;
  writer_get_state(outbox->writer, &state);
  const store_totals *totals = &state.totals;
  int64_t at_ms = 0;
  if (totals->oldest_delivered_ms)
    at_ms = totals->file_bytes > outbox->options.delivered_keep_bytes ? xh_wall_ms()
                                                                      : totals->oldest_delivered_ms + outbox->options.delivered_keep_ms;
  if (totals->oldest_dead_ms && (at_ms == 0 || totals->oldest_dead_ms + outbox->options.dead_keep_ms < at_ms))
    at_ms = totals->oldest_dead_ms + outbox->options.dead_keep_ms;
  return at_ms;
}

void xh_outbox_get_stats(const xh_outbox *outbox, xh_outbox_stats *ret_stats)
{
  writer_state state;
  writer_get_state(outbox->writer, &state);
  *ret_stats = (xh_outbox_stats){.accepted_total = state.totals.accepted,
                                 .delivered_total = state.totals.delivered,
                                 .dead_total = state.totals.dead,
                                 .attempt_total = state.totals.attempts,
                                 .pending_count = state.totals.pending_now,
                                 .dead_count = state.totals.dead_now,
                                 .file_bytes = state.totals.file_bytes,
                                 .commit_count = state.commit_count,
                                 .memory_bytes = state.memory_bytes,
                                 .degraded = state.degraded_since_ms != 0,
                                 .degraded_since_ms = state.degraded_since_ms,
                                 .refused_count = state.refused_count};
  if (state.degraded_since_ms)
    snprintf(ret_stats->trouble, sizeof ret_stats->trouble, "%s", xh_err_text(state.trouble));
}
