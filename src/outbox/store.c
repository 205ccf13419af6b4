#include "outbox/store.h"

#include "base/clock.h"
#include "base/err.h"
#include "outbox/schema.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- statements ---- */

sqlite3_stmt *store_statement(store *s, int slot, const char *sql, int *ret_rc)
{
  sqlite3_stmt **statement = &s->statements[slot];
  if (!*statement) {
    int code = sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
    if (code != SQLITE_OK) {
      *ret_rc = xh_schema_error(code);
      return NULL;
    }
  }
  sqlite3_reset(*statement);
  return *statement;
}

int store_step(sqlite3_stmt *statement)
{
  int rc = xh_schema_error(sqlite3_step(statement));
  sqlite3_reset(statement);
  return rc;
}

int store_read_int(store *s, int slot, const char *sql, int64_t parameter, int64_t *ret_value)
{
  int rc = 0;
  sqlite3_stmt *statement = store_statement(s, slot, sql, &rc);
  if (!statement)
    return rc;
  if (sqlite3_bind_parameter_count(statement) > 0)
    sqlite3_bind_int64(statement, 1, parameter);
  int code = sqlite3_step(statement);
  if (code == SQLITE_ROW)
    *ret_value = sqlite3_column_int64(statement, 0);
  sqlite3_reset(statement);
  return xh_schema_error(code);
}

/* ---- life ---- */

static int read_meta(store *s)
{
  sqlite3_stmt *statement;
  int code = sqlite3_prepare_v2(
      s->db, "SELECT instance, accepted, delivered, dead, attempts, next_delivery_id, next_body_id, clock_ms FROM meta WHERE id = 1",
      -1, &statement, NULL);
  if (code != SQLITE_OK)
    return xh_schema_error(code);
  code = sqlite3_step(statement);
  if (code == SQLITE_ROW) {
    snprintf(s->instance, sizeof s->instance, "%s", (const char *)sqlite3_column_text(statement, 0));
    s->totals.accepted = sqlite3_column_int64(statement, 1);
    s->totals.delivered = sqlite3_column_int64(statement, 2);
    s->totals.dead = sqlite3_column_int64(statement, 3);
    s->totals.attempts = sqlite3_column_int64(statement, 4);
    s->next_id = s->id_limit = sqlite3_column_int64(statement, 5);
    s->next_body_id = sqlite3_column_int64(statement, 6);
    s->clock_ms = sqlite3_column_int64(statement, 7);
  }
  sqlite3_finalize(statement);
  return code == SQLITE_DONE ? XH_ECORRUPT : xh_schema_error(code);
}

static int write_meta(store *s, int64_t id_limit)
{
  int rc = 0;
  sqlite3_stmt *statement = store_statement(s, SLOT_META,
                                            "UPDATE meta SET instance = ?1, accepted = ?2, delivered = ?3, dead = ?4, attempts = ?5,"
                                            " next_delivery_id = ?6, next_body_id = ?7, clock_ms = ?8 WHERE id = 1",
                                            &rc);
  if (!statement)
    return rc;
  sqlite3_bind_text(statement, 1, s->instance, -1, SQLITE_STATIC);
  sqlite3_bind_int64(statement, 2, s->batch.accepted);
  sqlite3_bind_int64(statement, 3, s->batch.delivered);
  sqlite3_bind_int64(statement, 4, s->batch.dead);
  sqlite3_bind_int64(statement, 5, s->batch.attempts);
  sqlite3_bind_int64(statement, 6, id_limit);
  sqlite3_bind_int64(statement, 7, s->batch_next_body_id);
  sqlite3_bind_int64(statement, 8, xh_wall_ms());
  return store_step(statement);
}

static int read_file_bytes(store *s, int64_t *ret_bytes)
{
  int64_t pages = 0, spare = 0, size = 0;
  int rc = store_read_int(s, SLOT_PAGES, "PRAGMA page_count", 0, &pages);
  if (rc == 0)
    rc = store_read_int(s, SLOT_FREE_PAGES, "PRAGMA freelist_count", 0, &spare);
  if (rc == 0)
    rc = store_read_int(s, SLOT_PAGE_SIZE, "PRAGMA page_size", 0, &size);
  if (rc == 0)
    *ret_bytes = (pages - spare) * size;
  return rc;
}

