/* What a list is asked for: the params of the calls `deliveries` and `retry`, read and checked. Internal to src/report. */
#ifndef XH_REPORT_QUERY_H
#define XH_REPORT_QUERY_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum { QUERY_LIMIT_DEFAULT = 50, QUERY_LIMIT_MAX = 1000, QUERY_TEXT_SIZE = 256, QUERY_HOOK_SIZE = 8193 };

typedef enum status { STATUS_QUEUED, STATUS_SENDING, STATUS_WAITING, STATUS_HELD, STATUS_DELIVERED, STATUS_DEAD, STATUS_COUNT } status;

const char *status_name(status s);

typedef struct query {
  unsigned statuses; /* a bit each; 0: all */
  char method[QUERY_TEXT_SIZE], user[QUERY_TEXT_SIZE], source[QUERY_TEXT_SIZE]; /* "": any */
  char hook[QUERY_HOOK_SIZE];     /* its name, label or URL; "": any */
  char hook_url[QUERY_HOOK_SIZE]; /* that, when it is a URL, as lists show it; or "" */
  int64_t since_ms, until_ms; /* 0: open */
  int64_t limit;
  int64_t before; /* ids below; INT64_MAX: all */
  int64_t after;  /* ids above; 0: all */
  bool selects;   /* something but ids was given: of `retry`, which dead ones, be it all of them */
  xh_str ids;     /* JSON array, or absent */
} query;

typedef enum query_call { QUERY_DELIVERIES = 1, QUERY_RETRY = 2 } query_call;

/* Reads the params object of a call; null counts as absent. XH_EINVAL with `why`, which names the parameter: also when that call has no such one. */
int query_read(query_call call, xh_str params, query *ret_query, char *why, size_t why_size);

#endif
