/* Shared by the report's files: report.c (the connection), list.c (many), detail.c (one), request.c (what that one sends). */
#ifndef XH_REPORT_REPORT_INTERNAL_H
#define XH_REPORT_REPORT_INTERNAL_H

#include "report/query.h"
#include "report/report.h"

#include <sqlite3.h>
#include <sys/types.h>

struct xh_report {
  char *folder;
  sqlite3 *db;
  dev_t device; /* of the database: when another one is in its place, that is opened */
  ino_t inode;
  char instance[17];
  sqlite3_stmt *list, *one, *attempts;
};

/* The database as it is now. */
int report_refresh(xh_report *report);

/* The columns that report_put_common and the filters read, and where from. */
#define REPORT_COLUMNS                                                                                                       \
  "SELECT d.id, s.name, h.label, h.url_shown, h.config, d.method, d.type, d.call_id, d.user_name, d.state, d.attempt_count," \
  " d.accepted_ms, d.next_attempt_ms, d.settled_ms, d.reason, t.held_since_ms, e.bytes,"                                     \
  " (SELECT a.http_status FROM attempt a WHERE a.delivery_id = d.id ORDER BY a.n DESC LIMIT 1),"                             \
  " (SELECT a.words FROM attempt a WHERE a.delivery_id = d.id ORDER BY a.n DESC LIMIT 1), b.bytes"                           \
  " FROM delivery d LEFT JOIN source s ON s.id = d.source_id LEFT JOIN hook h ON h.id = d.hook_id"                           \
  " LEFT JOIN target t ON t.id = d.target_id LEFT JOIN body e ON e.id = d.event_id LEFT JOIN body b ON b.id = d.body_id"

enum report_column {
  COL_ID, COL_SOURCE, COL_LABEL, COL_URL, COL_CONFIG, COL_METHOD, COL_TYPE, COL_CALL_ID, COL_USER, COL_STATE, COL_ATTEMPTS,
  COL_ACCEPTED, COL_NEXT, COL_SETTLED, COL_REASON, COL_HELD, COL_EVENT, COL_LAST_STATUS, COL_LAST_WORDS, COL_BODY
};

/* A text column as a span; an absent one is empty. */
xh_str report_text(sqlite3_stmt *row, int column);

/* The number that an id of the parameters means, "msg_…" or a number. XH_EINVAL, or XH_ENOENT when it is of another outbox, with `why`. */
int report_read_id(const xh_report *report, xh_str value, int64_t *ret_id, char *why, size_t why_size);

/* Says why the id is no good (XH_EINVAL) or not there (XH_ENOENT); returns `rc`. */
int report_refuse_id(int rc, xh_str value, char *why, size_t why_size);

status report_status(sqlite3_stmt *row, const xh_report_live *live);

/* `"id":…` up to `"lastError":…`, without the braces. In a detail, "attempts" are the attempts, and their number is "attemptCount". */
void report_put_common(const xh_report *report, sqlite3_stmt *row, const xh_report_live *live, bool detail, xh_buf *out);

/* `,"contentType":…,"headers":[…],"request":{…}`: what a delivery sends beside its body, secrets hidden. */
void report_put_request(const xh_report *report, sqlite3_stmt *row, xh_buf *out);

#endif
