/* Events to a running program: acknowledged ones are counted as accepted, and no others. */
#include "base/clock.h"
#include "base/err.h"
#include "cli/json_view.h"
#include "cli/send.h"

#include <limits.h>
#include <sys/random.h>

enum { WINDOW_EVENTS = 20000, WINDOW_BYTES = 8 * 1024 * 1024, ANSWER_CAP_BYTES = 4 * 1024 * 1024, SILENCE_MS = 120000 };

typedef struct socket_send {
  send_run *run;
  xh_client *client;
  int64_t last_id, acked_id; /* sent, and told to be safe (or refused) */
  int64_t refused;           /* by the program */
  int64_t settled;           /* answers to --wait */
  size_t unacked_bytes;
  int64_t heard_ms;
  xh_buf out, answer;
} socket_send;

static void take_settled(socket_send *s, xh_str line)
{
  xh_json_iter it;
  xh_str one;
  s->settled++;
  if (!xh_json_iter_init(&it, view_member(line, "settled")))
    return;
  while (xh_json_next(&it, NULL, &one))
    if (!view_is(one, "ok")) {
      s->run->counts.failed++;
      fprintf(stderr, "event %lld: hook ", (long long)view_number(line, "id"));
      view_put(stderr, view_member(one, "hook"), 200);
      fputs(": ", stderr);
      view_put(stderr, view_member(one, "error"), 300);
      fputc('\n', stderr);
    }
}

static int take_answer(socket_send *s)
{
  xh_str line = xh_buf_span(&s->answer);
  if (xh_json_validate(line, NULL) != 0)
    return xh_fail(&xh_cmd_send, XH_EXIT_UNAVAILABLE, "the program's answer is not understood");
  s->heard_ms = xh_mono_ms();
  int64_t up_to = view_number(line, "acceptedUpTo");
  if (up_to > s->acked_id) {
    s->acked_id = up_to;
    s->unacked_bytes = s->acked_id == s->last_id ? 0 : s->unacked_bytes / 2;
  } else if (view_member(line, "settled").ptr) {
    take_settled(s, line);
  } else if (view_member(line, "error").ptr) {
    char why[400], message[300] = "";
    FILE *to = fmemopen(message, sizeof message, "w");
    if (to) {
      view_put(to, view_member(view_member(line, "error"), "message"), sizeof message - 8);
      fclose(to);
    }
    snprintf(why, sizeof why, "event %lld was refused: %s", (long long)view_number(line, "id"), message);
    send_refuse(s->run, NULL, 0, why);
    s->refused++;
    if (view_number(line, "id") > 0 && s->run->options->wait)
      s->settled++;
  } else if (view_member(line, "durable").ptr && !view_is(line, "durable") && s->run->counts.failed++ == 0) {
    fputs("xo-hooks send: the program can't write its outbox; it holds the events in memory only\n", stderr);
  }
  return XH_EXIT_OK;
}

/* Reads what there is, or waits until something comes. */
static int listen_for(socket_send *s, int64_t timeout_ms)
{
  int status = XH_EXIT_OK;
  for (;;) {
    int rc = xh_client_read(s->client, timeout_ms, &s->answer);
    if (rc == XH_ETIMEDOUT)
      return status;
    if (rc)
      return xh_fail(&xh_cmd_send, XH_EXIT_UNAVAILABLE, "the connection was lost: %s; %lld of %lld events were accepted",
                     xh_err_text(rc), (long long)s->acked_id, (long long)s->last_id);
    status = take_answer(s);
    if (status)
      return status;
    timeout_ms = 0;
  }
}

