/*
 * When is the next attempt? Pure decisions: no clock, no I/O, any thread.
 * Source: Standard Webhooks 1.0, "Retry schedule"; RFC 9110 section 10.2.3 (Retry-After).
 */
#ifndef XH_DELIVERY_SCHEDULE_H
#define XH_DELIVERY_SCHEDULE_H

#include "hooks/hook.h"

#include <stdbool.h>
#include <stdint.h>

enum {
  XH_RETRY_AFTER_MAX_S = 3600,  /* a target may ask for no longer a wait */
  XH_JITTER_PERCENT = 10,       /* a wait is lengthened by up to so much, that retries do not come in herds */
  XH_BREAKER_FAILURES = 5,      /* in a row, and the target is held */
  XH_PUT_OFF_MS = 1000,         /* what could not be sent for want of our own means comes again after so long */
  XH_PROBE_FIRST_MS = 1000,     /* after that the first probe; doubled each time */
  XH_PROBE_MAX_MS = 60000
};

/*
 * The wall-clock time of the next attempt after `attempts_used` attempts (1 and up) of a delivery accepted at `accepted_ms`, or
 * 0 when there is none, with the reason (static). `random` is in [0, 1).
 */
int64_t xh_next_attempt_ms(const xh_hook *hook, unsigned attempts_used, int64_t accepted_ms, int64_t now_ms,
                           int64_t retry_after_s, double random, const char **ret_reason);

/* Is a delivery accepted then no longer worth sending? */
bool xh_expired(const xh_hook *hook, int64_t accepted_ms, int64_t now_ms);

/* A time of a wait, moved along with a clock that was set. 0 (none) and 1 (at once) are no times of day and stay. */
int64_t xh_moved(int64_t wait_until_ms, int64_t jump_ms);

/*
 * A target's health: a circuit breaker. Closed: deliveries flow. Open (held): one probe at a time, with growing waits.
 * Times are monotonic milliseconds.
 */
typedef struct xh_breaker {
  unsigned failures; /* in a row, of the kind that says "the target is down" */
  bool held;
  bool probing;
  int64_t probe_at_ms;
  int64_t probe_wait_ms;
} xh_breaker;

/* The probe could not be sent. */
void xh_breaker_put_off(xh_breaker *breaker, int64_t now_ms);

/* What a finished attempt does to it: each returns true when `held` changed. */
bool xh_breaker_success(xh_breaker *breaker);
bool xh_breaker_failure(xh_breaker *breaker, int64_t now_ms, int64_t retry_after_s);

/* A failure of an attempt that had begun before the target was held: nothing new, unless it asks for a longer wait. */
void xh_breaker_late_failure(xh_breaker *breaker, int64_t now_ms, int64_t retry_after_s);

/* It answered, though with a refusal (4xx): it is up. True when `held` changed. */
bool xh_breaker_alive(xh_breaker *breaker);

/* Held from an earlier life of the program: probe at once. */
void xh_breaker_restore(xh_breaker *breaker, int64_t now_ms);

/* How many attempts may run at once after this one: additive increase while it answers, few when it does not. */
unsigned xh_window_after(unsigned window, bool success, unsigned window_max);

#endif
