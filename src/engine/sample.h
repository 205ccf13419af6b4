/*
 * A test of hooks: one sample event to each, at once and past the outbox, so that status, times and answer can be shown. Loop thread
 * only.
 */
#ifndef XH_ENGINE_SAMPLE_H
#define XH_ENGINE_SAMPLE_H

#include "delivery/transport.h"
#include "hooks/hooks.h"

typedef struct xh_sample {
  xh_transport *transport; /* borrowed until `done` */
  xh_hooks *hooks;         /* referenced */
  xh_str list;             /* JSON array of places in the configuration, or absent: all that are enabled; borrowed for the call */
  xh_str source;           /* name of the XO it pretends to come from; borrowed for the call */
  void (*worked)(void *arg, const xh_hook *hook); /* a hook answered well; may be NULL */
  void (*done)(void *arg, const xh_buf *result);  /* `{"results":[…]}` of docs/protocol.md; called once, perhaps within the call */
  void *arg;
} xh_sample;

typedef struct xh_sample_run xh_sample_run; /* valid until `done` */

/* Returns 0 (`ret_run`, may be NULL, is set before anything is called), or XH_ENOMEM, then nothing is called. */
int xh_sample_send(const xh_sample *sample, xh_sample_run **ret_run);

/* Ends it: what has not answered yet is said not to have, and `done` is called from here. */
void xh_sample_end(xh_sample_run *run);

#endif
