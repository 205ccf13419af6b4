#include "receiver/receiver.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/map.h"
#include "receiver/forward.h"
#include "receiver/runner.h"
#include "receiver/seen.h"
#include "receiver/spool.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

enum { RETRY_WAIT_MAX_MS = 3600 * 1000, WINDOW_MIN = 16, STOP_LOOK_MS = 20, HEADERS_CAP_BYTES = 64 * 1024, RUNNING_RETRY_S = 5, FULL_RETRY_S = 10 };

/* A request that waits: for the spool's commit, or for the outcome of its jobs. */
typedef struct pending {
  struct pending *next, **link;
  xh_request *request;
  char *delivery;
  bool identified; /* the sender gave it an id, by which it is known again */
  size_t jobs;     /* whose outcome is still to come */
  bool failed, kept;
  xh_job_outcome worst; /* the first failure */
  xh_buf tail;
} pending;

struct xh_receiver {
  xh_receiver_options options;
  uv_loop_t *loop;
  xh_server *server;
  xh_runner *runner;
  xh_forward *forward;
  xh_spool *spool;
  xh_seen *seen;
  xh_map waiting; /* spool_id → pending, with --wait */
  pending *pendings;
  const char *lanes[XH_FORWARDS_MAX + 1];
  size_t lane_count;
  size_t held_bytes;
  uint64_t serial_number;
  unsigned prefix; /* of the ids that we give */
  uv_timer_t stop_timer;
  bool stopping, ending;
  xh_buf line;
};

static void print(xh_receiver *receiver)
{
  receiver->options.print(receiver->options.arg, xh_buf_span(&receiver->line));
  xh_buf_clear(&receiver->line);
}

static void print_line(void *arg, xh_str line)
{
  xh_receiver *receiver = arg;
  receiver->options.print(receiver->options.arg, line);
}

static void remember(xh_receiver *receiver, const pending *p, xh_seen_state state)
{
  if (p->identified)
    xh_seen_set(receiver->seen, xh_str_z(p->delivery), state, xh_wall_ms());
}

static pending *pending_new(xh_receiver *receiver, xh_request *request, const char *delivery)
{
  pending *p = calloc(1, sizeof *p);
  if (!p)
    return NULL;
  p->request = request;
  p->delivery = strdup(delivery);
  p->identified = xh_request_head(request)->id.ptr != NULL;
  xh_buf_init(&p->tail, 8192);
  p->next = receiver->pendings;
  p->link = &receiver->pendings;
  if (p->next)
    p->next->link = &p->next;
  receiver->pendings = p;
  return p;
}

static void pending_free(pending *p)
{
  *p->link = p->next;
  if (p->next)
    p->next->link = p->link;
  free(p->delivery);
  xh_buf_done(&p->tail);
  free(p);
}

static void answer_ok(xh_request *request, int status, const char *delivery, const char *more)
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
  if (!outcome->ok && !p->failed) {
    p->failed = true;
    p->worst = *outcome;
    xh_buf_str(&p->tail, outcome->tail);
  }
  if (--p->jobs > 0)
    return;
  p->kept = receiver->spool && p->failed;
  remember(receiver, p, p->failed ? state_when_failed : XH_SEEN_DONE);
  if (p->failed)
    answer_failed(p);
  else
    answer_ok(p->request, 200, p->delivery, "");
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
  for (int i = 1; i < attempt && wait_ms < RETRY_WAIT_MAX_MS; i++)
    wait_ms *= 2;
  return wait_ms < RETRY_WAIT_MAX_MS ? wait_ms : RETRY_WAIT_MAX_MS;
}

static void say(xh_receiver *receiver, const xh_job *job, const xh_job_outcome *outcome, bool ok, const char *words)
{
  xh_line_outcome(receiver->options.style, xh_str_z(job->delivery), xh_str_z(outcome->script), ok, xh_str_z(words), outcome->duration_ms,
                  xh_wall_ms(), &receiver->line);
  print(receiver);
}

