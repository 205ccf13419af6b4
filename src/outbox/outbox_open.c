/* The outbox's life: the folder's lock, what the database knows, a damaged or a full one, the writer's start and end. */
#include "outbox/outbox_internal.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "outbox/lock.h"
#include "outbox/schema.h"

#include <stdlib.h>
#include <unistd.h>

enum { DAY_MS = 86400000 };

static void fill_options(xh_outbox_options *o)
{
  if (o->delivered_keep_ms <= 0)
    o->delivered_keep_ms = (int64_t)7 * DAY_MS;
  if (o->delivered_keep_bytes <= 0)
    o->delivered_keep_bytes = (int64_t)1 << 30;
  if (o->dead_keep_ms <= 0)
    o->dead_keep_ms = (int64_t)30 * DAY_MS;
  if (o->memory_cap_bytes == 0)
    o->memory_cap_bytes = (size_t)64 << 20;
}

static int load_backlog(xh_outbox *o, sqlite3 *db)
{
  sqlite3_stmt *row;
  size_t room = 0;
  int code = sqlite3_prepare_v2(db, "SELECT id, hook_id, pending_count, held_since_ms FROM target WHERE pending_count > 0", -1, &row,
                                NULL);
  if (code != SQLITE_OK)
    return xh_schema_error(code);
  while ((code = sqlite3_step(row)) == SQLITE_ROW) {
    if (o->backlog_count == room) {
      room = room ? room * 2 : 16;
      xh_target_backlog *items = realloc(o->backlog, room * sizeof *items);
      if (!items) {
        code = SQLITE_NOMEM;
        break;
      }
      o->backlog = items;
    }
    o->backlog[o->backlog_count++] = (xh_target_backlog){.target_id = sqlite3_column_int64(row, 0),
                                                         .hook_id = sqlite3_column_int64(row, 1),
                                                         .pending_count = sqlite3_column_int64(row, 2),
                                                         .held_since_ms = sqlite3_column_int64(row, 3)};
  }
  sqlite3_finalize(row);
  return xh_schema_error(code);
}

static int load_rest(xh_outbox *o, store *s)
{
  int rc = identities_load(&o->ids, s->db);
  if (rc == 0)
    rc = load_backlog(o, s->db);
  return rc;
}

static int load_all(xh_outbox *o, store *s)
{
  int rc = store_open(s, o->folder, NULL);
  return rc ? rc : load_rest(o, s);
}

static void unload(xh_outbox *o, store *s)
{
  store_close(s, false);
  identities_done(&o->ids);
  o->ids = (identities){0};
  free(o->backlog);
  o->backlog = NULL;
  o->backlog_count = 0;
}

static int open_store(xh_outbox *o, store *s)
{
  int rc = load_all(o, s);
  if (rc != XH_ECORRUPT)
    return rc;
  char name[4200];
  unload(o, s);
  rc = store_set_aside(o->folder, name, sizeof name);
  if (rc)
    return rc;
  xh_log(XH_LOG_ERROR, "the outbox is damaged and was set aside as %s; a new one begins. What waited in it is not delivered any more",
         name);
  return load_all(o, s);
}

/* What is known already is read, and no more: the writer opens the database when there is room. */
static int open_in_trouble(xh_outbox *o, store *s)
{
  unload(o, s);
  int rc = store_open_alone(s, o->folder);
  if (rc == 0 && s->db)
    rc = load_rest(o, s);
  store_disconnect(s);
  o->next_id = s->next_id;
  o->id_limit = s->id_limit;
  return rc;
}

/* Since the last commit some time has passed, never less than none. If the clock says so, it was set back, and what waits moves along:
 * otherwise it would wait for the old time to come again. */
static int follow_clock(store *s)
{
  int64_t ahead_ms = s->clock_ms - xh_wall_ms();
  if (ahead_ms < XH_CLOCK_JUMP_MS)
    return 0;
  xh_log(XH_LOG_WARN, "the clock was set back by %lld ms or more since the last run; times of retries and expiry move with it",
         (long long)ahead_ms);
  return store_shift(s, -ahead_ms);
}

/* Numbers that may have been given out before a crash are not used again: the note moves on before the first is. */
static int begin_life(xh_outbox *o, store *s)
{
  int rc = store_begin(s);
  s->meta_moved = true;
  if (rc == 0)
    rc = follow_clock(s);
  if (rc == 0)
    rc = store_end(s);
  if (rc)
    store_rollback(s);
  o->next_id = s->next_id;
  o->id_limit = s->id_limit;
  return rc;
}

static void free_outbox(xh_outbox *o)
{
  identities_done(&o->ids);
  free(o->backlog);
  free(o->folder);
  if (o->lock_fd >= 0)
    close(o->lock_fd);
  free(o);
}

int xh_outbox_open(const xh_outbox_options *options, xh_outbox **ret_outbox, int *ret_pid)
{
  xh_outbox *o = calloc(1, sizeof *o);
  store s = {0};
  if (!o)
    return XH_ENOMEM;
  o->lock_fd = -1;
  o->options = *options;
  fill_options(&o->options);
  o->folder = strdup(options->folder);
  int rc = o->folder ? xh_folder_lock(o->folder, &o->lock_fd, ret_pid) : XH_ENOMEM;
  if (rc == 0)
    rc = open_store(o, &s);
  if (rc == 0)
    rc = begin_life(o, &s);
  int trouble = 0;
  if (rc == XH_EFULL && o->lock_fd >= 0 && o->options.begin_in_trouble) {
    trouble = XH_EFULL;
    rc = open_in_trouble(o, &s);
  }
  if (rc == 0) {
    memcpy(o->instance, s.instance, sizeof o->instance);
    rc = writer_start(&(writer_options){.wake = o->options.wake,
                                        .wake_arg = o->options.wake_arg,
                                        .memory_cap_bytes = o->options.memory_cap_bytes,
                                        .trouble = trouble},
                      &s, &o->writer);
  }
  if (rc) {
    store_close(&s, false);
    free_outbox(o);
    return rc;
  }
  *ret_outbox = o;
  return 0;
}

void xh_outbox_close(xh_outbox *outbox)
{
  if (!outbox)
    return;
  op_queue ops = {0};
  identities_again(&outbox->ids, &ops);
  writer_stop(outbox->writer, &ops);
  xh_outbox_dispatch(outbox);
  writer_free(outbox->writer);
  free_outbox(outbox);
}
