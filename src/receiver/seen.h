/*
 * The ids of the deliveries of the last day, so that one that comes again is answered and not run again. One thread.
 *
 * Kept are 64 bits of a keyed hash of each id: what is remembered has a fixed size, and nobody outside can make two ids collide.
 */
#ifndef XH_RECEIVER_SEEN_H
#define XH_RECEIVER_SEEN_H

#include "base/str.h"

#include <stdint.h>

typedef enum xh_seen_state {
  XH_SEEN_NEVER,
  XH_SEEN_RUNNING, /* taken; its outcome is not known yet */
  XH_SEEN_DONE,
  XH_SEEN_FAILED /* kept in the spool as failed */
} xh_seen_state;

enum {
  XH_SEEN_MAX = 1000000,                /* ids at most: about 140 MB */
  XH_SEEN_KEEP_MS = 25 * 3600 * 1000    /* longer than the longest wait between two attempts of a sender */
};

typedef struct xh_seen xh_seen;

int xh_seen_new(xh_seen **ret_seen);
void xh_seen_free(xh_seen *seen); /* NULL allowed */

xh_seen_state xh_seen_get(xh_seen *seen, xh_str id, int64_t now_ms);

/* Remembers the id's state from now on; XH_SEEN_NEVER forgets it. Forgets what is too old, and the oldest when there are too many. Returns 0 or
 * XH_ENOMEM. */
int xh_seen_set(xh_seen *seen, xh_str id, xh_seen_state state, int64_t now_ms);

#endif