/* Again later, or kept as failed. Returns what a repeat of the request is to be told. */
static xh_seen_state spool_failure(xh_receiver *receiver, xh_job *job, const xh_job_outcome *outcome)
{
  char error[sizeof outcome->script + sizeof outcome->words + 4], tail[8192], words[128];
  snprintf(error, sizeof error, "%s: %s", outcome->script, outcome->words);
  snprintf(tail, sizeof tail, "%.*s", (int)outcome->tail.len, outcome->tail.ptr ? outcome->tail.ptr : "");
  bool again = job->attempt <= receiver->options.retry_max;
  int64_t wait_ms = retry_wait(receiver, job->attempt);
  const xh_spool_failure failure = {.attempts = job->attempt, .next_ms = again ? xh_wall_ms() + wait_ms : 0, .error = error, .tail = tail};
  if (!again) {
    snprintf(words, sizeof words, "failed for good; kept: xo-hooks spool show %lld", (long long)job->spool_id);
    say(receiver, job, outcome, false, words);
  }
  xh_spool_failed(receiver->spool, lane_of(receiver, job), job, &failure);
  return again ? XH_SEEN_RUNNING : XH_SEEN_FAILED;
}

static void job_done(void *arg, xh_job *job, const xh_job_outcome *outcome)
{
  xh_receiver *receiver = arg;
  if (job->forward && (!outcome->ok || receiver->options.verbose))
    say(receiver, job, outcome, outcome->ok, outcome->words);
  size_t lane = lane_of(receiver, job), bytes = xh_job_bytes(job);
  pending *p = receiver->spool ? xh_map_remove_id(&receiver->waiting, job->spool_id) : job->waiter;
  xh_seen_state state = XH_SEEN_NEVER;
  bool cut_short = receiver->ending && !outcome->ok; /* by us: it counts as not begun */
  if (!receiver->spool || cut_short)
    xh_job_free(job);
  else if (outcome->ok)
    xh_spool_done(receiver->spool, lane, job);
  else
    state = spool_failure(receiver, job, outcome);
  receiver->held_bytes -= bytes;
  if (p)
    pending_outcome(receiver, p, outcome, state);
  if (receiver->spool && !receiver->stopping)
    xh_spool_grant(receiver->spool, lane, 1);
}

static void start_job(xh_receiver *receiver, xh_job *job)
{
  if (job->forward)
    xh_forward_add(receiver->forward, job);
  else
    xh_runner_add(receiver->runner, job);
}

static void spool_turn(void *arg, size_t lane, xh_job *job)
{
  (void)lane;
  xh_receiver *receiver = arg;
  if (receiver->stopping) { /* it stays in the spool */
    xh_job_free(job);
    return;
  }
  receiver->held_bytes += xh_job_bytes(job);
  start_job(receiver, job);
}

