#include "outbox/identity.h"

#include "base/digest.h"
#include "base/err.h"
#include "outbox/schema.h"

#include <stdio.h>
#include <stdlib.h>

enum { HOOK_KEY_SIZE = 128 };

static char *copy(xh_str text)
{
  return strndup(text.ptr ? text.ptr : "", text.len);
}

static char *copy_z(const char *text)
{
  return text ? strdup(text) : NULL;
}

static void free_source(void *value)
{
  identity_source *source = value;
  free(source->name);
  free(source);
}

static void free_hook(void *value)
{
  identity_hook *hook = value;
  free(hook->digest);
  free(hook->config);
  free(hook->label);
  free(hook->shown);
  free(hook);
}

static void free_target(void *value)
{
  identity_target *target = value;
  free(target->hash);
  free(target->shown);
  free(target);
}

void identities_done(identities *ids)
{
  xh_map_done(&ids->sources_by_id, NULL);
  xh_map_done(&ids->hooks_by_id, NULL);
  xh_map_done(&ids->targets_by_id, NULL);
  xh_map_done(&ids->sources, free_source);
  xh_map_done(&ids->hooks, free_hook);
  xh_map_done(&ids->targets, free_target);
}

static xh_str hook_key(int64_t source_id, xh_str digest, char key[HOOK_KEY_SIZE])
{
  int len = snprintf(key, HOOK_KEY_SIZE, "%lld:%.*s", (long long)source_id, (int)(digest.len < 64 ? digest.len : 64), digest.ptr);
  return (xh_str){key, (size_t)len};
}

/* Both maps or none; frees the value when it can't be kept. */
static int keep(xh_map *by_name, xh_str name, xh_map *by_id, int64_t id, void *value, void (*free_value)(void *))
{
  if (xh_map_set(by_name, name, value) != 0) {
    free_value(value);
    return XH_ENOMEM;
  }
  if (xh_map_set_id(by_id, id, value) != 0) {
    xh_map_remove(by_name, name);
    free_value(value);
    return XH_ENOMEM;
  }
  return 0;
}

static void note_last(int64_t *last, int64_t id)
{
  if (id > *last)
    *last = id;
}

static int keep_source(identities *ids, identity_source *source)
{
  note_last(&ids->last_source, source->id);
  return keep(&ids->sources, xh_str_z(source->name), &ids->sources_by_id, source->id, source, free_source);
}

static int keep_hook(identities *ids, identity_hook *hook)
{
  char key[HOOK_KEY_SIZE];
  note_last(&ids->last_hook, hook->id);
  return keep(&ids->hooks, hook_key(hook->source_id, xh_str_z(hook->digest), key), &ids->hooks_by_id, hook->id, hook, free_hook);
}

static int keep_target(identities *ids, identity_target *target)
{
  note_last(&ids->last_target, target->id);
  return keep(&ids->targets, xh_str_z(target->hash), &ids->targets_by_id, target->id, target, free_target);
}

/* ---- at open ---- */

static const char *column(sqlite3_stmt *row, int index)
{
  const char *text = (const char *)sqlite3_column_text(row, index);
  return text ? text : "";
}

static int load_source(identities *ids, sqlite3_stmt *row)
{
  identity_source *source = calloc(1, sizeof *source);
  if (!source || !(source->name = strdup(column(row, 1)))) {
    free(source);
    return XH_ENOMEM;
  }
  source->id = sqlite3_column_int64(row, 0);
  snprintf(source->session, sizeof source->session, "%s", column(row, 2));
  source->seq = sqlite3_column_int64(row, 3);
  return keep_source(ids, source);
}

static int load_hook(identities *ids, sqlite3_stmt *row)
{
  identity_hook *hook = calloc(1, sizeof *hook);
  if (!hook || !(hook->digest = strdup(column(row, 2)))) {
    free(hook);
    return XH_ENOMEM;
  }
  hook->id = sqlite3_column_int64(row, 0);
  hook->source_id = sqlite3_column_int64(row, 1);
  hook->stopped_ms = sqlite3_column_int64(row, 3);
  return keep_hook(ids, hook);
}

static int load_target(identities *ids, sqlite3_stmt *row)
{
  identity_target *target = calloc(1, sizeof *target);
  if (!target)
    return XH_ENOMEM;
  target->id = sqlite3_column_int64(row, 0);
  target->hash = strdup(column(row, 1));
  target->shown = strdup(column(row, 2));
  target->held_since_ms = sqlite3_column_int64(row, 3);
  if (target->hash && target->shown)
    return keep_target(ids, target);
  free_target(target);
  return XH_ENOMEM;
}

static int load(identities *ids, sqlite3 *db, const char *sql, int (*each)(identities *ids, sqlite3_stmt *row))
{
  sqlite3_stmt *row;
  int rc = 0, code = sqlite3_prepare_v2(db, sql, -1, &row, NULL);
  if (code != SQLITE_OK)
    return xh_schema_error(code);
  while (rc == 0 && (code = sqlite3_step(row)) == SQLITE_ROW)
    rc = each(ids, row);
  sqlite3_finalize(row);
  return rc ? rc : xh_schema_error(code);
}

