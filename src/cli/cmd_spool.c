/* xo-hooks spool: what a receiver has taken in and not yet done. */
#include "base/clock.h"
#include "base/err.h"
#include "cli/command.h"
#include "cli/json_view.h"
#include "receiver/forward.h"
#include "receiver/spool_db.h"

#include <getopt.h>
#include <stdint.h>
#include <stdlib.h>

enum { LIST_LIMIT = 1000, JSON_CAP_BYTES = 256 * 1024 * 1024 };

typedef struct spool_options {
  const char *folder;
  bool json;
  xh_spool_which which;
  int64_t limit; /* 0: not given */
  int64_t found;
} spool_options;

static void put_json_text(xh_buf *out, const char *name, const char *text)
{
  xh_buf_printf(out, ",\"%s\":", name);
  xh_buf_json_z(out, text && *text ? text : NULL);
}

/* Text from outside, for a terminal; it keeps its lines. */
static void put_plain(xh_str text)
{
  xh_buf plain;
  xh_buf_init(&plain, JSON_CAP_BYTES);
  xh_buf_plain(&plain, text, SIZE_MAX, "\t\n");
  fwrite(xh_buf_span(&plain).ptr, 1, plain.len, stdout);
  xh_buf_done(&plain);
}

/* Where it goes, without what may be secret in the URL; "" for scripts. */
static void shown_lane(const xh_spool_row *row, char *out, size_t size)
{
  snprintf(out, size, "%s", "");
  if (row->lane && *row->lane && !xh_forward_url_ok(row->lane, out, size))
    snprintf(out, size, "(a URL)");
}

static void print_json(const xh_spool_row *row)
{
  xh_buf out;
  char lane[256];
  shown_lane(row, lane, sizeof lane);
  xh_buf_init(&out, JSON_CAP_BYTES);
  xh_buf_printf(&out, "{\"number\":%lld,\"state\":\"%s\"", (long long)row->id, row->failed ? "failed" : "pending");
  put_json_text(&out, "delivery", row->delivery);
  put_json_text(&out, "method", row->method);
  put_json_text(&out, "type", row->type == 1 ? "pre" : row->type == 2 ? "post" : NULL);
  put_json_text(&out, "forward", lane);
  put_json_text(&out, "object", row->object);
  xh_buf_printf(&out, ",\"attempts\":%d,\"receivedAt\":%lld,\"nextAt\":%lld", row->attempts, (long long)row->received_ms,
                (long long)row->next_ms);
  put_json_text(&out, "error", row->error);
  xh_buf_z(&out, ",\"output\":");
  if (row->tail.len)
    xh_buf_json(&out, row->tail);
  else
    xh_buf_z(&out, "null");
  put_json_text(&out, "resume", row->resume);
  if (row->body.len) {
    xh_buf_z(&out, ",\"body\":");
    xh_buf_json(&out, row->body);
  }
  xh_buf_char(&out, '}');
  if (xh_buf_error(&out) == 0)
    puts(out.ptr);
  xh_buf_done(&out);
}

static void on_row(void *arg, const xh_spool_row *row)
{
  spool_options *o = arg;
  char when[40], lane[256];
  if (++o->found > o->limit && o->limit > 0)
    return;
  if (o->json) {
    print_json(row);
    return;
  }
  shown_lane(row, lane, sizeof lane);
  view_time(row->received_ms, when, sizeof when);
  printf("%6lld  %s  %s%-7s%s  %s %s", (long long)row->id, when, xh_colour_code(stdout, row->failed ? XH_RED : XH_BLUE),
         row->failed ? "failed" : "pending", xh_colour_code(stdout, XH_PLAIN), row->method && *row->method ? row->method : "(card)",
         row->type == 1 ? "pre" : row->type == 2 ? "post" : "");
  if (*lane)
    printf("  → %s", lane);
  if (row->attempts)
    printf("  %d attempt%s", row->attempts, row->attempts == 1 ? "" : "s");
  if (row->error && *row->error) {
    fputs("  ", stdout);
    put_plain(xh_str_z(row->error));
  }
  putchar('\n');
  if (row->body.len == 0)
    return;
  if (row->tail.len) {
    fputs("\nlast output:\n", stdout);
    put_plain(row->tail);
  }
  fputs("\nbody:\n", stdout);
  put_plain(row->body);
  putchar('\n');
}

static int answer(const spool_options *o, int rc, const char *name)
{
  if (rc == XH_ENOENT)
    return xh_fail(&xh_cmd_spool, XH_EXIT_FAILED, "there is no job %s in %s", name ? name : "like that", o->folder);
  return rc ? xh_fail(&xh_cmd_spool, XH_EXIT_UNAVAILABLE, "%s", xh_err_text(rc)) : XH_EXIT_OK;
}

/* All that are named, also when one of them is not there. */
static int do_retry(const spool_options *o, xh_spool_db *db, int count, char **names)
{
  int64_t total = 0, some = 0, now_ms = xh_wall_ms();
  int status = XH_EXIT_OK;
  int rc = count == 0 ? xh_spool_db_retry(db, NULL, now_ms, &total) : 0;
  for (int i = 0; i < count && rc == 0; i++) {
    rc = xh_spool_db_retry(db, names[i], now_ms, &some);
    total += rc ? 0 : some;
    if (rc == 0 && some == 0)
      status = xh_fail(&xh_cmd_spool, XH_EXIT_FAILED, "there is no job %s in %s that failed or waits for its next attempt", names[i], o->folder);
  }
  xh_spool_db_wake(o->folder);
  if (rc)
    return answer(o, rc, NULL);
  printf(o->json ? "{\"retried\":%lld}\n" : "%lld made due now\n", (long long)total);
  return status;
}

