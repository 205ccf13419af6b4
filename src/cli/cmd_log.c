/* xo-hooks log: the deliveries, and what became of them. */
#include "base/clock.h"
#include "base/err.h"
#include "cli/json_view.h"
#include "cli/log.h"

#include <getopt.h>
#include <stdlib.h>

enum { PAGE_COUNT = 500 };

/* ---- one line ---- */

static xh_colour status_colour(xh_str delivery)
{
  if (view_equals(delivery, "status", "delivered"))
    return XH_GREEN;
  if (view_equals(delivery, "status", "dead"))
    return XH_RED;
  return view_equals(delivery, "status", "held") || view_equals(delivery, "status", "waiting") ? XH_YELLOW : XH_BLUE;
}

static void put_outcome(xh_str delivery)
{
  int64_t attempts = view_number(delivery, "attempts"), next_ms = view_number(delivery, "nextAttemptAt");
  if (attempts > 1)
    printf("  %lld attempts", (long long)attempts);
  if (view_member(delivery, "lastError").len > 4) {
    fputs("  ", stdout);
    view_put(stdout, view_member(delivery, "lastError"), 120);
  } else if (view_number(delivery, "lastStatus")) {
    printf("  %lld", (long long)view_number(delivery, "lastStatus"));
  }
  if (next_ms > xh_wall_ms()) {
    char in[48];
    xh_duration_text(next_ms - xh_wall_ms(), in, sizeof in);
    printf("  next in %s", in);
  }
}

void log_print(const log_options *o, xh_str delivery)
{
  char when[40];
  if (o->json) {
    printf("%.*s\n", (int)delivery.len, delivery.ptr);
    return;
  }
  xh_str status = view_member(delivery, "status");
  view_time(view_number(delivery, "acceptedAt"), when, sizeof when);
  printf("%s%s%s  %s%-9.*s%s  ", xh_colour_code(stdout, XH_DIM), when, xh_colour_code(stdout, XH_PLAIN),
         xh_colour_code(stdout, status_colour(delivery)), (int)(status.len - 2), status.ptr + 1, xh_colour_code(stdout, XH_PLAIN));
  view_put(stdout, view_member(delivery, "id"), 40);
  fputs("  ", stdout);
  view_put(stdout, view_member(delivery, "method"), 60);
  fputs(view_equals(delivery, "type", "pre") ? " pre   " : " post  ", stdout);
  view_put(stdout, view_member(delivery, "userName"), 60);
  fputs(" → ", stdout);
  view_put(stdout, view_member(delivery, "hook"), 100);
  put_outcome(delivery);
  putchar('\n');
}

/* ---- pages ---- */

bool log_collect(log_lines *c, xh_str delivery)
{
  if (c->count == c->room) {
    int64_t room = c->room ? c->room * 2 : 64;
    char **lines = realloc(c->lines, (size_t)room * sizeof(*lines));
    if (!lines)
      return false;
    c->lines = lines;
    c->room = room;
  }
  c->lines[c->count] = strndup(delivery.ptr, delivery.len);
  return c->lines[c->count++] != NULL;
}

void log_lines_done(log_lines *c)
{
  for (int64_t i = 0; i < c->count; i++)
    free(c->lines[i]);
  free(c->lines);
}

static int ask_page(log_options *o, int64_t before, int64_t count, xh_buf *page)
{
  xh_buf params;
  xh_buf_init(&params, LOG_PARAMS_CAP_BYTES);
  xh_buf_printf(&params, "{\"limit\":%lld", (long long)count);
  if (before)
    xh_buf_printf(&params, ",\"before\":%lld", (long long)before);
  filter_put(&o->filter, &params, true);
  xh_buf_char(&params, '}');
  int status = reach_call(&o->reach, "deliveries", xh_buf_span(&params), page);
  xh_buf_done(&params);
  return status;
}

