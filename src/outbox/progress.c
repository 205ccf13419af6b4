#include "outbox/progress.h"

#include <stdlib.h>

void progress_done(progress *p)
{
  free(p->gaps);
  *p = (progress){0};
}

static progress_gap *gap_of(const progress *p, int64_t source_id)
{
  for (size_t i = 0; i < p->count; i++)
    if (p->gaps[i].source_id == source_id)
      return &p->gaps[i];
  return NULL;
}

void progress_limit(const progress *p, op_accept *accept)
{
  const progress_gap *gap = p->count > 0 ? gap_of(p, accept->source_id) : NULL;
  accept->progress = accept->progress_max;
  if (gap && strcmp(gap->session, accept->session) == 0)
    accept->progress = xh_ranges_clear_up_to(&gap->refused, accept->progress_max);
}

static progress_gap *new_gap(progress *p, int64_t source_id)
{
  progress_gap *gaps = realloc(p->gaps, (p->count + 1) * sizeof *gaps);
  if (!gaps)
    return NULL;
  p->gaps = gaps;
  gaps[p->count] = (progress_gap){.source_id = source_id};
  return &gaps[p->count++];
}

void progress_note(progress *p, const op_accept *accept, int rc)
{
  if (accept->seq == 0 || (rc == 0 && p->count == 0))
    return;
  progress_gap *gap = gap_of(p, accept->source_id);
  if (!gap && rc)
    gap = new_gap(p, accept->source_id);
  if (!gap)
    return;
  if (strcmp(gap->session, accept->session) != 0) {
    if (rc == 0)
      return;
    memcpy(gap->session, accept->session, sizeof gap->session); /* a session that has taken over */
    gap->refused.count = 0;
  }
  if (rc)
    xh_ranges_add(&gap->refused, accept->seq);
  else
    xh_ranges_remove(&gap->refused, accept->seq);
}
