/*
 * What comes and what changes. There is no subscription: twice a second the newer ones are asked for, page by page back to the last
 * number seen, so that no burst is too large; and those that are not delivered yet are asked for again by their ids, some in each turn.
 */
#include "base/err.h"
#include "cli/json_view.h"
#include "cli/log.h"

#include <stdlib.h>
#include <unistd.h>

enum { LOOK_MS = 500, PAGE_COUNT = 1000, PAGES_AGAIN = 2, FOLLOWED_MAX = 20000, STATUS_BYTES = 12 };

/* A delivery that was shown, or was there at the beginning, and is not delivered. */
typedef struct followed {
  int64_t id, attempts;
  char status[STATUS_BYTES];
  bool gone; /* delivered, or deleted: no longer followed */
} followed;

struct log_follower {
  log_options *o;
  followed *items; /* by id; the oldest is dropped when there are too many */
  size_t count;
  int64_t last;  /* the highest number seen */
  int64_t again; /* where asking again goes on */
  xh_buf params, page;
};

/* ---- one delivery ---- */

/* Its number: the last 16 digits of "msg_…" (xh_webhook_id). */
static int64_t number_of(xh_str delivery)
{
  char digits[17] = "";
  xh_str id = view_member(delivery, "id");
  if (id.len > 18)
    memcpy(digits, id.ptr + id.len - 17, 16);
  return (int64_t)strtoull(digits, NULL, 16);
}

/* Is its status one of --status? That is asked here: what changes from one that fits to another must be seen too. */
static bool status_fits(const log_options *o, xh_str delivery)
{
  const char *list = o->filter.status;
  xh_str status = view_member(delivery, "status");
  if (!list || status.len < 2)
    return true;
  for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
    if (xh_str_eq((xh_str){at, strcspn(at, ",")}, (xh_str){status.ptr + 1, status.len - 2}))
      return true;
  return false;
}

static void note(followed *item, xh_str delivery)
{
  xh_str status = view_member(delivery, "status");
  item->id = number_of(delivery);
  item->attempts = view_number(delivery, "attempts");
  snprintf(item->status, sizeof item->status, "%.*s", (int)status.len, status.ptr ? status.ptr : "");
  item->gone = view_equals(delivery, "status", "delivered");
}

/* Ids come in order. */
static void add(log_follower *f, xh_str delivery)
{
  if (view_equals(delivery, "status", "delivered"))
    return;
  if (f->count == FOLLOWED_MAX)
    memmove(f->items, f->items + 1, --f->count * sizeof *f->items);
  note(&f->items[f->count++], delivery);
}

static void drop_gone(log_follower *f)
{
  size_t kept = 0;
  for (size_t i = 0; i < f->count; i++)
    if (!f->items[i].gone)
      f->items[kept++] = f->items[i];
  f->count = kept;
}

/* ---- questions ---- */

/* `{"limit":…` is begun; the filters but --status are added. XH_E…, or an answer in f->page. */
static int ask(log_follower *f)
{
  filter_options filter = f->o->filter;
  filter.status = NULL;
  filter_put(&filter, &f->params, true);
  xh_buf_char(&f->params, '}');
  return reach_ask(&f->o->reach, "deliveries", xh_buf_span(&f->params), &f->page);
}

static int collect_page(log_follower *f, log_lines *lines)
{
  xh_json_iter it;
  xh_str one;
  if (xh_json_iter_init(&it, view_member(xh_buf_span(&f->page), "deliveries")))
    while (xh_json_next(&it, NULL, &one))
      if (!log_collect(lines, one))
        return XH_ENOMEM;
  return 0;
}

/* Newer than the last one seen: back from the newest. */
static int look_for_new(log_follower *f)
{
  log_lines lines = {0};
  int64_t before = 0;
  int rc;
  do {
    xh_buf_clear(&f->params);
    xh_buf_printf(&f->params, "{\"limit\":%d,\"after\":%lld", PAGE_COUNT, (long long)f->last);
    if (before)
      xh_buf_printf(&f->params, ",\"before\":%lld", (long long)before);
    rc = ask(f);
    if (rc == 0)
      rc = collect_page(f, &lines);
    before = rc == 0 ? view_number(xh_buf_span(&f->page), "next") : 0;
  } while (before > 0);
  for (int64_t i = lines.count - 1; i >= 0 && rc == 0; i--) {
    xh_str one = xh_str_z(lines.lines[i]);
    if (status_fits(f->o, one))
      log_print(f->o, one);
    add(f, one);
    f->last = number_of(one);
  }
  log_lines_done(&lines);
  return rc;
}

