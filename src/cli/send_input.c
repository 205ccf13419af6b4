#include "base/err.h"
#include "cli/send.h"
#include "intake/framing.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum { READ_BYTES = 256 * 1024 };

struct send_input {
  send_run *run;
  send_event_cb event;
  void *arg;
  size_t next_file;
  const char *name;
  int fd; /* -1: none open */
  framing framing;
  int status;
  char buffer[READ_BYTES];
};

send_input *send_input_new(send_run *run, send_event_cb event, void *arg)
{
  send_input *input = calloc(1, sizeof *input);
  if (!input)
    return NULL;
  input->run = run;
  input->event = event;
  input->arg = arg;
  input->fd = -1;
  framing_init(&input->framing, (size_t)run->options->line_cap_bytes);
  return input;
}

void send_input_free(send_input *input)
{
  if (!input)
    return;
  if (input->fd >= 0)
    close(input->fd);
  framing_done(&input->framing);
  free(input);
}

/* An event as it is, or in the envelope of the source protocol. */
static int parse(xh_str line, xh_event *ret_event, char *why, size_t why_size)
{
  xh_json_fault json;
  xh_event_fault fault;
  xh_str inner;
  int rc = xh_json_validate(line, &json);
  if (rc) {
    snprintf(why, why_size, "%s, at byte %zu: %s", xh_err_text(rc), json.offset + 1, json.what);
    return rc;
  }
  bool wrapped = xh_json_typeof(line) == XH_JSON_OBJECT && xh_json_find(line, XH_STR("event"), &inner) &&
                 xh_json_typeof(inner) == XH_JSON_OBJECT;
  rc = xh_event_from_valid(wrapped ? inner : line, ret_event, &fault);
  if (rc)
    snprintf(why, why_size, "%s", fault.what);
  return rc;
}

static void on_line(void *arg, int code, xh_str line, int64_t number)
{
  send_input *input = arg;
  char why[200];
  xh_event event;
  if (input->status)
    return;
  if (code == XH_ECAP)
    snprintf(why, sizeof why, "the line is longer than %zu bytes (--line-cap)", input->framing.cap_bytes);
  else if (code)
    snprintf(why, sizeof why, "%s", xh_err_text(code));
  else if (xh_json_trim(line).len == 0)
    return;
  else if (parse(line, &event, why, sizeof why) == 0) {
    input->status = input->event(input->arg, &event);
    return;
  }
  send_refuse(input->run, input->name, number, why);
}

static bool open_next(send_input *input)
{
  char **files = input->run->options->files;
  const char *name = files[0] ? files[input->next_file] : input->next_file == 0 ? "-" : NULL;
  if (!name)
    return false;
  input->next_file++;
  input->name = strcmp(name, "-") == 0 ? "(standard input)" : name;
  input->fd = strcmp(name, "-") == 0 ? dup(STDIN_FILENO) : open(name, O_RDONLY | O_CLOEXEC);
  if (input->fd < 0)
    input->status = xh_fail(&xh_cmd_send, XH_EXIT_USAGE, "%s can't be read: %s", name, xh_err_text(xh_err_from_errno(errno)));
  size_t cap_bytes = input->framing.cap_bytes;
  framing_done(&input->framing);
  framing_init(&input->framing, cap_bytes);
  return true;
}

int send_input_read(send_input *input, int wait_ms)
{
  if (input->fd < 0 && !open_next(input))
    return -1;
  if (input->status)
    return input->status;
  struct pollfd fd = {.fd = input->fd, .events = POLLIN};
  if (poll(&fd, 1, wait_ms) <= 0)
    return XH_EXIT_OK;
  ssize_t got = read(input->fd, input->buffer, sizeof input->buffer);
  if (got < 0 && errno == EINTR)
    return XH_EXIT_OK;
  if (got < 0)
    return xh_fail(&xh_cmd_send, XH_EXIT_USAGE, "%s can't be read: %s", input->name, xh_err_text(xh_err_from_errno(errno)));
  if (got > 0) {
    input->run->read_bytes += got;
    framing_feed(&input->framing, (xh_str){input->buffer, (size_t)got}, on_line, input);
  } else {
    framing_end(&input->framing, on_line, input);
    close(input->fd);
    input->fd = -1;
  }
  return input->status;
}
