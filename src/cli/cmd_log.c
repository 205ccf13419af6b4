/* xo-hooks log: the deliveries, and what became of them. */
#include "base/clock.h"
#include "base/err.h"
#include "base/map.h"
#include "cli/command.h"
#include "cli/filter_options.h"
#include "cli/json_view.h"
#include "cli/reach.h"

#include <getopt.h>
#include <stdlib.h>
#include <unistd.h>

enum { PARAMS_CAP_BYTES = 64 * 1024, PAGE_CAP_BYTES = 64 * 1024 * 1024, PAGE_COUNT = 500, FOLLOW_MS = 500, FOLLOWED = 1000 };

typedef struct log_options {
  reach reach;
  filter_options filter;
  int64_t limit;
  bool json, follow;
} log_options;

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

static void print_line(const log_options *o, xh_str delivery)
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

static int ask_page(log_options *o, int64_t before, int64_t count, xh_buf *page)
{
  xh_buf params;
  xh_buf_init(&params, PARAMS_CAP_BYTES);
  xh_buf_printf(&params, "{\"limit\":%lld", (long long)count);
  if (before)
    xh_buf_printf(&params, ",\"before\":%lld", (long long)before);
  filter_put(&o->filter, &params, true);
  xh_buf_char(&params, '}');
  int status = reach_call(&o->reach, "deliveries", xh_buf_span(&params), page);
  xh_buf_done(&params);
  return status;
}

/* The newest `limit`, printed with the newest last, as a log reads. */
typedef struct collected {
  char **lines;
  int64_t count, room;
} collected;

static bool collect(collected *c, xh_str delivery)
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

static int collect_all(log_options *o, collected *c)
{
  int64_t before = 0;
  int status = XH_EXIT_OK;
  xh_buf page;
  xh_buf_init(&page, PAGE_CAP_BYTES);
  do {
    int64_t left = o->limit - c->count;
    status = ask_page(o, before, left < PAGE_COUNT ? left : PAGE_COUNT, &page);
    xh_json_iter it;
    xh_str one;
    if (status == XH_EXIT_OK && xh_json_iter_init(&it, view_member(xh_buf_span(&page), "deliveries")))
      while (xh_json_next(&it, NULL, &one))
        if (!collect(c, one))
          status = xh_fail(&xh_cmd_log, XH_EXIT_UNAVAILABLE, "%s", xh_err_text(XH_ENOMEM));
    before = view_number(xh_buf_span(&page), "next");
  } while (status == XH_EXIT_OK && before > 0 && c->count < o->limit);
  xh_buf_done(&page);
  return status;
}

/* ---- follow ---- */

/* Prints what is new or has changed since the last look. What was seen is remembered by id, with its status and attempts. */
static int look_again(log_options *o, xh_map *seen, bool print)
{
  xh_buf page;
  collected c = {0};
  xh_json_iter it;
  xh_str one;
  xh_buf_init(&page, PAGE_CAP_BYTES);
  int status = ask_page(o, 0, FOLLOWED, &page);
  if (status == XH_EXIT_OK && xh_json_iter_init(&it, view_member(xh_buf_span(&page), "deliveries")))
    while (xh_json_next(&it, NULL, &one)) {
      char mark[64];
      xh_str state = view_member(one, "status");
      snprintf(mark, sizeof mark, "%.*s %lld", (int)state.len, state.ptr, (long long)view_number(one, "attempts"));
      char *old = xh_map_get(seen, view_member(one, "id"));
      if (old && strcmp(old, mark) == 0)
        continue;
      char *copy = strdup(mark);
      if (!copy || xh_map_set(seen, view_member(one, "id"), copy) != 0)
        free(copy);
      free(old);
      if (print)
        collect(&c, one);
    }
  for (int64_t i = c.count - 1; i >= 0; i--) {
    print_line(o, xh_str_z(c.lines[i]));
    free(c.lines[i]);
  }
  free(c.lines);
  xh_buf_done(&page);
  fflush(stdout);
  return status;
}

static int follow(log_options *o)
{
  xh_map seen;
  xh_map_init(&seen);
  int status = look_again(o, &seen, false);
  while (status == XH_EXIT_OK && !ferror(stdout)) {
    usleep(FOLLOW_MS * 1000);
    status = look_again(o, &seen, true);
  }
  xh_map_done(&seen, free);
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
  collected c = {0};
  int status = parse(argc, argv, &o);
  if (status == XH_EXIT_OK)
    status = reach_open(&o.reach);
  if (status == XH_EXIT_OK)
    status = collect_all(&o, &c);
  for (int64_t i = c.count - 1; i >= 0; i--) {
    if (status == XH_EXIT_OK)
      print_line(&o, xh_str_z(c.lines[i]));
    free(c.lines[i]);
  }
  free(c.lines);
  fflush(stdout);
  if (status == XH_EXIT_OK && o.follow)
    status = follow(&o);
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
            "  -f, --follow        go on with what comes and what changes, until interrupted\n"
            "  -j, --json          one JSON object a line\n" REACH_HELP "\n"
            "Examples:\n"
            "  xo-hooks log --status dead --since 2h\n"
            "  xo-hooks log --method 'vm.*' --user admin@admin.net -n 200\n"
            "  xo-hooks log --follow --json | jq .lastError\n"
            "\n"
            "Exit status: 0 done; 1 the filters were refused; 2 wrong usage; 3 no outbox there.\n",
    .run = run,
};
