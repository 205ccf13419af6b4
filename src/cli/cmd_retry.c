/* xo-hooks retry: sends deliveries again. */
#include "base/err.h"
#include "cli/command.h"
#include "cli/filter_options.h"
#include "cli/json_view.h"
#include "cli/reach.h"

#include <getopt.h>
#include <stdlib.h>

enum { PARAMS_CAP_BYTES = 64 * 1024 * 1024 };

typedef struct retry_options {
  reach reach;
  filter_options filter;
  bool dead, json;
  char **ids;
  int id_count;
} retry_options;

static void put_params(const retry_options *o, xh_buf *params)
{
  bool more = o->dead;
  xh_buf_z(params, o->dead ? "{\"dead\":true" : "{");
  more = filter_put(&o->filter, params, more) || more;
  for (int i = 0; i < o->id_count; i++) {
    xh_buf_z(params, i ? "," : more ? ",\"ids\":[" : "\"ids\":[");
    xh_buf_json_z(params, o->ids[i]);
  }
  xh_buf_z(params, o->id_count ? "]}" : "}");
}

/* ---- without a running program ---- */

typedef struct offline {
  int64_t *ids;
  size_t count;
  bool waiting;
  int rc;
  int64_t retried;
} offline;

static void on_retried(void *arg, int rc, int64_t count, const xh_retried *targets, size_t target_count)
{
  offline *off = arg;
  (void)targets, (void)target_count;
  off->rc = rc;
  off->retried = count;
  off->waiting = false;
}

static int ask(xh_outbox *outbox, void *arg)
{
  offline *off = arg;
  xh_retry_filter filter = {.ids = off->ids, .id_count = off->count};
  return xh_outbox_retry(outbox, &filter, on_retried, off);
}

static int retry_offline(retry_options *o, xh_str params, int64_t *ret_count)
{
  offline off = {.waiting = true};
  char why[200] = "";
  int rc = xh_report_retry_ids(o->reach.report, params, XH_STR(""), &off.ids, &off.count, why, sizeof why);
  if (rc)
    return xh_fail(&xh_cmd_retry, rc == XH_EINVAL ? XH_EXIT_USAGE : XH_EXIT_FAILED, "%s", *why ? why : xh_err_text(rc));
  xh_report_close(o->reach.report);
  o->reach.report = NULL;
  int status = reach_outbox(&o->reach, ask, &off, &off.waiting);
  free(off.ids);
  if (status == XH_EXIT_OK && off.rc)
    status = xh_fail(&xh_cmd_retry, XH_EXIT_UNAVAILABLE, "%s", xh_err_text(off.rc));
  *ret_count = off.retried;
  return status;
}

static int parse(int argc, char **argv, retry_options *o)
{
  static const struct option options[] = {REACH_OPTIONS,
                                          FILTER_OPTIONS,
                                          {"dead", no_argument, NULL, 'D'},
                                          {"json", no_argument, NULL, 'j'},
                                          {NULL, 0, NULL, 0}};
  int option;
  bool filtered = false;
  optind = 1;
  while ((option = getopt_long(argc, argv, "d:s:m:H:u:S:j", options, NULL)) != -1) {
    int taken = filter_take(&o->filter, &xh_cmd_retry, option, optarg);
    filtered |= taken > 0;
    if (taken < 0)
      return XH_EXIT_USAGE;
    if (taken > 0 || reach_take_option(&o->reach, option, optarg))
      continue;
    if (option == 'D')
      o->dead = true;
    else if (option == 'j')
      o->json = true;
    else {
      fputs("Try 'xo-hooks retry --help'.\n", stderr);
      return XH_EXIT_USAGE;
    }
  }
  o->ids = argv + optind;
  o->id_count = argc - optind;
  if (o->id_count > 0 && (o->dead || filtered))
    return xh_usage_error(&xh_cmd_retry, "give ids, or say which dead ones; not both");
  if (o->id_count == 0 && !o->dead && !filtered)
    return xh_usage_error(&xh_cmd_retry, "say which: ids, --dead for all dead ones, or a filter");
  return XH_EXIT_OK;
}

static int run(int argc, char **argv)
{
  retry_options o = {.reach = {.command = &xh_cmd_retry}};
  xh_buf params, result;
  int64_t count = 0;
  int status = parse(argc, argv, &o);
  if (status)
    return status;
  xh_buf_init(&params, PARAMS_CAP_BYTES);
  xh_buf_init(&result, 64 * 1024);
  put_params(&o, &params);
  status = reach_open(&o.reach);
  if (status == XH_EXIT_OK && o.reach.client) {
    status = reach_call(&o.reach, "retry", xh_buf_span(&params), &result);
    count = view_number(xh_buf_span(&result), "retried");
  } else if (status == XH_EXIT_OK) {
    status = retry_offline(&o, xh_buf_span(&params), &count);
  }
  if (status == XH_EXIT_OK && o.json)
    printf("{\"retried\":%lld}\n", (long long)count);
  else if (status == XH_EXIT_OK)
    printf("%lld deliver%s due now%s\n", (long long)count, count == 1 ? "y is" : "ies are",
           o.reach.client ? "" : "; they are sent when `xo-hooks serve` runs");
  reach_close(&o.reach);
  xh_buf_done(&params);
  xh_buf_done(&result);
  return status;
}

const xh_command xh_cmd_retry = {
    .name = "retry",
    .summary = "send dead deliveries again, with a fresh schedule",
    .help = "Usage: xo-hooks retry [OPTION]… ID…\n"
            "       xo-hooks retry [OPTION]… --dead | FILTER…\n"
            "\n"
            "Makes dead deliveries due now with a fresh schedule, and starts hooks again that a 410 had stopped. By id, also those that\n"
            "wait for their next attempt; a delivered one is left alone.\n"
            "\n"
            "      --dead          all dead ones (that fit the filters)\n" FILTER_HELP "  -j, --json          {\"retried\":N}\n" REACH_HELP
            "\n"
            "Examples:\n"
            "  xo-hooks retry msg_7372bacf2812799e0000000000000002\n"
            "  xo-hooks retry --dead\n"
            "  xo-hooks retry --hook Chat --since 2h\n"
            "\n"
            "Exit status: 0 done; 1 there is no such delivery; 2 wrong usage; 3 no outbox there.\n",
    .run = run,
};
