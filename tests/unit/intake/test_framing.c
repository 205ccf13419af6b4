#include "base/err.h"
#include "intake/framing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

typedef struct seen {
  char text[1024]; /* "NUMBER:LINE|" or "NUMBER!CODE|" */
  size_t len;
} seen;

static void on_line(void *arg, int code, xh_str line, int64_t number)
{
  seen *s = arg;
  if (code)
    s->len += (size_t)snprintf(s->text + s->len, sizeof s->text - s->len, "%d!%s|", (int)number, xh_err_name(code));
  else
    s->len += (size_t)snprintf(s->text + s->len, sizeof s->text - s->len, "%d:%.*s|", (int)number, (int)line.len, line.ptr);
}

/* The lines that come out, whatever the pieces that go in. */
static void expect_lines(const char *bytes, const char *lines)
{
  size_t len = strlen(bytes);
  for (size_t piece = 1; piece <= len; piece++) {
    framing f;
    seen s = {.len = 0};
    framing_init(&f, 8);
    for (size_t at = 0; at < len; at += piece)
      framing_feed(&f, (xh_str){bytes + at, len - at < piece ? len - at : piece}, on_line, &s);
    framing_end(&f, on_line, &s);
    framing_done(&f);
    s.text[s.len] = '\0';
    if (strcmp(s.text, lines) != 0)
      fail_msg("in pieces of %zu: %s instead of %s", piece, s.text, lines);
  }
}

static void lines_do_not_depend_on_the_pieces(void **state)
{
  (void)state;
  expect_lines("a\nbc\n\nd", "1:a|2:bc|3:|4:d|");
  expect_lines("a\r\nb\n", "1:a\r|2:b|");
  expect_lines("12345678\n", "1:12345678|"); /* just the cap */
}

static void a_line_beyond_the_cap_is_told_once_and_skipped(void **state)
{
  (void)state;
  expect_lines("123456789\nok\n", "1!ECAP|2:ok|");
  expect_lines("a\n123456789012345678901234567890\nb\n", "1:a|2!ECAP|3:b|");
  expect_lines("123456789", "1!ECAP|");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lines_do_not_depend_on_the_pieces),
      cmocka_unit_test(a_line_beyond_the_cap_is_told_once_and_skipped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