static int on_event(void *arg, const xh_event *event)
{
  socket_send *s = arg;
  int status = XH_EXIT_OK;
  xh_buf_clear(&s->out);
  xh_buf_printf(&s->out, "{\"id\":%lld,%s\"event\":", (long long)++s->last_id, s->run->options->wait ? "\"wait\":true," : "");
  xh_buf_str(&s->out, event->raw);
  xh_buf_char(&s->out, '}');
  int rc = xh_buf_error(&s->out) ? xh_buf_error(&s->out) : xh_client_line(s->client, xh_buf_span(&s->out));
  if (rc)
    return xh_fail(&xh_cmd_send, XH_EXIT_UNAVAILABLE, "the connection was lost: %s", xh_err_text(rc));
  s->run->counts.sent++;
  s->unacked_bytes += event->raw.len;
  while (status == XH_EXIT_OK && !send_interrupted &&
         (s->last_id - s->acked_id >= WINDOW_EVENTS || s->unacked_bytes > WINDOW_BYTES) && s->acked_id < s->last_id) {
    status = listen_for(s, 1000);
    if (xh_mono_ms() - s->heard_ms > SILENCE_MS)
      status = xh_fail(&xh_cmd_send, XH_EXIT_UNAVAILABLE, "the program has not answered for %d s", SILENCE_MS / 1000);
  }
  return status;
}

/* What is acknowledged was taken, or refused before. */
static void note_accepted(socket_send *s)
{
  s->run->counts.accepted = s->acked_id > s->refused ? s->acked_id - s->refused : 0;
}

static int say_hello(socket_send *s)
{
  unsigned long long session = 0;
  if (getrandom(&session, sizeof session, 0) != (ssize_t)sizeof session)
    session = (unsigned long long)xh_mono_us();
  xh_buf_clear(&s->out);
  xh_buf_printf(&s->out, "{\"hello\":{\"protocol\":1,\"source\":\"%s\",\"session\":\"send-%016llx\",\"acks\":\"cumulative\"}}",
                s->run->options->source, session);
  int rc = xh_client_line(s->client, xh_buf_span(&s->out));
  if (rc == 0)
    rc = xh_client_read(s->client, 10000, &s->answer);
  xh_str error = rc == 0 ? view_member(view_member(xh_buf_span(&s->answer), "error"), "message") : (xh_str){NULL, 0};
  if (error.ptr)
    return xh_fail(&xh_cmd_send, XH_EXIT_USAGE, "the program refused: %.*s", (int)error.len, error.ptr);
  return rc ? xh_fail(&xh_cmd_send, XH_EXIT_UNAVAILABLE, "the program does not answer: %s", xh_err_text(rc)) : XH_EXIT_OK;
}

static bool is_all_answered(const socket_send *s)
{
  return s->acked_id >= s->last_id && (!s->run->options->wait || s->settled >= s->last_id);
}

static int send_all(socket_send *s)
{
  send_input *input = send_input_new(s->run, on_event, s);
  int status = input ? say_hello(s) : XH_EXIT_UNAVAILABLE;
  s->heard_ms = xh_mono_ms();
  while (status == XH_EXIT_OK && !send_interrupted) {
    status = send_input_read(input, 200);
    if (status == XH_EXIT_OK)
      status = listen_for(s, 0);
    note_accepted(s);
    send_progress(s->run, false);
  }
  s->heard_ms = xh_mono_ms();
  while (status == -1 && !is_all_answered(s) && !send_interrupted) {
    int heard = listen_for(s, 500);
    status = heard ? heard : -1;
    note_accepted(s);
    send_progress(s->run, false);
    if (status == -1 && xh_mono_ms() - s->heard_ms > SILENCE_MS)
      status = xh_fail(&xh_cmd_send, XH_EXIT_UNAVAILABLE, "the program has not answered for %d s", SILENCE_MS / 1000);
  }
  send_input_free(input);
  return status == -1 ? XH_EXIT_OK : status;
}

int send_to_socket(send_run *run)
{
  const send_options *o = run->options;
  char path[PATH_MAX];
  socket_send s = {.run = run};
  snprintf(path, sizeof path, "%s/xo-hooks.sock", reach_folder(&o->reach));
  const char *socket = o->reach.socket ? o->reach.socket : path;
  int rc = xh_client_connect(socket, &s.client);
  if (rc)
    return xh_fail(&xh_cmd_send, XH_EXIT_UNAVAILABLE, "nothing answers on %s (%s): start `xo-hooks serve`, or send with --config", socket,
                   xh_err_text(rc));
  xh_buf_init(&s.out, (size_t)o->line_cap_bytes + 128);
  xh_buf_init(&s.answer, ANSWER_CAP_BYTES);
  int status = send_all(&s);
  note_accepted(&s);
  xh_buf_done(&s.out);
  xh_buf_done(&s.answer);
  xh_client_close(s.client);
  return status;
}
