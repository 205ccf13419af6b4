/*
 * An event's way: match → render → outbox → dispatcher. The acknowledgement follows the commit; what its source waits for is sent
 * before it.
 */
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "engine/engine_internal.h"
#include "payload/payload.h"

#include <stdio.h>
#include <stdlib.h>

enum { BODY_CAP_BYTES = 256 * 1024 * 1024 };

/* From the outbox's acceptance to the commit. */
typedef struct pending {
  struct pending *prev, *next;
  xh_engine *engine;
  source *source;
  xh_peer *peer;
  int64_t id;
  bool numbered;
  bool refused; /* before; only its turn is awaited */
  unsigned generation;
  size_t bytes;
  int64_t moved_ms; /* the clock's jumps when it was accepted */
  xh_delivery *list; /* to submit after the commit */
  xh_engine_event_cb done;
  void *done_arg;
} pending;

/* The bodies of one event, made when first needed and shared by its deliveries. */
typedef struct bodies {
  const xh_event *event;
  xh_str source;
  xh_blob *raw;      /* the event's own bytes */
  xh_blob *redacted; /* as kept; the same blob when nothing is masked */
  xh_blob *format[XH_FORMAT_COUNT]; /* of hooks without `fields` and with default masking */
  size_t bytes; /* of all that were made */
  int error;
} bodies;

static void bodies_done(bodies *b)
{
  xh_blob_unref(b->raw);
  xh_blob_unref(b->redacted);
  for (size_t i = 0; i < XH_FORMAT_COUNT; i++)
    xh_blob_unref(b->format[i]);
}

static xh_blob *new_blob(bodies *b, xh_str text)
{
  xh_blob *blob = xh_blob_new(text);
  b->bytes += blob ? blob->len : 0;
  return blob;
}

static xh_blob *raw_body(bodies *b)
{
  if (!b->raw && !(b->raw = new_blob(b, b->event->raw)))
    b->error = XH_ENOMEM;
  return b->raw;
}

/* What is kept to be shown: the event with its credentials masked. */
static xh_blob *kept_event(bodies *b)
{
  if (b->redacted)
    return b->redacted;
  xh_buf out;
  xh_buf_init(&out, BODY_CAP_BYTES);
  int rc = xh_redact(b->event, &out);
  if (rc)
    b->error = rc;
  else if (out.len > 0)
    b->redacted = new_blob(b, xh_buf_span(&out));
  else
    b->redacted = raw_body(b) ? xh_blob_ref(b->raw) : NULL;
  xh_buf_done(&out);
  if (!b->redacted && !b->error)
    b->error = XH_ENOMEM;
  return b->redacted;
}

static xh_blob *render(bodies *b, const xh_hook *hook)
{
  bool common = !hook->fields && hook->mask_secrets && !hook->drop_stack;
  if (common && b->format[hook->format])
    return xh_blob_ref(b->format[hook->format]);
  /* The commonest body is what is kept anyway: the event, masked where it must be. */
  xh_blob *blob = NULL;
  if (common && hook->format == XH_FORMAT_JSON) {
    blob = kept_event(b) ? xh_blob_ref(b->redacted) : NULL;
  } else {
    xh_buf out;
    xh_payload payload;
    xh_buf_init(&out, BODY_CAP_BYTES);
    int rc = xh_payload_render(hook, b->event, b->source, &payload, &out);
    if (rc)
      b->error = rc;
    else if (payload.verbatim)
      blob = raw_body(b) ? xh_blob_ref(b->raw) : NULL;
    else
      blob = new_blob(b, xh_buf_span(&out));
    xh_buf_done(&out);
  }
  if (!blob && !b->error)
    b->error = XH_ENOMEM;
  if (blob && common)
    b->format[hook->format] = xh_blob_ref(blob);
  return blob;
}

enum { TEXT_SIZE = 1024 };

/* The text of a string property in `out`; NULL when it is absent, no string, or too long to be a name. */
static const char *text_of(xh_str value, char out[TEXT_SIZE])
{
  if (!value.ptr || xh_json_typeof(value) != XH_JSON_STRING || value.len - 2 >= TEXT_SIZE)
    return NULL;
  if (!memchr(value.ptr, '\\', value.len)) {
    memcpy(out, value.ptr + 1, value.len - 2);
    out[value.len - 2] = '\0';
    return out;
  }
  xh_buf text;
  xh_buf_init(&text, TEXT_SIZE - 1);
  bool fits = xh_json_decode(value, &text) == 0;
  if (fits)
    snprintf(out, TEXT_SIZE, "%s", text.ptr ? text.ptr : "");
  xh_buf_done(&text);
  return fits ? out : NULL;
}

