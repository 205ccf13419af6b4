#include "report/query.h"

#include "base/err.h"
#include "base/json_scan.h"

#include <stdio.h>

const char *status_name(status s)
{
  static const char *const names[STATUS_COUNT] = {"queued", "sending", "waiting", "held", "delivered", "dead"};
  return (unsigned)s < STATUS_COUNT ? names[s] : "unknown";
}

typedef struct reading {
  query *query;
  char *why;
  size_t why_size;
} reading;

static int wrong(const reading *r, const char *name, const char *expected)
{
  snprintf(r->why, r->why_size, "parameter \"%s\" must be %s", name, expected);
  return XH_EINVAL;
}

static bool copy_text(xh_str value, char out[QUERY_TEXT_SIZE])
{
  xh_buf text;
  if (xh_json_typeof(value) != XH_JSON_STRING)
    return false;
  xh_buf_init(&text, QUERY_TEXT_SIZE - 1);
  bool fits = xh_json_decode(value, &text) == 0;
  if (fits) {
    memcpy(out, text.ptr ? text.ptr : "", text.len);
    out[text.len] = '\0';
  }
  xh_buf_done(&text);
  return fits;
}

static bool add_status(xh_str value, unsigned *statuses)
{
  char text[QUERY_TEXT_SIZE];
  if (!copy_text(value, text))
    return false;
  for (unsigned i = 0; i < STATUS_COUNT; i++)
    if (strcmp(text, status_name((status)i)) == 0) {
      *statuses |= 1u << i;
      return true;
    }
  return false;
}

static int read_status(const reading *r, xh_str value)
{
  xh_json_iter it;
  xh_str one;
  bool good = true;
  if (xh_json_typeof(value) == XH_JSON_ARRAY && xh_json_iter_init(&it, value))
    while (good && xh_json_next(&it, NULL, &one))
      good = add_status(one, &r->query->statuses);
  else
    good = add_status(value, &r->query->statuses);
  return good ? 0 : wrong(r, "status", "queued, sending, waiting, held, delivered or dead, or a list of them");
}

static int read_text(const reading *r, const char *name, xh_str value, char out[QUERY_TEXT_SIZE])
{
  return copy_text(value, out) ? 0 : wrong(r, name, "a text of up to 255 bytes");
}

static int read_moment(const reading *r, const char *name, xh_str value, int64_t *ret_ms)
{
  int64_t ms;
  if (!xh_json_i64(value, &ms) || ms < 0)
    return wrong(r, name, "a time in epoch milliseconds");
  *ret_ms = ms;
  return 0;
}

static int read_one(const reading *r, xh_str key, xh_str value)
{
  query *q = r->query;
  int64_t number = 0;
  q->filtered = q->filtered || !xh_json_key_eq(key, XH_STR("limit"));
  if (xh_json_key_eq(key, XH_STR("status")))
    return read_status(r, value);
  if (xh_json_key_eq(key, XH_STR("method")))
    return read_text(r, "method", value, q->method);
  if (xh_json_key_eq(key, XH_STR("hook")))
    return read_text(r, "hook", value, q->hook);
  if (xh_json_key_eq(key, XH_STR("user")))
    return read_text(r, "user", value, q->user);
  if (xh_json_key_eq(key, XH_STR("source")))
    return read_text(r, "source", value, q->source);
  if (xh_json_key_eq(key, XH_STR("since")))
    return read_moment(r, "since", value, &q->since_ms);
  if (xh_json_key_eq(key, XH_STR("until")))
    return read_moment(r, "until", value, &q->until_ms);
  if (xh_json_key_eq(key, XH_STR("limit"))) {
    if (!xh_json_i64(value, &number) || number < 1 || number > QUERY_LIMIT_MAX)
      return wrong(r, "limit", "a number from 1 to 1000");
    q->limit = number;
    return 0;
  }
  if (xh_json_key_eq(key, XH_STR("before"))) {
    if (!xh_json_i64(value, &number) || number < 0)
      return wrong(r, "before", "the \"next\" of the page before");
    q->before = number;
    return 0;
  }
  if (xh_json_key_eq(key, XH_STR("dead"))) {
    q->dead = xh_json_typeof(value) == XH_JSON_TRUE;
    return q->dead || xh_json_typeof(value) == XH_JSON_FALSE ? 0 : wrong(r, "dead", "true or false");
  }
  if (xh_json_key_eq(key, XH_STR("ids"))) {
    q->ids = value;
    return xh_json_typeof(value) == XH_JSON_ARRAY ? 0 : wrong(r, "ids", "a list of ids");
  }
  snprintf(r->why, r->why_size, "there is no parameter \"%.*s\"", (int)(key.len < 40 ? key.len : 40), key.ptr);
  return XH_EINVAL;
}

int query_read(xh_str params, query *ret_query, char *why, size_t why_size)
{
  query q = {.limit = QUERY_LIMIT_DEFAULT, .before = INT64_MAX};
  reading r = {.query = &q, .why = why, .why_size = why_size};
  xh_json_iter it;
  xh_str key, value;
  int rc = 0;
  if (xh_json_validate(params, NULL) != 0 || xh_json_typeof(params) != XH_JSON_OBJECT || !xh_json_iter_init(&it, params)) {
    snprintf(why, why_size, "the parameters must be a JSON object");
    return XH_EINVAL;
  }
  while (rc == 0 && xh_json_next(&it, &key, &value))
    if (xh_json_typeof(value) != XH_JSON_NULL)
      rc = read_one(&r, key, value);
  if (rc == 0)
    *ret_query = q;
  return rc;
}
