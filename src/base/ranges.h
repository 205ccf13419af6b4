/*
 * A small set of numbers, kept as ranges: those that a source still has to send again. When there are too many ranges, neighbours grow together,
 * with the numbers between them: the set may hold too many, never too few. In one piece of memory, without allocations. One thread at a time.
 */
#ifndef XH_BASE_RANGES_H
#define XH_BASE_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { XH_RANGES_MAX = 32 };

typedef struct xh_range {
  int64_t first, last;
} xh_range;

typedef struct xh_ranges {
  xh_range items[XH_RANGES_MAX + 1]; /* growing; the last place is used only within xh_ranges_add */
  size_t count;
} xh_ranges;

void xh_ranges_add(xh_ranges *ranges, int64_t number);
void xh_ranges_remove(xh_ranges *ranges, int64_t number); /* it stays when that would need a range too many */
bool xh_ranges_have(const xh_ranges *ranges, int64_t number);

/* The highest of the numbers up to `number` below which none is in the set. */
int64_t xh_ranges_clear_up_to(const xh_ranges *ranges, int64_t number);

#endif
