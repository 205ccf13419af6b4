#include "receiver/seen.h"

#include "base/err.h"
#include "base/map.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>

typedef struct entry {
  int64_t hash;
  int64_t at_ms;
} entry;

/* The map gives each hash its state; the ring holds the hashes by age, and those taken back until their turn comes. */
struct xh_seen {
  xh_map states;
  entry *ring;
  size_t room, first, count;
  unsigned char key[32];
};

int xh_seen_new(xh_seen **ret_seen)
{
  xh_seen *seen = calloc(1, sizeof *seen);
  if (!seen)
    return XH_ENOMEM;
  xh_map_init(&seen->states);
  if (RAND_bytes(seen->key, sizeof seen->key) != 1) {
    free(seen);
    return XH_EIO;
  }
  *ret_seen = seen;
  return 0;
}

void xh_seen_free(xh_seen *seen)
{
  if (!seen)
    return;
  xh_map_done(&seen->states, NULL);
  free(seen->ring);
  free(seen);
}

static int hash_of(const xh_seen *seen, xh_str id, int64_t *ret_hash)
{
  unsigned char digest[32];
  EVP_MD_CTX *ctx = EVP_MD_CTX_new();
  bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) && EVP_DigestUpdate(ctx, seen->key, sizeof seen->key) &&
            EVP_DigestUpdate(ctx, id.ptr, id.len) && EVP_DigestFinal_ex(ctx, digest, NULL);
  EVP_MD_CTX_free(ctx);
  if (!ok)
    return XH_ENOMEM;
  memcpy(ret_hash, digest, sizeof *ret_hash);
  return 0;
}

static void forget_first(xh_seen *seen)
{
  xh_map_remove_id(&seen->states, seen->ring[seen->first].hash);
  seen->first = (seen->first + 1) % seen->room;
  seen->count--;
}

static void forget_old(xh_seen *seen, int64_t now_ms)
{
  while (seen->count > 0 && (seen->count >= XH_SEEN_MAX || seen->ring[seen->first].at_ms < now_ms - XH_SEEN_KEEP_MS))
    forget_first(seen);
}

static int grow(xh_seen *seen)
{
  size_t room = seen->room ? seen->room * 2 : 256;
  entry *ring = malloc(room * sizeof *ring);
  if (!ring)
    return XH_ENOMEM;
  for (size_t i = 0; i < seen->count; i++)
    ring[i] = seen->ring[(seen->first + i) % seen->room];
  free(seen->ring);
  seen->ring = ring;
  seen->room = room;
  seen->first = 0;
  return 0;
}

xh_seen_state xh_seen_get(xh_seen *seen, xh_str id, int64_t now_ms)
{
  int64_t hash;
  forget_old(seen, now_ms);
  if (hash_of(seen, id, &hash) != 0)
    return XH_SEEN_NEVER;
  return (xh_seen_state)(uintptr_t)xh_map_get_id(&seen->states, hash);
}

int xh_seen_set(xh_seen *seen, xh_str id, xh_seen_state state, int64_t now_ms)
{
  int64_t hash;
  forget_old(seen, now_ms);
  int rc = hash_of(seen, id, &hash);
  if (rc)
    return rc;
  bool known = xh_map_get_id(&seen->states, hash) != NULL;
  if (state == XH_SEEN_NEVER) { /* its place in the ring stays; removing the hash then finds nothing, or a newer life of the id */
    xh_map_remove_id(&seen->states, hash);
    return 0;
  }
  if (!known && seen->count == seen->room)
    rc = grow(seen);
  if (rc == 0)
    rc = xh_map_set_id(&seen->states, hash, (void *)(uintptr_t)state); /* the state itself, as the pointer's value */
  if (rc == 0 && !known)
    seen->ring[(seen->first + seen->count++) % seen->room] = (entry){.hash = hash, .at_ms = now_ms};
  return rc;
}
