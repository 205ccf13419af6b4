#include "receiver/receiver_internal.h"

#include "base/clock.h"
#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { HEADERS_CAP_BYTES = 64 * 1024 };

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
  bool serial = receiver->options.serial && event && message->event.params.ptr && xh_json_typeof(message->event.params) == XH_JSON_OBJECT &&
                xh_json_find(message->event.params, XH_STR("id"), &id);
  if (serial)
    job->object = xh_job_copy(id);
  if (!job->delivery || !job->body || (event && !job->method) || (serial && !job->object) || (forward && (!job->forward || !job->headers))) {
    xh_job_free(job);
    return NULL;
  }
  memcpy(job->body, body.ptr, body.len);
  job->body[body.len] = 0;
  return job;
}

/* Looked at anew for each event: the folder may be made while we run. */
static bool has_scripts(const xh_receiver_options *options)
{
  return options->scripts && (!options->scripts_optional || access(options->scripts, F_OK) == 0);
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
  bool scripts = message->kind == XH_MESSAGE_EVENT && has_scripts(options);
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
  receiver_answer_ok(request, 200, delivery, ",\"again\":true");
  return true;
}

/* One target for which too much waits keeps no request from the others. */
static bool is_full(const xh_receiver *receiver)
{
  return receiver->held_bytes > receiver->options.server.memory_cap_bytes ||
         (!receiver->spool && (xh_runner_waiting(receiver->runner) >= XH_QUEUE_MAX ||
                               (receiver->forward && !receiver->options.scripts && xh_forward_full(receiver->forward))));
}

/* The request waits from now on: for the disk, or for the outcome. */
static int wait_for_jobs(xh_receiver *receiver, xh_request *request, const char *delivery, xh_job_list *jobs)
{
  pending *p = pending_new(receiver, request, delivery);
  if (!p)
    return XH_ENOMEM;
  p->jobs = jobs->count;
  receiver_remember(receiver, p, XH_SEEN_RUNNING);
  if (!receiver->spool) {
    for (xh_job *job = jobs->first; job; job = job->next)
      job->waiter = p;
    return 0;
  }
  int rc = xh_spool_add(receiver->spool, jobs, p->identified ? delivery : NULL, p);
  if (rc) {
    receiver_remember(receiver, p, XH_SEEN_NEVER);
    pending_free(p);
    return rc;
  }
  receiver->adding++;
  return 0;
}

static void start_jobs(xh_receiver *receiver, xh_request *request, const char *delivery, xh_job_list *jobs)
{
  bool waits = receiver->spool || receiver->options.wait;
  xh_str id = xh_request_head(request)->id;
  if (waits && wait_for_jobs(receiver, request, delivery, jobs) != 0) {
    drop_jobs(receiver, jobs);
    xh_request_refuse(request, 503, FULL_RETRY_S, XH_STR("out of memory"));
    return;
  }
  if (!waits && id.ptr)
    xh_seen_set(receiver->seen, id, XH_SEEN_DONE, xh_wall_ms()); /* without memory a repetition would run again */
  for (xh_job *job; (job = xh_job_list_pop(jobs)) != NULL;) /* none when the spool has taken them */
    receiver_start_job(receiver, job);
  if (!waits)
    receiver_answer_ok(request, 202, delivery, "");
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

/* The stock plugin masks params and not the result, and token.create returns a token that works. */
static void print_message(xh_receiver *receiver, const xh_message *message, const char *delivery, bool again)
{
  xh_message shown = *message;
  xh_buf masked;
  xh_buf_init(&masked, 2 * message->json.len + 1024);
  if (message->kind == XH_MESSAGE_EVENT &&
      (receiver->options.redact(&message->event, &masked) != 0 ||
       (masked.len > 0 && xh_event_from_valid(xh_buf_span(&masked), &shown.event, NULL) != 0)))
    shown.event.params = shown.event.result = shown.event.error = XH_STR("\"(not shown: out of memory)\"");
  xh_line_message(receiver->options.style, &shown, xh_str_z(delivery), again, xh_wall_ms(), &receiver->line);
  receiver_print(receiver);
  xh_buf_done(&masked);
}

void receiver_on_request(void *arg, xh_request *request)
{
  xh_receiver *receiver = arg;
  xh_message message;
  xh_event_fault fault = {.offset = 0};
  if (receiver->ending) {
    xh_request_refuse(request, 503, FULL_RETRY_S, XH_STR("the receiver stops"));
    return;
  }
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
  print_message(receiver, &message, delivery, again);
  if (answer_again(receiver, request, delivery))
    return;
  xh_job_list jobs = {NULL, NULL, 0};
  if (make_jobs(receiver, request, &message, delivery, &jobs) != 0) {
    drop_jobs(receiver, &jobs);
    xh_request_refuse(request, 503, FULL_RETRY_S, XH_STR("out of memory"));
  } else if (jobs.count == 0) {
    if (id.ptr)
      xh_seen_set(receiver->seen, id, XH_SEEN_DONE, xh_wall_ms());
    receiver_answer_ok(request, 200, delivery, "");
  } else {
    start_jobs(receiver, request, delivery, &jobs);
  }
}

void receiver_on_refused(void *arg, int status, xh_str why, xh_str client)
{
  xh_receiver *receiver = arg;
  xh_line_refused(receiver->options.style, status, why, client, xh_wall_ms(), &receiver->line);
  receiver_print(receiver);
}
