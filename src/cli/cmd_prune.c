/* xo-hooks prune: deletes what has ended. */
#include "base/clock.h"
#include "base/err.h"
#include "cli/command.h"
#include "cli/json_view.h"
#include "cli/reach.h"

#include <getopt.h>

typedef struct prune_options {
  reach reach;
  int64_t before_ms; /* 0: the keeping times apply */
  bool json;
} prune_options;

typedef struct offline {
  int64_t before_ms;
  bool waiting;
  int rc;
  int64_t count;
} offline;

static void on_pruned(void *arg, int rc, int64_t count)
{
  offline *off = arg;
  off->rc = rc;
  off->count = count;
  off->waiting = false;
}

static int ask(xh_outbox *outbox, void *arg)
{
  offline *off = arg;
  return xh_outbox_prune(outbox, off->before_ms > 0, off->before_ms, on_pruned, off);
}

static int prune(prune_options *o, int64_t *ret_count)
{
  int status = reach_open(&o->reach);
  if (status)
    return status;
  if (o->reach.client) {
    xh_buf params, result;
    xh_buf_init(&params, 256);
    xh_buf_init(&result, 64 * 1024);
    if (o->before_ms)
      xh_buf_printf(&params, "{\"before\":%lld}", (long long)o->before_ms);
    else
      xh_buf_z(&params, "{}");
    status = reach_call(&o->reach, "prune", xh_buf_span(&params), &result);
    *ret_count = view_number(xh_buf_span(&result), "deleted");
    xh_buf_done(&params);
    xh_buf_done(&result);
    return status;
  }
  offline off = {.before_ms = o->before_ms, .waiting = true};
  xh_report_close(o->reach.report);
  o->reach.report = NULL;
  status = reach_outbox(&o->reach, ask, &off, &off.waiting);
  if (status == XH_EXIT_OK && off.rc)
    status = xh_fail(&xh_cmd_prune, XH_EXIT_UNAVAILABLE, "%s", xh_err_text(off.rc));
  *ret_count = off.count;
  return status;
}

static int run(int argc, char **argv)
{
  static const struct option options[] = {
      REACH_OPTIONS, {"before", required_argument, NULL, 'b'}, {"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
  prune_options o = {.reach = {.command = &xh_cmd_prune}};
  int64_t count = 0;
  int option;
  optind = 1;
  while ((option = getopt_long(argc, argv, "d:s:j", options, NULL)) != -1) {
    if (option == 'j')
      o.json = true;
    else if (option == 'b') {
      if (xh_time_parse(optarg, xh_wall_ms(), &o.before_ms) != 0 || o.before_ms < 1)
        return xh_usage_error(&xh_cmd_prune, "--before %s: must be a time such as 2026-11-23, or an age such as 2h, 7d", optarg);
    } else if (!reach_take_option(&o.reach, option, optarg)) {
      fputs("Try 'xo-hooks prune --help'.\n", stderr);
      return XH_EXIT_USAGE;
    }
  }
  if (optind < argc)
    return xh_usage_error(&xh_cmd_prune, "unexpected argument: %s", argv[optind]);
  int status = prune(&o, &count);
  reach_close(&o.reach);
  if (status == XH_EXIT_OK)
    printf(o.json ? "{\"deleted\":%lld}\n" : "%lld deleted\n", (long long)count);
  return status;
}

const xh_command xh_cmd_prune = {
    .name = "prune",
    .summary = "delete delivered and dead deliveries that are old enough",
    .help = "Usage: xo-hooks prune [OPTION]…\n"
            "\n"
            "Deletes delivered and dead deliveries past their keeping times (serve does that by itself), or all that ended before a time.\n"
            "What is pending is never deleted.\n"
            "\n"
            "      --before TIME   all that ended before: 2026-11-23T08:15, or 2h, 7d ago\n"
            "  -j, --json          {\"deleted\":N}\n" REACH_HELP "\n"
            "Examples:\n"
            "  xo-hooks prune\n"
            "  xo-hooks prune --before 1d\n"
            "\n"
            "Exit status: 0 done; 2 wrong usage; 3 no outbox there.\n",
    .run = run,
};
