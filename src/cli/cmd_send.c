/* xo-hooks send: events from files, to a running program or delivered by this one. */
#include "base/file.h"
#include "cli/send.h"
#include "intake/intake.h"

#include <getopt.h>
#include <unistd.h>

volatile sig_atomic_t send_interrupted;

static void on_interrupt(int number)
{
  (void)number;
  if (send_interrupted++)
    _exit(XH_EXIT_INTERRUPTED);
}

void send_refuse(send_run *run, const char *file, int64_t line, const char *why)
{
  run->counts.refused++;
  if (run->progress)
    fputs("\r\033[K", stderr);
  if (file)
    fprintf(stderr, "%s:%lld: %s\n", file, (long long)line, why);
  else
    fprintf(stderr, "%s\n", why);
}

static void show(const send_run *run)
{
  const send_counts *c = &run->counts;
  const send_options *o = run->options;
  if (o->json) {
    printf("{\"sent\":%lld,\"accepted\":%lld,\"refused\":%lld", (long long)c->sent, (long long)c->accepted, (long long)c->refused);
    if (o->config)
      printf(",\"delivered\":%lld,\"pending\":%lld,\"dead\":%lld", (long long)c->delivered, (long long)c->pending, (long long)c->dead);
    if (o->wait)
      printf(",\"failed\":%lld", (long long)c->failed);
    puts("}");
  } else if (!o->quiet) {
    printf("%lld events accepted, %lld refused", (long long)c->accepted, (long long)c->refused);
    if (o->config)
      printf("; %lld deliveries made, %lld pending, %lld dead", (long long)c->delivered, (long long)c->pending, (long long)c->dead);
    putchar('\n');
  }
}

static int parse(int argc, char **argv, send_options *o)
{
  enum { OPT_LINE_CAP = 256, OPT_METADATA };
  static const struct option options[] = {REACH_OPTIONS,
                                          {"config", required_argument, NULL, 'c'},
                                          {"source", required_argument, NULL, 'S'},
                                          {"allow-metadata", required_argument, NULL, OPT_METADATA},
                                          {"line-cap", required_argument, NULL, OPT_LINE_CAP},
                                          {"wait", no_argument, NULL, 'w'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"quiet", no_argument, NULL, 'q'},
                                          {NULL, 0, NULL, 0}};
  int option;
  optind = 1;
  while ((option = getopt_long(argc, argv, "d:s:c:S:wjq", options, NULL)) != -1) {
    if (reach_take_option(&o->reach, option, optarg))
      continue;
    switch (option) {
    case 'c':
      o->config = optarg;
      break;
    case 'S':
      o->source = optarg;
      break;
    case 'w':
      o->wait = true;
      break;
    case 'j':
      o->json = true;
      break;
    case 'q':
      o->quiet = true;
      break;
    case OPT_METADATA:
      if (metadata_take(&o->metadata, &xh_cmd_send, optarg) != XH_EXIT_OK)
        return XH_EXIT_USAGE;
      break;
    case OPT_LINE_CAP:
      if (xh_size_parse(optarg, &o->line_cap_bytes) != 0 || o->line_cap_bytes < 1024)
        return xh_usage_error(&xh_cmd_send, "--line-cap %s: must be a size of at least 1K, such as 64M", optarg);
      break;
    default:
      fputs("Try 'xo-hooks send --help'.\n", stderr);
      return XH_EXIT_USAGE;
    }
  }
  o->files = argv + optind;
  size_t len = strlen(o->source);
  if (len == 0 || len > XH_SOURCE_NAME_MAX || strspn(o->source, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@") != len)
    return xh_usage_error(&xh_cmd_send, "--source %s: 1 to 64 letters, digits or . _ - @", o->source);
  if (o->config && (o->wait || o->reach.socket))
    return xh_usage_error(&xh_cmd_send, "--config delivers on its own, until all is settled; --socket and --wait are for a running program");
  return XH_EXIT_OK;
}

static int run(int argc, char **argv)
{
  send_options o = {.reach = {.command = &xh_cmd_send}, .source = "local", .line_cap_bytes = XH_LINE_CAP_DEFAULT_BYTES};
  int status = parse(argc, argv, &o);
  if (status)
    return status;
  send_run r = {.options = &o, .progress = isatty(STDERR_FILENO) && !o.quiet && !o.json};
  struct sigaction interrupt = {.sa_handler = on_interrupt};
  sigaction(SIGINT, &interrupt, NULL);
  sigaction(SIGTERM, &interrupt, NULL);
  send_progress_begin(&r);
  status = o.config ? send_on_its_own(&r) : send_to_socket(&r);
  send_progress(&r, true);
  if (status == XH_EXIT_OK || status == XH_EXIT_INTERRUPTED)
    show(&r);
  if (send_interrupted)
    return XH_EXIT_INTERRUPTED;
  const send_counts *c = &r.counts;
  return status == XH_EXIT_OK && (c->refused || c->dead || c->failed) ? XH_EXIT_FAILED : status;
}

const xh_command xh_cmd_send = {
    .name = "send",
    .summary = "send events from files, to a running program or on its own",
    .help = "Usage: xo-hooks send [OPTION]… [FILE]…\n"
            "\n"
            "Sends events, one JSON object a line, from files or standard input (-). To the running program; or, with --config, delivers them\n"
            "by itself and ends when all is settled. On a terminal it shows how far it is.\n"
            "\n" REACH_HELP "  -S, --source NAME   the source they are from (local)\n"
            "  -c, --config FILE   deliver on its own, with these hooks; with --data, what stays pending is kept there\n"
            "  -w, --wait          wait for the hooks with waitForResponse, and say which failed\n"
            "      --line-cap SIZE longest line (64M)\n"
            "      --allow-metadata ADDR   with --config: a cloud metadata address that may be called\n"
            "  -j, --json          one JSON object with the counts\n"
            "  -q, --quiet         no counts\n"
            "\n"
            "Examples:\n"
            "  xo-hooks send events.ndjson\n"
            "  echo '{\"type\":\"post\",\"method\":\"vm.start\",\"params\":{}}' | xo-hooks send --config hooks.json\n"
            "\n"
            "Exit status: 0 all accepted (with --config: all delivered); 1 some were refused, failed or dead; 2 wrong usage or unreadable\n"
            "file; 3 no running program; 130 interrupted.\n",
    .run = run,
};
