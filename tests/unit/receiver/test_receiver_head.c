/* The judgement of requests, and the memory of ids. */
#include "base/err.h"
#include "receiver/head.h"
#include "receiver/seen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static xh_head good(void)
{
  return (xh_head){.method = XH_STR("POST"), .path = XH_STR("/any"), .content_type = XH_STR("application/json; charset=utf-8")};
}

static void each_fault_has_its_status(void **state)
{
  (void)state;
  xh_gate gate = {.body_cap_bytes = 1000};
  xh_head head = good();
  assert_int_equal(xh_head_judge(&gate, &head).status, 0);
  head.method = XH_STR("GET");
  assert_int_equal(xh_head_judge(&gate, &head).status, 405);
  head = good();
  gate.path = XH_STR("/hooks");
  assert_int_equal(xh_head_judge(&gate, &head).status, 404);
  gate.path = (xh_str){NULL, 0};
  head.content_type = XH_STR("application/x-www-form-urlencoded");
  assert_int_equal(xh_head_judge(&gate, &head).status, 415);
  head.content_type = (xh_str){NULL, 0};
  assert_int_equal(xh_head_judge(&gate, &head).status, 415);
  head.content_type = XH_STR("application/cloudevents+json");
  assert_int_equal(xh_head_judge(&gate, &head).status, 0);
  head.content_encoding = XH_STR("gzip");
  assert_int_equal(xh_head_judge(&gate, &head).status, 415);
  head = good();
  head.content_length = XH_STR("1000");
  assert_int_equal(xh_head_judge(&gate, &head).status, 0);
  head.content_length = XH_STR("1001");
  assert_int_equal(xh_head_judge(&gate, &head).status, 413);
  head.content_length = XH_STR("99999999999999999999999999999999");
  assert_int_equal(xh_head_judge(&gate, &head).status, 413);
  head = good();
  head.id = XH_STR("a b");
  assert_int_equal(xh_head_judge(&gate, &head).status, 400);
}

/* Adds "Name: value" headers; a NULL ends the list. */
static xh_head with(const char *const *headers)
{
  xh_head head = good();
  for (; *headers; headers += 2)
    xh_head_add(&head, headers[0], headers[1]);
  return head;
}

static void whoever_can_not_say_where_a_body_ends_is_refused(void **state)
{
  (void)state;
  const struct {
    const char *headers[5];
    const char *version;
    const char *fault; /* NULL: none */
  } cases[] = {
      {{"Content-Length", "5"}, "HTTP/1.1", NULL},
      {{"Content-Length", "5", "content-length", "5"}, "HTTP/1.1", NULL},
      {{"Content-Length", "5", "content-length", "6"}, "HTTP/1.1", "two different Content-Length"},
      {{"Transfer-Encoding", "Chunked"}, "HTTP/1.1", NULL},
      {{"Transfer-Encoding", "chunked", "Content-Length", "5"}, "HTTP/1.1", "both"},
      {{"Content-Length", "5", "Transfer-Encoding", ""}, "HTTP/1.1", "both"},
      {{"Transfer-Encoding", "gzip, chunked"}, "HTTP/1.1", "is chunked"},
      {{"Transfer-Encoding", "identity"}, "HTTP/1.1", "is chunked"},
      {{"Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked"}, "HTTP/1.1", "more than one"},
      {{"Transfer-Encoding", "chunked"}, "HTTP/1.0", "HTTP/1.0"},
      {{"Content-Length ", "5"}, "HTTP/1.1", "space"},
  };
  xh_gate gate = {.body_cap_bytes = 1000, .token = XH_STR("not given, and not asked for first")};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    xh_head head = with(cases[i].headers);
    head.version = xh_str_z(cases[i].version);
    xh_verdict verdict = xh_head_judge(&gate, &head);
    assert_int_equal(verdict.status, cases[i].fault ? 400 : 401);
    assert_int_equal(verdict.last, cases[i].fault != NULL);
    if (cases[i].fault)
      assert_non_null(strstr(verdict.why, cases[i].fault));
  }
}

