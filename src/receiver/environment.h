/* What a script sees of the world: a clean environment with the main fields of the event in XO_…. Pure but for getenv. */
#ifndef XH_RECEIVER_ENVIRONMENT_H
#define XH_RECEIVER_ENVIRONMENT_H

#include "base/event.h"
#include "receiver/job.h"

enum { XH_ENV_VALUE_BYTES_MAX = 16 * 1024 }; /* longer values are cut: the whole event is on standard input */

/*
 * PATH, HOME, LANG; XO_METHOD, XO_TYPE, XO_CALL_ID, XO_USER_ID, XO_USER_NAME, XO_USER_IP, XO_TIMESTAMP, XO_DURATION, XO_OBJECT_ID (params.id),
 * XO_SUCCESS, XO_ERROR_CODE, XO_ERROR_MESSAGE, XO_DELIVERY_ID, XO_ATTEMPT, as far as the event has them; and the variables named in
 * `pass` (count of them; no XO_… among them) from our own environment, in place of PATH, HOME and LANG when they are named. One block of memory in `ret_env`, to free().
 */
int xh_environment_build(const xh_event *event, const xh_job *job, const char *const *pass, size_t count, char ***ret_env);

#endif
