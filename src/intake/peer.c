#include "intake/peer.h"

#include "base/err.h"
#include "base/log.h"
#include "intake/envelope.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- references ---- */

xh_peer *xh_peer_ref(xh_peer *peer)
{
  peer->references++;
  return peer;
}

void xh_peer_unref(xh_peer *peer)
{
  if (!peer)
    return;
  if (--peer->references == 0) {
    framing_done(&peer->framing);
    xh_buf_done(&peer->output);
    free(peer);
  } else if (peer->ended && peer->references == 1) {
    peer_touch(peer); /* its last answer has come: it can be closed when that is written */
  }
}

const xh_hello *xh_peer_hello(const xh_peer *peer, bool *ret_said)
{
  *ret_said = peer->said;
  return &peer->hello;
}

void xh_peer_set_data(xh_peer *peer, void *data)
{
  peer->data = data;
}

void *xh_peer_data(const xh_peer *peer)
{
  return peer->data;
}

xh_peer *peer_of(uv_handle_t *handle)
{
  return handle->data;
}

xh_peer *peer_new(xh_intake *intake)
{
  xh_peer *peer = calloc(1, sizeof *peer);
  if (!peer)
    return NULL;
  peer->references = 1;
  peer->intake = intake;
  snprintf(peer->hello.source, sizeof peer->hello.source, "local");
  framing_init(&peer->framing, intake->line_cap_bytes);
  xh_buf_init(&peer->output, PEER_UNREAD_BYTES_DROP);
  peer->next = intake->peers;
  peer->to_this = &intake->peers;
  if (peer->next)
    peer->next->to_this = &peer->next;
  intake->peers = peer;
  return peer;
}

/* ---- unfinished lines ---- */

/*
 * Long lines of many sources could fill the memory while none of them comes to its end. Above a limit only the one that began first is read on (and
 * lines that are short so far), then the next.
 */
static void choose_oldest(xh_intake *intake)
{
  bool crowded = intake->unfinished_bytes > INTAKE_UNFINISHED_LINES * intake->line_cap_bytes;
  if (!crowded && !intake->oldest)
    return;
  intake->oldest = NULL;
  for (const xh_peer *peer = intake->peers; crowded && peer; peer = peer->next)
    if (peer->unfinished_bytes > PEER_UNFINISHED_BYTES_FREE && (!intake->oldest || peer->line_order < intake->oldest->line_order))
      intake->oldest = peer;
  for (xh_peer *peer = intake->peers; peer; peer = peer->next)
    peer_read_or_not(peer);
}

static void count_unfinished(xh_peer *peer, size_t bytes)
{
  xh_intake *intake = peer->intake;
  if (bytes > 0 && (peer->unfinished_bytes == 0 || peer->line_number != peer->framing.number)) {
    peer->line_order = ++intake->lines_begun;
    peer->line_number = peer->framing.number;
  }
  intake->unfinished_bytes = intake->unfinished_bytes - peer->unfinished_bytes + bytes;
  peer->unfinished_bytes = bytes;
  choose_oldest(intake);
}

/* ---- the end ---- */

void peer_handle_closed(uv_handle_t *handle)
{
  xh_peer *peer = peer_of(handle);
  xh_intake *intake = peer->intake;
  if (--peer->handles_open > 0)
    return;
  *peer->to_this = peer->next;
  if (peer->next)
    peer->next->to_this = peer->to_this;
  xh_peer_unref(peer);
  intake_check_done(intake);
}

static void tell_closed(xh_peer *peer)
{
  if (peer->ended)
    return;
  peer->ended = true;
  if (peer->intake->sink.closed)
    peer->intake->sink.closed(peer->intake->sink.arg, peer, peer->stdio);
}

void peer_close(xh_peer *peer)
{
  if (peer->closing)
    return;
  peer->closing = true;
  count_unfinished(peer, 0);
  xh_buf_done(&peer->output);
  uv_close(&peer->in.handle, peer_handle_closed);
  if (peer->two)
    uv_close(&peer->out.handle, peer_handle_closed);
  tell_closed(peer);
}

/* ---- lines ---- */

