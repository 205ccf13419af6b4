#include "receiver/receiver_internal.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>

void receiver_print(xh_receiver *receiver)
{
  receiver->options.print(receiver->options.arg, xh_buf_span(&receiver->line));
  xh_buf_clear(&receiver->line);
}

xh_seen_state receiver_seen_state(int job_state)
{
  return job_state < 0 ? XH_SEEN_DONE : job_state == 0 ? XH_SEEN_RUNNING : XH_SEEN_FAILED;
}

void receiver_remember(xh_receiver *receiver, const pending *p, xh_seen_state state)
{
  if (p->identified)
    xh_seen_set(receiver->seen, xh_str_z(p->delivery), state, xh_wall_ms());
}

pending *pending_new(xh_receiver *receiver, xh_request *request, const char *delivery)
{
  pending *p = calloc(1, sizeof *p);
  if (!p)
    return NULL;
  p->request = request;
  p->delivery = strdup(delivery);
  if (!p->delivery) {
    free(p);
    return NULL;
  }
  p->identified = xh_request_head(request)->id.ptr != NULL;
  p->state = XH_SEEN_DONE;
  xh_buf_init(&p->tail, 8192);
  p->next = receiver->pendings;
  p->link = &receiver->pendings;
  if (p->next)
    p->next->link = &p->next;
  receiver->pendings = p;
  return p;
}

void pending_free(pending *p)
{
  *p->link = p->next;
  if (p->next)
    p->next->link = p->link;
  free(p->delivery);
  xh_buf_done(&p->tail);
  free(p);
}

void receiver_answer_ok(xh_request *request, int status, const char *delivery, const char *more)
{
  xh_buf json;
  xh_buf_init(&json, 2048);
  xh_buf_z(&json, "{\"ok\":true,\"delivery\":");
  xh_buf_json_z(&json, delivery);
  xh_buf_z(&json, more);
  xh_buf_z(&json, "}\n");
  xh_request_answer(request, status, 0, xh_buf_span(&json));
  xh_buf_done(&json);
}

/* "error" names what failed, "output" has its last lines. */
static void answer_failed(const pending *p)
{
  xh_buf json;
  xh_buf_init(&json, 64 * 1024);
  xh_buf_z(&json, "{\"ok\":false,\"delivery\":");
  xh_buf_json_z(&json, p->delivery);
  xh_buf_z(&json, ",\"error\":");
  char text[sizeof p->worst.script + sizeof p->worst.words + 4];
  snprintf(text, sizeof text, "%s: %s", p->worst.script, p->worst.words);
  xh_buf_json_z(&json, text);
  xh_buf_z(&json, ",\"output\":[");
  xh_str rest = xh_buf_span(&p->tail);
  for (bool first = true; rest.len > 0; first = false) {
    const char *newline = memchr(rest.ptr, '\n', rest.len);
    size_t length = newline ? (size_t)(newline - rest.ptr) : rest.len;
    xh_buf_z(&json, first ? "" : ",");
    xh_buf_json(&json, (xh_str){rest.ptr, length});
    length += newline ? 1 : 0;
    rest = (xh_str){rest.ptr + length, rest.len - length};
  }
  xh_buf_printf(&json, "]%s}\n", p->kept ? ",\"spooled\":true" : "");
  xh_request_answer(p->request, p->worst.timed_out ? 504 : 500, 0, xh_buf_span(&json));
  xh_buf_done(&json);
}

/* One of the request's jobs has ended; with the last one it is answered. */
static void pending_outcome(xh_receiver *receiver, pending *p, const xh_job_outcome *outcome, xh_seen_state state_when_failed)
{
  if (!outcome->ok && p->state != XH_SEEN_RUNNING)
    p->state = state_when_failed;
  if (!outcome->ok && !p->failed) {
    p->failed = true;
    p->worst = *outcome;
    xh_buf_str(&p->tail, outcome->tail);
  }
  if (--p->jobs > 0)
    return;
  p->kept = receiver->spool && p->failed;
  receiver_remember(receiver, p, p->state);
  if (p->failed)
    answer_failed(p);
  else
    receiver_answer_ok(p->request, 200, p->delivery, "");
  pending_free(p);
}

static size_t lane_of(const xh_receiver *receiver, const xh_job *job)
{
  for (size_t i = 0; i < receiver->lane_count; i++)
    if (strcmp(receiver->lanes[i], job->forward ? job->forward : "") == 0)
      return i;
  return 0;
}

static int64_t retry_wait(const xh_receiver *receiver, int attempt)
{
  int64_t wait_ms = receiver->options.retry_wait_ms;
  for (int i = 1; i < attempt && wait_ms < XH_SPOOL_WAIT_MAX_MS; i++)
    wait_ms *= 2;
  return wait_ms < XH_SPOOL_WAIT_MAX_MS ? wait_ms : XH_SPOOL_WAIT_MAX_MS;
}

static void say(xh_receiver *receiver, const xh_job *job, const xh_job_outcome *outcome, bool ok, const char *words)
{
  xh_line_outcome(receiver->options.style, xh_str_z(job->delivery), xh_str_z(outcome->script), ok, xh_str_z(words), outcome->duration_ms,
                  xh_wall_ms(), &receiver->line);
  receiver_print(receiver);
}

