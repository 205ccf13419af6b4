#include "receiver/receiver_internal.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

enum { WINDOW_MIN = 16, WINDOW_SHARE = 4 /* of the memory cap */, STOP_LOOK_MS = 20 };

static void print_line(void *arg, xh_str line)
{
  xh_receiver *receiver = arg;
  receiver->options.print(receiver->options.arg, line);
}

static void on_seen(void *arg, xh_str delivery, int state, int64_t at_ms)
{
  xh_receiver *receiver = arg;
  xh_seen_set(receiver->seen, delivery, receiver->options.wait ? receiver_seen_state(state) : XH_SEEN_DONE, at_ms);
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
                                  .window_bytes = options->server.memory_cap_bytes / WINDOW_SHARE / receiver->lane_count,
                                  .seen_since_ms = xh_wall_ms() - XH_SEEN_KEEP_MS,
                                  .arg = receiver,
                                  .seen = on_seen,
                                  .added = receiver_spool_added,
                                  .turn = receiver_spool_turn,
                                  .settled = options->wait ? receiver_spool_settled : NULL,
                                  .trouble = receiver_spool_trouble};
  int rc = xh_spool_open(&spool, &receiver->spool);
  if (rc == XH_EBUSY)
    snprintf(ret_why, why_size, "the spool %s is in use by another receiver", options->spool);
  else if (rc)
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
                                    .done = receiver_job_done};
  const xh_forward_options forward = {.loop = receiver->loop,
                                      .urls = options->forwards,
                                      .url_count = options->forward_count,
                                      .queue_max = options->spool ? 0 : XH_QUEUE_MAX,
                                      .queue_bytes = options->server.memory_cap_bytes / 2 / (options->forward_count + 1),
                                      .timeout_ms = options->forward_timeout_ms,
                                      .ca_file = options->ca_file,
                                      .arg = receiver,
                                      .done = receiver_job_done};
  int rc = xh_seen_new(&receiver->seen);
  if (rc == 0)
    rc = xh_runner_new(&runner, &receiver->runner);
  if (rc == 0 && options->forward_count > 0)
    rc = xh_forward_new(&forward, &receiver->forward);
  if (rc)
    snprintf(ret_why, why_size, "can't start: %s", xh_err_text(rc));
  return rc;
}

static bool is_served(const xh_receiver *receiver, size_t lane)
{
  return lane > 0 || receiver->options.scripts;
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
  xh_map_init(&receiver->waiting);
  xh_buf_init(&receiver->line, XH_LINE_CAP_BYTES);
  uv_timer_init(receiver->loop, &receiver->stop_timer);
  receiver->stop_timer.data = receiver;
  xh_server_options *server = &receiver->options.server;
  server->held_bytes = &receiver->held_bytes;
  server->arg = receiver;
  server->request = receiver_on_request;
  server->refused = receiver_on_refused;
  int rc = RAND_bytes((unsigned char *)&receiver->prefix, sizeof receiver->prefix) == 1 ? 0 : XH_EIO;
  if (rc)
    snprintf(ret_why, why_size, "the system gives no random numbers");
  if (rc == 0)
    rc = open_workers(receiver, ret_why, why_size);
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
    if (is_served(receiver, i))
      xh_spool_grant(receiver->spool, i, window);
  *ret_receiver = receiver;
  return 0;
}

int xh_receiver_port(const xh_receiver *receiver)
{
  return xh_server_port(receiver->server);
}

void xh_receiver_found(const xh_receiver *receiver, int64_t *ret_pending, int64_t *ret_failed, int64_t *ret_unserved)
{
  *ret_pending = *ret_failed = *ret_unserved = 0;
  if (!receiver->spool)
    return;
  xh_spool_found(receiver->spool, ret_pending, ret_failed);
  *ret_unserved = *ret_pending;
  for (size_t i = 0; i < receiver->lane_count; i++)
    if (is_served(receiver, i))
      *ret_unserved -= xh_spool_found_in(receiver->spool, i);
}

/* Whoever waits for a job that will not begin any more. */
static void answer_the_rest(xh_receiver *receiver)
{
  receiver->abandoned = true;
  for (pending *p; (p = receiver->pendings) != NULL;) {
    receiver_remember(receiver, p, XH_SEEN_NEVER);
    xh_request_refuse(p->request, 503, FULL_RETRY_S,
                      receiver->spool ? XH_STR("the receiver stops; the request is in its spool") : XH_STR("the receiver stops"));
    pending_free(p);
  }
  xh_map_done(&receiver->waiting, NULL);
  xh_map_init(&receiver->waiting);
}

static bool is_working(const xh_receiver *receiver)
{
  bool running = xh_runner_running(receiver->runner) > 0 || (receiver->forward && !receiver->ending && xh_forward_running(receiver->forward) > 0);
  bool queued = !receiver->spool && !receiver->ending &&
                (xh_runner_waiting(receiver->runner) > 0 || (receiver->forward && xh_forward_count(receiver->forward) > 0));
  return running || queued || receiver->adding > 0;
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
  if (receiver->spool) {
    xh_runner_pause(receiver->runner);
    if (receiver->forward)
      xh_forward_pause(receiver->forward);
  }
  if (end && !receiver->ending) {
    receiver->ending = true;
    xh_runner_end_all(receiver->runner);
  }
  uv_timer_start(&receiver->stop_timer, on_stop_timer, 0, STOP_LOOK_MS);
}
