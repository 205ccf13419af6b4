/*
 * The lines of `listen`'s log: for people on a terminal, one JSON object a line for programs. Pure: they only append to a buffer.
 * Each function appends one whole line with its newline. Colours are used when `colour` is set.
 */
#ifndef XH_RECEIVER_LINE_H
#define XH_RECEIVER_LINE_H

#include "base/buf.h"
#include "receiver/message.h"

typedef struct xh_line_style {
  bool json;
  bool colour;
} xh_line_style;

enum {
  XH_LINE_VALUE_TEXT_BYTES = 240,       /* of params and of the result on a terminal */
  XH_LINE_VALUE_JSON_BYTES = 32 * 1024, /* larger ones become {"omittedBytes":N} */
  XH_LINE_CAP_BYTES = 256 * 1024        /* six such values, and the rest */
};

/* An event, as "TIME [METHOD|TYPE] PARAMS → RESULT", or what a card says. `delivery` may be empty; `again` marks one that came before. */
void xh_line_message(xh_line_style style, const xh_message *message, xh_str delivery, bool again, int64_t now_ms, xh_buf *out);

/* A request that was not taken. `client` is its address. */
void xh_line_refused(xh_line_style style, int status, xh_str why, xh_str client, int64_t now_ms, xh_buf *out);

/* One line that a script wrote. */
void xh_line_output(xh_line_style style, xh_str delivery, xh_str script, xh_str text, int64_t now_ms, xh_buf *out);

/* How a script or a forwarding ended: `ok` and in words. */
void xh_line_outcome(xh_line_style style, xh_str delivery, xh_str script, bool ok, xh_str words, int64_t duration_ms, int64_t now_ms,
                     xh_buf *out);

/* `count` lines that are missing here, because they could not be written. */
void xh_line_dropped(xh_line_style style, uint64_t count, int64_t now_ms, xh_buf *out);

/* Appends JSON text without the white space between its values, cut after `cap_bytes` with "…". Text for people: control characters
 * of strings become '?'. */
void xh_line_compact(xh_str json, size_t cap_bytes, xh_buf *out);

#endif
