#include "receiver/forward.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { AGAIN_MS = 1000, IDLE_MS = 3600 * 1000 };

typedef struct target {
  xh_job_list asked; /* under the lock */
  size_t asked_bytes; /* under the lock */
  size_t active;      /* the thread's */
} target;

typedef struct transfer {
  struct transfer *next;
  xh_job *job;
  target *target;
  CURL *easy;
  struct curl_slist *headers;
  xh_buf answer;
  char error[CURL_ERROR_SIZE];
  xh_job_outcome outcome;
  int64_t began_ms;
} transfer;

struct xh_forward {
  xh_forward_options options;
  uv_thread_t thread;
  uv_mutex_t lock;
  uv_async_t wake;
  CURLM *multi;
  target *targets;   /* one for each URL */
  transfer *ended;   /* under the lock; the last first */
  bool stopping, paused; /* under the lock */
  size_t count; /* the loop's */
  transfer *running; /* the thread's */
};

bool xh_forward_url_ok(const char *url, char *shown, size_t size)
{
  CURLU *parts = curl_url();
  char *scheme = NULL, *host = NULL, *port = NULL, *path = NULL;
  bool ok = parts && curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
            curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
            (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) && curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
            curl_url_get(parts, CURLUPART_PATH, &path, 0) == CURLUE_OK;
  if (ok) {
    bool has_port = curl_url_get(parts, CURLUPART_PORT, &port, 0) == CURLUE_OK;
    snprintf(shown, size, "%s://%s%s%s%s", scheme, host, has_port ? ":" : "", has_port ? port : "", path);
  }
  curl_free(scheme);
  curl_free(host);
  curl_free(port);
  curl_free(path);
  curl_url_cleanup(parts);
  return ok;
}

static size_t on_answer(char *bytes, size_t size, size_t count, void *arg)
{
  transfer *t = arg;
  size_t room = XH_FORWARD_ANSWER_BYTES - t->answer.len;
  xh_buf_append(&t->answer, bytes, size * count < room ? size * count : room);
  return size * count;
}

static bool append(struct curl_slist **list, const char *line)
{
  struct curl_slist *longer = line ? curl_slist_append(*list, line) : NULL;
  if (longer)
    *list = longer;
  return longer != NULL;
}

/* `name` with its colon; a header without a value has a semicolon there. */
static bool has_name(const char *line, const char *name)
{
  size_t length = strlen(name) - 1;
  return strncasecmp(line, name, length) == 0 && (line[length] == ':' || line[length] == ';');
}

/* "Name: value" lines. "Name:" keeps curl from adding a header of its own: that of Expect asks first and waits. NULL without memory. */
static struct curl_slist *header_list(const char *lines)
{
  static const char *const of_curl[] = {"Expect:", "User-Agent:", "Accept:", "Content-Type:"};
  enum { OF_CURL = sizeof of_curl / sizeof *of_curl };
  struct curl_slist *list = NULL;
  bool ok = true, given[OF_CURL] = {false};
  while (ok && lines && *lines) {
    size_t length = strcspn(lines, "\n");
    char *line = strndup(lines, length);
    ok = append(&list, line);
    for (size_t i = 0; i < OF_CURL && ok; i++)
      given[i] = given[i] || has_name(line, of_curl[i]);
    free(line);
    lines += length + (lines[length] ? 1 : 0);
  }
  for (size_t i = 0; i < OF_CURL && ok; i++)
    ok = given[i] || append(&list, of_curl[i]);
  if (ok)
    return list;
  curl_slist_free_all(list);
  return NULL;
}

static bool set_options(transfer *t, const xh_forward_options *options)
{
  CURL *easy = t->easy;
  const xh_job *job = t->job;
  return curl_easy_setopt(easy, CURLOPT_PRIVATE, t) == CURLE_OK && curl_easy_setopt(easy, CURLOPT_URL, job->forward) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK && curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK && curl_easy_setopt(easy, CURLOPT_POSTFIELDS, job->body) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)job->body_len) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)options->timeout_ms) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer) == CURLE_OK && curl_easy_setopt(easy, CURLOPT_WRITEDATA, t) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->error) == CURLE_OK &&
         (!options->ca_file || curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca_file) == CURLE_OK);
}

/* Begun; NULL when that is not possible now, and the job is still the caller's. */
static transfer *transfer_new(const xh_forward *forward, xh_job *job)
{
  transfer *t = calloc(1, sizeof *t);
  if (!t)
    return NULL;
  t->job = job;
  t->began_ms = xh_mono_ms();
  xh_buf_init(&t->answer, XH_FORWARD_ANSWER_BYTES);
  t->headers = header_list(job->headers);
  t->easy = t->headers ? curl_easy_init() : NULL;
  if (t->easy && set_options(t, &forward->options) && curl_multi_add_handle(forward->multi, t->easy) == CURLM_OK)
    return t;
  curl_easy_cleanup(t->easy);
  curl_slist_free_all(t->headers);
  free(t);
  return NULL;
}

