#include "receiver/runner.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/map.h"
#include "receiver/environment.h"
#include "receiver/message.h"
#include "receiver/process.h"
#include "receiver/scripts.h"

#include <limits.h>
#include <stdlib.h>

enum { TAIL_BYTES = 2048, STARTS_AT_A_TIME = 4 };

/* The jobs of one object: the first may run, the others wait behind it. */
typedef struct lane {
  xh_job_list behind;
} lane;

typedef struct run {
  struct run *next, **link;
  xh_runner *runner;
  xh_job *job;
  xh_scripts scripts;
  size_t at;      /* the script that runs */
  char **env;     /* of the job */
  xh_str input;   /* the event, in the job's body */
  xh_process *process;
  int64_t began_ms, script_began_ms;
  xh_buf tail;
} run;

struct xh_runner {
  xh_runner_options options;
  uv_idle_t kick; /* active while there is something to begin */
  xh_reaper *reaper;
  xh_job_list ready;
  xh_map lanes;
  size_t behind; /* jobs in lanes, behind another */
  size_t running;
  run *runs;
  bool ending, paused;
  xh_buf line;
};

static void on_kick(uv_idle_t *handle);
static void next_script(run *r);

int xh_runner_new(const xh_runner_options *options, xh_runner **ret_runner)
{
  xh_runner *runner = calloc(1, sizeof *runner);
  if (!runner)
    return XH_ENOMEM;
  runner->options = *options;
  xh_map_init(&runner->lanes);
  xh_buf_init(&runner->line, XH_LINE_CAP_BYTES);
  int rc = xh_reaper_new(options->loop, &runner->reaper);
  if (rc) {
    free(runner);
    return rc;
  }
  uv_idle_init(options->loop, &runner->kick);
  runner->kick.data = runner;
  *ret_runner = runner;
  return 0;
}

static void free_list(xh_job_list *list)
{
  for (xh_job *job; (job = xh_job_list_pop(list)) != NULL;)
    xh_job_free(job);
}

static void free_lane(void *value)
{
  free_list(&((lane *)value)->behind);
  free(value);
}

static void free_runner(uv_handle_t *handle)
{
  xh_runner *runner = handle->data;
  free_list(&runner->ready);
  xh_map_done(&runner->lanes, free_lane);
  xh_buf_done(&runner->line);
  free(runner);
}

void xh_runner_close(xh_runner *runner)
{
  if (!runner)
    return;
  xh_reaper_close(runner->reaper);
  uv_close((uv_handle_t *)&runner->kick, free_runner);
}

size_t xh_runner_running(const xh_runner *runner)
{
  return runner->running;
}

size_t xh_runner_waiting(const xh_runner *runner)
{
  return runner->ready.count + runner->behind;
}

static void kick(xh_runner *runner)
{
  if (runner->ready.count > 0 && runner->running < runner->options.running_max && !runner->ending && !runner->paused)
    uv_idle_start(&runner->kick, on_kick);
  else
    uv_idle_stop(&runner->kick);
}

void xh_runner_add(xh_runner *runner, xh_job *job)
{
  if (job->object) {
    lane *same = xh_map_get(&runner->lanes, xh_str_z(job->object));
    if (same) {
      xh_job_list_push(&same->behind, job);
      runner->behind++;
      return;
    }
    same = calloc(1, sizeof *same);
    if (!same || xh_map_set(&runner->lanes, xh_str_z(job->object), same) != 0) {
      free(same);
      free(job->object); /* without memory its order is lost, the job is not */
      job->object = NULL;
    }
  }
  xh_job_list_push(&runner->ready, job);
  kick(runner);
}

/* The object is free: the one behind may run. */
static void leave_lane(xh_runner *runner, const xh_job *job)
{
  lane *same = job->object ? xh_map_get(&runner->lanes, xh_str_z(job->object)) : NULL;
  if (!same)
    return;
  xh_job *behind = xh_job_list_pop(&same->behind);
  if (behind) {
    runner->behind--;
    xh_job_list_push(&runner->ready, behind);
  } else {
    xh_map_remove(&runner->lanes, xh_str_z(job->object));
    free(same);
  }
}

