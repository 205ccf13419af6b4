/* Answers: gathered while the loop works, written once before it sleeps. */
#include "base/err.h"
#include "base/log.h"
#include "intake/peer.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct pending_write {
  uv_write_t request;
  xh_peer *peer;
  char *bytes;
} pending_write;

bool peer_has_output(const xh_peer *peer)
{
  return peer->output.len > 0 || peer->writing_bytes > 0 || peer->accepted_up_to > peer->told_up_to;
}

void peer_touch(xh_peer *peer)
{
  xh_intake *intake = peer->intake;
  if (peer->dirty || peer->closing)
    return;
  peer->dirty = true;
  xh_peer_ref(peer);
  peer->next_dirty = intake->dirty;
  intake->dirty = peer;
  uv_prepare_start(&intake->flusher, intake_flush);
}

static void on_written(uv_write_t *request, int status)
{
  pending_write *w = (pending_write *)request;
  xh_peer *peer = w->peer;
  peer->writing_bytes = 0;
  free(w->bytes);
  free(w);
  if (status < 0)
    peer_close(peer);
  else {
    peer_touch(peer);
    peer_read_or_not(peer);
  }
  xh_peer_unref(peer);
}

static void write_output(xh_peer *peer)
{
  if (peer->accepted_up_to > peer->told_up_to) {
    peer->told_up_to = peer->accepted_up_to;
    xh_buf_printf(&peer->output, "{\"acceptedUpTo\":%lld}\n", (long long)peer->told_up_to);
  }
  if (peer->output.error) {
    xh_log(XH_LOG_WARN, "source %s does not read its answers: cut off", peer->hello.source);
    peer_close(peer);
    return;
  }
  if (peer->output.len == 0 || peer->writing_bytes > 0)
    return;
  pending_write *w = malloc(sizeof *w);
  size_t len = 0;
  char *bytes = w ? xh_buf_steal(&peer->output, &len) : NULL;
  if (!bytes) {
    free(w);
    peer_close(peer);
    return;
  }
  *w = (pending_write){.peer = xh_peer_ref(peer), .bytes = bytes};
  peer->writing_bytes = len;
  uv_buf_t buf = {.base = bytes, .len = len};
  uv_stream_t *stream = peer->two ? &peer->out.stream : &peer->in.stream;
  if (uv_write(&w->request, stream, &buf, 1, on_written) != 0) {
    peer->writing_bytes = 0;
    xh_peer_unref(peer);
    free(bytes);
    free(w);
    peer_close(peer);
  }
}

/* Nothing more will come from it, nobody will answer it any more, and all is written. */
static bool is_finished(const xh_peer *peer)
{
  return (peer->ended || peer->intake->closing) && peer->references <= 2 && !peer_has_output(peer);
}

void intake_flush(uv_prepare_t *flusher)
{
  xh_intake *intake = flusher->data;
  xh_peer *list = intake->dirty;
  intake->dirty = NULL;
  uv_prepare_stop(flusher);
  while (list) {
    xh_peer *peer = list;
    list = peer->next_dirty;
    peer->dirty = false;
    if (!peer->closing) {
      write_output(peer);
      if (is_finished(peer) || (intake->closing && !peer_has_output(peer)))
        peer_close(peer);
      else
        peer_read_or_not(peer);
    }
    xh_peer_unref(peer);
  }
}

/* ---- what is answered ---- */

void xh_peer_line(xh_peer *peer, xh_str json)
{
  if (peer->closing)
    return;
  xh_buf_str(&peer->output, json);
  xh_buf_char(&peer->output, '\n');
  peer_touch(peer);
}

void xh_peer_ok(xh_peer *peer, int64_t id)
{
  char line[64];
  int len = snprintf(line, sizeof line, "{\"id\":%lld,\"ok\":true}", (long long)id);
  xh_peer_line(peer, (xh_str){line, (size_t)len});
}

void xh_peer_error(xh_peer *peer, int64_t id, int code, const char *message)
{
  xh_buf line;
  xh_buf_init(&line, 16 * 1024);
  xh_buf_char(&line, '{');
  if (id)
    xh_buf_printf(&line, "\"id\":%lld,", (long long)id);
  xh_buf_printf(&line, "\"error\":{\"code\":\"%s\",\"message\":", xh_err_name(code));
  xh_buf_json_z(&line, message);
  xh_buf_z(&line, "}}");
  if (xh_buf_error(&line) == 0)
    xh_peer_line(peer, xh_buf_span(&line));
  xh_buf_done(&line);
}

void xh_peer_covered(xh_peer *peer, int64_t id)
{
  if (peer->closing || !peer->hello.cumulative || id <= peer->accepted_up_to)
    return;
  peer->accepted_up_to = id;
  peer_touch(peer);
}

void xh_peer_accepted(xh_peer *peer, int64_t id, bool durable)
{
  char line[80];
  if (peer->closing)
    return;
  bool covers = peer->hello.cumulative && id > peer->accepted_up_to; /* else it was refused before and came again: that is told by itself */
  if (covers)
    xh_peer_covered(peer, id);
  if (covers && durable)
    return;
  int len = snprintf(line, sizeof line, "{\"id\":%lld,\"accepted\":true%s}", (long long)id, durable ? "" : ",\"durable\":false");
  xh_peer_line(peer, (xh_str){line, (size_t)len});
}