static xh_delivery *new_delivery(xh_engine *e, source *src, bodies *b, xh_hook *hook)
{
  const xh_event *event = b->event;
  char method[XH_METHOD_BYTES_MAX + 1], call_id[TEXT_SIZE], user_name[TEXT_SIZE];
  xh_blob *body = render(b, hook);
  xh_delivery made = {.id = xh_outbox_next_id(e->outbox),
                      .hook_id = src->routes[hook->index].hook_id,
                      .target_id = src->routes[hook->index].target_id,
                      .source_id = src->id,
                      .event = kept_event(b),
                      .body = body,
                      .method = method,
                      .call_id = text_of(event->call_id, call_id),
                      .user_name = text_of(event->user_name, user_name),
                      .type = (uint8_t)event->type,
                      .accepted_ms = xh_dispatcher_now_ms(e->dispatcher)};
  memcpy(method, event->method.ptr, event->method.len);
  method[event->method.len] = '\0';
  xh_delivery *d = b->error ? NULL : xh_delivery_copy(&made);
  if (!d && !b->error)
    b->error = XH_ENOMEM;
  xh_blob_unref(body);
  return d;
}

static void link_pending(xh_engine *e, pending *p)
{
  p->prev = e->accepting_last;
  if (p->prev)
    p->prev->next = p;
  else
    e->accepting_first = p;
  e->accepting_last = p;
  e->accepting_bytes += p->bytes;
  e->accepting_count++;
}

static void unlink_pending(xh_engine *e, pending *p)
{
  if (p->prev)
    p->prev->next = p->next;
  else
    e->accepting_first = p->next;
  if (p->next)
    p->next->prev = p->prev;
  else
    e->accepting_last = p->prev;
  e->accepting_bytes -= p->bytes;
  e->accepting_count--;
}

static void free_list(xh_delivery *list)
{
  while (list) {
    xh_delivery *next = list->next;
    xh_delivery_free(list);
    list = next;
  }
}

/* The first delivery of `*at` leaves the list and is on its way. */
static void submit_pending(pending *p, xh_delivery **at, bool durable, bool urgent)
{
  xh_dispatcher *dispatcher = p->engine->dispatcher;
  xh_delivery *d = *at;
  *at = d->next;
  d->next = NULL;
  (void)xh_dispatcher_now_ms(dispatcher);
  d->accepted_ms += xh_dispatcher_moved_ms(dispatcher) - p->moved_ms;
  xh_dispatcher_submit(dispatcher, &(xh_submission){.delivery = d, .durable = durable, .urgent = urgent});
}

/* ---- after the commit ---- */

static void set_paused(xh_engine *e, bool paused)
{
  if (!e->intake || e->paused == paused)
    return;
  e->paused = paused;
  xh_intake_pause(e->intake, paused);
}

/* Refused for now: the same event may be taken when it comes again. Other errors would only be repeated. */
static bool may_come_again(int code)
{
  return code == XH_EFULL || code == XH_ENOMEM || code == XH_EIO || code == XH_EDENIED || code == XH_EBUSY || code == XH_ECORRUPT ||
         code == XH_ECLOSED;
}

static void note_progress(source *s, int64_t id, int rc)
{
  if (rc && may_come_again(rc)) {
    xh_ranges_add(&s->refused, id);
    return;
  }
  xh_ranges_remove(&s->refused, id);
  if (id > s->seq_committed)
    s->seq_committed = id;
}

static void tell_peer(const pending *p, xh_peer *peer, int rc, bool durable)
{
  if (rc)
    xh_peer_error(peer, p->id, rc, "refused: the disk takes nothing and memory is at its cap; the event is lost unless it is sent again");
  if (p->id && (rc || p->refused))
    xh_peer_covered(peer, p->id);
  else if (p->id)
    xh_peer_accepted(peer, p->id, durable);
}

/* The connection that sent it, and the one that its session has made meanwhile. */
static void tell_source(const pending *p, int rc, bool durable)
{
  xh_peer *now = p->numbered && p->generation == p->source->generation ? p->source->session_peer : NULL;
  if (p->peer)
    tell_peer(p, p->peer, rc, durable);
  if (now && now != p->peer)
    tell_peer(p, now, rc, durable);
}

