/* What goes out again: deliveries read back to be sent. */
#include "base/err.h"
#include "outbox/schema.h"
#include "outbox/store.h"

#include <stdlib.h>

#define DELIVERY_COLUMNS                                                                                               \
  "SELECT d.id, d.hook_id, d.source_id, d.method, d.call_id, d.user_name, d.type, d.attempt_count, d.schedule_from_ms," \
  " d.next_attempt_ms, b.bytes FROM delivery d JOIN body b ON b.id = d.body_id"                                         \
  " WHERE d.state = 0 AND d.target_id = ?1 AND "

static xh_delivery *read_delivery(sqlite3_stmt *row, int64_t target_id)
{
  const char *bytes = sqlite3_column_blob(row, 10);
  xh_blob *body = xh_blob_new((xh_str){bytes ? bytes : "", (size_t)sqlite3_column_bytes(row, 10)});
  xh_delivery read = {.id = sqlite3_column_int64(row, 0),
                      .hook_id = sqlite3_column_int64(row, 1),
                      .target_id = target_id,
                      .source_id = sqlite3_column_int64(row, 2),
                      .body = body,
                      .method = (const char *)sqlite3_column_text(row, 3),
                      .call_id = (const char *)sqlite3_column_text(row, 4),
                      .user_name = (const char *)sqlite3_column_text(row, 5),
                      .type = (uint8_t)sqlite3_column_int(row, 6),
                      .attempt_count = (uint16_t)sqlite3_column_int(row, 7),
                      .accepted_ms = sqlite3_column_int64(row, 8),
                      .next_attempt_ms = sqlite3_column_int64(row, 9)};
  xh_delivery *d = body && read.method ? xh_delivery_copy(&read) : NULL;
  xh_blob_unref(body);
  return d;
}

int store_refill(store *s, op_refill *refill)
{
  const xh_refill *ask = &refill->ask;
  int rc = 0;
  sqlite3_stmt *row =
      ask->kind == XH_REFILL_FRESH
          ? store_statement(s, SLOT_FRESH, DELIVERY_COLUMNS "d.next_attempt_ms = 0 AND d.id > ?2 ORDER BY d.id LIMIT ?3", &rc)
          : store_statement(s, SLOT_DUE,
                            DELIVERY_COLUMNS "d.next_attempt_ms > 0 AND d.next_attempt_ms <= ?2"
                                             " ORDER BY d.next_attempt_ms, d.id LIMIT ?3",
                            &rc);
  if (!row)
    return rc;
  sqlite3_bind_int64(row, 1, ask->target_id);
  sqlite3_bind_int64(row, 2, ask->kind == XH_REFILL_FRESH ? ask->after_id : ask->due_ms);
  sqlite3_bind_int64(row, 3, (int64_t)ask->count_max + 1); /* one more tells whether there are more */
  size_t count = 0, bytes = 0;
  xh_delivery **end = &refill->list;
  int code;
  while ((code = sqlite3_step(row)) == SQLITE_ROW) {
    size_t len = (size_t)sqlite3_column_bytes(row, 10);
    if (count > 0 && (count >= ask->count_max || bytes + len > ask->bytes_max)) {
      refill->more = true;
      code = SQLITE_DONE;
      break;
    }
    *end = read_delivery(row, ask->target_id);
    if (!*end) {
      code = SQLITE_NOMEM;
      break;
    }
    end = &(*end)->next;
    count++;
    bytes += len;
  }
  sqlite3_reset(row);
  return xh_schema_error(code);
}

int store_next_due(store *s, op_next_due *ask)
{
  return store_read_int(s, SLOT_NEXT_DUE,
                        "SELECT coalesce(min(next_attempt_ms), 0) FROM delivery"
                        " WHERE state = 0 AND target_id = ?1 AND next_attempt_ms > 0",
                        ask->target_id, &ask->earliest_ms);
}
