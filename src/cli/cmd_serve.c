/* xo-hooks serve: the program that runs. It puts the engine, its sources and the signals on one loop. */
#include "base/err.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/config_file.h"
#include "cli/open_files.h"
#include "cli/serve_options.h"
#include "delivery/dispatcher.h"
#include "engine/engine.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIGNALS = 3 };

/* 256 attempts, as many connections kept for the next, 1,000 sources, and what a process has open anyway. */
enum { FILES = 2 * XH_IN_FLIGHT_MAX + 1000 + 64 };

typedef struct serving {
  serve_options options;
  uv_loop_t loop;
  uv_signal_t signals[SIGNALS];
  xh_engine *engine;
  xh_intake *intake;
  bool stopping;
} serving;

/* ---- configuration ---- */

static void log_mistake(bool warning, const char *line)
{
  xh_log(warning ? XH_LOG_WARN : XH_LOG_ERROR, "%s", line);
}

/* The file's hooks are those of the source "local". All of them take effect, or none. */
static int load_config(serving *s)
{
  xh_hooks *hooks;
  if (!s->options.config)
    return 0;
  int rc = xh_config_load(s->options.config, log_mistake, &hooks);
  if (rc == 0) {
    rc = xh_engine_configure(s->engine, XH_STR("local"), hooks);
    if (rc == 0)
      xh_log(XH_LOG_INFO, "%s: %zu hook%s", s->options.config, xh_hooks_count(hooks), xh_hooks_count(hooks) == 1 ? "" : "s");
    xh_hooks_unref(hooks);
  }
  return rc;
}

static void reload(serving *s)
{
  if (s->stopping)
    xh_log(XH_LOG_WARN, "SIGHUP: no new configuration while stopping");
  else if (!s->options.config)
    xh_log(XH_LOG_WARN, "SIGHUP: there is no file to read again; start with --config, or configure through the socket");
  else if (load_config(s) != 0)
    xh_log(XH_LOG_ERROR, "the new configuration is refused, the old one stays");
}

/* ---- the end ---- */

static void on_intake_closed(void *arg)
{
  serving *s = arg;
  for (size_t i = 0; i < SIGNALS; i++)
    if (!uv_is_closing((uv_handle_t *)&s->signals[i]))
      uv_close((uv_handle_t *)&s->signals[i], NULL);
}

/* The sources have been answered as far as they will be: that is written, and then they are let go. */
static void on_engine_stopped(void *arg)
{
  serving *s = arg;
  if (s->intake)
    xh_intake_close(s->intake, on_intake_closed, s);
  else
    on_intake_closed(s);
}

static void stop(serving *s, const char *why)
{
  if (s->stopping) {
    xh_log(XH_LOG_WARN, "%s again: ending at once; what is accepted stays in the outbox", why);
    _exit(XH_EXIT_INTERRUPTED);
  }
  s->stopping = true;
  xh_log(XH_LOG_INFO, "%s: stopping", why);
  xh_intake_end(s->intake);
  xh_engine_stop(s->engine, on_engine_stopped, s);
}

static void on_signal(uv_signal_t *handle, int number)
{
  serving *s = handle->data;
  if (number == SIGHUP)
    reload(s);
  else
    stop(s, number == SIGINT ? "interrupted" : "terminated");
}

static void on_stdio_end(void *arg)
{
  serving *s = arg;
  if (!s->stopping)
    stop(s, "standard input ended");
}

/* ---- the start ---- */

static int open_engine(serving *s)
{
  const serve_options *o = &s->options;
  int pid = 0;
  xh_engine_options options = {.loop = &s->loop,
                               .folder = o->data,
                               .allow_metadata = o->metadata.items,
                               .allow_metadata_count = o->metadata.count,
                               .delivered_keep_ms = o->delivered_keep_ms,
                               .delivered_keep_bytes = o->delivered_keep_bytes,
                               .dead_keep_ms = o->dead_keep_ms,
                               .memory_cap_bytes = (size_t)o->memory_cap_bytes,
                               .begin_in_trouble = true};
  int rc = xh_engine_open(&options, &s->engine, &pid);
  if (rc == XH_EBUSY && pid > 0)
    return xh_fail(&xh_cmd_serve, XH_EXIT_UNAVAILABLE, "%s is in use by process %d; one serve a data folder", o->data, pid);
  if (rc == XH_EVERSION)
    return xh_fail(&xh_cmd_serve, XH_EXIT_UNAVAILABLE, "%s was written by a newer xo-hooks; install that version again", o->data);
  if (rc)
    return xh_fail(&xh_cmd_serve, XH_EXIT_UNAVAILABLE, "the data folder %s can't be used: %s", o->data, xh_err_text(rc));
  return XH_EXIT_OK;
}