static void on_committed(void *arg, int rc, bool durable)
{
  pending *p = arg;
  xh_engine *e = p->engine;
  unlink_pending(e, p);
  if (e->accepting_bytes < XH_ACCEPTING_BYTES_MAX / 2)
    set_paused(e, false);
  while (p->list && rc == 0)
    submit_pending(p, &p->list, durable, false);
  free_list(p->list);
  if (p->refused)
    rc = 0; /* it has had its error */
  if (p->numbered && p->generation == p->source->generation)
    note_progress(p->source, p->id, rc);
  if (rc)
    engine_refused(e, rc);
  if (p->done)
    p->done(p->done_arg, rc, durable);
  else
    tell_source(p, rc, durable);
  xh_peer_unref(p->peer);
  engine_plan_prune(e);
  free(p);
}

/* ---- before it ---- */

static void on_match(xh_hook *hook, void *arg)
{
  xh_engine *e = arg;
  if (e->matched_count == e->matched_room) {
    size_t room = e->matched_room ? e->matched_room * 2 : 16;
    xh_hook **matched = realloc(e->matched, room * sizeof(*matched));
    if (!matched) {
      e->match_failed = true;
      return;
    }
    e->matched = matched;
    e->matched_room = room;
  }
  e->matched[e->matched_count++] = hook;
}

static bool leads(const xh_delivery *pre, const xh_delivery *post)
{
  return pre->type == XH_PRE && pre->target_id == post->target_id && pre->call_id && post->call_id &&
         strcmp(pre->call_id, post->call_id) == 0;
}

/* `post` is sent before its commit: so are the pre events of its call that wait for theirs. */
static void hurry_leaders(xh_engine *e, const xh_delivery *post)
{
  for (pending *p = e->accepting_first; p; p = p->next)
    for (xh_delivery **at = &p->list; *at;) {
      xh_delivery *d = *at;
      if (leads(d, post))
        submit_pending(p, at, true, true);
      else
        at = &d->next;
    }
}

typedef struct leader_search {
  const source *source;
  int64_t target_id;
  bool found;
} leader_search;

static void on_leader(xh_hook *hook, void *arg)
{
  leader_search *search = arg;
  search->found = search->found || search->source->routes[hook->index].target_id == search->target_id;
}

/* May the pre event of this post event's call be among what waits in the outbox for the same target? */
static bool leader_may_be_stored(xh_engine *e, const incoming *in, int64_t target_id)
{
  if (!xh_dispatcher_is_behind(e->dispatcher, target_id))
    return false;
  xh_event pre = *in->event;
  pre.type = XH_PRE;
  leader_search search = {.source = in->source, .target_id = target_id};
  return xh_hooks_match(in->source->hooks, &pre, on_leader, &search) != 0 || search.found;
}

/* Why a delivery is not sent before all others though its source waits; NULL when it is. */
static const char *why_later(xh_engine *e, const incoming *in, const xh_delivery *d)
{
  if (xh_dispatcher_held_since(e->dispatcher, d->target_id))
    return "its target is held: it was down at the last tries; delivered when it is back";
  if (d->type == XH_POST && leader_may_be_stored(e, in, d->target_id))
    return "its target is behind: the events before it go first; delivered in its turn";
  return NULL;
}

/* Waiting hooks' deliveries leave the list and are on their way before the commit. */
static void send_urgent(xh_engine *e, const incoming *in, xh_delivery **list)
{
  waiter *w = NULL;
  xh_delivery **at = list;
  for (size_t i = 0; *at; i++) {
    xh_delivery *d = *at;
    xh_hook *hook = e->matched[i];
    /* XO waits before a call, never after it; a source that says so may. */
    if (!hook->wait_for_response || (in->event->type == XH_POST && !in->wait)) {
      at = &d->next;
      continue;
    }
    if (!w && !(w = waiter_new(e, in->peer, in->id)))
      return;
    xh_submission submission = {.delivery = d, .durable = true, .urgent = true};
    const char *later = why_later(e, in, d);
    if (later) {
      waiter_add_known(w, hook, d->id, later);
      at = &d->next; /* with the others, after the commit */
      continue;
    }
    waiter_add(w, hook, &submission);
    *at = d->next;
    d->next = NULL;
    if (d->type == XH_POST)
      hurry_leaders(e, d);
    xh_dispatcher_submit(e->dispatcher, &submission);
  }
  if (!w && in->wait)
    w = waiter_new(e, in->peer, in->id);
  if (w)
    waiter_begin(w);
}

