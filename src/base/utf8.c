#include "base/utf8.h"

#include <stdbool.h>

static int is_tail(unsigned char c)
{
  return (c & 0xc0) == 0x80;
}

/* RFC 3629 section 4, the table of well-formed byte sequences. */
size_t xh_utf8_width(const char *p, size_t len)
{
  const unsigned char *u = (const unsigned char *)p;
  unsigned char c = u[0];
  if (c < 0x80)
    return 1;
  if (c < 0xc2 || c > 0xf4)
    return 0;
  if (c < 0xe0)
    return len >= 2 && is_tail(u[1]) ? 2 : 0;
  if (c < 0xf0) {
    if (len < 3 || !is_tail(u[1]) || !is_tail(u[2]))
      return 0;
    return (c == 0xe0 && u[1] < 0xa0) || (c == 0xed && u[1] > 0x9f) ? 0 : 3;
  }
  if (len < 4 || !is_tail(u[1]) || !is_tail(u[2]) || !is_tail(u[3]))
    return 0;
  return (c == 0xf0 && u[1] < 0x90) || (c == 0xf4 && u[1] > 0x8f) ? 0 : 4;
}

size_t xh_utf8_plain_width(const char *p, size_t len)
{
  const unsigned char *u = (const unsigned char *)p;
  size_t width = xh_utf8_width(p, len);
  bool is_control = u[0] < 0x20 || u[0] == 0x7f || (width == 2 && u[0] == 0xc2 && u[1] < 0xa0);
  bool turns = width == 3 && u[0] == 0xe2 &&
               ((u[1] == 0x80 && u[2] >= 0xaa && u[2] <= 0xae)      /* U+202A to U+202E */
                || (u[1] == 0x81 && u[2] >= 0xa6 && u[2] <= 0xa9)); /* U+2066 to U+2069 */
  return is_control || turns ? 0 : width;
}

size_t xh_utf8_whole(const char *p, size_t len)
{
  size_t back = 1; /* from the end to the byte that begins the last character */
  while (back < 4 && back < len && is_tail((unsigned char)p[len - back]))
    back++;
  unsigned char c = len > 0 ? (unsigned char)p[len - back] : 0;
  size_t width = c < 0xc2 || c > 0xf4 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
  return width > back ? len - back : len;
}

size_t xh_utf8_encode(uint32_t code, char out[4])
{
  if (code < 0x80) {
    out[0] = (char)code;
    return 1;
  }
  if (code < 0x800) {
    out[0] = (char)(0xc0 | code >> 6);
    out[1] = (char)(0x80 | (code & 0x3f));
    return 2;
  }
  if (code < 0x10000) {
    out[0] = (char)(0xe0 | code >> 12);
    out[1] = (char)(0x80 | (code >> 6 & 0x3f));
    out[2] = (char)(0x80 | (code & 0x3f));
    return 3;
  }
  out[0] = (char)(0xf0 | code >> 18);
  out[1] = (char)(0x80 | (code >> 12 & 0x3f));
  out[2] = (char)(0x80 | (code >> 6 & 0x3f));
  out[3] = (char)(0x80 | (code & 0x3f));
  return 4;
}
