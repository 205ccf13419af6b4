/* UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef XH_BASE_UTF8_H
#define XH_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at `p` (1 to 4), or 0 when the bytes there are not one. `len` >= 1. */
size_t xh_utf8_width(const char *p, size_t len);

/* The same, and 0 too for a character that a terminal must not be given by a stranger: the controls (C0, DEL, C1: ECMA-48 section 5) and
   those that turn the direction of what follows (embeddings, overrides, isolates: UAX #9 section 2). */
size_t xh_utf8_plain_width(const char *p, size_t len);

/* `len` without the beginning of a character that the bytes end with. */
size_t xh_utf8_whole(const char *p, size_t len);

/* Writes the character `code` (a scalar value) to `out`; returns its bytes, 1 to 4. */
size_t xh_utf8_encode(uint32_t code, char out[4]);

#endif