static int count_now(store *s)
{
  sqlite3_stmt *statement;
  int code = sqlite3_prepare_v2(s->db,
                                "SELECT (SELECT coalesce(sum(pending_count), 0) FROM target),"
                                " (SELECT count(*) FROM delivery WHERE state = 2 AND state > 0)",
                                -1, &statement, NULL);
  if (code != SQLITE_OK)
    return xh_schema_error(code);
  code = sqlite3_step(statement);
  if (code == SQLITE_ROW) {
    s->totals.pending_now = sqlite3_column_int64(statement, 0);
    s->totals.dead_now = sqlite3_column_int64(statement, 1);
  }
  sqlite3_finalize(statement);
  return xh_schema_error(code);
}

/* What is known without the writer, in `s`. */
static int read_store(store *s, const store *keep)
{
  int rc = read_meta(s);
  if (rc == 0)
    rc = count_now(s);
  if (rc == 0 && keep && keep->instance[0]) {
    snprintf(s->instance, sizeof s->instance, "%s", keep->instance);
    s->totals = keep->totals;
    s->totals.pending_now = s->totals.dead_now = 0;
    s->next_id = keep->next_id;
    s->next_body_id = keep->next_body_id;
  }
  s->batch = s->totals;
  s->batch_next_body_id = s->next_body_id;
  if (rc == 0)
    rc = store_look_up_ages(s);
  if (rc == 0)
    rc = read_file_bytes(s, &s->batch.file_bytes);
  s->totals = s->batch;
  return rc;
}

int store_open(store *s, const char *folder, const store *keep)
{
  store made = {.folder = strdup(folder)};
  int rc = made.folder ? xh_schema_open(folder, &made.db) : XH_ENOMEM;
  if (rc == 0)
    rc = read_store(&made, keep);
  if (rc == 0 && keep)
    rc = write_meta(&made, made.id_limit = made.next_id + STORE_ID_GAP);
  if (rc) {
    store_close(&made, false);
    return rc;
  }
  *s = made;
  return 0;
}

int store_open_alone(store *s, const char *folder)
{
  store made = {.folder = strdup(folder), .next_id = 1, .next_body_id = 1};
  int rc = made.folder ? xh_schema_open_alone(folder, &made.db) : XH_ENOMEM;
  if (rc == 0)
    rc = read_store(&made, NULL);
  else if (rc == XH_ENOENT)
    rc = xh_schema_draw_instance(made.instance);
  if (rc) {
    store_close(&made, false);
    return rc;
  }
  int64_t now_us = xh_wall_ms() * 1000;
  if (made.next_id < now_us)
    made.next_id = now_us;
  made.id_limit = made.next_id + STORE_ID_GAP;
  *s = made;
  return 0;
}

void store_disconnect(store *s)
{
  for (size_t i = 0; i < STORE_STATEMENTS_MAX; i++) {
    sqlite3_finalize(s->statements[i]);
    s->statements[i] = NULL;
  }
  sqlite3_close(s->db);
  s->db = NULL;
}

void store_close(store *s, bool clean)
{
  if (s->db && clean)
    (void)write_meta(s, s->next_id);
  store_disconnect(s);
  free(s->folder);
  free(s->targets);
  free(s->sources);
  *s = (store){0};
}

int store_set_aside(const char *folder, char *ret_name, size_t size)
{
  static const char *const endings[] = {"", "-wal", "-shm"};
  char from[PATH_MAX], to[PATH_MAX], when[XH_ISO_SIZE];
  xh_iso_time(xh_wall_ms(), when);
  for (char *at = when; *at; at++)
    if (*at == ':')
      *at = '-';
  int rc = 0;
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
    snprintf(from, sizeof from, "%s/" XH_DATABASE_NAME "%s", folder, endings[i]);
    snprintf(to, sizeof to, "%s/" XH_DATABASE_NAME ".damaged-%s%s", folder, when, endings[i]);
    if (rename(from, to) != 0 && i == 0 && errno != ENOENT)
      rc = XH_EIO;
  }
  snprintf(ret_name, size, "%s/" XH_DATABASE_NAME ".damaged-%s", folder, when);
  return rc;
}

/* ---- transactions ---- */