static void the_token_must_fit(void **state)
{
  (void)state;
  xh_gate gate = {.body_cap_bytes = 1000, .token = XH_STR("s3cret")};
  xh_head head = good();
  assert_int_equal(xh_head_judge(&gate, &head).status, 401);
  head.authorization = XH_STR("Bearer s3cre");
  assert_int_equal(xh_head_judge(&gate, &head).status, 401);
  head.authorization = XH_STR("Basic s3cret");
  assert_int_equal(xh_head_judge(&gate, &head).status, 401);
  head.authorization = XH_STR("bearer s3cret");
  assert_int_equal(xh_head_judge(&gate, &head).status, 0);
}

static void signatures_of_both_secrets_are_taken(void **state)
{
  (void)state;
  xh_secret secrets[2], other;
  assert_int_equal(xh_secret_parse(XH_STR("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), &secrets[0]), 0);
  assert_int_equal(xh_secret_parse(XH_STR("the one before"), &secrets[1]), 0);
  assert_int_equal(xh_secret_parse(XH_STR("a stranger's"), &other), 0);
  xh_gate gate = {.body_cap_bytes = 1000, .secrets = secrets, .secret_count = 2, .tolerance_s = 300};
  xh_head head = good();
  assert_int_equal(xh_head_judge(&gate, &head).status, 401);
  char signature[XH_SIGNATURE_SIZE];
  head.id = XH_STR("msg_1");
  head.timestamp = XH_STR("1700000000");
  const xh_str body = XH_STR("{}");
  for (int i = 0; i < 3; i++) {
    xh_sign(i < 2 ? &secrets[i] : &other, head.id, 1700000000, body, signature);
    head.signature = xh_str_z(signature);
    assert_int_equal(xh_head_judge(&gate, &head).status, 0);
    assert_int_equal(xh_body_judge(&gate, &head, body, 1700000300).status, i < 2 ? 0 : 401);
  }
  xh_sign(&secrets[0], head.id, 1700000000, body, signature);
  assert_int_equal(xh_body_judge(&gate, &head, XH_STR("{} "), 1700000000).status, 401);
  xh_verdict stale = xh_body_judge(&gate, &head, body, 1700000301);
  assert_int_equal(stale.status, 401);
  assert_non_null(strstr(stale.why, "webhook-timestamp"));
}

static void ids_are_remembered_for_a_day(void **state)
{
  (void)state;
  xh_seen *seen;
  assert_int_equal(xh_seen_new(&seen), 0);
  assert_int_equal(xh_seen_get(seen, XH_STR("a"), 1000), XH_SEEN_NEVER);
  assert_int_equal(xh_seen_set(seen, XH_STR("a"), XH_SEEN_RUNNING, 1000), 0);
  assert_int_equal(xh_seen_set(seen, XH_STR("a"), XH_SEEN_DONE, 1500), 0);
  for (int i = 0; i < 1000; i++) {
    char id[32];
    snprintf(id, sizeof id, "id %d", i);
    assert_int_equal(xh_seen_set(seen, xh_str_z(id), XH_SEEN_DONE, 2000 + i), 0);
  }
  assert_int_equal(xh_seen_get(seen, XH_STR("a"), 1500 + XH_SEEN_KEEP_MS), XH_SEEN_DONE);
  assert_int_equal(xh_seen_get(seen, XH_STR("a"), 1501 + XH_SEEN_KEEP_MS), XH_SEEN_NEVER);
  assert_int_equal(xh_seen_get(seen, XH_STR("id 0"), 2000), XH_SEEN_DONE);
  assert_int_equal(xh_seen_set(seen, XH_STR("id 0"), XH_SEEN_NEVER, 2000), 0);
  assert_int_equal(xh_seen_get(seen, XH_STR("id 0"), 2000), XH_SEEN_NEVER);
  assert_int_equal(xh_seen_get(seen, XH_STR("id 999"), 2999), XH_SEEN_DONE);
  xh_seen_free(seen);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_fault_has_its_status),
      cmocka_unit_test(whoever_can_not_say_where_a_body_ends_is_refused),
      cmocka_unit_test(the_token_must_fit),
      cmocka_unit_test(signatures_of_both_secrets_are_taken),
      cmocka_unit_test(ids_are_remembered_for_a_day),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
