/*
 * A span of bytes that somebody else owns: pointer plus length, no terminator, NUL bytes allowed.
 * A span is valid as long as the buffer it points into; functions say which that is.
 */
#ifndef XH_BASE_STR_H
#define XH_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct xh_str {
  const char *ptr; /* NULL means absent, which differs from empty */
  size_t len;
} xh_str;

#define XH_STR(literal) ((xh_str){(literal), sizeof(literal) - 1})

static inline xh_str xh_str_z(const char *z)
{
  return (xh_str){z, z ? strlen(z) : 0};
}

static inline bool xh_str_eq(xh_str a, xh_str b)
{
  return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool xh_str_eqz(xh_str a, const char *z)
{
  return xh_str_eq(a, xh_str_z(z));
}

static inline bool xh_str_starts(xh_str a, xh_str prefix)
{
  return a.len >= prefix.len && memcmp(a.ptr, prefix.ptr, prefix.len) == 0;
}

#endif
