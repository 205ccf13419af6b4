/* xo-hooks stats: counters, targets, memory, disk. */
#include "base/clock.h"
#include "cli/command.h"
#include "cli/json_view.h"
#include "cli/reach.h"

#include <getopt.h>

enum { RESULT_CAP_BYTES = 16 * 1024 * 1024 };

static void put_counts(xh_str stats)
{
  static const char *const names[][2] = {{"accepted", "accepted"}, {"delivered", "delivered"}, {"dead", "dead"},
                                         {"attempts", "attempts"}, {"pending", "pending now"}, {"sending", "sending now"}};
  xh_str deliveries = view_member(stats, "deliveries");
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (view_member(deliveries, names[i][0]).ptr)
      printf("%-16s%12lld\n", names[i][1], (long long)view_number(deliveries, names[i][0]));
}

static void put_refusals(xh_str stats)
{
  xh_json_iter it;
  xh_str key, value;
  if (!xh_json_iter_init(&it, view_member(stats, "refused")))
    return;
  while (xh_json_next(&it, &key, &value))
    printf("refused %-8.*s%12.*s\n", (int)key.len, key.ptr, (int)value.len, value.ptr);
}

static void put_trouble(xh_str stats)
{
  xh_str store = view_member(stats, "store");
  if (!store.ptr || view_is(store, "durable"))
    return;
  char since[40];
  view_time(view_number(store, "troubleSince"), since, sizeof since);
  printf("%sTHE OUTBOX CAN'T BE WRITTEN since %s: ", xh_colour_code(stdout, XH_RED), since);
  view_put(stdout, view_member(store, "trouble"), 200);
  printf(". Events are in memory only, %lld were refused.%s\n", (long long)view_number(store, "refused"),
         xh_colour_code(stdout, XH_PLAIN));
}

static void put_targets(xh_str stats)
{
  xh_json_iter it;
  xh_str one;
  if (!xh_json_iter_init(&it, view_member(stats, "targets")))
    return;
  puts("\npending  sending  target");
  while (xh_json_next(&it, NULL, &one)) {
    char text[48];
    printf("%7lld  %7lld  ", (long long)view_number(one, "pending"), (long long)view_number(one, "inFlight"));
    view_put(stdout, view_member(one, "url"), 200);
    int64_t since_ms = view_number(one, view_is(one, "held") ? "heldSince" : "failingSince");
    if (since_ms) {
      xh_duration_text(xh_wall_ms() - since_ms, text, sizeof text);
      printf("  %s%s for %s%s", xh_colour_code(stdout, XH_YELLOW), view_is(one, "held") ? "held" : "failing", text,
             xh_colour_code(stdout, XH_PLAIN));
    }
    putchar('\n');
  }
}

static void put_stopped(xh_str stats)
{
  xh_json_iter it;
  xh_str one;
  bool any = false;
  if (!xh_json_iter_init(&it, view_member(stats, "stopped")))
    return;
  while (xh_json_next(&it, NULL, &one)) {
    char since[40];
    view_time(view_number(one, "since"), since, sizeof since);
    if (!any)
      puts("\nStopped: their targets answered 410 (Gone). `xo-hooks retry --hook HOOK` or a test that works starts them again.");
    any = true;
    printf("%ssince %s%s  ", xh_colour_code(stdout, XH_RED), since, xh_colour_code(stdout, XH_PLAIN));
    view_put(stdout, view_member(one, "hook"), 200);
    fputs("  source ", stdout);
    view_put(stdout, view_member(one, "source"), 80);
    putchar('\n');
  }
}

static void show(xh_str stats)
{
  char text[48];
  put_trouble(stats);
  if (view_member(stats, "running").ptr) {
    puts("No program serves this folder now; this is what its outbox holds.\n");
  } else {
    xh_duration_text(xh_wall_ms() - view_number(stats, "upSince"), text, sizeof text);
    xh_str version = view_member(stats, "version");
    printf("xo-hooks %.*s, process %lld, up for %s\n\n", (int)(version.len - 2), version.ptr + 1, (long long)view_number(stats, "pid"), text);
    printf("%-16s%12lld\n", "events", (long long)view_number(view_member(stats, "events"), "received"));
    put_refusals(stats);
  }
  put_counts(stats);
  if (view_member(stats, "memory").ptr)
    printf("%-16s%8lld MiB\n%-16s%8lld MiB\n", "memory", (long long)view_number(view_member(stats, "memory"), "residentBytes") >> 20, "disk",
           (long long)view_number(view_member(stats, "store"), "fileBytes") >> 20);
  put_targets(stats);
  put_stopped(stats);
}

static int run(int argc, char **argv)
{
  static const struct option options[] = {REACH_OPTIONS, {"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
  reach r = {.command = &xh_cmd_stats};
  bool json = false;
  int option;
  optind = 1;
  while ((option = getopt_long(argc, argv, "d:s:j", options, NULL)) != -1) {
    if (option == 'j')
      json = true;
    else if (!reach_take_option(&r, option, optarg)) {
      fputs("Try 'xo-hooks stats --help'.\n", stderr);
      return XH_EXIT_USAGE;
    }
  }
  if (optind < argc)
    return xh_usage_error(&xh_cmd_stats, "unexpected argument: %s", argv[optind]);
  xh_buf result;
  xh_buf_init(&result, RESULT_CAP_BYTES);
  int status = reach_open(&r);
  if (status == XH_EXIT_OK)
    status = reach_call(&r, "stats", XH_STR("{}"), &result);
  if (status == XH_EXIT_OK && json)
    printf("%.*s\n", (int)result.len, result.ptr);
  else if (status == XH_EXIT_OK)
    show(xh_buf_span(&result));
  reach_close(&r);
  xh_buf_done(&result);
  return status;
}

const xh_command xh_cmd_stats = {
    .name = "stats",
    .summary = "counters, targets, memory, disk",
    .help = "Usage: xo-hooks stats [OPTION]…\n"
            "\n"
            "Shows what the running program has done, its targets, hooks that a 410 has stopped, and any trouble with the disk;\n"
            "without one, what the outbox holds.\n"
            "\n"
            "  -j, --json          one JSON object\n" REACH_HELP "\n"
            "Examples:\n"
            "  xo-hooks stats\n"
            "  xo-hooks stats --json | jq .store.durable\n"
            "\n"
            "Exit status: 0 done; 2 wrong usage; 3 no outbox there.\n",
    .run = run,
};
