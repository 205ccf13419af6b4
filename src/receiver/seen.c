#include "receiver/seen.h"

#include "base/err.h"
#include "base/map.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>

/* What is known of one id since `at_ms`. In the map by its hash, and in a list by age. */
typedef struct entry {
  struct entry *older, *newer;
  int64_t hash;
  int64_t at_ms;
  xh_seen_state state;
} entry;

struct xh_seen {
  xh_map entries;
  entry *oldest, *newest;
  unsigned char key[32];
};

int xh_seen_new(xh_seen **ret_seen)
{
  xh_seen *seen = calloc(1, sizeof *seen);
  if (!seen)
    return XH_ENOMEM;
  xh_map_init(&seen->entries);
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
  xh_map_done(&seen->entries, free);
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

static void take_out(xh_seen *seen, entry *e)
{
  *(e->older ? &e->older->newer : &seen->oldest) = e->newer;
  *(e->newer ? &e->newer->older : &seen->newest) = e->older;
}

static void put_last(xh_seen *seen, entry *e)
{
  e->older = seen->newest;
  e->newer = NULL;
  *(seen->newest ? &seen->newest->newer : &seen->oldest) = e;
  seen->newest = e;
}

static void forget(xh_seen *seen, entry *e)
{
  take_out(seen, e);
  xh_map_remove_id(&seen->entries, e->hash);
  free(e);
}

static void forget_old(xh_seen *seen, int64_t now_ms)
{
  while (seen->oldest && (seen->entries.count > XH_SEEN_MAX || seen->oldest->at_ms < now_ms - XH_SEEN_KEEP_MS))
    forget(seen, seen->oldest);
}

xh_seen_state xh_seen_get(xh_seen *seen, xh_str id, int64_t now_ms)
{
  int64_t hash;
  forget_old(seen, now_ms);
  const entry *e = hash_of(seen, id, &hash) == 0 ? xh_map_get_id(&seen->entries, hash) : NULL;
  return e ? e->state : XH_SEEN_NEVER;
}

int xh_seen_set(xh_seen *seen, xh_str id, xh_seen_state state, int64_t now_ms)
{
  int64_t hash;
  forget_old(seen, now_ms);
  int rc = hash_of(seen, id, &hash);
  entry *e = rc ? NULL : xh_map_get_id(&seen->entries, hash);
  if (rc || (state == XH_SEEN_NEVER && !e))
    return rc;
  if (state == XH_SEEN_NEVER) {
    forget(seen, e);
    return 0;
  }
  if (e) {
    take_out(seen, e);
  } else {
    e = malloc(sizeof *e);
    if (!e || xh_map_set_id(&seen->entries, hash, e) != 0) {
      free(e);
      return XH_ENOMEM;
    }
    e->hash = hash;
  }
  e->state = state;
  e->at_ms = now_ms; /* the age is that of the state: a sender comes again so long after its last attempt */
  put_last(seen, e);
  forget_old(seen, now_ms);
  return 0;
}
