#include "delivery/schedule.h"

int64_t xh_next_attempt_ms(const xh_hook *hook, unsigned attempts_used, int64_t accepted_ms, int64_t now_ms,
                           int64_t retry_after_s, double random, const char **ret_reason)
{
  if (attempts_used >= hook->schedule_count) {
    *ret_reason = "all attempts of its schedule are used up";
    return 0;
  }
  int64_t wait_ms = hook->schedule_ms[attempts_used];
  wait_ms += (int64_t)((double)wait_ms * XH_JITTER_PERCENT / 100 * random);
  if (retry_after_s > XH_RETRY_AFTER_MAX_S)
    retry_after_s = XH_RETRY_AFTER_MAX_S;
  if (retry_after_s * 1000 > wait_ms)
    wait_ms = retry_after_s * 1000;
  if (now_ms + wait_ms - accepted_ms > hook->expire_ms) {
    *ret_reason = "it would have expired before its next attempt";
    return 0;
  }
  return now_ms + (wait_ms > 0 ? wait_ms : 1);
}

bool xh_expired(const xh_hook *hook, int64_t accepted_ms, int64_t now_ms)
{
  return now_ms - accepted_ms > hook->expire_ms;
}

int64_t xh_moved(int64_t wait_until_ms, int64_t jump_ms)
{
  if (wait_until_ms <= 1)
    return wait_until_ms;
  return wait_until_ms + jump_ms > 1 ? wait_until_ms + jump_ms : 1;
}

static bool set_held(xh_breaker *breaker, bool held)
{
  bool changed = breaker->held != held;
  breaker->held = held;
  return changed;
}

bool xh_breaker_success(xh_breaker *breaker)
{
  breaker->failures = 0;
  breaker->probe_wait_ms = 0;
  breaker->probing = false;
  return set_held(breaker, false);
}

bool xh_breaker_alive(xh_breaker *breaker)
{
  return xh_breaker_success(breaker);
}

void xh_breaker_put_off(xh_breaker *breaker, int64_t now_ms)
{
  breaker->probing = false;
  breaker->probe_at_ms = now_ms + XH_PUT_OFF_MS;
}

static int64_t asked_wait_ms(int64_t retry_after_s)
{
  return (retry_after_s < XH_RETRY_AFTER_MAX_S ? retry_after_s : XH_RETRY_AFTER_MAX_S) * 1000;
}

void xh_breaker_late_failure(xh_breaker *breaker, int64_t now_ms, int64_t retry_after_s)
{
  int64_t asked_ms = now_ms + asked_wait_ms(retry_after_s);
  if (retry_after_s > 0 && asked_ms > breaker->probe_at_ms)
    breaker->probe_at_ms = asked_ms;
}

bool xh_breaker_failure(xh_breaker *breaker, int64_t now_ms, int64_t retry_after_s)
{
  breaker->probing = false;
  if (breaker->failures < XH_BREAKER_FAILURES)
    breaker->failures++;
  if (breaker->failures < XH_BREAKER_FAILURES)
    return false;
  int64_t wait_ms = breaker->probe_wait_ms ? breaker->probe_wait_ms * 2 : XH_PROBE_FIRST_MS;
  breaker->probe_wait_ms = wait_ms < XH_PROBE_MAX_MS ? wait_ms : XH_PROBE_MAX_MS;
  int64_t asked_ms = asked_wait_ms(retry_after_s);
  breaker->probe_at_ms = now_ms + (asked_ms > breaker->probe_wait_ms ? asked_ms : breaker->probe_wait_ms);
  return set_held(breaker, true);
}

void xh_breaker_restore(xh_breaker *breaker, int64_t now_ms)
{
  *breaker = (xh_breaker){.failures = XH_BREAKER_FAILURES, .held = true, .probe_at_ms = now_ms};
}

unsigned xh_window_after(unsigned window, bool success, unsigned window_max)
{
  if (!success)
    return window > 2 ? window / 2 : 1;
  return window < window_max ? window + 1 : window_max;
}