/* The newest `limit` of those below `before` (0: all), the newest first. */
static int collect_all(log_options *o, int64_t before, log_lines *c)
{
  int status = XH_EXIT_OK;
  xh_buf page;
  xh_buf_init(&page, LOG_PAGE_CAP_BYTES);
  do {
    int64_t left = o->limit - c->count;
    status = ask_page(o, before, left < PAGE_COUNT ? left : PAGE_COUNT, &page);
    xh_json_iter it;
    xh_str one;
    if (status == XH_EXIT_OK && xh_json_iter_init(&it, view_member(xh_buf_span(&page), "deliveries")))
      while (xh_json_next(&it, NULL, &one))
        if (!log_collect(c, one))
          status = xh_fail(&xh_cmd_log, XH_EXIT_UNAVAILABLE, "%s", xh_err_text(XH_ENOMEM));
    before = view_number(xh_buf_span(&page), "next");
  } while (status == XH_EXIT_OK && before > 0 && c->count < o->limit);
  xh_buf_done(&page);
  return status;
}

static int parse(int argc, char **argv, log_options *o)
{
  static const struct option options[] = {REACH_OPTIONS,
                                          FILTER_OPTIONS,
                                          {"status", required_argument, NULL, 't'},
                                          {"limit", required_argument, NULL, 'n'},
                                          {"follow", no_argument, NULL, 'f'},
                                          {"json", no_argument, NULL, 'j'},
                                          {NULL, 0, NULL, 0}};
  int option;
  optind = 1;
  while ((option = getopt_long(argc, argv, "d:s:m:H:u:S:t:n:fj", options, NULL)) != -1) {
    char *end = NULL;
    int taken = reach_take_option(&o->reach, option, optarg) ? 1 : filter_take(&o->filter, &xh_cmd_log, option, optarg);
    if (taken < 0)
      return XH_EXIT_USAGE;
    if (taken > 0)
      continue;
    switch (option) {
    case 't':
      o->filter.status = optarg;
      break;
    case 'n':
      o->limit = strtoll(optarg, &end, 10);
      if (*end || end == optarg || o->limit < 1)
        return xh_usage_error(&xh_cmd_log, "--limit %s: must be a number from 1 up", optarg);
      break;
    case 'f':
      o->follow = true;
      break;
    case 'j':
      o->json = true;
      break;
    default:
      fputs("Try 'xo-hooks log --help'.\n", stderr);
      return XH_EXIT_USAGE;
    }
  }
  if (optind < argc)
    return xh_usage_error(&xh_cmd_log, "unexpected argument: %s", argv[optind]);
  return XH_EXIT_OK;
}

static int run(int argc, char **argv)
{
  log_options o = {.reach = {.command = &xh_cmd_log}, .limit = 50};
  log_lines c = {0};
  log_follower *follower = NULL;
  int status = parse(argc, argv, &o);
  if (status == XH_EXIT_OK)
    status = reach_open(&o.reach);
  if (status == XH_EXIT_OK && o.follow)
    status = log_follower_new(&o, &follower);
  if (status == XH_EXIT_OK)
    status = collect_all(&o, follower ? log_follower_begin(follower) : 0, &c);
  for (int64_t i = c.count - 1; i >= 0 && status == XH_EXIT_OK; i--)
    log_print(&o, xh_str_z(c.lines[i]));
  log_lines_done(&c);
  fflush(stdout);
  if (status == XH_EXIT_OK && follower)
    status = log_follow(follower);
  log_follower_free(follower);
  reach_close(&o.reach);
  return status;
}

const xh_command xh_cmd_log = {
    .name = "log",
    .summary = "list deliveries and what became of them",
    .help = "Usage: xo-hooks log [OPTION]…\n"
            "\n"
            "Lists deliveries, the newest last. Works while serve runs, and without it from the data folder.\n"
            "\n"
            "  -t, --status LIST   queued, sending, waiting, held, delivered, dead; several with commas\n" FILTER_HELP
            "  -n, --limit N       the newest N (50)\n"
            "  -f, --follow        go on with what comes and what changes, until interrupted; of what was there before,\n"
            "                      the newest 1,000 that are not delivered. Waits for a program that is gone to come back\n"
            "  -j, --json          one JSON object a line\n" REACH_HELP "\n"
            "Examples:\n"
            "  xo-hooks log --status dead --since 2h\n"
            "  xo-hooks log --method 'vm.*' --user admin@admin.net -n 200\n"
            "  xo-hooks log --follow --json | jq .lastError\n"
            "\n"
            "Exit status: 0 done; 1 the filters were refused; 2 wrong usage; 3 no outbox there.\n",
    .run = run,
};
