#include "hooks/hooks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

typedef struct hits {
  size_t count;
  uint32_t places[64];
} hits;

static void on_hit(xh_hook *hook, void *arg)
{
  hits *h = arg;
  h->places[h->count++] = hook->index;
}

static hits match(const char *config, const char *event_text)
{
  xh_hooks *hooks;
  xh_mistakes mistakes;
  xh_event event;
  hits h = {0};
  assert_int_equal(xh_hooks_compile(xh_str_z(config), 0, &hooks, &mistakes), 0);
  xh_mistakes_done(&mistakes);
  assert_int_equal(xh_event_parse(xh_str_z(event_text), &event, NULL), 0);
  xh_hooks_match(hooks, &event, on_hit, &h);
  size_t fits = 0; /* one at a time the answer is the same */
  for (size_t i = 0; i < xh_hooks_count(hooks); i++)
    fits += xh_hook_fits(xh_hooks_at(hooks, i), &event);
  assert_int_equal(fits, h.count);
  xh_hooks_unref(hooks);
  return h;
}

#define H(method, rest) "{\"method\":\"" method "\",\"url\":\"http://h/\",\"format\":\"json\"" rest "}"

static void exact_and_wildcard_hooks_come_in_the_order_of_the_configuration(void **state)
{
  (void)state;
  hits h = match("{\"hooks\":[" H("*", ",\"type\":\"pre\"") "," H("vm.start", ",\"type\":\"pre\"") "," H("vm.*", ",\"type\":\"post\"") "," H(
                     "vm.*", ",\"type\":\"pre/post\"") "," H("vm.stop", ",\"type\":\"pre\"") "," H("*.start", ",\"type\":\"pre\"") "," H(
                     "vm.start", ",\"type\":\"pre\",\"enabled\":false") "]}",
                 "{\"type\":\"pre\",\"method\":\"vm.start\",\"params\":{}}");
  assert_int_equal(h.count, 4);
  static const uint32_t expected[] = {0, 1, 3, 5};
  assert_memory_equal(h.places, expected, sizeof expected);
}

static void only_looks_at_the_outcome(void **state)
{
  (void)state;
  const char *config = "{\"hooks\":[" H("*", ",\"type\":\"pre/post\",\"advanced\":{\"only\":\"success\"}") "," H(
      "*", ",\"type\":\"pre/post\",\"advanced\":{\"only\":\"failure\"}") "]}";
  hits ok = match(config, "{\"type\":\"post\",\"method\":\"a.b\",\"result\":null}");
  hits failed = match(config, "{\"type\":\"post\",\"method\":\"a.b\",\"error\":{\"message\":\"no\"}}");
  hits before = match(config, "{\"type\":\"pre\",\"method\":\"a.b\"}");
  assert_true(ok.count == 1 && ok.places[0] == 0);
  assert_true(failed.count == 1 && failed.places[0] == 1);
  assert_int_equal(before.count, 2);
}

static void when_looks_into_the_event(void **state)
{
  (void)state;
#define W(when) H("*", ",\"type\":\"pre\",\"advanced\":{\"when\":[" when "]}")
  hits h = match("{\"hooks\":[" W("{\"property\":\"params.id\",\"matches\":[\"x\",\"vm-*\"]}") "," /* 0 fits */
                 W("{\"property\":\"params.id\",\"matches\":[\"vm-2\"]}") ","
                 W("{\"property\":\"userName\",\"matches\":[\"*@example.org\"]}") "," /* 2 fits */
                 W("{\"property\":\"userName\",\"matches\":[\"bob*\"],\"negate\":true}") "," /* 3 fits */
                 W("{\"property\":\"params.missing\",\"matches\":[\"*\"]}") ","
                 W("{\"property\":\"params.missing\",\"matches\":[\"*\"],\"negate\":true}") "," /* 5 fits */
                 W("{\"property\":\"params.list\",\"matches\":[\"b\"]}") "," /* 6 fits: one of the list */
                 W("{\"property\":\"params.count\",\"matches\":[\"3\"]}") "," /* 7 fits: numbers by their text */
                 W("{\"property\":\"params.id\",\"matches\":[\"vm-1\"]},{\"property\":\"userId\",\"matches\":[\"no\"]}") "]}",
                 "{\"type\":\"pre\",\"method\":\"vm.start\",\"userId\":\"u1\",\"userName\":\"al\\u0069ce@example.org\","
                 "\"params\":{\"id\":\"vm-1\",\"list\":[\"a\",\"b\"],\"count\":3}}");
  static const uint32_t expected[] = {0, 2, 3, 5, 6, 7};
  assert_int_equal(h.count, 6);
  assert_memory_equal(h.places, expected, sizeof expected);
}

static void many_overlapping_wildcards_still_match(void **state)
{
  (void)state;
  char config[16384] = "{\"hooks\":[";
  for (int i = 0; i < 40; i++) { /* v*m.start, v**m.start, …: each a pattern of its own */
    char hook[512], stars[64] = "";
    memset(stars, '*', (size_t)i + 1);
    snprintf(hook, sizeof hook, "%s{\"method\":\"v%sm.start\",\"type\":\"pre\",\"url\":\"http://h/\",\"format\":\"json\"}", i ? "," : "", stars);
    strcat(config, hook);
  }
  strcat(config, "]}");
  assert_int_equal(match(config, "{\"type\":\"pre\",\"method\":\"vm.start\"}").count, 40);
}

static void globs(void **state)
{
  (void)state;
  static const struct {
    const char *pattern, *text;
    bool fits;
  } cases[] = {{"", "", true},        {"*", "", true},         {"a*c", "abc", true},     {"a*c", "abcd", false}, {"a*b*c", "aXbXbc", true},
               {"**", "x.y", true},   {"vm.*", "vm.", true},   {"vm.*", "vmx.a", false}, {"?m", "vm", true},     {"?", "", false},
               {"a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_int_equal(xh_method_fits(xh_str_z(cases[i].pattern), xh_str_z(cases[i].text)), cases[i].fits);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(exact_and_wildcard_hooks_come_in_the_order_of_the_configuration),
      cmocka_unit_test(only_looks_at_the_outcome),
      cmocka_unit_test(when_looks_into_the_event),
      cmocka_unit_test(many_overlapping_wildcards_still_match),
      cmocka_unit_test(globs),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