static void transfer_free(transfer *t)
{
  curl_easy_cleanup(t->easy);
  curl_slist_free_all(t->headers);
  xh_buf_done(&t->answer);
  xh_job_free(t->job);
  free(t);
}

static void judge(transfer *t, CURLcode code)
{
  long status = 0;
  curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
  xh_job_outcome *outcome = &t->outcome;
  outcome->ok = code == CURLE_OK && status >= 200 && status < 300;
  outcome->timed_out = code == CURLE_OPERATION_TIMEDOUT;
  outcome->duration_ms = xh_mono_ms() - t->began_ms;
  if (code == CURLE_OK)
    snprintf(outcome->words, sizeof outcome->words, "HTTP status %ld", status);
  else
    snprintf(outcome->words, sizeof outcome->words, "%.190s", *t->error ? t->error : curl_easy_strerror(code));
}

static void give_back(xh_forward *forward, transfer *t)
{
  uv_mutex_lock(&forward->lock);
  t->next = forward->ended;
  forward->ended = t;
  uv_mutex_unlock(&forward->lock);
  uv_async_send(&forward->wake);
}

/* Returns whether any has ended: then another one may begin. */
static bool collect(xh_forward *forward)
{
  int left;
  bool any = false;
  for (CURLMsg *message; (message = curl_multi_info_read(forward->multi, &left)) != NULL;) {
    transfer *t;
    CURLcode code = message->data.result;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
    curl_multi_remove_handle(forward->multi, t->easy);
    for (transfer **at = &forward->running; *at; at = &(*at)->next)
      if (*at == t) {
        *at = t->next;
        break;
      }
    t->target->active--;
    judge(t, code);
    give_back(forward, t);
    any = true;
  }
  return any;
}

static xh_job *next_asked(xh_forward *forward, target *to)
{
  size_t share = XH_FORWARD_ACTIVE_MAX / forward->options.url_count;
  size_t most = share < XH_FORWARD_TARGET_ACTIVE_MAX ? share : XH_FORWARD_TARGET_ACTIVE_MAX;
  uv_mutex_lock(&forward->lock);
  bool may = !forward->stopping && !forward->paused && to->active < most;
  xh_job *job = may ? xh_job_list_pop(&to->asked) : NULL;
  if (job)
    to->asked_bytes -= xh_job_bytes(job);
  uv_mutex_unlock(&forward->lock);
  return job;
}

/* Returns how long to wait at most for something to happen. */
static int begin_asked(xh_forward *forward, target *to)
{
  for (xh_job *job; (job = next_asked(forward, to)) != NULL;) {
    transfer *t = transfer_new(forward, job);
    if (!t) { /* no memory now: later */
      uv_mutex_lock(&forward->lock);
      xh_job_list_push(&to->asked, job);
      to->asked_bytes += xh_job_bytes(job);
      uv_mutex_unlock(&forward->lock);
      return AGAIN_MS;
    }
    t->target = to;
    t->next = forward->running;
    forward->running = t;
    to->active++;
  }
  return IDLE_MS;
}

static bool is_stopping(xh_forward *forward)
{
  uv_mutex_lock(&forward->lock);
  bool stopping = forward->stopping;
  uv_mutex_unlock(&forward->lock);
  return stopping;
}

static void thread_main(void *arg)
{
  xh_forward *forward = arg;
  int running;
  while (!is_stopping(forward)) {
    int wait_ms = IDLE_MS;
    for (size_t i = 0; i < forward->options.url_count; i++) {
      int target_ms = begin_asked(forward, &forward->targets[i]);
      wait_ms = target_ms < wait_ms ? target_ms : wait_ms;
    }
    curl_multi_perform(forward->multi, &running);
    if (!collect(forward))
      curl_multi_poll(forward->multi, NULL, 0, wait_ms, NULL); /* woken by curl_multi_wakeup, also by one that came before */
  }
  for (transfer *t = forward->running, *next; t; t = next) {
    next = t->next;
    curl_multi_remove_handle(forward->multi, t->easy);
    transfer_free(t);
  }
}

static void on_wake(uv_async_t *handle)
{
  xh_forward *forward = handle->data;
  uv_mutex_lock(&forward->lock);
  transfer *ended = forward->ended, *in_order = NULL;
  forward->ended = NULL;
  uv_mutex_unlock(&forward->lock);
  for (transfer *t = ended, *next; t; t = next) {
    next = t->next;
    t->next = in_order;
    in_order = t;
  }
  for (transfer *t = in_order, *next; t; t = next) {
    next = t->next;
    xh_job *job = t->job;
    t->job = NULL;
    t->outcome.tail = xh_buf_span(&t->answer);
    if (!xh_forward_url_ok(job->forward, t->outcome.script, sizeof t->outcome.script))
      snprintf(t->outcome.script, sizeof t->outcome.script, "--forward");
    forward->count--;
    forward->options.done(forward->options.arg, job, &t->outcome);
    transfer_free(t);
  }
}

