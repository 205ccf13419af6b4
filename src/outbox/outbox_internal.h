/* Shared by the outbox's files on the main thread: outbox_open.c (its life) and outbox.c (what is asked of it). */
#ifndef XH_OUTBOX_OUTBOX_INTERNAL_H
#define XH_OUTBOX_OUTBOX_INTERNAL_H

#include "outbox/identity.h"
#include "outbox/outbox.h"
#include "outbox/writer.h"

struct xh_outbox {
  xh_outbox_options options;
  char *folder;
  char instance[17];
  int lock_fd;
  int64_t next_id, id_limit;
  identities ids;
  writer *writer;
  xh_target_backlog *backlog;
  size_t backlog_count;
};

#endif
