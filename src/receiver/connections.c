#include "receiver/connections.h"

static void append(xh_connections *all, xh_connection *connection)
{
  connection->previous = all->last;
  connection->next = NULL;
  if (all->last)
    all->last->next = connection;
  else
    all->first = connection;
  all->last = connection;
}

static void detach(xh_connections *all, xh_connection *connection)
{
  if (connection->previous)
    connection->previous->next = connection->next;
  else
    all->first = connection->next;
  if (connection->next)
    connection->next->previous = connection->previous;
  else
    all->last = connection->previous;
}

void xh_connections_add(xh_connections *all, xh_connection *connection, int64_t deadline_ms)
{
  connection->working = connection->closing = false;
  connection->deadline_ms = deadline_ms;
  append(all, connection);
  all->count++;
}

void xh_connections_remove(xh_connections *all, xh_connection *connection)
{
  detach(all, connection);
  all->count--;
}

void xh_connections_touch(xh_connections *all, xh_connection *connection, int64_t deadline_ms)
{
  connection->working = deadline_ms == INT64_MAX;
  connection->deadline_ms = deadline_ms;
  detach(all, connection);
  append(all, connection);
}

xh_connection *xh_connections_late(xh_connections *all, int64_t now_ms)
{
  for (xh_connection *at = all->first; at; at = at->next)
    if (!at->closing && !at->working && at->deadline_ms <= now_ms) {
      at->closing = true;
      return at;
    }
  return NULL;
}

xh_connection *xh_connections_stalest(xh_connections *all)
{
  for (xh_connection *at = all->first; at; at = at->next)
    if (!at->closing && !at->working) {
      at->closing = true;
      return at;
    }
  return NULL;
}
