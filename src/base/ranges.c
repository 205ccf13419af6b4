#include "base/ranges.h"

#include <string.h>

/* The place of the first range that ends at `number` or later. */
static size_t place_of(const xh_ranges *r, int64_t number)
{
  size_t at = r->count;
  while (at > 0 && r->items[at - 1].last >= number) /* new numbers are mostly the highest */
    at--;
  return at;
}

static void insert(xh_ranges *r, size_t at, xh_range range)
{
  memmove(&r->items[at + 1], &r->items[at], (r->count - at) * sizeof *r->items);
  r->items[at] = range;
  r->count++;
}

static void join_with_next(xh_ranges *r, size_t at)
{
  r->items[at].last = r->items[at + 1].last;
  memmove(&r->items[at + 1], &r->items[at + 2], (r->count - at - 2) * sizeof *r->items);
  r->count--;
}

static void join_nearest(xh_ranges *r)
{
  size_t nearest = 0;
  for (size_t i = 1; i + 1 < r->count; i++)
    if (r->items[i + 1].first - r->items[i].last < r->items[nearest + 1].first - r->items[nearest].last)
      nearest = i;
  join_with_next(r, nearest);
}

void xh_ranges_add(xh_ranges *ranges, int64_t number)
{
  size_t at = place_of(ranges, number);
  if (at < ranges->count && ranges->items[at].first <= number)
    return;
  insert(ranges, at, (xh_range){number, number});
  if (at + 1 < ranges->count && ranges->items[at + 1].first == number + 1)
    join_with_next(ranges, at);
  if (at > 0 && ranges->items[at - 1].last == number - 1)
    join_with_next(ranges, at - 1);
  if (ranges->count > XH_RANGES_MAX)
    join_nearest(ranges);
}

void xh_ranges_remove(xh_ranges *ranges, int64_t number)
{
  size_t at = place_of(ranges, number);
  if (at == ranges->count || ranges->items[at].first > number)
    return;
  xh_range *range = &ranges->items[at];
  if (range->first == number && range->last == number) {
    memmove(range, range + 1, (ranges->count - at - 1) * sizeof *range);
    ranges->count--;
  } else if (range->first == number) {
    range->first++;
  } else if (range->last == number) {
    range->last--;
  } else if (ranges->count < XH_RANGES_MAX) {
    xh_range rest = {number + 1, range->last};
    range->last = number - 1;
    insert(ranges, at + 1, rest);
  }
}

bool xh_ranges_have(const xh_ranges *ranges, int64_t number)
{
  size_t at = place_of(ranges, number);
  return at < ranges->count && ranges->items[at].first <= number;
}

int64_t xh_ranges_clear_up_to(const xh_ranges *ranges, int64_t number)
{
  return ranges->count > 0 && ranges->items[0].first <= number ? ranges->items[0].first - 1 : number;
}