int identities_load(identities *ids, sqlite3 *db)
{
  int rc = load(ids, db, "SELECT id, name, session, seq FROM source", load_source);
  if (rc == 0)
    rc = load(ids, db, "SELECT id, source_id, digest, stopped_ms FROM hook", load_hook);
  if (rc == 0)
    rc = load(ids, db, "SELECT id, key_hash, shown, held_since_ms FROM target", load_target);
  return rc;
}

/* ---- operations ---- */

static operation *source_op(const identity_source *source)
{
  operation *op = op_new(OP_SOURCE);
  if (!op)
    return NULL;
  op->u.identity.id = source->id;
  op->u.identity.name = strdup(source->name);
  if (op->u.identity.name)
    return op;
  op_free(op);
  return NULL;
}

static operation *hook_op(const identity_hook *hook)
{
  operation *op = op_new(OP_HOOK);
  if (!op)
    return NULL;
  op_identity *identity = &op->u.identity;
  identity->id = hook->id;
  identity->source_id = hook->source_id;
  identity->wall_ms = hook->stopped_ms;
  identity->name = copy_z(hook->digest);
  identity->config = copy_z(hook->config);
  identity->label = copy_z(hook->label);
  identity->shown = copy_z(hook->shown);
  if (identity->name && identity->config && identity->label && identity->shown) {
    op->bytes += strlen(identity->config) + 512;
    return op;
  }
  op_free(op);
  return NULL;
}

static operation *target_op(const identity_target *target)
{
  operation *op = op_new(OP_TARGET);
  if (!op)
    return NULL;
  op->u.identity.id = target->id;
  op->u.identity.name = copy_z(target->hash);
  op->u.identity.shown = copy_z(target->shown);
  if (op->u.identity.name && op->u.identity.shown)
    return op;
  op_free(op);
  return NULL;
}

static void again(const xh_map *map, operation *(*make)(void *value), op_queue *ret_ops)
{
  size_t at = 0;
  void *value;
  while (xh_map_next(map, &at, NULL, &value)) {
    operation *op = make(value);
    if (op)
      op_queue_put(ret_ops, op);
  }
}

static operation *source_again(void *value)
{
  return source_op(value);
}

static operation *hook_again(void *value)
{
  const identity_hook *hook = value;
  return hook->config ? hook_op(hook) : NULL;
}

static operation *target_again(void *value)
{
  return target_op(value);
}

void identities_again(const identities *ids, op_queue *ret_ops)
{
  again(&ids->sources, source_again, ret_ops);
  again(&ids->hooks, hook_again, ret_ops);
  again(&ids->targets, target_again, ret_ops);
}

/* ---- find or make ---- */

identity_source *identities_source(identities *ids, xh_str name, operation **ret_op)
{
  identity_source *source = xh_map_get(&ids->sources, name);
  *ret_op = NULL;
  if (source)
    return source;
  source = calloc(1, sizeof *source);
  if (!source || !(source->name = copy(name))) {
    free(source);
    return NULL;
  }
  source->id = ids->last_source + 1;
  operation *op = source_op(source);
  if (!op) {
    free_source(source);
    return NULL;
  }
  if (keep_source(ids, source) != 0) {
    op_free(op);
    return NULL;
  }
  *ret_op = op;
  return source;
}

/* A hook of an earlier life gets the texts that only its configuration has. */
static void complete_hook(identity_hook *hook, xh_str config, xh_str label, xh_str shown)
{
  if (hook->config)
    return;
  hook->config = copy(config);
  hook->label = copy(label);
  hook->shown = copy(shown);
}

identity_hook *identities_hook(identities *ids, int64_t source_id, xh_str digest, xh_str config, xh_str label, xh_str shown,
                               operation **ret_op)
{
  char key[HOOK_KEY_SIZE];
  identity_hook *hook = xh_map_get(&ids->hooks, hook_key(source_id, digest, key));
  *ret_op = NULL;
  if (hook) {
    complete_hook(hook, config, label, shown);
    return hook;
  }
  hook = calloc(1, sizeof *hook);
  if (!hook)
    return NULL;
  hook->id = ids->last_hook + 1;
  hook->source_id = source_id;
  hook->digest = copy(digest);
  complete_hook(hook, config, label, shown);
  operation *op = hook->digest ? hook_op(hook) : NULL;
  if (!op) {
    free_hook(hook);
    return NULL;
  }
  if (keep_hook(ids, hook) != 0) {
    op_free(op);
    return NULL;
  }
  *ret_op = op;
  return hook;
}

identity_target *identities_target(identities *ids, xh_str key, xh_str shown, operation **ret_op)
{
  char hash[XH_DIGEST_SIZE];
  xh_digest(key, hash);
  identity_target *target = xh_map_get(&ids->targets, xh_str_z(hash));
  *ret_op = NULL;
  if (target)
    return target;
  target = calloc(1, sizeof *target);
  if (!target)
    return NULL;
  target->id = ids->last_target + 1;
  target->hash = strdup(hash);
  target->shown = copy(shown);
  operation *op = target->hash && target->shown ? target_op(target) : NULL;
  if (!op) {
    free_target(target);
    return NULL;
  }
  if (keep_target(ids, target) != 0) {
    op_free(op);
    return NULL;
  }
  *ret_op = op;
  return target;
}