/* `event_id`: the number of the event that the line would have been, else 0. */
static void refuse_event(xh_peer *peer, int64_t id, int64_t event_id, int64_t number, int code, const char *what)
{
  if (id)
    xh_peer_error(peer, id, code, what);
  else {
    xh_buf line;
    xh_buf_init(&line, 4096);
    xh_buf_printf(&line, "{\"error\":{\"code\":\"%s\",\"message\":", xh_err_name(code));
    xh_buf_json_z(&line, what);
    xh_buf_printf(&line, ",\"line\":%lld}}", (long long)number);
    xh_peer_line(peer, xh_buf_span(&line));
    xh_buf_done(&line);
  }
  if (peer->intake->sink.refused)
    peer->intake->sink.refused(peer->intake->sink.arg, peer, event_id, code);
}

static void refuse(xh_peer *peer, int64_t id, int64_t number, int code, const char *what)
{
  refuse_event(peer, id, 0, number, code, what);
}

static void take_hello(xh_peer *peer, const xh_hello *hello, int64_t number)
{
  const xh_intake *intake = peer->intake;
  char line[256];
  if (peer->spoke) {
    refuse(peer, 0, number, XH_EPROTOCOL, "hello comes first, and once");
    return;
  }
  peer->hello = *hello;
  peer->said = true;
  int64_t up_to = intake->sink.hello(intake->sink.arg, peer, hello);
  peer->accepted_up_to = peer->told_up_to = up_to;
  int len = snprintf(line, sizeof line,
                     "{\"hello\":{\"protocol\":%d,\"version\":\"%s\",\"instance\":\"%s\",\"lineBytes\":%zu,\"acceptedUpTo\":%lld}}",
                     XH_PROTOCOL, XH_VERSION, intake->instance, intake->line_cap_bytes, (long long)up_to);
  xh_peer_line(peer, (xh_str){line, (size_t)len});
}

static void take_line(xh_peer *peer, xh_str line, int64_t number)
{
  const xh_sink *sink = &peer->intake->sink;
  envelope e;
  envelope_fault fault;
  int rc = envelope_parse(line, &e, &fault);
  if (rc) {
    refuse_event(peer, fault.id, fault.is_event ? fault.id : 0, number, rc, fault.what);
    return;
  }
  switch (e.kind) {
  case ENVELOPE_HELLO:
    take_hello(peer, &e.hello, number);
    break;
  case ENVELOPE_CONFIGURE:
    sink->configure(sink->arg, peer, e.id, e.config);
    break;
  case ENVELOPE_EVENT:
    sink->event(sink->arg, peer, e.id, e.wait, &e.event);
    break;
  case ENVELOPE_CALL:
    sink->call(sink->arg, peer, e.id, e.call, e.params);
    break;
  }
  peer->spoke = true;
}

static void on_line(void *arg, int code, xh_str line, int64_t number)
{
  xh_peer *peer = arg;
  char what[120];
  if (peer->closing)
    return;
  if (code == XH_ECAP) {
    snprintf(what, sizeof what, "the line is longer than %zu bytes (serve --line-cap)", peer->framing.cap_bytes);
    refuse(peer, 0, number, code, what);
  } else if (code) {
    refuse(peer, 0, number, code, xh_err_text(code));
  } else if (xh_json_trim(line).len > 0) {
    take_line(peer, line, number);
  }
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  (void)suggested;
  *buf = uv_buf_init(peer_of(handle)->intake->read_buffer, PEER_READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
  xh_peer *peer = stream->data;
  if (count > 0) {
    framing_feed(&peer->framing, (xh_str){buf->base, (size_t)count}, on_line, peer);
  } else if (count < 0) {
    peer->reading = false;
    uv_read_stop(stream);
    framing_end(&peer->framing, on_line, peer);
    tell_closed(peer);
    if (count != UV_EOF)
      peer_close(peer);
    else
      peer_touch(peer); /* what it asked may still be answered: it may have closed its sending side only */
  }
  if (!peer->closing)
    count_unfinished(peer, peer->framing.rest.len);
}

void peer_read_or_not(xh_peer *peer)
{
  const xh_peer *oldest = peer->intake->oldest;
  bool crowded_out = oldest && oldest != peer && peer->unfinished_bytes > PEER_UNFINISHED_BYTES_FREE;
  bool want = !peer->ended && !peer->closing && !peer->intake->paused && !peer->intake->ending && !crowded_out &&
              peer->output.len + peer->writing_bytes <= PEER_UNREAD_BYTES_MAX;
  if (want == peer->reading)
    return;
  peer->reading = want && uv_read_start(&peer->in.stream, on_alloc, on_read) == 0;
  if (!want)
    uv_read_stop(&peer->in.stream);
}

void peer_start(xh_peer *peer)
{
  peer_read_or_not(peer);
}
