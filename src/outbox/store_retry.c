/* What an operator sends again, and the clock's jumps. */
#include "base/err.h"
#include "outbox/schema.h"
#include "outbox/store.h"

#include <stdlib.h>

static int note_target(op_retry *retry, int64_t target_id, bool revived)
{
  retry_progress *at = &retry->at;
  for (size_t i = retry->committed.target_count; i < at->target_count; i++)
    if (retry->targets[i].target_id == target_id) {
      retry->targets[i].revived_count += revived;
      return 0;
    }
  if (at->target_count == retry->target_room) {
    size_t room = retry->target_room ? retry->target_room * 2 : 16;
    xh_retried *targets = realloc(retry->targets, room * sizeof *targets);
    if (!targets)
      return XH_ENOMEM;
    retry->targets = targets;
    retry->target_room = room;
  }
  retry->targets[at->target_count++] = (xh_retried){.target_id = target_id, .revived_count = revived};
  return 0;
}

/* A delivery that the retry means. Dead: waiting again with a fresh schedule, its hook started again. Pending: due now; what was never
 * tried is that anyhow and keeps its turn. */
static int revive(store *s, op_retry *retry, sqlite3_stmt *found)
{
  int64_t id = sqlite3_column_int64(found, 0);
  int64_t hook_id = sqlite3_column_int64(found, 1);
  int64_t target_id = sqlite3_column_int64(found, 2);
  int state = sqlite3_column_int(found, 3);
  int rc = 0;
  if (state == XH_DELIVERED)
    return 0;
  sqlite3_stmt *statement = store_statement(s, SLOT_REVIVE,
                                            "UPDATE delivery SET state = 0, attempt_count = 0, schedule_from_ms = ?2,"
                                            " next_attempt_ms = CASE WHEN state = 0 AND next_attempt_ms = 0 THEN 0 ELSE ?2 END,"
                                            " settled_ms = 0, reason = NULL WHERE id = ?1",
                                            &rc);
  if (!statement)
    return rc;
  sqlite3_bind_int64(statement, 1, id);
  sqlite3_bind_int64(statement, 2, retry->now_ms);
  rc = store_step(statement);
  if (rc == 0 && state == XH_DEAD) {
    s->batch.dead_now--;
    rc = store_count_target(s, target_id, hook_id, 1);
  }
  if (rc == 0 && (statement = store_statement(s, SLOT_RESTART, "UPDATE hook SET stopped_ms = 0 WHERE id = ?1 AND stopped_ms > 0",
                                              &rc)) != NULL) {
    sqlite3_bind_int64(statement, 1, hook_id);
    rc = store_step(statement);
    if (rc == 0 && sqlite3_changes(s->db) > 0)
      rc = id_list_add(&retry->hooks, hook_id);
  }
  if (rc == 0)
    rc = note_target(retry, target_id, state == XH_DEAD);
  retry->at.count++;
  return rc;
}

static int retry_ids(store *s, operation *op)
{
  op_retry *retry = &op->u.retry;
  size_t end = retry->at.next_index + STORE_RETRY_STEP;
  int rc = 0;
  if (end > retry->filter.id_count)
    end = retry->filter.id_count;
  for (size_t i = retry->at.next_index; i < end && rc == 0; i++) {
    sqlite3_stmt *found =
        store_statement(s, SLOT_PICK_ID,
                        "SELECT id, hook_id, target_id, state FROM delivery WHERE id = ?1 AND (?2 = 0 OR source_id = ?2)", &rc);
    if (!found)
      return rc;
    sqlite3_bind_int64(found, 1, retry->ids[i]);
    sqlite3_bind_int64(found, 2, retry->filter.source_id);
    int code = sqlite3_step(found);
    rc = code == SQLITE_ROW ? revive(s, retry, found) : xh_schema_error(code);
    sqlite3_reset(found);
  }
  retry->at.next_index = end;
  op->unfinished = rc == 0 && end < retry->filter.id_count;
  return rc;
}

static int retry_dead(store *s, operation *op)
{
  op_retry *retry = &op->u.retry;
  int rc = 0;
  sqlite3_stmt *found = store_statement(s, SLOT_PICK_DEAD,
                                        "SELECT id, hook_id, target_id, state FROM delivery WHERE state = 2 AND state > 0"
                                        " AND id > ?1 AND (?2 = 0 OR hook_id = ?2) AND (?3 = 0 OR source_id = ?3)"
                                        " AND accepted_ms >= ?4 AND (?5 = 0 OR accepted_ms <= ?5) ORDER BY id LIMIT ?6",
                                        &rc);
  if (!found)
    return rc;
  sqlite3_bind_int64(found, 1, retry->at.after_id);
  sqlite3_bind_int64(found, 2, retry->filter.hook_id);
  sqlite3_bind_int64(found, 3, retry->filter.source_id);
  sqlite3_bind_int64(found, 4, retry->filter.since_ms);
  sqlite3_bind_int64(found, 5, retry->filter.until_ms);
  sqlite3_bind_int(found, 6, STORE_RETRY_STEP);
  int code, rows = 0;
  while (rc == 0 && (code = sqlite3_step(found)) == SQLITE_ROW) {
    retry->at.after_id = sqlite3_column_int64(found, 0);
    rc = revive(s, retry, found);
    rows++;
  }
  if (rc == 0)
    rc = xh_schema_error(code);
  sqlite3_reset(found);
  op->unfinished = rc == 0 && rows == STORE_RETRY_STEP;
  return rc;
}

int store_retry(store *s, operation *op)
{
  op->u.retry.committed = op->u.retry.at;
  return op->u.retry.ids ? retry_ids(s, op) : retry_dead(s, op);
}

int store_shift(store *s, int64_t shift_ms)
{
  int rc = 0;
  sqlite3_stmt *statement = store_statement(s, SLOT_SHIFT,
                                            "UPDATE delivery SET schedule_from_ms = schedule_from_ms + ?1, next_attempt_ms ="
                                            " CASE WHEN next_attempt_ms > 1 THEN max(1, next_attempt_ms + ?1)"
                                            " ELSE next_attempt_ms END WHERE state = 0",
                                            &rc);
  if (!statement)
    return rc;
  sqlite3_bind_int64(statement, 1, shift_ms);
  s->meta_moved = true; /* the time that goes with these rows */
  return store_step(statement);
}