static void take_again(log_follower *f, size_t from, size_t to)
{
  xh_json_iter it;
  xh_str one;
  size_t at = from; /* the answer is in the order of the question; what is missing was deleted */
  if (!xh_json_iter_init(&it, view_member(xh_buf_span(&f->page), "deliveries")))
    return;
  while (xh_json_next(&it, NULL, &one)) {
    while (at < to && f->items[at].id != number_of(one))
      f->items[at++].gone = true;
    if (at == to)
      return;
    followed old = f->items[at];
    note(&f->items[at], one);
    if ((f->items[at].attempts != old.attempts || strcmp(f->items[at].status, old.status) != 0) && status_fits(f->o, one))
      log_print(f->o, one);
    at++;
  }
  while (at < to)
    f->items[at++].gone = true;
}

/* The next page of those that are followed, in turn. */
static int look_again(log_follower *f)
{
  size_t from = 0;
  while (from < f->count && f->items[from].id < f->again)
    from++;
  if (from == f->count)
    from = 0;
  size_t to = f->count - from > PAGE_COUNT ? from + PAGE_COUNT : f->count;
  if (from == to)
    return 0;
  f->again = f->items[to - 1].id + 1;
  xh_buf_clear(&f->params);
  xh_buf_z(&f->params, "{\"ids\":[");
  for (size_t i = from; i < to; i++)
    xh_buf_printf(&f->params, i > from ? ",%lld" : "%lld", (long long)f->items[i].id);
  xh_buf_char(&f->params, ']');
  int rc = ask(f);
  if (rc == 0)
    take_again(f, from, to);
  drop_gone(f);
  return rc;
}

static int look(log_follower *f)
{
  int rc = 0;
  for (size_t pages = 0; rc == 0 && pages < PAGES_AGAIN && pages * PAGE_COUNT < f->count; pages++)
    rc = look_again(f);
  if (rc == 0)
    rc = look_for_new(f);
  fflush(stdout);
  return rc;
}

/* ---- the beginning, the end, and what is between two programs ---- */

int log_follower_new(log_options *o, log_follower **ret_follower)
{
  log_follower *f = calloc(1, sizeof *f);
  if (!f || !(f->items = calloc(FOLLOWED_MAX, sizeof *f->items))) {
    free(f);
    return xh_fail(o->reach.command, XH_EXIT_UNAVAILABLE, "%s", xh_err_text(XH_ENOMEM));
  }
  f->o = o;
  xh_buf_init(&f->params, LOG_PARAMS_CAP_BYTES);
  xh_buf_init(&f->page, LOG_PAGE_CAP_BYTES);
  int status = reach_call(&o->reach, "deliveries", XH_STR("{\"limit\":1}"), &f->page);
  xh_json_iter it;
  xh_str one;
  if (status == XH_EXIT_OK && xh_json_iter_init(&it, view_member(xh_buf_span(&f->page), "deliveries")) && xh_json_next(&it, NULL, &one))
    f->last = number_of(one);
  xh_buf_printf(&f->params, "{\"limit\":%d,\"before\":%lld,\"status\":[\"queued\",\"sending\",\"waiting\",\"held\",\"dead\"]", PAGE_COUNT,
                (long long)f->last + 1);
  log_lines lines = {0};
  int rc = status == XH_EXIT_OK ? ask(f) : 0;
  if (status == XH_EXIT_OK && rc == 0)
    rc = collect_page(f, &lines);
  for (int64_t i = lines.count - 1; i >= 0 && rc == 0; i--)
    add(f, xh_str_z(lines.lines[i]));
  log_lines_done(&lines);
  if (rc)
    status = reach_fail(&o->reach, rc, &f->page);
  if (status) {
    log_follower_free(f);
    return status;
  }
  *ret_follower = f;
  return XH_EXIT_OK;
}

void log_follower_free(log_follower *f)
{
  if (!f)
    return;
  xh_buf_done(&f->params);
  xh_buf_done(&f->page);
  free(f->items);
  free(f);
}

int64_t log_follower_begin(const log_follower *f)
{
  return f->last + 1;
}

/* The program that was asked has ended: waits for the next one. */
static void wait_for_program(reach *r)
{
  xh_fail(r->command, 0, "the program is gone; waiting until it is back");
  while (!reach_again(r))
    usleep(LOOK_MS * 1000);
  xh_fail(r->command, 0, "the program is back");
}

int log_follow(log_follower *f)
{
  reach *r = &f->o->reach;
  while (!ferror(stdout)) {
    usleep(LOOK_MS * 1000);
    int rc = look(f);
    if (rc && r->client && rc != XH_EPROTOCOL && rc != XH_ENOMEM && rc != XH_ECAP)
      wait_for_program(r);
    else if (rc)
      return reach_fail(r, rc, &f->page);
  }
  return XH_EXIT_OK;
}
