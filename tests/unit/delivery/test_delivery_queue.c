#include "delivery/queue.h"

#include "base/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static job *make(target *t, int64_t id, uint8_t type, const char *call_id, bool urgent)
{
  static xh_hook hook; /* never released: its count does not reach 0 */
  atomic_store(&hook.references, 1000);
  xh_blob *body = xh_blob_new(XH_STR("0123456789"));
  xh_delivery *delivery =
      xh_delivery_copy(&(xh_delivery){.id = id, .type = type, .call_id = call_id, .method = "vm.start", .body = body});
  xh_blob_unref(body);
  job *j = job_new(t, delivery, &hook);
  assert_non_null(j);
  j->urgent = urgent;
  target_make_ready(t, j, urgent);
  return j;
}

static void expect_order(const target *t, const int64_t *ids, size_t count)
{
  size_t i = 0, bytes = 0;
  for (const job *j = t->ready.first; j; j = j->next, i++) {
    bytes += job_bytes(j->delivery);
    assert_true(i < count);
    assert_int_equal(j->delivery->id, ids[i]);
    assert_ptr_equal(j->prev ? j->prev->next : t->ready.first, j);
  }
  assert_int_equal(i, count);
  assert_int_equal(t->ready.count, count);
  assert_int_equal(t->ready_bytes, bytes);
}

static void empty(target *t)
{
  job *j;
  while ((j = t->ready.first) != NULL) {
    target_unready(t, j);
    job_free(j);
  }
  while ((j = job_list_take(&t->sending)) != NULL)
    job_free(j);
  assert_int_equal(t->ready_bytes, 0);
}

static void urgent_ones_go_first_in_their_own_order(void **state)
{
  (void)state;
  target t = {0};
  make(&t, 1, XH_POST, "a", false);
  make(&t, 2, XH_PRE, "b", true);
  make(&t, 3, XH_POST, "c", false);
  make(&t, 4, XH_PRE, "d", true);
  make(&t, 5, XH_PRE, "e", true);
  expect_order(&t, (const int64_t[]){2, 4, 5, 1, 3}, 5);
  empty(&t);
}

static void an_urgent_post_brings_its_pre_to_the_front(void **state)
{
  (void)state;
  target t = {0};
  make(&t, 1, XH_PRE, "other", false);
  job *pre = make(&t, 2, XH_PRE, "mine", false);
  job *post = make(&t, 3, XH_POST, "mine", true);
  assert_ptr_equal(t.ready.first, post);
  assert_true(target_hurry_leader(&t, post));
  assert_true(pre->urgent);
  expect_order(&t, (const int64_t[]){2, 3, 1}, 3);
  assert_false(target_hurry_leader(&t, pre));
  empty(&t);
}

static void nothing_else_is_hurried(void **state)
{
  (void)state;
  target t = {0};
  job *tried = make(&t, 1, XH_PRE, "tried", false);
  tried->delivery->attempt_count = 1; /* its first attempt was made */
  make(&t, 2, XH_POST, "mine", false);
  make(&t, 3, XH_PRE, NULL, false);
  job *ready[] = {make(&t, 4, XH_POST, "tried", true), make(&t, 5, XH_POST, "mine", true), make(&t, 6, XH_POST, NULL, true)};
  for (size_t i = 0; i < 3; i++)
    assert_false(target_hurry_leader(&t, ready[i]));
  job *plain = make(&t, 7, XH_POST, "late", false);
  make(&t, 8, XH_PRE, "late", false);
  assert_false(target_hurry_leader(&t, plain)); /* nobody waits for it: it stands where its event came */
  empty(&t);
}

static void a_post_follows_the_running_pre_of_its_call(void **state)
{
  (void)state;
  target t = {0};
  job *pre = make(&t, 1, XH_PRE, "mine", false);
  job *post = make(&t, 2, XH_POST, "mine", false);
  job *other = make(&t, 3, XH_POST, "other", false);
  assert_null(target_leader_of(&t, post)); /* not running yet: it is before it in the queue */
  target_unready(&t, pre);
  job_list_append(&t.sending, pre);
  assert_ptr_equal(target_leader_of(&t, post), pre);
  assert_null(target_leader_of(&t, other));
  pre->delivery->attempt_count = 1;
  assert_null(target_leader_of(&t, post));
  empty(&t);
}

static void a_held_target_gets_one_probe_when_its_time_has_come(void **state)
{
  (void)state;
  target t = {.window = 4, .breaker = {.held = true, .probe_at_ms = 1000}};
  job *urgent = make(&t, 1, XH_PRE, "a", true);
  assert_false(target_may_start(&t, urgent, 999));
  assert_true(target_may_start(&t, urgent, 1000));
  t.in_flight = 1;
  assert_false(target_may_start(&t, urgent, 1000));
  t.in_flight = 0;
  t.breaker.probing = true;
  assert_false(target_may_start(&t, urgent, 1000));
  empty(&t);
}

static void urgent_ones_have_places_above_the_window(void **state)
{
  (void)state;
  target t = {.window = 4, .in_flight = 4};
  job *urgent = make(&t, 1, XH_PRE, "a", true);
  job *plain = make(&t, 2, XH_PRE, "b", false);
  assert_true(target_may_start(&t, urgent, 0));
  assert_false(target_may_start(&t, plain, 0));
  t.in_flight = 3;
  assert_true(target_may_start(&t, plain, 0));
  t.in_flight = 40;
  assert_false(target_may_start(&t, urgent, 0));
  empty(&t);
}

static void what_left_memory_is_remembered_while_the_outbox_is_read(void **state)
{
  (void)state;
  target t = {0};
  target_note_gone(&t, 7); /* nothing is being read */
  assert_false(target_is_gone(&t, 7));
  t.refilling = true;
  for (int64_t id = 1; id <= 200; id++)
    target_note_gone(&t, id);
  assert_true(target_is_gone(&t, 1) && target_is_gone(&t, 200));
  assert_false(target_is_gone(&t, 201));
  target_forget_gone(&t);
  assert_false(target_is_gone(&t, 1));
  t.gone_lost = true;
  assert_true(target_is_gone(&t, 201)); /* not known: as if all were */
  target_forget_gone(&t);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(urgent_ones_go_first_in_their_own_order),
      cmocka_unit_test(an_urgent_post_brings_its_pre_to_the_front),
      cmocka_unit_test(nothing_else_is_hurried),
      cmocka_unit_test(a_post_follows_the_running_pre_of_its_call),
      cmocka_unit_test(a_held_target_gets_one_probe_when_its_time_has_come),
      cmocka_unit_test(urgent_ones_have_places_above_the_window),
      cmocka_unit_test(what_left_memory_is_remembered_while_the_outbox_is_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