static int do_list(spool_options *o, xh_spool_db *db)
{
  bool limited = o->limit > 0;
  o->limit = limited ? o->limit : LIST_LIMIT;
  int status = answer(o, xh_spool_db_list(db, o->which, limited ? o->limit : o->limit + 1, on_row, o), NULL);
  if (status == XH_EXIT_OK && o->found == 0 && !o->json)
    puts("nothing");
  if (status == XH_EXIT_OK && o->found > o->limit)
    fprintf(stderr, "xo-hooks spool: only the first %d are shown; --limit N shows more\n", LIST_LIMIT);
  return status;
}

static int run_action(spool_options *o, const char *action, int count, char **names)
{
  xh_spool_db *db;
  int rc = xh_spool_db_open(o->folder, false, &db);
  if (rc == XH_ENOENT)
    return xh_fail(&xh_cmd_spool, XH_EXIT_UNAVAILABLE, "there is no spool in %s", o->folder);
  if (rc)
    return xh_fail(&xh_cmd_spool, XH_EXIT_UNAVAILABLE, "the spool in %s can't be used: %s", o->folder, xh_err_text(rc));
  int status;
  if (strcmp(action, "list") == 0) {
    status = count == 0 ? do_list(o, db) : xh_usage_error(&xh_cmd_spool, "list: takes no job, and \"%s\" was given; show names one", names[0]);
  } else if (strcmp(action, "show") == 0) {
    status = count == 1 ? answer(o, xh_spool_db_show(db, names[0], on_row, o), names[0])
                        : xh_usage_error(&xh_cmd_spool, "show: name one job, by its number or its delivery's id");
  } else {
    status = do_retry(o, db, count, names);
  }
  xh_spool_db_close(db);
  return status;
}

static int run(int argc, char **argv)
{
  static const struct option options[] = {{"spool", required_argument, NULL, 'S'}, {"json", no_argument, NULL, 'j'},
                                          {"failed", no_argument, NULL, 'f'},      {"pending", no_argument, NULL, 'p'},
                                          {"limit", required_argument, NULL, 'n'}, {NULL, 0, NULL, 0}};
  spool_options o = {.which = XH_SPOOL_ALL};
  bool failed = false, pending = false;
  char *end;
  int option;
  optind = 1;
  while ((option = getopt_long(argc, argv, "S:jfpn:", options, NULL)) != -1)
    switch (option) {
    case 'S':
      o.folder = optarg;
      break;
    case 'j':
      o.json = true;
      break;
    case 'f':
      failed = true;
      break;
    case 'p':
      pending = true;
      break;
    case 'n':
      o.limit = strtoll(optarg, &end, 10);
      if (*end || o.limit < 1)
        return xh_usage_error(&xh_cmd_spool, "--limit %s: must be a number from 1 up", optarg);
      break;
    default:
      fputs("Try 'xo-hooks spool --help'.\n", stderr);
      return XH_EXIT_USAGE;
    }
  if (failed && pending)
    return xh_usage_error(&xh_cmd_spool, "--failed and --pending: give one of them, or none for all");
  o.which = failed ? XH_SPOOL_FAILED : pending ? XH_SPOOL_PENDING : XH_SPOOL_ALL;
  const char *action = optind < argc ? argv[optind] : "";
  if (strcmp(action, "list") != 0 && strcmp(action, "show") != 0 && strcmp(action, "retry") != 0)
    return xh_usage_error(&xh_cmd_spool, "say what to do: list, show or retry");
  if (!o.folder)
    return xh_usage_error(&xh_cmd_spool, "name the folder with --spool DIR, as given to `xo-hooks listen`");
  return run_action(&o, action, argc - optind - 1, argv + optind + 1);
}

const xh_command xh_cmd_spool = {
    .name = "spool",
    .summary = "what a receiver has taken in and not yet done: list, show, retry",
    .help = "Usage: xo-hooks spool list  --spool DIR [--failed | --pending] [--limit N] [--json]\n"
            "       xo-hooks spool show  --spool DIR JOB [--json]\n"
            "       xo-hooks spool retry --spool DIR [JOB…]\n"
            "\n"
            "The spool of `xo-hooks listen --spool DIR`, also while that runs. JOB is a number or a delivery's id. retry makes due now what\n"
            "finally failed or waits for its next attempt, with all its attempts; without a JOB all that failed.\n"
            "\n"
            "  -S, --spool DIR   the spool's folder\n"
            "  -f, --failed      only those that finally failed\n"
            "  -p, --pending     only those that wait\n"
            "  -n, --limit N     at most N (1000)\n"
            "  -j, --json        one JSON object a line\n"
            "\n"
            "Examples:\n"
            "  xo-hooks spool list --spool /var/spool/xo-hooks --failed\n"
            "  xo-hooks spool retry --spool /var/spool/xo-hooks 17\n"
            "\n"
            "Exit status: 0 done; 1 a job was not found (the others are done); 2 wrong usage; 3 no spool there.\n",
    .run = run,
};