static void spool_added(void *arg, void *tag, int rc, const xh_job *jobs)
{
  xh_receiver *receiver = arg;
  pending *p = tag;
  for (const xh_job *job = jobs; job; job = job->next)
    receiver->held_bytes -= xh_job_bytes(job);
  if (rc) {
    char why[160];
    snprintf(why, sizeof why, "the request can't be stored: %s; try again later", xh_err_text(rc));
    remember(receiver, p, XH_SEEN_NEVER);
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
  remember(receiver, p, XH_SEEN_DONE);
  answer_ok(p->request, 202, p->delivery, "");
  pending_free(p);
}

static void spool_trouble(void *arg, int rc)
{
  xh_receiver *receiver = arg;
  if (rc)
    xh_log(XH_LOG_ERROR, "the spool %s can't be written: %s; requests are answered 503 until it can", receiver->options.spool, xh_err_text(rc));
  else
    xh_log(XH_LOG_INFO, "the spool %s can be written again", receiver->options.spool);
}

static xh_job *make_job(xh_receiver *receiver, const xh_message *message, const char *delivery, const char *forward, xh_str headers, xh_str body)
{
  xh_job *job = xh_job_new();
  if (!job)
    return NULL;
  bool event = message->kind == XH_MESSAGE_EVENT;
  xh_str id;
  job->delivery = strdup(delivery);
  job->method = event ? xh_job_copy(message->event.method) : NULL;
  job->type = event ? message->event.type : XH_PRE;
  job->forward = forward ? strdup(forward) : NULL;
  job->headers = forward ? xh_job_copy(headers) : NULL;
  job->body = malloc(body.len + 1);
  job->body_len = body.len;
  if (receiver->options.serial && event && message->event.params.ptr && xh_json_typeof(message->event.params) == XH_JSON_OBJECT &&
      xh_json_find(message->event.params, XH_STR("id"), &id))
    job->object = xh_job_copy(id);
  if (!job->delivery || !job->body || (forward && (!job->forward || !job->headers))) {
    xh_job_free(job);
    return NULL;
  }
  memcpy(job->body, body.ptr, body.len);
  job->body[body.len] = 0;
  return job;
}

/* One job for the scripts and one for each URL. */
static int make_jobs(xh_receiver *receiver, xh_request *request, const xh_message *message, const char *delivery, xh_job_list *list)
{
  const xh_receiver_options *options = &receiver->options;
  int rc = 0;
  xh_buf headers;
  xh_buf_init(&headers, HEADERS_CAP_BYTES);
  if (options->forward_count > 0)
    xh_request_headers(request, options->server.gate.token.ptr == NULL, &headers);
  bool scripts = options->scripts && message->kind == XH_MESSAGE_EVENT;
  for (size_t i = scripts ? 0 : 1; i < options->forward_count + 1 && rc == 0; i++) {
    xh_job *job = make_job(receiver, message, delivery, i ? options->forwards[i - 1] : NULL, xh_buf_span(&headers), xh_request_body(request));
    if (!job) {
      rc = XH_ENOMEM;
      break;
    }
    receiver->held_bytes += xh_job_bytes(job);
    xh_job_list_push(list, job);
  }
  xh_buf_done(&headers);
  return rc;
}

static void drop_jobs(xh_receiver *receiver, xh_job_list *list)
{
  for (xh_job *job; (job = xh_job_list_pop(list)) != NULL;) {
    receiver->held_bytes -= xh_job_bytes(job);
    xh_job_free(job);
  }
}

/* A request that came before. Returns false for a new one. */
static bool answer_again(xh_receiver *receiver, xh_request *request, const char *delivery)
{
  const xh_head *head = xh_request_head(request);
  xh_seen_state state = head->id.ptr ? xh_seen_get(receiver->seen, head->id, xh_wall_ms()) : XH_SEEN_NEVER;
  switch (state) {
  case XH_SEEN_NEVER:
    return false;
  case XH_SEEN_RUNNING:
    xh_request_refuse(request, 503, RUNNING_RETRY_S, XH_STR("this delivery came before and is still being worked on"));
    return true;
  case XH_SEEN_FAILED:
    if (receiver->options.wait) {
      xh_request_refuse(request, 500, 0, XH_STR("this delivery came before and failed; it is kept: xo-hooks spool list"));
      return true;
    }
    break;
  case XH_SEEN_DONE:
    break;
  }
  answer_ok(request, 200, delivery, ",\"again\":true");
  return true;
}

static bool is_full(const xh_receiver *receiver)
{
  return receiver->held_bytes > receiver->options.server.memory_cap_bytes ||
         (!receiver->spool && (xh_runner_waiting(receiver->runner) >= XH_QUEUE_MAX ||
                               (receiver->forward && xh_forward_count(receiver->forward) >= XH_QUEUE_MAX)));
}

static void start_jobs(xh_receiver *receiver, xh_request *request, const char *delivery, xh_job_list *jobs)
{
  pending *p = receiver->spool || receiver->options.wait ? pending_new(receiver, request, delivery) : NULL;
  if (p) {
    p->jobs = jobs->count;
    remember(receiver, p, XH_SEEN_RUNNING);
  } else if (xh_request_head(request)->id.ptr) {
    xh_seen_set(receiver->seen, xh_request_head(request)->id, XH_SEEN_DONE, xh_wall_ms());
  }
  if (receiver->spool && (!p || xh_spool_add(receiver->spool, jobs, p->identified ? delivery : NULL, p) != 0)) {
    if (p) {
      remember(receiver, p, XH_SEEN_NEVER);
      pending_free(p);
    }
    drop_jobs(receiver, jobs);
    xh_request_refuse(request, 503, FULL_RETRY_S, XH_STR("out of memory"));
    return;
  }
  for (xh_job *job; (job = xh_job_list_pop(jobs)) != NULL;) {
    job->waiter = p;
    start_job(receiver, job);
  }
  if (!p)
    answer_ok(request, 202, delivery, "");
}

static void refuse_message(xh_request *request, int rc, const xh_event_fault *fault)
{
  char why[256];
  if (rc == XH_EEVENT || rc == XH_EMISSING)
    snprintf(why, sizeof why, "the JSON is neither an event nor a card: %s", fault->what);
  else
    snprintf(why, sizeof why, "the body is not valid JSON: %s at byte %zu", fault->what, fault->offset);
  xh_request_refuse(request, rc == XH_EEVENT || rc == XH_EMISSING ? 422 : 400, 0, xh_str_z(why));
}

static void on_request(void *arg, xh_request *request)
{
  xh_receiver *receiver = arg;
  xh_message message;
  xh_event_fault fault = {.offset = 0};
  char delivery[XH_DELIVERY_ID_MAX + 1];
  int rc = xh_message_parse(xh_request_body(request), &message, &fault);
  if (rc) {
    refuse_message(request, rc, &fault);
    return;
  }
  xh_str id = xh_request_head(request)->id;
  if (id.ptr)
    snprintf(delivery, sizeof delivery, "%.*s", (int)id.len, id.ptr);
  else
    snprintf(delivery, sizeof delivery, "req_%08x%llu", receiver->prefix, (unsigned long long)++receiver->serial_number);
  bool again = id.ptr && xh_seen_get(receiver->seen, id, xh_wall_ms()) != XH_SEEN_NEVER;
  if (!again && is_full(receiver)) {
    xh_request_refuse(request, 503, FULL_RETRY_S, XH_STR("too much waits to be worked on; try again later"));
    return;
  }
  xh_line_message(receiver->options.style, &message, xh_str_z(delivery), again, xh_wall_ms(), &receiver->line);
  print(receiver);
  if (answer_again(receiver, request, delivery))
    return;
  xh_job_list jobs = {NULL, NULL, 0};
  if (make_jobs(receiver, request, &message, delivery, &jobs) != 0) {
    drop_jobs(receiver, &jobs);
    xh_request_refuse(request, 503, FULL_RETRY_S, XH_STR("out of memory"));
  } else if (jobs.count == 0) {
    if (id.ptr)
      xh_seen_set(receiver->seen, id, XH_SEEN_DONE, xh_wall_ms());
    answer_ok(request, 200, delivery, "");
  } else {
    start_jobs(receiver, request, delivery, &jobs);
  }
}

static void on_refused(void *arg, int status, xh_str why, xh_str client)
{
  xh_receiver *receiver = arg;
  xh_line_refused(receiver->options.style, status, why, client, xh_wall_ms(), &receiver->line);
  print(receiver);
}

static void on_seen(void *arg, xh_str delivery, int state, int64_t at_ms)
{
  xh_receiver *receiver = arg;
  bool wait = receiver->options.wait;
  xh_seen_set(receiver->seen, delivery, !wait || state < 0 ? XH_SEEN_DONE : state == 0 ? XH_SEEN_RUNNING : XH_SEEN_FAILED, at_ms);
}

static int open_spool(xh_receiver *receiver, char *ret_why, size_t why_size)
{
  const xh_receiver_options *options = &receiver->options;
  receiver->lanes[receiver->lane_count++] = "";
  for (size_t i = 0; i < options->forward_count; i++)
    receiver->lanes[receiver->lane_count++] = options->forwards[i];
  if (!options->spool)
    return 0;
  const xh_spool_options spool = {.loop = receiver->loop,
                                  .folder = options->spool,
                                  .lanes = receiver->lanes,
                                  .lane_count = receiver->lane_count,
                                  .arg = receiver,
                                  .added = spool_added,
                                  .turn = spool_turn,
                                  .trouble = spool_trouble};
  int rc = xh_spool_open(&spool, &receiver->spool);
  if (rc == 0)
    rc = xh_spool_each_seen(receiver->spool, xh_wall_ms() - XH_SEEN_KEEP_MS, on_seen, receiver);
  if (rc)
    snprintf(ret_why, why_size, "the spool %s can't be opened: %s", options->spool, xh_err_text(rc));
  return rc;
}

static int open_workers(xh_receiver *receiver, char *ret_why, size_t why_size)
{
  const xh_receiver_options *options = &receiver->options;
  const xh_runner_options runner = {.loop = receiver->loop,
                                    .scripts = options->scripts,
                                    .workdir = options->workdir,
                                    .pass_env = options->pass_env,
                                    .pass_env_count = options->pass_env_count,
                                    .running_max = options->running_max,
                                    .limit_ms = options->script_limit_ms,
                                    .verbose = options->verbose,
                                    .style = options->style,
                                    .arg = receiver,
                                    .print = print_line,
                                    .done = job_done};
  const xh_forward_options forward = {
      .loop = receiver->loop, .timeout_ms = options->forward_timeout_ms, .ca_file = options->ca_file, .arg = receiver, .done = job_done};
  int rc = xh_seen_new(&receiver->seen);
  if (rc == 0)
    rc = xh_runner_new(&runner, &receiver->runner);
  if (rc == 0 && options->forward_count > 0)
    rc = xh_forward_new(&forward, &receiver->forward);
  if (rc)
    snprintf(ret_why, why_size, "can't start: %s", xh_err_text(rc));
  return rc;
}

static void close_all(xh_receiver *receiver)
{
  xh_spool_close(receiver->spool);
  xh_forward_close(receiver->forward);
  xh_runner_close(receiver->runner);
  xh_server_close(receiver->server);
}

static void free_receiver(uv_handle_t *handle)
{
  xh_receiver *receiver = handle->data;
  xh_seen_free(receiver->seen);
  xh_map_done(&receiver->waiting, NULL);
  xh_buf_done(&receiver->line);
  free(receiver);
}

int xh_receiver_new(const xh_receiver_options *options, xh_receiver **ret_receiver, char *ret_why, size_t why_size)
{
  xh_receiver *receiver = calloc(1, sizeof *receiver);
  if (!receiver) {
    snprintf(ret_why, why_size, "out of memory");
    return XH_ENOMEM;
  }
  receiver->options = *options;
  receiver->loop = options->server.loop;
  RAND_bytes((unsigned char *)&receiver->prefix, sizeof receiver->prefix);
  xh_map_init(&receiver->waiting);
  xh_buf_init(&receiver->line, XH_LINE_CAP_BYTES);
  uv_timer_init(receiver->loop, &receiver->stop_timer);
  receiver->stop_timer.data = receiver;
  xh_server_options *server = &receiver->options.server;
  server->held_bytes = &receiver->held_bytes;
  server->arg = receiver;
  server->request = on_request;
  server->refused = on_refused;
  int rc = open_workers(receiver, ret_why, why_size);
  if (rc == 0)
    rc = open_spool(receiver, ret_why, why_size);
  if (rc == 0)
    rc = xh_server_new(server, &receiver->server, ret_why, why_size);
  if (rc) {
    close_all(receiver);
    uv_close((uv_handle_t *)&receiver->stop_timer, free_receiver);
    return rc;
  }
  size_t window = options->running_max * 2 > WINDOW_MIN ? options->running_max * 2 : WINDOW_MIN;
  for (size_t i = 0; receiver->spool && i < receiver->lane_count; i++)
    if (i > 0 || options->scripts)
      xh_spool_grant(receiver->spool, i, window);
  *ret_receiver = receiver;
  return 0;
}

int xh_receiver_port(const xh_receiver *receiver)
{
  return xh_server_port(receiver->server);
}

void xh_receiver_found(const xh_receiver *receiver, int64_t *ret_pending, int64_t *ret_failed)
{
  *ret_pending = *ret_failed = 0;
  if (receiver->spool)
    xh_spool_found(receiver->spool, ret_pending, ret_failed);
}

/* Whoever waits for a job that will not begin any more. */
static void answer_the_rest(xh_receiver *receiver)
{
  for (pending *p; (p = receiver->pendings) != NULL;) {
    remember(receiver, p, XH_SEEN_NEVER);
    xh_request_refuse(p->request, 503, FULL_RETRY_S,
                      receiver->spool ? XH_STR("the receiver stops; the request is in its spool") : XH_STR("the receiver stops"));
    pending_free(p);
  }
  xh_map_done(&receiver->waiting, NULL);
  xh_map_init(&receiver->waiting);
}

static bool is_working(const xh_receiver *receiver)
{
  bool running = xh_runner_running(receiver->runner) > 0;
  bool queued = !receiver->spool && !receiver->ending &&
                (xh_runner_waiting(receiver->runner) > 0 || (receiver->forward && xh_forward_count(receiver->forward) > 0));
  bool committing = receiver->spool && !receiver->options.wait && receiver->pendings;
  return running || queued || committing;
}

static void on_stop_timer(uv_timer_t *timer)
{
  xh_receiver *receiver = timer->data;
  if (is_working(receiver))
    return;
  answer_the_rest(receiver);
  if (xh_server_busy(receiver->server) > 0)
    return;
  size_t left = receiver->spool ? 0 : xh_runner_waiting(receiver->runner) + (receiver->forward ? xh_forward_count(receiver->forward) : 0);
  if (left > 0)
    xh_log(XH_LOG_WARN, "%zu accepted requests were dropped, because the receiver was told to end at once; --spool keeps them", left);
  void (*stopped)(void *arg) = receiver->options.stopped;
  void *arg = receiver->options.arg;
  close_all(receiver);
  uv_close((uv_handle_t *)&receiver->stop_timer, free_receiver);
  stopped(arg);
}

void xh_receiver_stop(xh_receiver *receiver, bool end)
{
  receiver->stopping = true;
  xh_server_quiesce(receiver->server);
  if (receiver->spool)
    xh_runner_pause(receiver->runner);
  if (end && !receiver->ending) {
    receiver->ending = true;
    xh_runner_end_all(receiver->runner);
  }
  uv_timer_start(&receiver->stop_timer, on_stop_timer, 0, STOP_LOOK_MS);
}
