/* Many deliveries: pages of a list, and which of them a retry means. */
#include "base/err.h"
#include "base/event.h"
#include "hooks/hooks.h"
#include "outbox/outbox.h"
#include "outbox/schema.h"
#include "report/report_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* A page looks at no more rows than this, however few of them fit; `next` then goes on where it stopped. */
enum { ROWS_A_PAGE = 100000, RETRY_IDS_MAX = 10 * 1000 * 1000 };

/* The name as stored, or the id as the event has it. */
static bool user_fits(const char *user, sqlite3_stmt *row)
{
  xh_event event;
  xh_buf id;
  if (xh_str_eqz(report_text(row, COL_USER), user))
    return true;
  xh_str text = report_text(row, COL_EVENT);
  if (text.len == 0 || xh_event_from_valid(text, &event, NULL) != 0 || !event.user_id.ptr ||
      xh_json_typeof(event.user_id) != XH_JSON_STRING)
    return false;
  xh_buf_init(&id, 4096);
  bool fits = xh_json_decode(event.user_id, &id) == 0 && xh_str_eqz(xh_buf_span(&id), user);
  xh_buf_done(&id);
  return fits;
}

static bool hook_fits(const query *q, sqlite3_stmt *row)
{
  xh_str url = report_text(row, COL_URL);
  return xh_str_eqz(report_text(row, COL_LABEL), q->hook) || xh_str_eqz(url, q->hook) || (*q->hook_url && xh_str_eqz(url, q->hook_url));
}

static bool fits(const query *q, xh_str scope, sqlite3_stmt *row, const xh_report_live *live)
{
  int64_t accepted_ms = sqlite3_column_int64(row, COL_ACCEPTED);
  if (scope.len > 0 && !xh_str_eq(scope, report_text(row, COL_SOURCE)))
    return false;
  if (*q->source && !xh_str_eqz(report_text(row, COL_SOURCE), q->source))
    return false;
  if (accepted_ms < q->since_ms || (q->until_ms && accepted_ms > q->until_ms))
    return false;
  if (*q->method && !xh_method_fits(xh_str_z(q->method), report_text(row, COL_METHOD)))
    return false;
  if (*q->hook && !hook_fits(q, row))
    return false;
  if (q->statuses && !(q->statuses & (1u << report_status(row, live))))
    return false;
  return !*q->user || user_fits(q->user, row);
}

typedef struct page {
  xh_report *report;
  const query *q;
  xh_str scope;
  const xh_report_live *live;
  xh_buf *out;
  int64_t shown, next; /* next: 0 at the end */
} page;

static void put_one(page *p, sqlite3_stmt *row)
{
  if (!fits(p->q, p->scope, row, p->live))
    return;
  xh_buf_z(p->out, p->shown++ ? ",{" : "{");
  report_put_common(p->report, row, p->live, false, p->out);
  xh_buf_char(p->out, '}');
}

/* The newest first. */
static int put_newest(page *p)
{
  int code = SQLITE_DONE;
  int64_t looked = 0, last = 0;
  sqlite3_stmt *row = p->report->list;
  sqlite3_bind_int64(row, 1, p->q->before);
  while (p->shown < p->q->limit && looked < ROWS_A_PAGE && (code = sqlite3_step(row)) == SQLITE_ROW) {
    int64_t id = sqlite3_column_int64(row, COL_ID);
    if (id <= p->q->after) {
      code = SQLITE_DONE;
      break;
    }
    last = id;
    looked++;
    put_one(p, row);
  }
  sqlite3_reset(row);
  if (code == SQLITE_ROW && (p->shown == p->q->limit || looked == ROWS_A_PAGE))
    p->next = last;
  return code;
}

/* Those that are named, in that order; what is no longer there is left out. */
static int put_named(page *p, char *why, size_t why_size)
{
  xh_json_iter it;
  xh_str value;
  int code = SQLITE_DONE;
  sqlite3_stmt *row = p->report->one;
  xh_json_iter_init(&it, p->q->ids);
  while ((code == SQLITE_ROW || code == SQLITE_DONE) && p->shown < QUERY_LIMIT_MAX && xh_json_next(&it, NULL, &value)) {
    int64_t id;
    int rc = report_read_id(p->report, value, &id, why, why_size);
    if (rc == XH_ENOENT)
      continue;
    if (rc)
      return rc;
    sqlite3_bind_int64(row, 1, id);
    code = sqlite3_step(row);
    if (code == SQLITE_ROW)
      put_one(p, row);
    sqlite3_reset(row);
  }
  *why = '\0';
  return xh_schema_error(code);
}

