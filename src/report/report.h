/*
 * What became of the deliveries: lists and details as JSON (docs/protocol.md, "Calls"), read from the database through a connection
 * of its own, read-only, beside the writer. One thread at a time for each xh_report.
 */
#ifndef XH_REPORT_REPORT_H
#define XH_REPORT_REPORT_H

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct xh_report xh_report;

/* Opens the data folder's database, which must exist. XH_ENOENT, XH_EVERSION, XH_EOLDER, XH_EDENIED, XH_EIO. */
int xh_report_open(const char *folder, xh_report **ret_report);
/* The same, but the database is opened when something is asked: while there is none, answers are errors. 0 or XH_ENOMEM. */
int xh_report_new(const char *folder, xh_report **ret_report);
void xh_report_close(xh_report *report); /* NULL allowed */

/* What only the running program knows. */
typedef struct xh_report_live {
  bool (*is_sending)(void *arg, int64_t delivery_id);
  void *arg;
} xh_report_live;

/*
 * The calls `deliveries` and `delivery`: `params` is JSON text, `source` limits the answer to one source ("" for all), `live` may be NULL.
 * The result's JSON text is appended to `out`. XH_EINVAL (with `why`, which names the parameter), XH_ENOENT, XH_EIO, XH_ENOMEM, XH_ECAP.
 */
int xh_report_deliveries(xh_report *report, xh_str params, xh_str source, const xh_report_live *live, xh_buf *out, char *why,
                         size_t why_size);
int xh_report_delivery(xh_report *report, xh_str params, xh_str source, const xh_report_live *live, xh_buf *out, char *why,
                       size_t why_size);

/* The deliveries that the call `retry` means: those of `ids`, or the dead ones that fit `hook`, `method`, `user`, `source`, `since`, `until`.
 * The array is for the caller to free(). Same errors; XH_EINVAL without any of them and without "dead": true, and for `ids` beside others. */
int xh_report_retry_ids(xh_report *report, xh_str params, xh_str source, int64_t **ret_ids, size_t *ret_count, char *why,
                        size_t why_size);

/* What the database alone knows of `stats`: totals and targets, with "running": false. Appended to `out`. */
int xh_report_stats(xh_report *report, xh_buf *out);

#endif
