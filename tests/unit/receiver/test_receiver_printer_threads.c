/* Lines through a printer to readers that are quick, slow, or gone. */
#include "receiver/printer.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { LINE_BYTES = 1000, LIMIT_MS = 60000 };

static const xh_line_style JSON = {.json = true};

static int set_up(void **state)
{
  int *ends = malloc(2 * sizeof *ends);
  *state = ends;
  return ends ? pipe(ends) : -1;
}

static int tear_down(void **state)
{
  int *ends = *state;
  close(ends[0]);
  close(ends[1]);
  free(ends);
  return 0;
}

/* Line number `i`, of LINE_BYTES. */
static void put(xh_printer *printer, int i)
{
  char line[LINE_BYTES + 1];
  snprintf(line, sizeof line, "%*d\n", LINE_BYTES - 1, i);
  xh_printer_line(printer, (xh_str){line, LINE_BYTES});
}

static FILE *reading(const int *ends)
{
  FILE *in = fdopen(dup(ends[0]), "r");
  assert_non_null(in);
  return in;
}

static void lines_come_in_order_and_the_last_ones_at_the_end(void **state)
{
  const int *ends = *state;
  xh_printer *printer;
  char line[LINE_BYTES + 2];
  assert_int_equal(xh_printer_new(ends[1], JSON, &printer), 0);
  FILE *in = reading(ends);
  for (int i = 0; i < 40; i++)
    put(printer, i);
  assert_true(xh_printer_close(printer, LIMIT_MS));
  for (int i = 0; i < 40; i++) {
    assert_non_null(fgets(line, sizeof line, in));
    assert_int_equal(atoi(line), i);
  }
  fclose(in);
}

static void lines_without_room_are_counted_in_their_place(void **state)
{
  const int *ends = *state;
  const int count = 3 * XH_PRINTER_ROOM_BYTES / LINE_BYTES; /* twice the room, and more than a pipe holds */
  xh_printer *printer;
  char line[LINE_BYTES + 2];
  assert_int_equal(xh_printer_new(ends[1], JSON, &printer), 0);
  for (int i = 0; i < count; i++)
    put(printer, i); /* nobody reads, and nobody waits */
  FILE *in = reading(ends);
  int next = 0, dropped = 0;
  while (dropped == 0) {
    assert_non_null(fgets(line, sizeof line, in));
    const char *said = strstr(line, "\"droppedLines\":");
    if (said)
      dropped = atoi(said + strlen("\"droppedLines\":"));
    else
      assert_int_equal(atoi(line), next++);
  }
  assert_int_equal(next + dropped, count);
  put(printer, count);
  assert_non_null(fgets(line, sizeof line, in));
  assert_int_equal(atoi(line), count);
  assert_true(xh_printer_close(printer, LIMIT_MS));
  fclose(in);
}

static void a_reader_that_has_stopped_does_not_hold_up_the_end(void **state)
{
  const int *ends = *state;
  xh_printer *printer;
  char line[LINE_BYTES + 2];
  assert_int_equal(xh_printer_new(dup(ends[1]), JSON, &printer), 0); /* which the thread may use to the end of the program */
  for (int i = 0; i < 1000; i++)
    put(printer, i);
  assert_false(xh_printer_close(printer, 50));
  FILE *in = reading(ends); /* the thread is let go on, and ends */
  for (int i = 0; i < 1000; i++) {
    assert_non_null(fgets(line, sizeof line, in));
    assert_int_equal(atoi(line), i);
  }
  fclose(in);
}

static void what_cannot_be_written_is_known_at_the_end(void **state)
{
  (void)state;
  xh_printer *printer;
  int fd = open("/dev/full", O_WRONLY);
  assert_int_equal(xh_printer_new(fd, JSON, &printer), 0);
  put(printer, 1);
  put(printer, 2);
  assert_false(xh_printer_close(printer, LIMIT_MS));
  close(fd);
}

static void a_descriptor_that_does_not_block_loses_nothing(void **state)
{
  const int *ends = *state;
  xh_printer *printer;
  char line[LINE_BYTES + 2];
  assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
  assert_int_equal(xh_printer_new(ends[1], JSON, &printer), 0);
  for (int i = 0; i < 1000; i++)
    put(printer, i);
  FILE *in = reading(ends);
  for (int i = 0; i < 1000; i++) {
    assert_non_null(fgets(line, sizeof line, in));
    assert_int_equal(atoi(line), i);
  }
  assert_true(xh_printer_close(printer, LIMIT_MS));
  fclose(in);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(lines_come_in_order_and_the_last_ones_at_the_end, set_up, tear_down),
      cmocka_unit_test_setup_teardown(lines_without_room_are_counted_in_their_place, set_up, tear_down),
      cmocka_unit_test_setup_teardown(a_reader_that_has_stopped_does_not_hold_up_the_end, set_up, tear_down),
      cmocka_unit_test(what_cannot_be_written_is_known_at_the_end),
      cmocka_unit_test_setup_teardown(a_descriptor_that_does_not_block_loses_nothing, set_up, tear_down),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
