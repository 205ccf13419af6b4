/*
 * A growing byte buffer with a cap. An append that fails changes nothing, and every later append fails
 * the same way, so that a renderer may append freely and ask xh_buf_error() once at the end.
 * Not thread-safe. The bytes are kept NUL-terminated one past `len`.
 */
#ifndef XH_BASE_BUF_H
#define XH_BASE_BUF_H

#include "base/str.h"

#include <stdint.h>

typedef struct xh_buf {
  char *ptr;
  size_t len;
  size_t room;      /* bytes allocated */
  size_t cap_bytes; /* most that len may become */
  int error;        /* 0 or the first failure: XH_ENOMEM, XH_ECAP */
} xh_buf;

/* An empty buffer; allocates nothing. */
void xh_buf_init(xh_buf *buf, size_t cap_bytes);

/* Frees the bytes; the buffer may be used again as after xh_buf_init. */
void xh_buf_done(xh_buf *buf);

/* Forgets content and error, keeps the memory. */
void xh_buf_clear(xh_buf *buf);

/* Forgets what is behind the first `len` bytes, and the error. */
void xh_buf_cut(xh_buf *buf, size_t len);

/* Makes room for `more` bytes after len; returns where they go, or NULL on failure. */
char *xh_buf_reserve(xh_buf *buf, size_t more);

int xh_buf_append(xh_buf *buf, const void *bytes, size_t len);
int xh_buf_str(xh_buf *buf, xh_str s);
int xh_buf_z(xh_buf *buf, const char *z);
int xh_buf_char(xh_buf *buf, char c);
int xh_buf_i64(xh_buf *buf, int64_t n);
int xh_buf_printf(xh_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends `text` as a JSON string with its quotes. Text should be UTF-8; a byte that is not becomes U+FFFD. */
int xh_buf_json(xh_buf *buf, xh_str text);

/* Same, of a terminated string; NULL gives the JSON null. */
int xh_buf_json_z(xh_buf *buf, const char *z);
int xh_buf_json_buf(xh_buf *buf, const xh_buf *text); /* a text that was made apart; fails where that failed for want of memory */

/* Appends `text` for a terminal, at most `most_bytes` of it in whole characters and then "…". What could move the cursor becomes '?'
   (a byte that is no UTF-8 too), tabs and ends of lines become spaces unless `kept` holds them. */
int xh_buf_plain(xh_buf *buf, xh_str text, size_t most_bytes, const char *kept);

/* Removes the first `len` bytes. */
void xh_buf_drop(xh_buf *buf, size_t len);

static inline int xh_buf_error(const xh_buf *buf)
{
  return buf->error;
}

static inline xh_str xh_buf_span(const xh_buf *buf)
{
  return (xh_str){buf->ptr ? buf->ptr : "", buf->len};
}

/* Gives the bytes away (terminated, to free() by the caller) and leaves the buffer empty; NULL on an earlier failure. */
char *xh_buf_steal(xh_buf *buf, size_t *ret_len);

#endif
