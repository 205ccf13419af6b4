#include "base/buf.h"

#include "base/err.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_ROOM_BYTES = 256 };

void xh_buf_init(xh_buf *buf, size_t cap_bytes)
{
  *buf = (xh_buf){.cap_bytes = cap_bytes};
}

void xh_buf_done(xh_buf *buf)
{
  if (!buf)
    return;
  free(buf->ptr);
  xh_buf_init(buf, buf->cap_bytes);
}

void xh_buf_clear(xh_buf *buf)
{
  buf->len = 0;
  buf->error = 0;
}

void xh_buf_cut(xh_buf *buf, size_t len)
{
  buf->len = len;
  buf->error = 0;
}

char *xh_buf_reserve(xh_buf *buf, size_t more)
{
  if (buf->error)
    return NULL;
  if (more > buf->cap_bytes - buf->len) {
    buf->error = XH_ECAP;
    return NULL;
  }
  size_t need = buf->len + more + 1;
  if (need > buf->room) {
    size_t room = buf->room ? buf->room : FIRST_ROOM_BYTES;
    while (room < need)
      room = room > SIZE_MAX / 2 ? need : room * 2;
    char *ptr = realloc(buf->ptr, room);
    if (!ptr) {
      buf->error = XH_ENOMEM;
      return NULL;
    }
    buf->ptr = ptr;
    buf->room = room;
  }
  return buf->ptr + buf->len;
}

static void advance(xh_buf *buf, size_t len)
{
  buf->len += len;
  buf->ptr[buf->len] = '\0';
}

int xh_buf_append(xh_buf *buf, const void *bytes, size_t len)
{
  char *to = xh_buf_reserve(buf, len);
  if (!to)
    return buf->error;
  if (len)
    memcpy(to, bytes, len);
  advance(buf, len);
  return 0;
}

int xh_buf_str(xh_buf *buf, xh_str s)
{
  return xh_buf_append(buf, s.ptr, s.len);
}

int xh_buf_z(xh_buf *buf, const char *z)
{
  return xh_buf_append(buf, z, strlen(z));
}

int xh_buf_char(xh_buf *buf, char c)
{
  return xh_buf_append(buf, &c, 1);
}

int xh_buf_i64(xh_buf *buf, int64_t n)
{
  char digits[24];
  int len = snprintf(digits, sizeof digits, "%lld", (long long)n);
  return xh_buf_append(buf, digits, (size_t)len);
}

int xh_buf_printf(xh_buf *buf, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  int len = vsnprintf(NULL, 0, format, args);
  va_end(args);
  char *to = len < 0 ? NULL : xh_buf_reserve(buf, (size_t)len);
  if (!to)
    return buf->error ? buf->error : (buf->error = XH_EINVAL);
  va_start(args, format);
  vsnprintf(to, (size_t)len + 1, format, args);
  va_end(args);
  advance(buf, (size_t)len);
  return 0;
}

static void append_escaped(xh_buf *buf, unsigned char c)
{
  static const char short_form[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                    ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};
  if (c < sizeof short_form && short_form[c])
    xh_buf_append(buf, (char[]){'\\', short_form[c]}, 2);
  else
    xh_buf_printf(buf, "\\u%04x", c);
}

int xh_buf_plain(xh_buf *buf, xh_str text, size_t most_bytes, const char *kept)
{
  size_t at = 0;
  while (at < text.len) {
    char c = text.ptr[at];
    size_t width = xh_utf8_width(text.ptr + at, text.len - at);
    size_t plain = xh_utf8_plain_width(text.ptr + at, text.len - at);
    if (at + (width ? width : 1) > most_bytes)
      break;
    if (plain || (c && strchr(kept, c)))
      xh_buf_append(buf, text.ptr + at, width);
    else
      xh_buf_char(buf, c == '\t' || c == '\n' || c == '\r' ? ' ' : '?');
    at += width ? width : 1;
  }
  return at < text.len ? xh_buf_z(buf, "…") : buf->error;
}

int xh_buf_json(xh_buf *buf, xh_str text)
{
  xh_buf_char(buf, '"');
  size_t start = 0;
  size_t i = 0;
  while (i < text.len) {
    unsigned char c = (unsigned char)text.ptr[i];
    size_t width = c < 0x80 ? 1 : xh_utf8_width(text.ptr + i, text.len - i);
    if (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f && width > 0) {
      i += width;
      continue;
    }
    xh_buf_append(buf, text.ptr + start, i - start);
    if (width == 0)
      xh_buf_z(buf, "\xef\xbf\xbd");
    else
      append_escaped(buf, c);
    start = ++i;
  }
  xh_buf_append(buf, text.ptr + start, i - start);
  return xh_buf_char(buf, '"');
}

int xh_buf_json_z(xh_buf *buf, const char *z)
{
  return z ? xh_buf_json(buf, xh_str_z(z)) : xh_buf_z(buf, "null");
}

int xh_buf_json_buf(xh_buf *buf, const xh_buf *text)
{
  if (text->error == XH_ENOMEM && !buf->error)
    buf->error = XH_ENOMEM;
  return xh_buf_json(buf, xh_buf_span(text));
}

void xh_buf_drop(xh_buf *buf, size_t len)
{
  if (len >= buf->len) {
    buf->len = 0;
    return;
  }
  memmove(buf->ptr, buf->ptr + len, buf->len - len + 1);
  buf->len -= len;
}

char *xh_buf_steal(xh_buf *buf, size_t *ret_len)
{
  if (!xh_buf_reserve(buf, 0))
    return NULL;
  char *ptr = buf->ptr;
  ptr[buf->len] = '\0';
  if (ret_len)
    *ret_len = buf->len;
  xh_buf_init(buf, buf->cap_bytes);
  return ptr;
}