/* Again later, or kept as failed. Returns what a repeat of the request is to be told. */
static xh_seen_state spool_failure(xh_receiver *receiver, xh_job *job, const xh_job_outcome *outcome)
{
  char error[sizeof outcome->script + sizeof outcome->words + 4], words[128];
  snprintf(error, sizeof error, "%s: %s", outcome->script, outcome->words);
  bool again = job->attempt <= receiver->options.retry_max;
  int64_t wait_ms = retry_wait(receiver, job->attempt);
  const xh_spool_failure failure = {.attempts = job->attempt, .next_ms = again ? xh_wall_ms() + wait_ms : 0, .error = error, .tail = outcome->tail};
  if (!again) {
    snprintf(words, sizeof words, "failed for good; kept: xo-hooks spool show %lld", (long long)job->spool_id);
    say(receiver, job, outcome, false, words);
  }
  xh_spool_failed(receiver->spool, lane_of(receiver, job), job, &failure);
  return again ? XH_SEEN_RUNNING : XH_SEEN_FAILED;
}

/* With --wait and a spool, later attempts decide what a repetition of the request is told. What is done stays done: this may come late. */
void receiver_spool_settled(void *arg, const char *delivery, int state)
{
  xh_receiver *receiver = arg;
  int64_t now_ms = xh_wall_ms();
  xh_seen_state known = xh_seen_get(receiver->seen, xh_str_z(delivery), now_ms);
  if (known == XH_SEEN_RUNNING || known == XH_SEEN_FAILED)
    xh_seen_set(receiver->seen, xh_str_z(delivery), receiver_seen_state(state), now_ms);
}

void receiver_job_done(void *arg, xh_job *job, const xh_job_outcome *outcome)
{
  xh_receiver *receiver = arg;
  if (job->forward && (!outcome->ok || receiver->options.verbose))
    say(receiver, job, outcome, outcome->ok, outcome->words);
  size_t lane = lane_of(receiver, job), bytes = xh_job_bytes(job);
  pending *p = receiver->spool ? xh_map_remove_id(&receiver->waiting, job->spool_id) : receiver->abandoned ? NULL : job->waiter;
  xh_seen_state state = receiver->spool ? XH_SEEN_RUNNING : XH_SEEN_NEVER;
  bool cut_short = receiver->ending && !outcome->ok; /* by us: it counts as not begun */
  if (!receiver->spool || cut_short)
    xh_job_free(job);
  else if (outcome->ok)
    xh_spool_done(receiver->spool, lane, job);
  else
    state = spool_failure(receiver, job, outcome);
  receiver->held_bytes -= receiver->spool ? 0 : bytes; /* what is safe on disk keeps no request out: the spool bounds what it hands out */
  if (p)
    pending_outcome(receiver, p, outcome, state);
  if (receiver->spool && !receiver->stopping)
    xh_spool_grant(receiver->spool, lane, 1);
}

void receiver_start_job(xh_receiver *receiver, xh_job *job)
{
  if (!job->forward) {
    xh_runner_add(receiver->runner, job);
  } else if (xh_forward_add(receiver->forward, job) != 0) {
    xh_job_outcome outcome = {.words = "not passed on: too much waits for this target; --spool keeps it"};
    if (!xh_forward_url_ok(job->forward, outcome.script, sizeof outcome.script))
      snprintf(outcome.script, sizeof outcome.script, "--forward");
    receiver_job_done(receiver, job, &outcome);
  }
}

void receiver_spool_turn(void *arg, size_t lane, xh_job *job)
{
  (void)lane;
  xh_receiver *receiver = arg;
  if (receiver->stopping) { /* it stays in the spool */
    xh_job_free(job);
    return;
  }
  receiver_start_job(receiver, job);
}

void receiver_spool_added(void *arg, void *tag, int rc, const xh_job *jobs)
{
  xh_receiver *receiver = arg;
  pending *p = tag;
  receiver->adding--;
  for (const xh_job *job = jobs; job; job = job->next)
    receiver->held_bytes -= xh_job_bytes(job);
  if (rc) {
    char why[160];
    snprintf(why, sizeof why, "the request can't be stored: %s; try again later", rc == XH_ENOENT ? "the spool is gone" : xh_err_text(rc));
    receiver_remember(receiver, p, XH_SEEN_NEVER);
    xh_request_refuse(p->request, 503, FULL_RETRY_S, xh_str_z(why));
    pending_free(p);
    return;
  }
  if (receiver->options.wait) {
    for (const xh_job *job = jobs; job; job = job->next)
      if (xh_map_set_id(&receiver->waiting, job->spool_id, p) != 0)
        p->jobs--; /* without memory it is not waited for */
    if (p->jobs > 0)
      return;
  }
  receiver_remember(receiver, p, XH_SEEN_DONE);
  receiver_answer_ok(p->request, 202, p->delivery, "");
  pending_free(p);
}

void receiver_spool_trouble(void *arg, int rc)
{
  xh_receiver *receiver = arg;
  if (rc == XH_ENOENT)
    xh_log(XH_LOG_ERROR,
           "the spool %s is gone: its spool.db was deleted, moved or replaced; what comes is answered 503 until it is back or the receiver is restarted",
           receiver->options.spool);
  else if (rc)
    xh_log(XH_LOG_ERROR, "the spool %s can't be used: %s; what can't be stored is answered 503", receiver->options.spool, xh_err_text(rc));
  else
    xh_log(XH_LOG_INFO, "the spool %s can be used again", receiver->options.spool);
}
