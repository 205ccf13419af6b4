#include "outbox/operation.h"

#include "base/err.h"

#include <stdlib.h>

operation *op_new(op_kind kind)
{
  operation *op = calloc(1, sizeof *op);
  if (!op)
    return NULL;
  op->kind = kind;
  op->bytes = sizeof *op;
  return op;
}

void op_free_deliveries(xh_delivery *list)
{
  while (list) {
    xh_delivery *next = list->next;
    xh_delivery_free(list);
    list = next;
  }
}

void op_free(operation *op)
{
  if (!op)
    return;
  switch (op->kind) {
  case OP_SOURCE:
  case OP_HOOK:
  case OP_TARGET:
  case OP_HOOK_STOPPED:
  case OP_TARGET_HELD:
    free(op->u.identity.name);
    free(op->u.identity.config);
    free(op->u.identity.label);
    free(op->u.identity.shown);
    break;
  case OP_ACCEPT:
    op_free_deliveries(op->u.accept.first);
    break;
  case OP_SETTLE:
    free(op->u.settle.attempt.answer);
    break;
  case OP_REFILL:
    op_free_deliveries(op->u.refill.list);
    break;
  case OP_RETRY:
    free(op->u.retry.ids);
    free(op->u.retry.targets);
    id_list_done(&op->u.retry.hooks);
    break;
  case OP_NEXT_DUE:
  case OP_SHIFT:
  case OP_PRUNE:
    break;
  }
  free(op);
}

void op_queue_put(op_queue *queue, operation *op)
{
  op->next = NULL;
  if (queue->last)
    queue->last->next = op;
  else
    queue->first = op;
  queue->last = op;
  queue->count++;
}

operation *op_queue_take(op_queue *queue)
{
  operation *op = queue->first;
  if (!op)
    return NULL;
  queue->first = op->next;
  if (!queue->first)
    queue->last = NULL;
  queue->count--;
  op->next = NULL;
  return op;
}

void op_queue_join(op_queue *queue, op_queue *more)
{
  if (!more->first)
    return;
  if (queue->last)
    queue->last->next = more->first;
  else
    queue->first = more->first;
  queue->last = more->last;
  queue->count += more->count;
  *more = (op_queue){0};
}

void op_queue_free(op_queue *queue)
{
  operation *op;
  while ((op = op_queue_take(queue)) != NULL)
    op_free(op);
}

void op_reset(operation *op)
{
  op->rc = 0;
  op->unfinished = false;
  if (op->kind == OP_REFILL) {
    op_free_deliveries(op->u.refill.list);
    op->u.refill.list = NULL;
    op->u.refill.more = false;
  } else if (op->kind == OP_RETRY) {
    op->u.retry.at = op->u.retry.committed;
  } else if (op->kind == OP_ACCEPT) {
    for (xh_delivery *d = op->u.accept.first; d; d = d->next)
      d->event->row = d->body->row = d->event->users = d->body->users = 0;
  }
}

int id_list_add(id_list *list, int64_t id)
{
  enum { LOOK_BACK = 64 };
  size_t from = list->count > LOOK_BACK ? list->count - LOOK_BACK : 0;
  for (size_t i = from; i < list->count; i++)
    if (list->items[i] == id)
      return 0;
  if (list->count == list->room) {
    size_t room = list->room ? list->room * 2 : 16;
    int64_t *items = realloc(list->items, room * sizeof *items);
    if (!items)
      return XH_ENOMEM;
    list->items = items;
    list->room = room;
  }
  list->items[list->count++] = id;
  return 0;
}

void id_list_done(id_list *list)
{
  free(list->items);
  *list = (id_list){0};
}

xh_delivery *op_copy_deliveries(const xh_delivery *first, size_t *bytes, int *ret_rc)
{
  xh_delivery *list = NULL;
  xh_delivery **end = &list;
  const xh_blob *counted = NULL; /* the deliveries of an event mostly share their bytes */
  for (; first; first = first->next) {
    *end = xh_delivery_copy(first);
    if (!*end) {
      op_free_deliveries(list);
      *ret_rc = XH_ENOMEM;
      return NULL;
    }
    *bytes += sizeof **end + 96;
    if (first->event != counted)
      *bytes += first->event->len;
    if (first->body != first->event)
      *bytes += first->body->len;
    counted = first->event;
    end = &(*end)->next;
  }
  *ret_rc = 0;
  return list;
}
