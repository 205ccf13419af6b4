#include "receiver/connections.h"

static void append(xh_connections *all, xh_connection *connection, xh_stage stage)
{
  connection->stage = stage;
  connection->previous = all->stages[stage].last;
  connection->next = NULL;
  if (connection->previous)
    connection->previous->next = connection;
  else
    all->stages[stage].first = connection;
  all->stages[stage].last = connection;
  all->stages[stage].count++;
}

void xh_connections_remove(xh_connections *all, xh_connection *connection)
{
  if (connection->previous)
    connection->previous->next = connection->next;
  else
    all->stages[connection->stage].first = connection->next;
  if (connection->next)
    connection->next->previous = connection->previous;
  else
    all->stages[connection->stage].last = connection->previous;
  all->stages[connection->stage].count--;
}

void xh_connections_add(xh_connections *all, xh_connection *connection, int64_t deadline_ms)
{
  connection->deadline_ms = deadline_ms;
  append(all, connection, XH_AT_HEAD);
}

void xh_connections_move(xh_connections *all, xh_connection *connection, xh_stage stage, int64_t deadline_ms)
{
  xh_connections_remove(all, connection);
  connection->deadline_ms = deadline_ms;
  append(all, connection, stage == XH_AT_WORK && connection->hung_up ? XH_AT_GONE : stage);
}

void xh_connections_touch(xh_connections *all, xh_connection *connection)
{
  if (connection->next)
    xh_connections_move(all, connection, connection->stage, connection->deadline_ms);
}

void xh_connections_hung_up(xh_connections *all, xh_connection *connection)
{
  connection->hung_up = true;
  if (connection->stage == XH_AT_WORK)
    xh_connections_move(all, connection, XH_AT_WORK, connection->deadline_ms);
}

int64_t xh_connections_sweep(xh_connections *all, int64_t now_ms, void *arg, void (*late)(void *arg, xh_connection *connection))
{
  int64_t earliest_ms = INT64_MAX;
  for (int stage = 0; stage < XH_AT_CLOSE; stage++)
    for (xh_connection *at = all->stages[stage].first, *next; at; at = next) {
      next = at->next;
      if (at->deadline_ms <= now_ms)
        late(arg, at);
    }
  for (int stage = 0; stage < XH_AT_CLOSE; stage++)
    for (const xh_connection *at = all->stages[stage].first; at; at = at->next)
      earliest_ms = at->deadline_ms < earliest_ms ? at->deadline_ms : earliest_ms;
  return earliest_ms;
}

size_t xh_connections_served(const xh_connections *all)
{
  return all->stages[XH_AT_GONE].count + all->stages[XH_AT_HEAD].count + all->stages[XH_AT_BODY].count + all->stages[XH_AT_WORK].count;
}

xh_connection *xh_connections_stalest(const xh_connections *all, const xh_connection *newcomer)
{
  static const xh_stage order[] = {XH_AT_GONE, XH_AT_HEAD, XH_AT_BODY};
  for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
    xh_connection *first = all->stages[order[i]].first;
    if (first == newcomer && first)
      first = first->next;
    if (first)
      return first;
  }
  return NULL;
}

xh_connection *xh_connections_largest(const xh_connections *all)
{
  xh_connection *largest = NULL;
  for (xh_connection *at = all->stages[XH_AT_BODY].first; at; at = at->next)
    if (at->body_bytes > (largest ? largest->body_bytes : 0))
      largest = at;
  return largest;
}
