#include "outbox/outbox_internal.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "outbox/schema.h"

#include <stdio.h>
#include <stdlib.h>

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
