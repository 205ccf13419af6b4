#include "intake/framing.h"

#include "base/err.h"

enum { KEPT_ROOM_BYTES = 256 * 1024 };

void framing_init(framing *f, size_t cap_bytes)
{
  *f = (framing){.cap_bytes = cap_bytes, .number = 1};
  xh_buf_init(&f->rest, cap_bytes);
}

void framing_done(framing *f)
{
  xh_buf_done(&f->rest);
}

static void forget_rest(framing *f)
{
  if (f->rest.room > KEPT_ROOM_BYTES)
    xh_buf_done(&f->rest);
  else
    xh_buf_clear(&f->rest);
  f->rest.cap_bytes = f->cap_bytes;
}

static void refuse(framing *f, int code, framing_line_cb line, void *arg)
{
  f->skipping = true;
  forget_rest(f);
  line(arg, code, (xh_str){NULL, 0}, f->number);
}

/* The beginning, or more, of a line that goes on. */
static void keep(framing *f, xh_str part, framing_line_cb line, void *arg)
{
  if (!f->skipping && xh_buf_str(&f->rest, part) != 0)
    refuse(f, f->rest.error, line, arg);
}

static void finish_line(framing *f, xh_str part, framing_line_cb line, void *arg)
{
  if (!f->skipping && f->rest.len > 0) {
    keep(f, part, line, arg);
    if (!f->skipping)
      line(arg, 0, xh_buf_span(&f->rest), f->number);
  } else if (!f->skipping && part.len > f->cap_bytes) {
    refuse(f, XH_ECAP, line, arg);
  } else if (!f->skipping) {
    line(arg, 0, part, f->number); /* the commonest: it lies in one piece, and nothing is copied */
  }
  forget_rest(f);
  f->skipping = false;
  f->number++;
}

void framing_feed(framing *f, xh_str bytes, framing_line_cb line, void *arg)
{
  while (bytes.len > 0) {
    const char *newline = memchr(bytes.ptr, '\n', bytes.len);
    if (!newline) {
      keep(f, bytes, line, arg);
      return;
    }
    size_t len = (size_t)(newline - bytes.ptr);
    finish_line(f, (xh_str){bytes.ptr, len}, line, arg);
    bytes.ptr += len + 1;
    bytes.len -= len + 1;
  }
}

void framing_end(framing *f, framing_line_cb line, void *arg)
{
  if (f->rest.len > 0)
    finish_line(f, XH_STR(""), line, arg);
}