/* `bytes`: what the event's deliveries hold. */
static int queue_accept(xh_engine *e, const incoming *in, xh_delivery *list, size_t bytes)
{
  pending *p = calloc(1, sizeof *p);
  if (!p)
    return XH_ENOMEM;
  p->engine = e;
  p->moved_ms = xh_dispatcher_moved_ms(e->dispatcher);
  p->source = in->source;
  p->peer = in->peer ? xh_peer_ref(in->peer) : NULL;
  p->id = in->id;
  p->numbered = in->numbered;
  p->refused = in->refused;
  p->generation = in->source->generation;
  p->bytes = bytes + 512;
  p->done = in->done;
  p->done_arg = in->done_arg;
  xh_accept accept = {.source_id = in->source->id, .first = list};
  if (in->numbered) {
    snprintf(accept.session, sizeof accept.session, "%s", in->source->session);
    accept.seq = in->id;
    accept.progress = xh_ranges_clear_up_to(&in->source->refused, in->id);
  }
  int rc = xh_outbox_accept(e->outbox, &accept, on_committed, p);
  if (rc) {
    xh_peer_unref(p->peer);
    free(p);
    return rc;
  }
  link_pending(e, p);
  if (e->accepting_bytes > XH_ACCEPTING_BYTES_MAX)
    set_paused(e, true);
  if (in->peer && in->id && !in->refused)
    send_urgent(e, in, &list);
  p->list = list; /* the commit's callback never runs inside xh_outbox_accept */
  return 0;
}

/* Nobody is interested: acknowledged in its turn, stored nowhere. */
static void accept_unmatched(xh_engine *e, const incoming *in)
{
  e->unmatched_count++;
  if (e->accepting_count > 0 && in->id && queue_accept(e, in, NULL, 0) == 0)
    return; /* acknowledgements keep the order of the events */
  if (in->numbered)
    note_progress(in->source, in->id, 0);
  if (in->done)
    in->done(in->done_arg, 0, true);
  else if (in->peer && in->id)
    xh_peer_accepted(in->peer, in->id, true);
  if (in->peer && in->wait)
    send_urgent(e, in, &(xh_delivery *){NULL});
}

bool engine_is_accepting(const xh_engine *e, const source *s, int64_t id)
{
  for (const pending *p = e->accepting_first; p; p = p->next)
    if (p->source == s && p->id == id && p->numbered && p->generation == s->generation)
      return true;
  return false;
}

void engine_refuse(xh_engine *e, const incoming *in, int code)
{
  incoming turn = *in;
  turn.refused = true;
  turn.event = NULL;
  if (in->numbered && may_come_again(code)) {
    note_progress(in->source, in->id, code);
    turn.numbered = false;
  }
  if (!in->id || (e->accepting_count > 0 && queue_accept(e, &turn, NULL, 0) == 0))
    return;
  if (turn.numbered)
    note_progress(in->source, in->id, 0);
  xh_peer_covered(in->peer, in->id);
}

int engine_accept(xh_engine *e, const incoming *in)
{
  e->event_count++;
  in->source->event_count++;
  e->matched_count = 0;
  e->match_failed = false;
  if (in->source->hooks && xh_hooks_match(in->source->hooks, in->event, on_match, e) != 0)
    e->match_failed = true;
  if (e->match_failed)
    return XH_ENOMEM; /* all of its hooks, or none */
  if (e->matched_count == 0) {
    accept_unmatched(e, in);
    return 0;
  }
  bodies b = {.event = in->event, .source = xh_str_z(in->source->name)};
  xh_delivery *list = NULL;
  xh_delivery **end = &list;
  for (size_t i = 0; i < e->matched_count && !b.error; i++)
    if ((*end = new_delivery(e, in->source, &b, e->matched[i])) != NULL)
      end = &(*end)->next;
  bodies_done(&b);
  int rc = b.error ? b.error : queue_accept(e, in, list, b.bytes + e->matched_count * (sizeof *list + 128));
  if (rc) {
    free_list(list);
    return rc;
  }
  e->matched_total += (int64_t)e->matched_count;
  return (int)e->matched_count;
}
