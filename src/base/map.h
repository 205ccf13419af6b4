/*
 * A hash table from byte strings or 64-bit numbers to pointers (open addressing). Keys are copied; values are borrowed
 * unless the caller says otherwise. One thread at a time. Hashing is seeded for each process, so that names from outside can't
 * be chosen to collide.
 */
#ifndef XH_BASE_MAP_H
#define XH_BASE_MAP_H

#include "base/str.h"

#include <stdint.h>

typedef struct xh_map_slot xh_map_slot;

typedef struct xh_map {
  xh_map_slot *slots;
  size_t room;  /* a power of two, or 0 */
  size_t count; /* keys in it */
  size_t used;  /* keys and places that held one */
} xh_map;

void xh_map_init(xh_map *map); /* allocates nothing */

/* Frees the table; `free_value` (may be NULL) gets each value. */
void xh_map_done(xh_map *map, void (*free_value)(void *value));

/* Sets `key` to `value` (not NULL). Returns 0 or XH_ENOMEM (unchanged). */
int xh_map_set(xh_map *map, xh_str key, void *value);

/* The value, or NULL. */
void *xh_map_get(const xh_map *map, xh_str key);

/* Takes the key out; returns its value, or NULL. */
void *xh_map_remove(xh_map *map, xh_str key);

/* Walks all entries in no order: start with *at = 0; false at the end. The map must not change meanwhile. `ret_key` may be NULL. */
int xh_map_next(const xh_map *map, size_t *at, xh_str *ret_key, void **ret_value);

/* The same, with a number as key. */
int xh_map_set_id(xh_map *map, int64_t id, void *value);
void *xh_map_get_id(const xh_map *map, int64_t id);
void *xh_map_remove_id(xh_map *map, int64_t id);

#endif
