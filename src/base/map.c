#include "base/map.h"

#include "base/err.h"

#include <stdlib.h>
#include <sys/random.h>

enum { FIRST_ROOM = 16, INLINE_KEY_BYTES = 8 };

struct xh_map_slot {
  uint64_t hash; /* 0: never used */
  void *value;   /* NULL: free, or its key was removed */
  size_t key_len;
  union {
    char *ptr;
    char bytes[INLINE_KEY_BYTES]; /* short keys need no allocation */
  } key;
};

static uint64_t seed(void)
{
  static uint64_t drawn; /* a race draws twice and keeps one: compare-and-swap */
  uint64_t value = __atomic_load_n(&drawn, __ATOMIC_RELAXED);
  if (value)
    return value;
  if (getrandom(&value, sizeof value, GRND_NONBLOCK) != (ssize_t)sizeof value || value == 0)
    value = (uint64_t)(uintptr_t)&drawn | 1;
  uint64_t expected = 0;
  return __atomic_compare_exchange_n(&drawn, &expected, value, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED) ? value : expected;
}

/* Multiply and fold, eight bytes a step. */
static uint64_t mix(uint64_t a, uint64_t b)
{
  __extension__ typedef unsigned __int128 wide;
  wide product = (wide)a * b;
  return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_of(xh_str key)
{
  uint64_t hash = seed() ^ key.len;
  while (key.len > 0) {
    uint64_t word = 0;
    size_t take = key.len < sizeof word ? key.len : sizeof word;
    memcpy(&word, key.ptr, take);
    hash = mix(hash ^ word, 0x9e3779b97f4a7c15u);
    key.ptr += take;
    key.len -= take;
  }
  return mix(hash, 0xd6e8feb86659fd93u) | 1;
}

static xh_str key_of(const xh_map_slot *slot)
{
  return (xh_str){slot->key_len <= INLINE_KEY_BYTES ? slot->key.bytes : slot->key.ptr, slot->key_len};
}

void xh_map_init(xh_map *map)
{
  *map = (xh_map){0};
}

static void free_key(xh_map_slot *slot)
{
  if (slot->value && slot->key_len > INLINE_KEY_BYTES)
    free(slot->key.ptr);
}

void xh_map_done(xh_map *map, void (*free_value)(void *value))
{
  for (size_t i = 0; i < map->room; i++) {
    if (map->slots[i].value && free_value)
      free_value(map->slots[i].value);
    free_key(&map->slots[i]);
  }
  free(map->slots);
  xh_map_init(map);
}

/* The slot of the key, or NULL. */
static xh_map_slot *find(const xh_map *map, xh_str key, uint64_t hash)
{
  if (map->room == 0)
    return NULL;
  for (size_t i = hash & (map->room - 1); map->slots[i].hash; i = (i + 1) & (map->room - 1)) {
    xh_map_slot *slot = &map->slots[i];
    if (slot->hash == hash && slot->value && xh_str_eq(key_of(slot), key))
      return slot;
  }
  return NULL;
}

static void place(xh_map_slot *slots, size_t room, const xh_map_slot *slot)
{
  size_t i = slot->hash & (room - 1);
  while (slots[i].hash)
    i = (i + 1) & (room - 1);
  slots[i] = *slot;
}

/* Makes sure that one more key fits with a quarter of the slots free; drops removed places on the way. */
static int make_room(xh_map *map)
{
  if ((map->used + 1) * 4 <= map->room * 3)
    return 0;
  size_t room = FIRST_ROOM;
  while ((map->count + 1) * 2 > room)
    room *= 2;
  xh_map_slot *slots = calloc(room, sizeof *slots);
  if (!slots)
    return XH_ENOMEM;
  for (size_t i = 0; i < map->room; i++)
    if (map->slots[i].value)
      place(slots, room, &map->slots[i]);
  free(map->slots);
  map->slots = slots;
  map->room = room;
  map->used = map->count;
  return 0;
}

int xh_map_set(xh_map *map, xh_str key, void *value)
{
  uint64_t hash = hash_of(key);
  xh_map_slot *old = find(map, key, hash);
  if (old) {
    old->value = value;
    return 0;
  }
  if (make_room(map) != 0)
    return XH_ENOMEM;
  xh_map_slot slot = {.hash = hash, .value = value, .key_len = key.len};
  if (key.len > INLINE_KEY_BYTES) {
    slot.key.ptr = malloc(key.len);
    if (!slot.key.ptr)
      return XH_ENOMEM;
    memcpy(slot.key.ptr, key.ptr, key.len);
  } else if (key.len > 0) {
    memcpy(slot.key.bytes, key.ptr, key.len);
  }
  place(map->slots, map->room, &slot);
  map->count++;
  map->used++;
  return 0;
}

void *xh_map_get(const xh_map *map, xh_str key)
{
  const xh_map_slot *slot = find(map, key, hash_of(key));
  return slot ? slot->value : NULL;
}

void *xh_map_remove(xh_map *map, xh_str key)
{
  xh_map_slot *slot = find(map, key, hash_of(key));
  if (!slot)
    return NULL;
  void *value = slot->value;
  free_key(slot);
  slot->value = NULL;
  map->count--;
  return value;
}

int xh_map_next(const xh_map *map, size_t *at, xh_str *ret_key, void **ret_value)
{
  for (; *at < map->room; ++*at) {
    const xh_map_slot *slot = &map->slots[*at];
    if (!slot->value)
      continue;
    if (ret_key)
      *ret_key = key_of(slot);
    *ret_value = slot->value;
    ++*at;
    return 1;
  }
  return 0;
}

static xh_str id_key(const int64_t *id)
{
  return (xh_str){(const char *)id, sizeof *id};
}

int xh_map_set_id(xh_map *map, int64_t id, void *value)
{
  return xh_map_set(map, id_key(&id), value);
}

void *xh_map_get_id(const xh_map *map, int64_t id)
{
  return xh_map_get(map, id_key(&id));
}

void *xh_map_remove_id(xh_map *map, int64_t id)
{
  return xh_map_remove(map, id_key(&id));
}
