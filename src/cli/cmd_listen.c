/* xo-hooks listen: the receiving side, on one loop. */
#include "base/log.h"
#include "cli/command.h"
#include "cli/listen_options.h"
#include "cli/open_files.h"
#include "payload/payload.h"
#include "receiver/printer.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIGNALS = 3, LAST_LINES_MS = 2000, OTHER_FILES = 512 };

typedef struct listening {
  listen_options options;
  uv_loop_t loop;
  uv_signal_t signals[SIGNALS];
  xh_receiver *receiver;
  xh_printer *out;
  bool stopping;
} listening;

static void print(void *arg, xh_str line)
{
  const listening *l = arg;
  if (!l->options.quiet)
    xh_printer_line(l->out, line);
}

static void print_log(void *arg, const char *line, size_t len)
{
  xh_printer_line(arg, (xh_str){line, len});
}

static bool same_place(int a, int b)
{
  struct stat one, other;
  return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

/* A reader that has stopped gets a moment, and does not keep the program from ending. */
static void close_printer(listening *l)
{
  xh_log_to(NULL, NULL);
  if (!xh_printer_close(l->out, LAST_LINES_MS))
    xh_log(XH_LOG_WARN, "the last lines of standard output could not be written");
}

static void on_stopped(void *arg)
{
  listening *l = arg;
  for (size_t i = 0; i < SIGNALS; i++)
    uv_close((uv_handle_t *)&l->signals[i], NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
  listening *l = handle->data;
  bool again = l->stopping;
  if (again && number == SIGHUP) /* of a terminal that closes, the shell and the system tell one after the other */
    return;
  l->stopping = true;
  xh_log(XH_LOG_INFO, "%s%s: stopping%s", number == SIGINT ? "interrupted" : number == SIGHUP ? "hung up" : "terminated", again ? " again" : "",
         again || l->options.end_scripts ? ", running scripts are ended" : ", running scripts come to their end");
  xh_receiver_stop(l->receiver, again || l->options.end_scripts);
}

/* nohup means that a closed terminal ends nothing. */
static bool is_ignored(int number)
{
  struct sigaction action;
  return number == SIGHUP && sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static int catch_signals(listening *l)
{
  static const int numbers[SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
  for (size_t i = 0; i < SIGNALS; i++) {
    l->signals[i].data = l;
    bool ignored = is_ignored(numbers[i]);
    if (uv_signal_init(&l->loop, &l->signals[i]) != 0 || (!ignored && uv_signal_start(&l->signals[i], on_signal, numbers[i]) != 0))
      return xh_fail(&xh_cmd_listen, XH_EXIT_UNAVAILABLE, "signals can't be caught");
  }
  return XH_EXIT_OK;
}

static void say_start(const listening *l)
{
  const xh_receiver_options *r = &l->options.receiver;
  int64_t pending, failed, unserved;
  bool v6 = strchr(r->server.bind, ':') != NULL;
  xh_log(XH_LOG_INFO, "listening on %s://%s%s%s:%d%.*s", r->server.certificate_pem ? "https" : "http", v6 ? "[" : "", r->server.bind,
         v6 ? "]" : "", xh_receiver_port(l->receiver), (int)r->server.gate.path.len, r->server.gate.path.ptr ? r->server.gate.path.ptr : "");
  if (r->server.gate.secret_count == 0)
    xh_log(XH_LOG_WARN, "requests are not verified: anybody who reaches this address can send them; give --secret-file");
  if (r->scripts && r->scripts_optional && access(r->scripts, F_OK) != 0)
    xh_log(XH_LOG_INFO, "no scripts are run as long as there is no folder %s", r->scripts);
  else if (r->scripts)
    xh_log(XH_LOG_INFO, "scripts in %s", r->scripts);
  else
    xh_log(XH_LOG_INFO, "no scripts are run");
  xh_receiver_found(l->receiver, &pending, &failed, &unserved);
  if (pending || failed)
    xh_log(XH_LOG_INFO, "the spool holds %lld waiting and %lld failed jobs", (long long)pending, (long long)failed);
  if (unserved)
    xh_log(XH_LOG_WARN, "%lld of those that wait are for scripts or a --forward that were not given now; they stay in the spool",
           (long long)unserved);
}

static int serve(listening *l)
{
  char why[256] = "";
  xh_receiver_options *r = &l->options.receiver;
  char what_for[64];
  snprintf(what_for, sizeof what_for, "--connections %zu", r->server.connection_max);
  open_files_allow(r->server.connection_max + OTHER_FILES, what_for);
  if (xh_printer_new(STDOUT_FILENO, r->style, &l->out) != 0)
    return xh_fail(&xh_cmd_listen, XH_EXIT_UNAVAILABLE, "out of memory");
  r->server.loop = &l->loop;
  r->arg = l;
  r->print = print;
  r->redact = xh_redact;
  r->stopped = on_stopped;
  if (xh_receiver_new(r, &l->receiver, why, sizeof why) != 0)
    return xh_fail(&xh_cmd_listen, XH_EXIT_UNAVAILABLE, "%s", why);
  int status = catch_signals(l);
  if (status)
    return status;
  say_start(l);
  if (same_place(STDOUT_FILENO, STDERR_FILENO)) /* the log's lines stay in order with the others, and whole */
    xh_log_to(print_log, l->out);
  uv_run(&l->loop, UV_RUN_DEFAULT);
  return XH_EXIT_OK;
}

static int run(int argc, char **argv)
{
  listening *l = calloc(1, sizeof *l);
  if (!l)
    return xh_fail(&xh_cmd_listen, XH_EXIT_UNAVAILABLE, "out of memory");
  int status = listen_options_parse(argc, argv, &l->options);
  if (status == XH_EXIT_OK) {
    bool people = isatty(STDOUT_FILENO) != 0;
    l->options.receiver.style.json = l->options.json || (!people && !l->options.text);
    l->options.receiver.style.colour = !l->options.receiver.style.json && *xh_colour_code(stdout, XH_BOLD);
    umask(077);
    xh_log_setup(XH_LOG_INFO, 0);
    uv_loop_init(&l->loop);
    status = serve(l);
    uv_run(&l->loop, UV_RUN_NOWAIT);
    uv_loop_close(&l->loop);
    close_printer(l);
  }
  listen_options_done(&l->options);
  free(l);
  return status;
}

const xh_command xh_cmd_listen = {
    .name = "listen",
    .summary = "receive web hooks: verify, log, run scripts, spool, pass on",
    .help = LISTEN_HELP,
    .run = run,
};
