/* What is old enough to go: settled deliveries past their keeping time, in small steps between other work. */
#include "base/err.h"
#include "outbox/schema.h"
#include "outbox/store.h"

static int run_for(store *s, int slot, const char *sql, int64_t id)
{
  int rc = 0;
  sqlite3_stmt *statement = store_statement(s, slot, sql, &rc);
  if (!statement)
    return rc;
  sqlite3_bind_int64(statement, 1, id);
  return store_step(statement);
}

static int release_body(store *s, int64_t body_id)
{
  int rc = run_for(s, SLOT_UNBODY, "UPDATE body SET ref_count = ref_count - 1 WHERE id = ?1", body_id);
  return rc ? rc : run_for(s, SLOT_DELETE_BODY, "DELETE FROM body WHERE id = ?1 AND ref_count <= 0", body_id);
}

static int delete_delivery(store *s, sqlite3_stmt *row)
{
  int64_t id = sqlite3_column_int64(row, 0);
  int rc = release_body(s, sqlite3_column_int64(row, 1));
  if (rc == 0)
    rc = release_body(s, sqlite3_column_int64(row, 2));
  if (rc == 0)
    rc = run_for(s, SLOT_DELETE_ATTEMPTS, "DELETE FROM attempt WHERE delivery_id = ?1", id);
  if (rc == 0)
    rc = run_for(s, SLOT_DELETE, "DELETE FROM delivery WHERE id = ?1", id);
  return rc;
}

/* Deletes up to `most` of a state that were settled before then, the oldest first. */
static int delete_before(store *s, xh_state state, int64_t before_ms, int most, int *ret_deleted)
{
  int rc = 0, deleted = 0, code = SQLITE_DONE;
  sqlite3_stmt *row = store_statement(s, SLOT_OLD,
                                      "SELECT id, event_id, body_id FROM delivery WHERE state = ?1 AND state > 0"
                                      " AND settled_ms < ?2 ORDER BY settled_ms LIMIT ?3",
                                      &rc);
  if (!row)
    return rc;
  sqlite3_bind_int(row, 1, (int)state);
  sqlite3_bind_int64(row, 2, before_ms);
  sqlite3_bind_int(row, 3, most);
  while (rc == 0 && (code = sqlite3_step(row)) == SQLITE_ROW) {
    rc = delete_delivery(s, row);
    deleted++;
  }
  if (rc == 0)
    rc = xh_schema_error(code);
  sqlite3_reset(row);
  if (state == XH_DEAD)
    s->batch.dead_now -= deleted;
  *ret_deleted = deleted;
  return rc;
}

static int oldest(store *s, int state, int64_t *ret_ms)
{
  *ret_ms = 0;
  return store_read_int(s, SLOT_AGE, "SELECT coalesce(min(settled_ms), 0) FROM delivery WHERE state = ?1 AND state > 0", state,
                        ret_ms);
}

int store_look_up_ages(store *s)
{
  int rc = oldest(s, XH_DELIVERED, &s->batch.oldest_delivered_ms);
  return rc ? rc : oldest(s, XH_DEAD, &s->batch.oldest_dead_ms);
}

int store_prune(store *s, operation *op)
{
  op_prune *prune = &op->u.prune;
  int delivered = 0, dead = 0;
  bool too_big = !prune->all_settled && prune->keep_bytes > 0 && s->totals.file_bytes > prune->keep_bytes;
  int64_t delivered_before = prune->all_settled ? prune->before_ms : too_big ? INT64_MAX : prune->delivered_before_ms;
  int rc = delete_before(s, XH_DELIVERED, delivered_before, STORE_PRUNE_STEP, &delivered);
  if (rc == 0)
    rc = delete_before(s, XH_DEAD, prune->all_settled ? prune->before_ms : prune->dead_before_ms, STORE_PRUNE_STEP, &dead);
  if (rc == 0)
    rc = xh_schema_error(sqlite3_exec(s->db, "PRAGMA incremental_vacuum(512)", NULL, NULL, NULL));
  if (rc == 0)
    rc = store_look_up_ages(s);
  prune->count += delivered + dead;
  op->unfinished = rc == 0 && (delivered == STORE_PRUNE_STEP || dead == STORE_PRUNE_STEP);
  return rc;
}
