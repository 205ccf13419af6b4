#include "report/query.h"

#include "base/err.h"
#include "base/json_scan.h"
#include "hooks/hooks.h"

#include <stdio.h>
#include <stdlib.h>

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

static bool copy_text(xh_str value, char *out, size_t size)
{
  xh_buf text;
  if (xh_json_typeof(value) != XH_JSON_STRING)
    return false;
  xh_buf_init(&text, size - 1);
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
  if (!copy_text(value, text, sizeof text))
    return false;
  for (unsigned i = 0; i < STATUS_COUNT; i++)
    if (strcmp(text, status_name((status)i)) == 0) {
      *statuses |= 1u << i;
      return true;
    }
  return false;
}

static int read_status(const reading *r, const char *name, xh_str value)
{
  xh_json_iter it;
  xh_str one;
  bool good = true;
  if (xh_json_typeof(value) == XH_JSON_ARRAY && xh_json_iter_init(&it, value))
    while (good && xh_json_next(&it, NULL, &one))
      good = add_status(one, &r->query->statuses);
  else
    good = add_status(value, &r->query->statuses);
  return good ? 0 : wrong(r, name, "queued, sending, waiting, held, delivered or dead, or a list of them");
}

static int read_text(const reading *r, const char *name, xh_str value, char out[QUERY_TEXT_SIZE])
{
  return copy_text(value, out, QUERY_TEXT_SIZE) ? 0 : wrong(r, name, "a text of up to 255 bytes");
}

static int read_moment(const reading *r, const char *name, xh_str value, int64_t *ret_ms)
{
  int64_t ms;
  if (!xh_json_i64(value, &ms) || ms < 0)
    return wrong(r, name, "a time in epoch milliseconds");
  *ret_ms = ms;
  return 0;
}

typedef int (*parameter_reader)(const reading *r, const char *name, xh_str value);

static int read_method(const reading *r, const char *name, xh_str value)
{
  return read_text(r, name, value, r->query->method);
}

/* A URL may be given as it is configured. */
static int read_hook(const reading *r, const char *name, xh_str value)
{
  query *q = r->query;
  if (!copy_text(value, q->hook, sizeof q->hook))
    return wrong(r, name, "a text of up to 8192 bytes");
  char *shown = xh_url_shown(q->hook);
  snprintf(q->hook_url, sizeof q->hook_url, "%s", shown ? shown : "");
  free(shown);
  return 0;
}

static int read_user(const reading *r, const char *name, xh_str value)
{
  return read_text(r, name, value, r->query->user);
}

static int read_source(const reading *r, const char *name, xh_str value)
{
  return read_text(r, name, value, r->query->source);
}

static int read_since(const reading *r, const char *name, xh_str value)
{
  return read_moment(r, name, value, &r->query->since_ms);
}

static int read_until(const reading *r, const char *name, xh_str value)
{
  return read_moment(r, name, value, &r->query->until_ms);
}

static int read_limit(const reading *r, const char *name, xh_str value)
{
  int64_t number;
  if (!xh_json_i64(value, &number) || number < 1 || number > QUERY_LIMIT_MAX)
    return wrong(r, name, "a number from 1 to 1000");
  r->query->limit = number;
  return 0;
}

static int read_before(const reading *r, const char *name, xh_str value)
{
  int64_t number;
  if (!xh_json_i64(value, &number) || number < 0)
    return wrong(r, name, "the \"next\" of the page before");
  r->query->before = number;
  return 0;
}

static int read_after(const reading *r, const char *name, xh_str value)
{
  int64_t number;
  if (!xh_json_i64(value, &number) || number < 0)
    return wrong(r, name, "a delivery's number");
  r->query->after = number;
  return 0;
}

/* false would mean everything but the dead ones, which is no retry. */
static int read_dead(const reading *r, const char *name, xh_str value)
{
  return xh_json_typeof(value) == XH_JSON_TRUE ? 0 : wrong(r, name, "true, or absent");
}

static int read_ids(const reading *r, const char *name, xh_str value)
{
  r->query->ids = value;
  return xh_json_typeof(value) == XH_JSON_ARRAY ? 0 : wrong(r, name, "a list of ids");
}

static const struct parameter {
  const char *name;
  parameter_reader read;
  unsigned calls;
} PARAMETERS[] = {
    {"status", read_status, QUERY_DELIVERIES},
    {"limit", read_limit, QUERY_DELIVERIES},
    {"before", read_before, QUERY_DELIVERIES},
    {"after", read_after, QUERY_DELIVERIES},
    {"method", read_method, QUERY_DELIVERIES | QUERY_RETRY},
    {"hook", read_hook, QUERY_DELIVERIES | QUERY_RETRY},
    {"user", read_user, QUERY_DELIVERIES | QUERY_RETRY},
    {"source", read_source, QUERY_DELIVERIES | QUERY_RETRY},
    {"since", read_since, QUERY_DELIVERIES | QUERY_RETRY},
    {"until", read_until, QUERY_DELIVERIES | QUERY_RETRY},
    {"dead", read_dead, QUERY_RETRY},
    {"ids", read_ids, QUERY_DELIVERIES | QUERY_RETRY},
};

static int read_one(const reading *r, query_call call, xh_str key, xh_str value)
{
  for (size_t i = 0; i < sizeof PARAMETERS / sizeof *PARAMETERS; i++) {
    const struct parameter *p = &PARAMETERS[i];
    if (!(p->calls & call) || !xh_json_key_eq(key, xh_str_z(p->name)))
      continue;
    r->query->selects = r->query->selects || p->read != read_ids;
    return p->read(r, p->name, value);
  }
  snprintf(r->why, r->why_size, "there is no parameter \"%.*s\"", (int)(key.len < 40 ? key.len : 40), key.ptr);
  return XH_EINVAL;
}

int query_read(query_call call, xh_str params, query *ret_query, char *why, size_t why_size)
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
      rc = read_one(&r, call, key, value);
  if (rc == 0)
    *ret_query = q;
  return rc;
}
