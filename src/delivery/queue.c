#include "delivery/queue.h"

#include <stdlib.h>

enum {
  URGENT_EXTRA = 8, /* places above the window for events whose source waits */
  JOB_OVERHEAD_BYTES = 768 /* what a delivery takes beside its body: its strings, the job, the books */
};

void job_list_append(job_list *list, job *j)
{
  j->next = NULL;
  j->prev = list->last;
  if (list->last)
    list->last->next = j;
  else
    list->first = j;
  list->last = j;
  list->count++;
}

void job_list_prepend(job_list *list, job *j)
{
  j->prev = NULL;
  j->next = list->first;
  if (list->first)
    list->first->prev = j;
  else
    list->last = j;
  list->first = j;
  list->count++;
}

void job_list_remove(job_list *list, job *j)
{
  if (j->prev)
    j->prev->next = j->next;
  else
    list->first = j->next;
  if (j->next)
    j->next->prev = j->prev;
  else
    list->last = j->prev;
  j->prev = j->next = NULL;
  list->count--;
}

job *job_list_take(job_list *list)
{
  job *j = list->first;
  if (j)
    job_list_remove(list, j);
  return j;
}

job *job_new(target *t, xh_delivery *delivery, xh_hook *hook)
{
  job *j = calloc(1, sizeof *j);
  if (!j) {
    xh_delivery_free(delivery);
    return NULL;
  }
  j->delivery = delivery;
  j->target = t;
  j->hook = xh_hook_ref(hook);
  return j;
}

void job_free(job *j)
{
  if (!j)
    return;
  xh_delivery_free(j->delivery);
  xh_hook_unref(j->hook);
  free(j);
}

static void insert_after(job_list *list, job *before, job *j)
{
  j->prev = before;
  j->next = before->next;
  before->next->prev = j;
  before->next = j;
  list->count++;
}

/* Urgent ones go before all others, and behind the urgent ones that came earlier. */
static void put_urgent(job_list *list, job *j)
{
  job *last = NULL;
  for (job *at = list->first; at && at->urgent; at = at->next)
    last = at;
  if (!last)
    job_list_prepend(list, j);
  else if (!last->next)
    job_list_append(list, j);
  else
    insert_after(list, last, j);
}

void target_make_ready(target *t, job *j, bool first)
{
  if (first && j->urgent)
    put_urgent(&t->ready, j);
  else if (first)
    job_list_prepend(&t->ready, j);
  else
    job_list_append(&t->ready, j);
  t->ready_bytes += job_bytes(j->delivery);
}

void target_unready(target *t, job *j)
{
  job_list_remove(&t->ready, j);
  t->ready_bytes -= job_bytes(j->delivery);
}

void delivery_move(xh_delivery *delivery, int64_t jump_ms)
{
  delivery->accepted_ms += jump_ms;
  delivery->next_attempt_ms = xh_moved(delivery->next_attempt_ms, jump_ms);
}

void target_note_gone(target *t, int64_t delivery_id)
{
  if (t->refilling && xh_map_set_id(&t->gone, delivery_id, t) != 0)
    t->gone_lost = true;
}

bool target_is_gone(const target *t, int64_t delivery_id)
{
  return t->gone_lost || xh_map_get_id(&t->gone, delivery_id);
}

void target_forget_gone(target *t)
{
  xh_map_done(&t->gone, NULL);
  xh_map_init(&t->gone);
  t->gone_lost = false;
}

size_t job_bytes(const xh_delivery *delivery)
{
  return delivery->body->len + JOB_OVERHEAD_BYTES;
}

bool target_has_room(const target *t, size_t bytes)
{
  return t->ready.count < XH_READY_COUNT_MAX && (t->ready_bytes == 0 || t->ready_bytes + bytes <= XH_READY_BYTES_MAX / 4);
}

static job *find_leader(const job_list *list, const job *j)
{
  const xh_delivery *d = j->delivery;
  if (d->type != XH_POST || !d->call_id || d->attempt_count > 0)
    return NULL;
  for (job *other = list->first; other; other = other->next) {
    const xh_delivery *o = other->delivery;
    if (o->type == XH_PRE && o->attempt_count == 0 && o->call_id && strcmp(o->call_id, d->call_id) == 0)
      return other;
  }
  return NULL;
}

job *target_leader_of(const target *t, const job *j)
{
  job *leader = find_leader(&t->sending, j);
  return leader ? leader : find_leader(&t->deferred, j);
}

bool target_hurry_leader(target *t, const job *j)
{
  job *leader = j->urgent ? find_leader(&t->ready, j) : NULL; /* others stand in the order of their events */
  if (!leader && j->urgent && (leader = find_leader(&t->behind, j)) != NULL) {
    job_list_remove(&t->behind, leader);
    target_make_ready(t, leader, false);
  }
  if (!leader)
    return false;
  leader->urgent = true;
  job_list_remove(&t->ready, leader);
  job_list_prepend(&t->ready, leader);
  return true;
}

bool target_may_start(const target *t, const job *j, int64_t now_ms)
{
  if (t->breaker.held)
    return !t->breaker.probing && t->in_flight == 0 && now_ms >= t->breaker.probe_at_ms;
  return t->in_flight < t->window + (j->urgent ? URGENT_EXTRA : 0);
}
