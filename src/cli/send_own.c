/* Events delivered by this very process, with a configuration, until all is settled. */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "cli/config_file.h"
#include "cli/send.h"
#include "engine/engine.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

enum { ACCEPTING_MAX = 2000 };

typedef struct own_send {
  send_run *run;
  uv_loop_t loop;
  uv_timer_t tick; /* wakes the loop for progress and Ctrl-C */
  xh_engine *engine;
  char folder[PATH_MAX];
  bool temporary;
  xh_engine_totals before;
  bool stopped;
} own_send;

/* ---- the folder ---- */

static int choose_folder(own_send *s)
{
  const char *given = s->run->options->reach.data, *base = getenv("TMPDIR");
  if (given) {
    snprintf(s->folder, sizeof s->folder, "%s", given);
    return XH_EXIT_OK;
  }
  snprintf(s->folder, sizeof s->folder, "%s/xo-hooks-send-XXXXXX", base && *base ? base : "/tmp");
  if (!mkdtemp(s->folder))
    return xh_fail(&xh_cmd_send, XH_EXIT_UNAVAILABLE, "no temporary folder can be made (%s); name one with --data", s->folder);
  s->temporary = true;
  return XH_EXIT_OK;
}

static void remove_folder(const own_send *s)
{
  int folder = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *list = folder >= 0 ? fdopendir(folder) : NULL;
  const struct dirent *entry;
  while (list && (entry = readdir(list)) != NULL)
    if (entry->d_name[0] != '.')
      unlinkat(dirfd(list), entry->d_name, 0);
  if (list)
    closedir(list);
  rmdir(s->folder);
}

/* ---- events ---- */

static void count(own_send *s)
{
  xh_engine_totals now;
  xh_engine_get_totals(s->engine, &now);
  s->run->counts.delivered = now.delivered - s->before.delivered;
  s->run->counts.dead = now.dead - s->before.dead;
  s->run->counts.pending = now.pending;
}

static void on_accepted(void *arg, int rc, bool durable)
{
  own_send *s = arg;
  (void)durable;
  if (rc == 0)
    s->run->counts.accepted++;
  else
    send_refuse(s->run, NULL, 0, xh_err_text(rc));
}

static int on_event(void *arg, const xh_event *event)
{
  own_send *s = arg;
  xh_engine_totals now;
  s->run->counts.sent++;
  int rc = xh_engine_event(s->engine, xh_str_z(s->run->options->source), event, on_accepted, s);
  if (rc < 0)
    return xh_fail(&xh_cmd_send, XH_EXIT_UNAVAILABLE, "%s", xh_err_text(rc));
  for (xh_engine_get_totals(s->engine, &now); now.accepting > ACCEPTING_MAX && !send_interrupted; xh_engine_get_totals(s->engine, &now))
    uv_run(&s->loop, UV_RUN_ONCE);
  return XH_EXIT_OK;
}

/* ---- the run ---- */

static void on_tick(uv_timer_t *timer)
{
  own_send *s = timer->data;
  count(s);
  send_progress(s->run, false);
}

static void on_stopped(void *arg)
{
  own_send *s = arg;
  s->stopped = true;
  uv_close((uv_handle_t *)&s->tick, NULL);
}

static int deliver(own_send *s)
{
  int status = XH_EXIT_OK;
  send_input *input = send_input_new(s->run, on_event, s);
  if (!input)
    return xh_fail(&xh_cmd_send, XH_EXIT_UNAVAILABLE, "%s", xh_err_text(XH_ENOMEM));
  while (status == XH_EXIT_OK && !send_interrupted) {
    status = send_input_read(input, 10);
    uv_run(&s->loop, UV_RUN_NOWAIT);
  }
  send_input_free(input);
  while ((status == -1 || status == XH_EXIT_OK) && !send_interrupted && !xh_engine_is_settled(s->engine))
    uv_run(&s->loop, UV_RUN_ONCE);
  return status == -1 ? XH_EXIT_OK : status;
}

static int open_engine(own_send *s)
{
  int pid = 0;
  xh_engine_options options = {.loop = &s->loop,
                               .folder = s->folder,
                               .allow_metadata = s->run->options->metadata.items,
                               .allow_metadata_count = s->run->options->metadata.count};
  int rc = xh_engine_open(&options, &s->engine, &pid);
  if (rc == XH_EBUSY)
    return xh_fail(&xh_cmd_send, XH_EXIT_UNAVAILABLE, "%s is in use by process %d", s->folder, pid);
  return rc ? xh_fail(&xh_cmd_send, XH_EXIT_UNAVAILABLE, "the data folder %s can't be used: %s", s->folder, xh_err_text(rc)) : XH_EXIT_OK;
}

static int run_engine(own_send *s, xh_hooks *hooks)
{
  int status = open_engine(s);
  if (status)
    return status;
  if (xh_engine_configure(s->engine, xh_str_z(s->run->options->source), hooks) != 0)
    status = xh_fail(&xh_cmd_send, XH_EXIT_UNAVAILABLE, "%s", xh_err_text(XH_ENOMEM));
  xh_engine_get_totals(s->engine, &s->before);
  uv_timer_init(&s->loop, &s->tick);
  s->tick.data = s;
  uv_timer_start(&s->tick, on_tick, 200, 200);
  xh_engine_start(s->engine);
  if (status == XH_EXIT_OK)
    status = deliver(s);
  count(s);
  uv_timer_stop(&s->tick); /* it asks the engine, which is going */
  xh_engine_stop(s->engine, on_stopped, s);
  while (!s->stopped)
    uv_run(&s->loop, UV_RUN_ONCE);
  xh_engine_free(s->engine);
  return status;
}

static void print_mistake(bool warning, const char *line)
{
  fprintf(stderr, "%s%s\n", warning ? "warning: " : "", line);
}

int send_on_its_own(send_run *run)
{
  xh_hooks *hooks;
  own_send *s = calloc(1, sizeof *s);
  int rc = xh_config_load(run->options->config, print_mistake, &hooks);
  if (rc || !s) {
    free(s);
    return rc == XH_ECONFIG ? XH_EXIT_FAILED : XH_EXIT_USAGE;
  }
  s->run = run;
  xh_log_setup(run->options->quiet ? XH_LOG_ERROR : XH_LOG_WARN, 0);
  int status = choose_folder(s);
  if (status == XH_EXIT_OK) {
    uv_loop_init(&s->loop);
    status = run_engine(s, hooks);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    uv_loop_close(&s->loop);
  }
  if (s->temporary)
    remove_folder(s);
  else if (run->counts.pending > 0)
    fprintf(stderr, "%lld deliveries wait in %s; `xo-hooks serve --data %s` goes on with them\n", (long long)run->counts.pending, s->folder,
            s->folder);
  xh_hooks_unref(hooks);
  free(s);
  return status;
}