int xh_report_deliveries(xh_report *report, xh_str params, xh_str source, const xh_report_live *live, xh_buf *out, char *why,
                         size_t why_size)
{
  query q;
  int rc = query_read(QUERY_DELIVERIES, params, &q, why, why_size);
  if (rc == 0)
    rc = report_refresh(report);
  if (rc)
    return rc;
  page p = {.report = report, .q = &q, .scope = source, .live = live, .out = out};
  xh_buf_z(out, "{\"deliveries\":[");
  rc = q.ids.ptr ? put_named(&p, why, why_size) : xh_schema_error(put_newest(&p));
  xh_buf_z(out, "],\"next\":");
  if (p.next)
    xh_buf_i64(out, p.next);
  else
    xh_buf_z(out, "null");
  xh_buf_char(out, '}');
  return rc ? rc : xh_buf_error(out);
}

/* ---- retry ---- */

typedef struct ids {
  int64_t *items;
  size_t count, room;
} ids;

static int add_id(ids *list, int64_t id)
{
  if (list->count == list->room) {
    size_t room = list->room ? list->room * 2 : 64;
    int64_t *items = realloc(list->items, room * sizeof *items);
    if (!items)
      return XH_ENOMEM;
    list->items = items;
    list->room = room;
  }
  list->items[list->count++] = id;
  return 0;
}

static bool is_there(xh_report *report, int64_t id, xh_str scope)
{
  sqlite3_stmt *row = report->one;
  sqlite3_bind_int64(row, 1, id);
  bool found = sqlite3_step(row) == SQLITE_ROW && (scope.len == 0 || xh_str_eq(scope, report_text(row, COL_SOURCE)));
  sqlite3_reset(row);
  return found;
}

static int named_ids(xh_report *report, const query *q, xh_str scope, ids *list, char *why, size_t why_size)
{
  xh_json_iter it;
  xh_str value;
  int rc = 0;
  xh_json_iter_init(&it, q->ids);
  while (rc == 0 && xh_json_next(&it, NULL, &value)) {
    int64_t id;
    rc = report_read_id(report, value, &id, why, why_size);
    if (rc == 0 && !is_there(report, id, scope))
      rc = report_refuse_id(XH_ENOENT, value, why, why_size);
    if (rc == 0)
      rc = add_id(list, id);
  }
  return rc;
}

static int dead_ids(xh_report *report, query *q, xh_str scope, ids *list)
{
  int rc = 0, code = SQLITE_DONE;
  sqlite3_stmt *row;
  q->statuses = 1u << STATUS_DEAD;
  code = sqlite3_prepare_v2(report->db, REPORT_COLUMNS " WHERE d.state = 2 AND d.state > 0", -1, &row, NULL);
  if (code != SQLITE_OK)
    return xh_schema_error(code);
  while (rc == 0 && list->count < RETRY_IDS_MAX && (code = sqlite3_step(row)) == SQLITE_ROW)
    if (fits(q, scope, row, NULL))
      rc = add_id(list, sqlite3_column_int64(row, COL_ID));
  sqlite3_finalize(row);
  return rc ? rc : xh_schema_error(code);
}

int xh_report_retry_ids(xh_report *report, xh_str params, xh_str source, int64_t **ret_ids, size_t *ret_count, char *why,
                        size_t why_size)
{
  query q;
  ids list = {0};
  int rc = query_read(QUERY_RETRY, params, &q, why, why_size);
  if (rc == 0)
    rc = report_refresh(report);
  if (rc)
    return rc;
  if (q.ids.ptr ? q.selects : !q.selects) {
    snprintf(why, why_size, q.ids.ptr ? "give \"ids\", or say which dead deliveries; not both"
                                      : "give \"ids\", or \"dead\": true for all dead deliveries, or a filter (hook, method, user, source, "
                                        "since, until)");
    rc = XH_EINVAL;
  } else if (q.ids.ptr) {
    rc = named_ids(report, &q, source, &list, why, why_size);
  } else {
    rc = dead_ids(report, &q, source, &list);
  }
  if (rc == 0 && !list.items && !(list.items = malloc(sizeof *list.items)))
    rc = XH_ENOMEM;
  if (rc) {
    free(list.items);
    return rc;
  }
  *ret_ids = list.items;
  *ret_count = list.count;
  return 0;
}
