/*
 * The public name of a delivery, sent as webhook-id (Standard Webhooks 1.0, "Webhook headers"): the same for all attempts, and never the
 * same for two deliveries, also of two outboxes. Any thread.
 */
#ifndef XH_OUTBOX_WEBHOOK_ID_H
#define XH_OUTBOX_WEBHOOK_ID_H

#include "base/str.h"

#include <stdint.h>

enum { XH_WEBHOOK_ID_SIZE = 40 };

/* "msg_" + instance (16 hex digits) + id (16 hex digits). */
void xh_webhook_id(const char *instance, int64_t delivery_id, char out[XH_WEBHOOK_ID_SIZE]);

/* Reads one, or a delivery's plain number. XH_EINVAL when it is neither; XH_ENOENT when it is of another outbox. */
int xh_webhook_id_parse(const char *instance, xh_str text, int64_t *ret_delivery_id);

#endif
