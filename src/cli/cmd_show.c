/* xo-hooks show: one delivery, with its event, its body and every attempt, and the same as a curl command. */
#include "base/clock.h"
#include "cli/command.h"
#include "cli/curl_command.h"
#include "cli/json_view.h"
#include "cli/reach.h"

#include <getopt.h>

enum { RESULT_CAP_BYTES = 512 * 1024 * 1024, SHOWN_BYTES = 4000 };

static void put_row(const char *name, xh_str value)
{
  if (!value.ptr || xh_json_typeof(value) == XH_JSON_NULL)
    return;
  printf("%-12s", name);
  view_put(stdout, value, 1000);
  putchar('\n');
}

static void put_moment(const char *name, int64_t ms)
{
  char when[40];
  if (ms == 0)
    return;
  view_time(ms, when, sizeof when);
  printf("%-12s%s\n", name, when);
}

static void put_times(xh_str attempt)
{
  static const char *const names[][2] = {
      {"nameLookupMs", "name"}, {"connectMs", "connect"}, {"tlsMs", "TLS"}, {"firstByteMs", "first byte"}, {"totalMs", "total"}};
  for (size_t i = 0, shown = 0; i < sizeof names / sizeof *names; i++) {
    xh_str value = view_member(attempt, names[i][0]);
    if (value.ptr)
      printf("%s%s %.*s ms", shown++ ? ", " : "             ", names[i][1], (int)value.len, value.ptr);
  }
  putchar('\n');
}

static void put_attempts(xh_str attempts)
{
  xh_json_iter it;
  xh_str one;
  if (!attempts.ptr || !xh_json_iter_init(&it, attempts))
    return;
  while (xh_json_next(&it, NULL, &one)) {
    char when[40];
    view_time(view_number(one, "startedAt"), when, sizeof when);
    printf("\nattempt %-4lld %s  ", (long long)view_number(one, "n"), when);
    view_put(stdout, view_member(one, "outcome"), 300);
    if (!view_equals(one, "fault", "none")) {
      fputs(" (fault: ", stdout);
      view_put(stdout, view_member(one, "fault"), 20);
      putchar(')');
    }
    putchar('\n');
    put_times(one);
    if (view_member(one, "answer").len > 2) {
      fputs("             answered: ", stdout);
      view_put(stdout, view_member(one, "answer"), SHOWN_BYTES);
      putchar('\n');
    }
  }
}

static void show(xh_str d)
{
  put_row("id", view_member(d, "id"));
  put_row("status", view_member(d, "status"));
  put_row("reason", view_member(d, "reason"));
  put_row("method", view_member(d, "method"));
  put_row("type", view_member(d, "type"));
  put_row("call", view_member(d, "callId"));
  put_row("user", view_member(d, "userName"));
  put_row("source", view_member(d, "source"));
  put_row("hook", view_member(d, "hook"));
  put_row("url", view_member(d, "url"));
  put_row("format", view_member(d, "format"));
  put_moment("accepted", view_number(d, "acceptedAt"));
  put_moment("settled", view_number(d, "settledAt"));
  put_moment("next", view_number(d, "nextAttemptAt"));
  put_row("attempts", view_member(d, "attemptCount"));
  put_row("event", view_member(d, "event"));
  put_row("body", view_member(d, "body"));
}

static int run(int argc, char **argv)
{
  static const struct option options[] = {REACH_OPTIONS, {"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
  reach r = {.command = &xh_cmd_show};
  bool json = false;
  int option;
  optind = 1;
  while ((option = getopt_long(argc, argv, "d:s:j", options, NULL)) != -1) {
    if (option == 'j')
      json = true;
    else if (!reach_take_option(&r, option, optarg)) {
      fputs("Try 'xo-hooks show --help'.\n", stderr);
      return XH_EXIT_USAGE;
    }
  }
  if (argc - optind != 1)
    return xh_usage_error(&xh_cmd_show, "give one delivery: msg_… or its number, as `xo-hooks log` shows it");
  xh_buf params, result;
  xh_buf_init(&params, 1024);
  xh_buf_init(&result, RESULT_CAP_BYTES);
  xh_buf_z(&params, "{\"id\":");
  xh_buf_json_z(&params, argv[optind]);
  xh_buf_char(&params, '}');
  int status = xh_buf_error(&params) ? xh_usage_error(&xh_cmd_show, "that is no delivery's id") : reach_open(&r);
  if (status == XH_EXIT_OK)
    status = reach_call(&r, "delivery", xh_buf_span(&params), &result);
  xh_str delivery = xh_buf_span(&result);
  if (status == XH_EXIT_OK && json) {
    printf("%.*s\n", (int)delivery.len, delivery.ptr);
  } else if (status == XH_EXIT_OK) {
    show(delivery);
    put_attempts(view_member(delivery, "attempts"));
    putchar('\n');
    curl_command_put(stdout, delivery);
  }
  reach_close(&r);
  xh_buf_done(&params);
  xh_buf_done(&result);
  return status;
}

const xh_command xh_cmd_show = {
    .name = "show",
    .summary = "show one delivery: event, body, every attempt, and a curl command",
    .help = "Usage: xo-hooks show [OPTION]… ID\n"
            "\n"
            "Shows a delivery: its event (credentials masked), the body that is sent, every attempt with its times, and the same\n"
            "request as a curl command, for any POSIX shell. What is secret (parts of the URL, headers, the signature) is (hidden) in it; a\n"
            "comment above it says what to fill in.\n"
            "\n"
            "  -j, --json          one JSON object\n" REACH_HELP "\n"
            "Examples:\n"
            "  xo-hooks show msg_7372bacf2812799e0000000000000002\n"
            "  xo-hooks show --json 2 | jq .attempts\n"
            "\n"
            "Exit status: 0 done; 1 there is no such delivery; 2 wrong usage; 3 no outbox there.\n",
    .run = run,
};