static void finish(run *r, xh_job_outcome *outcome)
{
  xh_runner *runner = r->runner;
  xh_job *job = r->job;
  outcome->duration_ms = xh_mono_ms() - r->began_ms;
  outcome->tail = xh_buf_span(&r->tail);
  if (!outcome->ok && r->at < r->scripts.count) {
    free(job->resume);
    job->resume = strdup(r->scripts.names[r->at]);
  }
  leave_lane(runner, job);
  *r->link = r->next;
  if (r->next)
    r->next->link = r->link;
  runner->running--;
  runner->options.done(runner->options.arg, job, outcome);
  xh_scripts_done(&r->scripts);
  xh_buf_done(&r->tail);
  free(r->env);
  free(r);
  kick(runner);
}

static void print_outcome(run *r, const xh_job_outcome *outcome)
{
  xh_runner *runner = r->runner;
  xh_buf_clear(&runner->line);
  xh_line_outcome(runner->options.style, xh_str_z(r->job->delivery), xh_str_z(outcome->script), outcome->ok, xh_str_z(outcome->words),
                  xh_mono_ms() - r->script_began_ms, xh_wall_ms(), &runner->line);
  runner->options.print(runner->options.arg, xh_buf_span(&runner->line));
}

static void fail(run *r, const char *words)
{
  xh_job_outcome outcome = {.ok = false};
  if (r->at < r->scripts.count)
    snprintf(outcome.script, sizeof outcome.script, "%s", r->scripts.names[r->at]);
  else
    snprintf(outcome.script, sizeof outcome.script, "%s-%s", r->job->method, xh_event_type_name(r->job->type));
  snprintf(outcome.words, sizeof outcome.words, "%s", words);
  print_outcome(r, &outcome);
  finish(r, &outcome);
}

/* Where the text can begin from `at` on without cutting a character. */
static size_t character_from(xh_str text, size_t at)
{
  while (at < text.len && ((unsigned char)text.ptr[at] & 0xc0) == 0x80)
    at++;
  return at;
}

/* The last lines, for whoever waits for the outcome. */
static void keep_tail(run *r, xh_str text)
{
  if (text.len >= TAIL_BYTES) {
    size_t from = character_from(text, text.len - TAIL_BYTES);
    xh_buf_clear(&r->tail);
    text = (xh_str){text.ptr + from, text.len - from};
  } else if (r->tail.len + text.len + 1 > TAIL_BYTES) {
    xh_buf_drop(&r->tail, character_from(xh_buf_span(&r->tail), r->tail.len + text.len + 1 - TAIL_BYTES));
  }
  xh_buf_str(&r->tail, text);
  xh_buf_char(&r->tail, '\n');
}

static void on_line(void *arg, xh_str text)
{
  run *r = arg;
  xh_runner *runner = r->runner;
  xh_buf_clear(&runner->line);
  xh_line_output(runner->options.style, xh_str_z(r->job->delivery), xh_str_z(r->scripts.names[r->at]), text, xh_wall_ms(), &runner->line);
  runner->options.print(runner->options.arg, xh_buf_span(&runner->line));
  keep_tail(r, text);
}

static void end_words(const xh_process_end *end, int64_t limit_ms, char *out, size_t size)
{
  char limit[64];
  const char *left = end->left ? "; what it left in the background was ended, because it kept the output open" : "";
  xh_duration_text(limit_ms, limit, sizeof limit);
  if (end->timed_out)
    snprintf(out, size, "ended: longer than %s (--script-timeout)", limit);
  else if (end->exit_status >= 0)
    snprintf(out, size, "exit status %d%s", end->exit_status, left);
  else
    snprintf(out, size, "ended by signal %d (%s)%s", end->signal, strsignal(end->signal), left);
}

