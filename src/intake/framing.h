/*
 * Bytes → lines. A line that is longer than the cap is skipped to its end and reported once; memory shrinks again after a long one. Loop
 * thread only; no I/O.
 */
#ifndef XH_INTAKE_FRAMING_H
#define XH_INTAKE_FRAMING_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct framing {
  xh_buf rest; /* the beginning of a line whose end is still to come */
  size_t cap_bytes;
  int64_t number; /* of the line that is being read, from 1 */
  bool skipping;  /* it is too long */
} framing;

/* `code` 0 with a line (without its newline, valid during the call), or XH_ECAP, XH_ENOMEM without one. */
typedef void (*framing_line_cb)(void *arg, int code, xh_str line, int64_t number);

void framing_init(framing *f, size_t cap_bytes);
void framing_done(framing *f);

void framing_feed(framing *f, xh_str bytes, framing_line_cb line, void *arg);

/* The bytes have ended: what is left is a last line without newline. */
void framing_end(framing *f, framing_line_cb line, void *arg);

#endif
