/* What comes in: identities, accepted deliveries, outcomes of attempts. */
#include "base/clock.h"
#include "base/err.h"
#include "outbox/store.h"

#include <stdlib.h>

/* ---- identities ---- */

static int bind_identity(sqlite3_stmt *statement, const op_identity *identity)
{
  sqlite3_bind_int64(statement, 1, identity->id);
  sqlite3_bind_text(statement, 2, identity->name, -1, SQLITE_STATIC);
  sqlite3_bind_text(statement, 3, identity->shown, -1, SQLITE_STATIC);
  int rc = store_step(statement);
  sqlite3_clear_bindings(statement);
  return rc;
}

static int store_hook(store *s, const op_identity *hook)
{
  int rc = 0;
  sqlite3_stmt *statement =
      store_statement(s, SLOT_HOOK,
                      "INSERT OR REPLACE INTO hook(id, source_id, digest, config, label, url_shown, stopped_ms)"
                      " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                      &rc);
  if (!statement)
    return rc;
  sqlite3_bind_int64(statement, 1, hook->id);
  sqlite3_bind_int64(statement, 2, hook->source_id);
  sqlite3_bind_text(statement, 3, hook->name, -1, SQLITE_STATIC);
  sqlite3_bind_text(statement, 4, hook->config, -1, SQLITE_STATIC);
  sqlite3_bind_text(statement, 5, hook->label, -1, SQLITE_STATIC);
  sqlite3_bind_text(statement, 6, hook->shown, -1, SQLITE_STATIC);
  sqlite3_bind_int64(statement, 7, hook->wall_ms);
  rc = store_step(statement);
  sqlite3_clear_bindings(statement);
  return rc;
}

static int set_moment(store *s, int slot, const char *sql, const op_identity *identity)
{
  int rc = 0;
  sqlite3_stmt *statement = store_statement(s, slot, sql, &rc);
  if (!statement)
    return rc;
  sqlite3_bind_int64(statement, 1, identity->id);
  sqlite3_bind_int64(statement, 2, identity->wall_ms);
  return store_step(statement);
}

int store_identity(store *s, operation *op)
{
  const op_identity *identity = &op->u.identity;
  int rc = 0;
  sqlite3_stmt *statement;
  if (op->kind == OP_HOOK)
    return store_hook(s, identity);
  if (op->kind == OP_HOOK_STOPPED)
    return set_moment(s, SLOT_STOPPED, "UPDATE hook SET stopped_ms = ?2 WHERE id = ?1", identity);
  if (op->kind == OP_TARGET_HELD)
    return set_moment(s, SLOT_HELD, "UPDATE target SET held_since_ms = ?2 WHERE id = ?1", identity);
  if (op->kind == OP_SOURCE)
    statement = store_statement(s, SLOT_SOURCE, "INSERT OR REPLACE INTO source(id, name) VALUES(?1, ?2)", &rc);
  else
    statement = store_statement(s, SLOT_TARGET, "INSERT OR REPLACE INTO target(id, key_hash, shown) VALUES(?1, ?2, ?3)", &rc);
  if (!statement)
    return rc;
  if (op->kind == OP_TARGET)
    return bind_identity(statement, identity);
  sqlite3_bind_int64(statement, 1, identity->id);
  sqlite3_bind_text(statement, 2, identity->name, -1, SQLITE_STATIC);
  rc = store_step(statement);
  sqlite3_clear_bindings(statement);
  return rc;
}

/* ---- accepted deliveries ---- */

static int store_body(store *s, xh_blob *blob)
{
  int rc = 0;
  if (blob->row)
    return 0;
  sqlite3_stmt *statement = store_statement(s, SLOT_BODY, "INSERT INTO body(id, ref_count, bytes) VALUES(?1, ?2, ?3)", &rc);
  if (!statement)
    return rc;
  sqlite3_bind_int64(statement, 1, s->batch_next_body_id);
  sqlite3_bind_int64(statement, 2, blob->users);
  sqlite3_bind_blob64(statement, 3, blob->bytes, blob->len, SQLITE_STATIC);
  rc = store_step(statement);
  sqlite3_clear_bindings(statement);
  if (rc == 0)
    blob->row = s->batch_next_body_id++;
  return rc;
}

static int store_delivery(store *s, const xh_delivery *d)
{
  int rc = 0;
  sqlite3_stmt *statement =
      store_statement(s, SLOT_DELIVERY,
                      "INSERT INTO delivery(id, hook_id, target_id, source_id, event_id, body_id, method, call_id, user_name, type,"
                      " accepted_ms, schedule_from_ms) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11)",
                      &rc);
  if (!statement)
    return rc;
  sqlite3_bind_int64(statement, 1, d->id);
  sqlite3_bind_int64(statement, 2, d->hook_id);
  sqlite3_bind_int64(statement, 3, d->target_id);
  sqlite3_bind_int64(statement, 4, d->source_id);
  sqlite3_bind_int64(statement, 5, d->event->row);
  sqlite3_bind_int64(statement, 6, d->body->row);
  sqlite3_bind_text(statement, 7, d->method, -1, SQLITE_STATIC);
  sqlite3_bind_text(statement, 8, d->call_id, -1, SQLITE_STATIC); /* NULL pointers bind NULL */
  sqlite3_bind_text(statement, 9, d->user_name, -1, SQLITE_STATIC);
  sqlite3_bind_int(statement, 10, d->type);
  sqlite3_bind_int64(statement, 11, d->accepted_ms);
  rc = store_step(statement);
  sqlite3_clear_bindings(statement);
  if (rc == 0)
    rc = store_count_target(s, d->target_id, d->hook_id, 1);
  return rc;
}

static int note_progress(store *s, const op_accept *accept)
{
  if (accept->seq == 0)
    return 0;
  for (size_t i = 0; i < s->source_count; i++)
    if (s->sources[i].source_id == accept->source_id) {
      s->sources[i].session = accept->session;
      s->sources[i].seq = accept->progress;
      return 0;
    }
  if (s->source_count == s->source_room) {
    size_t room = s->source_room ? s->source_room * 2 : 8;
    source_change *sources = realloc(s->sources, room * sizeof *sources);
    if (!sources)
      return XH_ENOMEM;
    s->sources = sources;
    s->source_room = room;
  }
  s->sources[s->source_count++] =
      (source_change){.source_id = accept->source_id, .seq = accept->progress, .session = accept->session};
  return 0;
}

int store_accept(store *s, op_accept *accept)
{
  int rc = 0;
  for (const xh_delivery *d = accept->first; d; d = d->next) {
    d->event->users++;
    d->body->users++;
  }
  for (const xh_delivery *d = accept->first; d && rc == 0; d = d->next) {
    rc = store_body(s, d->event);
    if (rc == 0)
      rc = store_body(s, d->body);
    if (rc == 0)
      rc = store_delivery(s, d);
    s->batch.accepted++;
  }
  if (rc == 0)
    rc = note_progress(s, accept);
  if (accept->next_id > s->next_id) {
    s->next_id = accept->next_id;
    s->meta_moved = true;
  }
  return rc;
}

/* ---- outcomes ---- */

#define ATTEMPT_COLUMNS \
  " attempt(delivery_id, n, started_ms, name_us, connect_us, tls_us, first_byte_us, total_us, http_status, fault, words, answer)"
#define ATTEMPT_VALUES " ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11"

static int store_attempt(store *s, int64_t delivery_id, bool first, const xh_attempt *attempt)
{
  int rc = 0;
  sqlite3_stmt *statement =
      first ? store_statement(s, SLOT_FIRST_ATTEMPT, "INSERT OR REPLACE INTO" ATTEMPT_COLUMNS " VALUES(?1, 1," ATTEMPT_VALUES ")", &rc)
            : store_statement(s, SLOT_ATTEMPT,
                              "INSERT INTO" ATTEMPT_COLUMNS " SELECT ?1, coalesce(max(n), 0) + 1," ATTEMPT_VALUES
                              " FROM attempt WHERE delivery_id = ?1",
                              &rc);
  if (!statement)
    return rc;
  sqlite3_bind_int64(statement, 1, delivery_id);
  sqlite3_bind_int64(statement, 2, attempt->started_ms);
  sqlite3_bind_int64(statement, 3, attempt->name_us);
  sqlite3_bind_int64(statement, 4, attempt->connect_us);
  sqlite3_bind_int64(statement, 5, attempt->tls_us);
  sqlite3_bind_int64(statement, 6, attempt->first_byte_us);
  sqlite3_bind_int64(statement, 7, attempt->total_us);
  sqlite3_bind_int(statement, 8, attempt->http_status);
  sqlite3_bind_int(statement, 9, (int)attempt->fault);
  sqlite3_bind_text(statement, 10, attempt->words, -1, SQLITE_STATIC);
  sqlite3_bind_blob64(statement, 11, attempt->answer, attempt->answer_len, SQLITE_STATIC);
  rc = store_step(statement);
  sqlite3_clear_bindings(statement);
  s->batch.attempts++;
  return rc;
}

int store_settle(store *s, xh_settlement *settlement)
{
  int rc = 0;
  sqlite3_stmt *statement =
      store_statement(s, SLOT_SETTLE,
                      "UPDATE delivery SET state = ?2, attempt_count = ?3, next_attempt_ms = ?4, settled_ms = ?5, reason = ?6"
                      " WHERE id = ?1 AND state = 0",
                      &rc);
  if (!statement)
    return rc;
  int64_t now_ms = xh_wall_ms();
  sqlite3_bind_int64(statement, 1, settlement->delivery_id);
  sqlite3_bind_int(statement, 2, (int)settlement->state);
  sqlite3_bind_int(statement, 3, settlement->attempt_count);
  sqlite3_bind_int64(statement, 4, settlement->next_attempt_ms);
  sqlite3_bind_int64(statement, 5, settlement->state == XH_PENDING ? 0 : now_ms);
  sqlite3_bind_text(statement, 6, settlement->state == XH_DEAD ? settlement->reason : NULL, -1, SQLITE_STATIC);
  rc = store_step(statement);
  sqlite3_clear_bindings(statement);
  if (rc || sqlite3_changes(s->db) == 0)
    return rc; /* gone with a damaged database: nothing to settle */
  if (settlement->state != XH_PENDING)
    rc = store_count_target(s, settlement->target_id, 0, -1);
  if (settlement->state == XH_DELIVERED) {
    s->batch.delivered++;
    if (s->batch.oldest_delivered_ms == 0)
      s->batch.oldest_delivered_ms = now_ms;
  } else if (settlement->state == XH_DEAD) {
    s->batch.dead++;
    s->batch.dead_now++;
    if (s->batch.oldest_dead_ms == 0)
      s->batch.oldest_dead_ms = now_ms;
  }
  if (rc == 0 && settlement->has_attempt)
    rc = store_attempt(s, settlement->delivery_id, settlement->first_attempt, &settlement->attempt);
  return rc;
}
