/* What passes through the outbox's doors: bodies, deliveries, the names of states. */
#include "outbox/outbox.h"

#include <stdlib.h>

xh_blob *xh_blob_new(xh_str bytes)
{
  xh_blob *blob = malloc(sizeof *blob + bytes.len + 1);
  if (!blob)
    return NULL;
  atomic_init(&blob->references, 1);
  blob->row = 0;
  blob->users = 0;
  blob->len = bytes.len;
  if (bytes.len > 0)
    memcpy(blob->bytes, bytes.ptr, bytes.len);
  blob->bytes[bytes.len] = '\0';
  return blob;
}

xh_blob *xh_blob_ref(xh_blob *blob)
{
  atomic_fetch_add_explicit(&blob->references, 1, memory_order_relaxed);
  return blob;
}

void xh_blob_unref(xh_blob *blob)
{
  if (blob && atomic_fetch_sub_explicit(&blob->references, 1, memory_order_acq_rel) == 1)
    free(blob);
}

/* Puts a copy of `text` to `*at`, which moves on. */
static const char *put_text(char **at, const char *text, size_t size)
{
  if (!text)
    return NULL;
  char *copy = memcpy(*at, text, size);
  *at += size;
  return copy;
}

xh_delivery *xh_delivery_copy(const xh_delivery *from)
{
  size_t method = strlen(from->method) + 1;
  size_t call_id = from->call_id ? strlen(from->call_id) + 1 : 0;
  size_t user_name = from->user_name ? strlen(from->user_name) + 1 : 0;
  xh_delivery *to = malloc(sizeof *to + method + call_id + user_name);
  if (!to)
    return NULL;
  char *at = (char *)(to + 1);
  *to = *from;
  to->method = put_text(&at, from->method, method);
  to->call_id = put_text(&at, from->call_id, call_id);
  to->user_name = put_text(&at, from->user_name, user_name);
  to->event = from->event ? xh_blob_ref(from->event) : NULL;
  to->body = xh_blob_ref(from->body);
  to->next = NULL;
  return to;
}

void xh_delivery_free(xh_delivery *delivery)
{
  if (!delivery)
    return;
  xh_blob_unref(delivery->event);
  xh_blob_unref(delivery->body);
  free(delivery);
}

const char *xh_state_name(xh_state state)
{
  switch (state) {
  case XH_PENDING:
    return "pending";
  case XH_DELIVERED:
    return "delivered";
  case XH_DEAD:
    return "dead";
  }
  return "unknown";
}

const char *xh_fault_name(xh_fault fault)
{
  switch (fault) {
  case XH_FAULT_NONE:
    return "none";
  case XH_FAULT_TARGET:
    return "target";
  case XH_FAULT_NETWORK:
    return "network";
  case XH_FAULT_PROXY:
    return "proxy";
  case XH_FAULT_TLS:
    return "tls";
  case XH_FAULT_OURS:
    return "ours";
  }
  return "unknown";
}
