/*
 * How far a session may be said to be safe: not past an event that was refused, as long as it has not come again. What was refused is known here from
 * the moment it happens, so that no later event of the same batch passes it. Writer thread only.
 */
#ifndef XH_OUTBOX_PROGRESS_H
#define XH_OUTBOX_PROGRESS_H

#include "base/ranges.h"
#include "outbox/operation.h"

typedef struct progress_gap {
  int64_t source_id;
  char session[64];
  xh_ranges refused;
} progress_gap;

typedef struct progress {
  progress_gap *gaps; /* of sources that were refused something; mostly none */
  size_t count;
} progress;

void progress_done(progress *p);

/* Before an accept is stored: what its `progress` is. */
void progress_limit(const progress *p, op_accept *accept);

/* After an accept was stored, or (`rc`) was not. */
void progress_note(progress *p, const op_accept *accept, int rc);

#endif