int store_begin(store *s)
{
  s->batch = s->totals;
  s->batch_next_body_id = s->next_body_id;
  s->meta_moved = false;
  s->target_count = s->source_count = 0;
  return xh_schema_error(sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
}

void store_rollback(store *s)
{
  for (size_t i = 0; i < STORE_STATEMENTS_MAX; i++)
    if (s->statements[i])
      sqlite3_reset(s->statements[i]);
  if (s->db && !sqlite3_get_autocommit(s->db))
    sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
}

static int write_targets(store *s)
{
  int rc = 0;
  for (size_t i = 0; i < s->target_count && rc == 0; i++) {
    const target_change *change = &s->targets[i];
    sqlite3_stmt *statement =
        store_statement(s, SLOT_TARGET_COUNT,
                        "UPDATE target SET pending_count = max(0, pending_count + ?2),"
                        " hook_id = CASE WHEN ?3 > 0 THEN ?3 ELSE hook_id END WHERE id = ?1",
                        &rc);
    if (!statement)
      return rc;
    sqlite3_bind_int64(statement, 1, change->target_id);
    sqlite3_bind_int64(statement, 2, change->by);
    sqlite3_bind_int64(statement, 3, change->hook_id);
    rc = store_step(statement);
  }
  return rc;
}

static int write_progress(store *s)
{
  int rc = 0;
  for (size_t i = 0; i < s->source_count && rc == 0; i++) {
    sqlite3_stmt *statement = store_statement(s, SLOT_PROGRESS, "UPDATE source SET session = ?2, seq = ?3 WHERE id = ?1", &rc);
    if (!statement)
      return rc;
    sqlite3_bind_int64(statement, 1, s->sources[i].source_id);
    sqlite3_bind_text(statement, 2, s->sources[i].session, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 3, s->sources[i].seq);
    rc = store_step(statement);
    sqlite3_clear_bindings(statement);
  }
  return rc;
}

static bool totals_moved(const store *s)
{
  return s->meta_moved || s->batch.accepted != s->totals.accepted || s->batch.delivered != s->totals.delivered ||
         s->batch.dead != s->totals.dead || s->batch.attempts != s->totals.attempts;
}

int store_end(store *s)
{
  int rc = write_targets(s);
  if (rc == 0)
    rc = write_progress(s);
  bool noted = totals_moved(s) || s->next_id > s->id_limit;
  if (rc == 0 && noted)
    rc = write_meta(s, s->next_id + STORE_ID_GAP);
  if (rc == 0)
    rc = read_file_bytes(s, &s->batch.file_bytes);
  if (rc == 0)
    rc = xh_schema_error(sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL));
  if (rc)
    return rc;
  s->totals = s->batch;
  s->next_body_id = s->batch_next_body_id;
  if (noted)
    s->id_limit = s->next_id + STORE_ID_GAP;
  return 0;
}

int store_count_target(store *s, int64_t target_id, int64_t hook_id, int64_t by)
{
  s->batch.pending_now += by;
  for (size_t i = 0; i < s->target_count; i++)
    if (s->targets[i].target_id == target_id) {
      s->targets[i].by += by;
      s->targets[i].hook_id = hook_id ? hook_id : s->targets[i].hook_id;
      return 0;
    }
  if (s->target_count == s->target_room) {
    size_t room = s->target_room ? s->target_room * 2 : 16;
    target_change *targets = realloc(s->targets, room * sizeof *targets);
    if (!targets)
      return XH_ENOMEM;
    s->targets = targets;
    s->target_room = room;
  }
  s->targets[s->target_count++] = (target_change){.target_id = target_id, .hook_id = hook_id, .by = by};
  return 0;
}

int store_do(store *s, operation *op)
{
  switch (op->kind) {
  case OP_SOURCE:
  case OP_HOOK:
  case OP_TARGET:
  case OP_HOOK_STOPPED:
  case OP_TARGET_HELD:
    return store_identity(s, op);
  case OP_ACCEPT:
    return store_accept(s, &op->u.accept);
  case OP_SETTLE:
    return store_settle(s, &op->u.settle);
  case OP_REFILL:
    return store_refill(s, &op->u.refill);
  case OP_NEXT_DUE:
    return store_next_due(s, &op->u.next_due);
  case OP_RETRY:
    return store_retry(s, op);
  case OP_SHIFT:
    return store_shift(s, op->u.shift_ms);
  case OP_PRUNE:
    return store_prune(s, op);
  }
  return XH_EINVAL;
}