static void free_forward(uv_handle_t *handle)
{
  xh_forward *forward = handle->data;
  free(forward->targets);
  free(forward);
}

/* With `wake` open, the memory goes with it on the loop. */
static int start_thread(xh_forward *forward)
{
  forward->wake.data = forward;
  uv_unref((uv_handle_t *)&forward->wake);
  if (uv_thread_create(&forward->thread, thread_main, forward) == 0)
    return 0;
  curl_multi_cleanup(forward->multi);
  uv_mutex_destroy(&forward->lock);
  uv_close((uv_handle_t *)&forward->wake, free_forward);
  return XH_ENOMEM;
}

int xh_forward_new(const xh_forward_options *options, xh_forward **ret_forward)
{
  xh_forward *forward = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? calloc(1, sizeof *forward) : NULL;
  if (!forward)
    return XH_ENOMEM;
  forward->options = *options;
  forward->targets = calloc(options->url_count, sizeof *forward->targets);
  if (!forward->targets || uv_mutex_init(&forward->lock) != 0) {
    free(forward->targets);
    free(forward);
    return XH_ENOMEM;
  }
  forward->multi = curl_multi_init();
  if (!forward->multi || uv_async_init(options->loop, &forward->wake, on_wake) != 0) {
    curl_multi_cleanup(forward->multi);
    uv_mutex_destroy(&forward->lock);
    free(forward->targets);
    free(forward);
    return XH_ENOMEM;
  }
  int rc = start_thread(forward);
  if (rc == 0)
    *ret_forward = forward;
  return rc;
}

static target *target_of(const xh_forward *forward, const xh_job *job)
{
  for (size_t i = 0; i < forward->options.url_count; i++)
    if (strcmp(forward->options.urls[i], job->forward) == 0)
      return &forward->targets[i];
  return &forward->targets[0];
}

/* Under the lock. One job of any size may always wait. */
static bool is_full(const xh_forward *forward, const target *to, size_t more_bytes)
{
  const xh_forward_options *options = &forward->options;
  return options->queue_max > 0 && to->asked.count > 0 &&
         (to->asked.count >= options->queue_max || to->asked_bytes + more_bytes > options->queue_bytes);
}

int xh_forward_add(xh_forward *forward, xh_job *job)
{
  target *to = target_of(forward, job);
  uv_mutex_lock(&forward->lock);
  bool full = is_full(forward, to, xh_job_bytes(job));
  if (!full) {
    xh_job_list_push(&to->asked, job);
    to->asked_bytes += xh_job_bytes(job);
  }
  uv_mutex_unlock(&forward->lock);
  if (full)
    return XH_EFULL;
  forward->count++;
  curl_multi_wakeup(forward->multi);
  return 0;
}

bool xh_forward_full(xh_forward *forward)
{
  bool full = true;
  uv_mutex_lock(&forward->lock);
  for (size_t i = 0; i < forward->options.url_count; i++)
    full = full && is_full(forward, &forward->targets[i], 0);
  uv_mutex_unlock(&forward->lock);
  return full;
}

size_t xh_forward_count(const xh_forward *forward)
{
  return forward->count;
}

size_t xh_forward_running(xh_forward *forward)
{
  size_t waiting = 0;
  uv_mutex_lock(&forward->lock);
  for (size_t i = 0; i < forward->options.url_count; i++)
    waiting += forward->targets[i].asked.count;
  uv_mutex_unlock(&forward->lock);
  return forward->count - waiting;
}

void xh_forward_pause(xh_forward *forward)
{
  uv_mutex_lock(&forward->lock);
  forward->paused = true;
  uv_mutex_unlock(&forward->lock);
}

void xh_forward_close(xh_forward *forward)
{
  if (!forward)
    return;
  uv_mutex_lock(&forward->lock);
  forward->stopping = true;
  uv_mutex_unlock(&forward->lock);
  curl_multi_wakeup(forward->multi);
  uv_thread_join(&forward->thread);
  for (transfer *t = forward->ended, *next; t; t = next) {
    next = t->next;
    transfer_free(t);
  }
  for (size_t i = 0; i < forward->options.url_count; i++)
    for (xh_job *job; (job = xh_job_list_pop(&forward->targets[i].asked)) != NULL;)
      xh_job_free(job);
  curl_multi_cleanup(forward->multi);
  uv_mutex_destroy(&forward->lock);
  uv_close((uv_handle_t *)&forward->wake, free_forward);
}