/* Why a socket can't be made there, and what to do. */
static const char *socket_trouble(const char *path, int rc)
{
  struct stat st;
  const char *slash = strrchr(path, '/');
  char folder[PATH_MAX];
  if (rc == XH_ECAP || rc == XH_EINVAL)
    return "; the path of a Unix socket has at most 107 bytes";
  if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
    return S_ISDIR(st.st_mode) ? "; it is a folder: add the socket's name" : "; it is a file of another kind, which is not ours to remove";
  snprintf(folder, sizeof folder, "%.*s", (int)(slash ? slash - path : 1), slash ? path : ".");
  if (slash && slash > path && stat(folder, &st) != 0 && (errno == ENOENT || errno == ENOTDIR))
    return "; there is no such folder: make it first";
  return "";
}

static int listen_on(serving *s, const char *path)
{
  int rc = xh_intake_listen(s->intake, path);
  if (rc == XH_EBUSY)
    return xh_fail(&xh_cmd_serve, XH_EXIT_UNAVAILABLE, "socket %s: another program listens there", path);
  if (rc)
    return xh_fail(&xh_cmd_serve, XH_EXIT_UNAVAILABLE, "socket %s can't be made: %s%s", path, xh_err_text(rc), socket_trouble(path, rc));
  xh_log(XH_LOG_DEBUG, "listening on %s", path);
  return XH_EXIT_OK;
}

static int open_intake(serving *s)
{
  const serve_options *o = &s->options;
  char path[PATH_MAX];
  xh_intake_options options = {.line_cap_bytes = o->line_cap_bytes ? (size_t)o->line_cap_bytes : (size_t)XH_LINE_CAP_DEFAULT_BYTES,
                               .instance = xh_engine_instance(s->engine),
                               .allow_uids = o->uids,
                               .allow_uid_count = o->uid_count};
  if (xh_intake_new(&s->loop, &options, xh_engine_sink(s->engine), &s->intake) != 0)
    return xh_fail(&xh_cmd_serve, XH_EXIT_UNAVAILABLE, "out of memory");
  xh_engine_set_intake(s->engine, s->intake);
  xh_engine_on_stdio_end(s->engine, on_stdio_end, s);
  snprintf(path, sizeof path, "%s/xo-hooks.sock", o->data);
  int status = listen_on(s, path);
  if (status && o->stdio) {
    xh_log(XH_LOG_WARN, "going on without it: commands such as `xo-hooks log` read the data folder only");
    status = XH_EXIT_OK;
  }
  for (size_t i = 0; i < o->socket_count && status == XH_EXIT_OK; i++)
    status = listen_on(s, o->sockets[i]);
  if (status == XH_EXIT_OK && o->stdio && xh_intake_stdio(s->intake) != 0)
    status = xh_fail(&xh_cmd_serve, XH_EXIT_UNAVAILABLE, "standard input and output can't be used");
  return status;
}

