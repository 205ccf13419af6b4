/*
 * Questions to the report. A thread of libuv's pool looks the answer up, one question at a time in the order they came: reading a million
 * rows must not hold deliveries up. The loop's thread owns a question but for its look().
 */
#include "base/err.h"
#include "engine/engine_internal.h"

#include <stdio.h>
#include <stdlib.h>

enum { QUESTIONS_MAX = 256, RESULT_CAP_BYTES = 256 * 1024 * 1024 };

struct question {
  question *next;
  uv_work_t work;
  uv_sem_t looked; /* posted when the thread has let go of it */
  xh_engine *engine;
  xh_peer *peer; /* referenced */
  int64_t id;
  bool running; /* with the thread: only the first can be */
  question_kind kind;
  char *params;
  size_t params_len;
  char scope[XH_SOURCE_NAME_MAX + 1];
  int64_t *sending; /* what was being sent when it was asked, in order */
  size_t sending_count;
  xh_buf result;
  int64_t *ids; /* of a retry */
  size_t id_count;
  int rc;
  char why[160];
};

static void free_question(question *q)
{
  uv_sem_destroy(&q->looked);
  xh_peer_unref(q->peer);
  xh_buf_done(&q->result);
  free(q->params);
  free(q->sending);
  free(q->ids);
  free(q);
}

static int by_number(const void *a, const void *b)
{
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static bool is_sending(void *arg, int64_t delivery_id)
{
  const question *q = arg;
  return q->sending_count && bsearch(&delivery_id, q->sending, q->sending_count, sizeof *q->sending, by_number);
}

/* On a thread of the pool. */
static void look(uv_work_t *work)
{
  question *q = work->data;
  xh_report *report = q->engine->report;
  xh_str params = {q->params, q->params_len}, scope = xh_str_z(q->scope);
  xh_report_live live = {.is_sending = is_sending, .arg = q};
  if (q->kind == ASK_DELIVERIES)
    q->rc = xh_report_deliveries(report, params, scope, &live, &q->result, q->why, sizeof q->why);
  else if (q->kind == ASK_DELIVERY)
    q->rc = xh_report_delivery(report, params, scope, &live, &q->result, q->why, sizeof q->why);
  else
    q->rc = xh_report_retry_ids(report, params, scope, &q->ids, &q->id_count, q->why, sizeof q->why);
  uv_sem_post(&q->looked);
}

static void ask_next(xh_engine *e);

static void answer(question *q)
{
  if (q->rc)
    xh_peer_error(q->peer, q->id, q->rc, *q->why ? q->why : xh_err_text(q->rc));
  else if (q->kind == ASK_RETRY)
    engine_retry(q->engine, q->peer, q->id, q->ids, q->id_count);
  else
    engine_answer(q->peer, q->id, &q->result);
}

static void on_looked(uv_work_t *work, int status)
{
  question *q = work->data;
  xh_engine *e = q->engine;
  (void)status; /* nothing cancels it */
  e->questions = q->next;
  e->question_count--;
  e->handles_open--;
  if (!e->stopping)
    answer(q);
  free_question(q);
  ask_next(e);
}

/* Without memory for it nothing is known to be sending; it shows as pending. */
static void note_sending(question *q)
{
  size_t most = xh_dispatcher_sending(q->engine->dispatcher, NULL, 0);
  q->sending = most ? malloc(most * sizeof *q->sending) : NULL;
  q->sending_count = q->sending ? xh_dispatcher_sending(q->engine->dispatcher, q->sending, most) : 0;
  if (q->sending_count)
    qsort(q->sending, q->sending_count, sizeof *q->sending, by_number);
}

static void ask_next(xh_engine *e)
{
  question *q;
  while (!e->stopping && (q = e->questions) != NULL) {
    note_sending(q);
    e->handles_open++;
    q->running = true;
    if (uv_queue_work(e->loop, &q->work, look, on_looked) == 0)
      return;
    e->handles_open--;
    e->questions = q->next;
    e->question_count--;
    xh_peer_error(q->peer, q->id, XH_ENOMEM, xh_err_text(XH_ENOMEM));
    free_question(q);
  }
}

static question *new_question(xh_engine *e, xh_peer *peer, int64_t id, question_kind kind, xh_str params)
{
  question *q = calloc(1, sizeof *q);
  char *copy = malloc(params.len + 1);
  if (!q || !copy || uv_sem_init(&q->looked, 0) != 0) {
    free(q);
    free(copy);
    return NULL;
  }
  memcpy(copy, params.ptr, params.len);
  q->work.data = q;
  q->engine = e;
  q->peer = xh_peer_ref(peer);
  q->id = id;
  q->kind = kind;
  q->params = copy;
  q->params_len = params.len;
  xh_str scope = engine_scope_of(peer);
  snprintf(q->scope, sizeof q->scope, "%.*s", (int)scope.len, scope.ptr);
  xh_buf_init(&q->result, RESULT_CAP_BYTES);
  return q;
}

void engine_ask(xh_engine *e, xh_peer *peer, int64_t id, question_kind kind, xh_str params)
{
  if (e->stopping) {
    xh_peer_error(peer, id, XH_ECLOSED, xh_err_text(XH_ECLOSED));
    return;
  }
  if (e->question_count >= QUESTIONS_MAX) {
    xh_peer_error(peer, id, XH_EBUSY, "too many questions wait for their answers: ask again when some have come");
    return;
  }
  question *q = new_question(e, peer, id, kind, params);
  if (!q) {
    xh_peer_error(peer, id, XH_ENOMEM, xh_err_text(XH_ENOMEM));
    return;
  }
  question **end = &e->questions;
  while (*end)
    end = &(*end)->next;
  *end = q;
  if (e->question_count++ == 0)
    ask_next(e);
}

void engine_end_questions(xh_engine *e)
{
  question *first = e->questions;
  question **waiting = first && first->running ? &first->next : &e->questions;
  for (question *q; (q = *waiting) != NULL; free_question(q))
    *waiting = q->next;
  if (e->questions)
    uv_sem_wait(&first->looked);
}