static void on_ended(void *arg, const xh_process_end *end)
{
  run *r = arg;
  r->process = NULL;
  xh_job_outcome outcome = {.ok = end->exit_status == 0 && !end->timed_out, .timed_out = end->timed_out};
  snprintf(outcome.script, sizeof outcome.script, "%s", r->scripts.names[r->at]);
  end_words(end, r->runner->options.limit_ms, outcome.words, sizeof outcome.words);
  if (!outcome.ok || end->left || r->runner->options.verbose)
    print_outcome(r, &outcome);
  if (outcome.ok && ++r->at < r->scripts.count && !r->runner->ending)
    next_script(r);
  else if (outcome.ok && r->at < r->scripts.count)
    fail(r, "not begun: the receiver stops");
  else
    finish(r, &outcome);
}

static void next_script(run *r)
{
  const xh_runner_options *options = &r->runner->options;
  char path[PATH_MAX];
  const char *name = r->scripts.names[r->at];
  snprintf(path, sizeof path, "%s/%s", options->scripts, name);
  const xh_process_spec spec = {.path = path,
                                .name = path,
                                .env = r->env,
                                .workdir = options->workdir,
                                .input = r->input,
                                .limit_ms = options->limit_ms,
                                .arg = r,
                                .line = on_line,
                                .ended = on_ended};
  int error = 0;
  r->script_began_ms = xh_mono_ms();
  if (xh_process_start(r->runner->reaper, &spec, &r->process, &error) == 0)
    return;
  char words[200] = "could not be started: ";
  size_t length = strlen(words);
  xh_scripts_explain(path, options->workdir, error, words + length, sizeof words - length);
  fail(r, words);
}

/* Scripts that went well in an earlier attempt are not run again. */
static void skip_done(run *r)
{
  for (size_t i = 0; r->job->resume && i < r->scripts.count; i++)
    if (strcmp(r->scripts.names[i], r->job->resume) == 0)
      r->at = i;
}

static int prepare(run *r)
{
  xh_message message;
  int rc = xh_message_parse((xh_str){r->job->body, r->job->body_len}, &message, NULL);
  if (rc == 0 && message.kind != XH_MESSAGE_EVENT)
    rc = XH_EEVENT;
  if (rc == 0)
    rc = xh_environment_build(&message.event, r->job, r->runner->options.pass_env, r->runner->options.pass_env_count, &r->env);
  if (rc == 0)
    r->input = message.event.raw;
  if (rc == 0)
    rc = xh_scripts_find(r->runner->options.scripts, message.event.method, message.event.type, &r->scripts);
  return rc;
}

static void begin(xh_runner *runner, xh_job *job)
{
  run *r = calloc(1, sizeof *r);
  if (!r) {
    const xh_job_outcome outcome = {.words = "out of memory"};
    leave_lane(runner, job);
    runner->options.done(runner->options.arg, job, &outcome);
    return;
  }
  *r = (run){.runner = runner, .job = job, .next = runner->runs, .link = &runner->runs, .began_ms = xh_mono_ms()};
  r->script_began_ms = r->began_ms;
  xh_buf_init(&r->tail, TAIL_BYTES + XH_OUTPUT_LINE_BYTES);
  if (r->next)
    r->next->link = &r->next;
  runner->runs = r;
  runner->running++;
  int rc = prepare(r);
  if (rc) {
    fail(r, *r->scripts.fault ? r->scripts.fault : xh_err_text(rc));
  } else if (r->scripts.count == 0) {
    xh_job_outcome nothing = {.ok = true, .nothing = true, .words = "no script"};
    finish(r, &nothing);
  } else {
    skip_done(r);
    next_script(r);
  }
}

/* A few at a time, so that requests are answered in between. */
static void on_kick(uv_idle_t *handle)
{
  xh_runner *runner = handle->data;
  for (int i = 0; i < STARTS_AT_A_TIME && runner->running < runner->options.running_max && !runner->ending && !runner->paused; i++) {
    xh_job *job = xh_job_list_pop(&runner->ready);
    if (!job)
      break;
    begin(runner, job);
  }
  kick(runner);
}

void xh_runner_pause(xh_runner *runner)
{
  runner->paused = true;
  kick(runner);
}

void xh_runner_end_all(xh_runner *runner)
{
  runner->ending = true;
  kick(runner);
  for (run *r = runner->runs; r; r = r->next)
    if (r->process)
      xh_process_stop(r->process);
}