static void watch_signals(serving *s)
{
  static const int numbers[SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
  for (size_t i = 0; i < SIGNALS; i++) {
    uv_signal_init(&s->loop, &s->signals[i]);
    s->signals[i].data = s;
    uv_signal_start(&s->signals[i], on_signal, numbers[i]);
  }
}

static int serve(serving *s)
{
  int status = open_engine(s);
  if (status)
    return status;
  watch_signals(s);
  int rc = load_config(s);
  if (rc == XH_ECONFIG)
    status = xh_fail(&xh_cmd_serve, XH_EXIT_FAILED, "not started: the configuration has mistakes");
  else if (rc)
    status = xh_fail(&xh_cmd_serve, rc == XH_ENOMEM ? XH_EXIT_UNAVAILABLE : XH_EXIT_USAGE, "not started: the configuration can't be read");
  if (status == XH_EXIT_OK)
    status = open_intake(s);
  if (status == XH_EXIT_OK) {
    xh_engine_start(s->engine);
    xh_log(XH_LOG_INFO, "xo-hooks " XH_VERSION " serves, process %d, data in %s", (int)getpid(), s->options.data);
  } else {
    s->stopping = true;
    if (s->intake)
      xh_intake_end(s->intake);
    xh_engine_stop(s->engine, on_engine_stopped, s);
  }
  uv_run(&s->loop, UV_RUN_DEFAULT);
  xh_engine_free(s->engine);
  xh_intake_free(s->intake);
  return status;
}

/*
 * Before there are threads, which inherit it. With the scheduler's autogroups (sched(7), "The autogroup feature") a process is nice
 * within its session only, so one that leads a session makes that nice.
 */
static void be_nice(int level)
{
  if (getpriority(PRIO_PROCESS, 0) < level && setpriority(PRIO_PROCESS, 0, level) != 0)
    xh_log(XH_LOG_WARN, "--nice %d: %s; going on as it is", level, strerror(errno));
  FILE *group = getsid(0) == getpid() ? fopen("/proc/self/autogroup", "we") : NULL; /* absent in many kernels */
  if (group) {
    fprintf(group, "%d", level);
    fclose(group);
  }
}

static int run(int argc, char **argv)
{
  serving s = {0};
  int status = serve_options_parse(argc, argv, &s.options);
  if (status)
    return status;
  umask(077);
  xh_log_setup(s.options.verbose ? XH_LOG_DEBUG : s.options.quiet ? XH_LOG_WARN : XH_LOG_INFO, s.options.plain);
  if (s.options.nice)
    be_nice(s.options.nice);
  open_files_allow(FILES, "256 attempts and 1,000 sources");
  uv_loop_init(&s.loop);
  status = serve(&s);
  uv_run(&s.loop, UV_RUN_NOWAIT);
  if (uv_loop_close(&s.loop) != 0)
    xh_log(XH_LOG_DEBUG, "something was still open at the end");
  return status;
}

const xh_command xh_cmd_serve = {
    .name = "serve",
    .summary = "run: take events from sources and deliver them",
    .help =
        "Usage: xo-hooks serve [OPTION]…\n"
        "\n"
        "Takes events from sources (the plugin in xo-server, `xo-hooks send`, your programs), keeps them in the outbox and delivers\n"
        "them. Sources talk to DATA/xo-hooks.sock, a Unix socket (docs/protocol.md).\n"
        "\n"
        "  -d, --data DIR             the outbox's folder, made when missing, mode 0700\n"
        "                             ($XO_HOOKS_DATA, /var/lib/xo-hooks for root, ~/.local/state/xo-hooks)\n"
        "  -c, --config FILE          hooks of the source \"local\"; read again on SIGHUP\n"
        "  -s, --socket PATH          one more socket to listen on (up to 16)\n"
        "      --stdio                serve standard input and output too; end when the input ends\n"
        "      --allow-uid USER       a user (name or number) who may connect, beside this one and root\n"
        "      --allow-metadata ADDR  a cloud metadata address that hooks may call, or \"all\" (default: none)\n"
        "      --line-cap SIZE        longest line taken from a source (64M)\n"
        "      --memory-cap SIZE      events kept in memory while the disk refuses (64M)\n"
        "      --keep-delivered TIME  how long delivered ones are kept (7d)\n"
        "      --keep-bytes SIZE      size of the outbox above which the oldest delivered ones go (1G)\n"
        "      --keep-dead TIME       how long dead ones are kept (30d)\n"
        "      --nice N               leave the processors to others that want them, from 0 to 19 (see nice(1))\n"
        "  -v, --verbose              log more\n"
        "  -q, --quiet                log warnings and errors only\n"
        "      --plain-log            log lines without the time (journald adds it)\n"
        "\n"
        "SIGTERM and SIGINT stop gently (running attempts get 5 s), SIGHUP reads the configuration again.\n"
        "\n"
        "Examples:\n"
        "  xo-hooks serve --data /var/lib/xo-hooks --config /etc/xo-hooks/hooks.json\n"
        "  xo-hooks serve --data /var/lib/xo-hooks --socket /run/xo-hooks.sock --allow-uid xo\n"
        "\n"
        "Exit status: 0 stopped; 1 mistakes in the configuration; 2 wrong usage, or it can't be read; 3 the data folder or a socket can't be used.\n",
    .run = run,
};
