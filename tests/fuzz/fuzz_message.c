/*
 * What the receiver shows: any body becomes a message or is refused in words; its lines are one line each, valid JSON or text that can't move a
 * terminal's cursor; a script's environment has what execve(2) takes.
 */
#include "fuzz.h"

#include "receiver/environment.h"
#include "receiver/line.h"

static const xh_line_style STYLES[] = {{false, false}, {false, true}, {true, false}};

static void check_plain(xh_str line)
{
  CHECK(fuzz_is_utf8(line));
  for (size_t i = 0; i + 1 < line.len; i++) {
    unsigned char c = (unsigned char)line.ptr[i], next = (unsigned char)line.ptr[i + 1];
    CHECK(c >= 0x20 && c != 0x7f && !(c == 0xc2 && next < 0xa0));
  }
}

static void check_line(xh_line_style style, const xh_buf *line)
{
  CHECK(xh_buf_error(line) == 0 && line->len > 1 && line->ptr[line->len - 1] == '\n');
  CHECK(memchr(line->ptr, '\n', line->len) == line->ptr + line->len - 1);
  if (style.json)
    CHECK(xh_json_validate((xh_str){line->ptr, line->len - 1}, NULL) == 0);
  else if (!style.colour)
    check_plain(xh_buf_span(line));
}

static void check_lines(const xh_message *message, xh_str body)
{
  xh_buf line;
  xh_buf_init(&line, XH_LINE_CAP_BYTES);
  for (size_t i = 0; i < sizeof STYLES / sizeof *STYLES; i++) {
    if (message) {
      xh_buf_clear(&line);
      xh_line_message(STYLES[i], message, XH_STR("msg_1"), i == 1, 0, &line);
      check_line(STYLES[i], &line);
    }
    xh_str text = {body.ptr, body.len < 8192 ? body.len : 8192};
    xh_buf_clear(&line);
    xh_line_output(STYLES[i], XH_STR("msg_1"), XH_STR("a.sh"), text, 0, &line);
    check_line(STYLES[i], &line);
    xh_buf_clear(&line);
    xh_line_refused(STYLES[i], 400, text, XH_STR("127.0.0.1"), 0, &line);
    check_line(STYLES[i], &line);
  }
  xh_buf_done(&line);
}

static void check_environment(const xh_event *event)
{
  static const char *const pass[] = {"PATH", "no such variable"};
  char **env, delivery[] = "msg_1";
  xh_job job = {.delivery = delivery, .attempt = 1};
  CHECK(xh_environment_build(event, &job, pass, 2, &env) == 0);
  size_t count = 0;
  for (; env[count]; count++) {
    const char *equals = strchr(env[count], '=');
    CHECK(equals && equals > env[count] && strlen(equals + 1) <= XH_ENV_VALUE_BYTES_MAX && fuzz_is_utf8(xh_str_z(env[count])));
  }
  CHECK(count >= 7);
  free(env);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char *copy = fuzz_copy(data, size);
  xh_str body = {copy, size};
  xh_message message;
  xh_event_fault fault = {SIZE_MAX, ""};
  int rc = xh_message_parse(body, &message, &fault);
  check_lines(rc == 0 ? &message : NULL, body);
  if (rc)
    CHECK(*fault.what && memchr(fault.what, 0, sizeof fault.what));
  else if (message.kind == XH_MESSAGE_EVENT)
    check_environment(&message.event);
  free(copy);
  return 0;
}
