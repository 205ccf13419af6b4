/* What the fuzz targets share: one entry point each, and checks that end the program when a property does not hold. */
#ifndef XH_TESTS_FUZZ_H
#define XH_TESTS_FUZZ_H

#include "base/json_scan.h"
#include "base/str.h"
#include "base/utf8.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* libFuzzer's interface (llvm.org/docs/LibFuzzer.html, "Fuzz Target"). Always returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                    \
  do {                                                                                      \
    if (!(condition)) {                                                                     \
      fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);        \
      abort();                                                                              \
    }                                                                                       \
  } while (0)

/* An exact copy on the heap, so that the sanitizer sees a read past the end; to free(). */
static inline char *fuzz_copy(const void *bytes, size_t len)
{
  char *copy = malloc(len ? len : 1);
  CHECK(copy);
  if (len)
    memcpy(copy, bytes, len);
  return copy;
}

/* The bytes up to the next newline, which is taken too; all of `rest` without one. */
static inline xh_str fuzz_line(xh_str *rest)
{
  const char *newline = rest->len ? memchr(rest->ptr, '\n', rest->len) : NULL;
  xh_str line = {rest->ptr, newline ? (size_t)(newline - rest->ptr) : rest->len};
  size_t used = line.len + (newline ? 1 : 0);
  *rest = (xh_str){rest->ptr + used, rest->len - used};
  return line;
}

/* The first byte, 0 at the end. */
static inline unsigned fuzz_byte(xh_str *rest)
{
  if (rest->len == 0)
    return 0;
  unsigned byte = (unsigned char)*rest->ptr;
  *rest = (xh_str){rest->ptr + 1, rest->len - 1};
  return byte;
}

static inline bool fuzz_is_utf8(xh_str text)
{
  for (size_t at = 0, width; at < text.len; at += width)
    if ((width = xh_utf8_width(text.ptr + at, text.len - at)) == 0)
      return false;
  return true;
}

static inline bool fuzz_is_inside(xh_str part, xh_str whole)
{
  return part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len;
}

/* Where a span of a valid text must be: absent, or inside it and one valid value. */
static inline void fuzz_check_value(xh_str value, xh_str whole)
{
  if (!value.ptr)
    return;
  CHECK(fuzz_is_inside(value, whole));
  CHECK(xh_json_validate(value, NULL) == 0);
}

#endif
