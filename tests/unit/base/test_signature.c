#include "base/err.h"
#include "base/signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* The vector that the libraries of Standard Webhooks are tested with. */
#define SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define ID "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define BODY "{\"test\": 2432232314}"
#define SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
enum { AT = 1614265330 };

static xh_secret secret_of(const char *text)
{
  xh_secret secret;
  assert_int_equal(xh_secret_parse(xh_str_z(text), &secret), 0);
  return secret;
}

static int verify(const char *text, const char *timestamp, const char *signatures, const char *body, int64_t now_s)
{
  xh_secret secret = secret_of(text);
  return xh_verify(&secret, 1, XH_STR(ID), xh_str_z(timestamp), xh_str_z(signatures), xh_str_z(body), now_s, 300);
}

static void the_published_vector(void **state)
{
  (void)state;
  char out[XH_SIGNATURE_SIZE];
  xh_secret secret = secret_of(SECRET);
  assert_int_equal(xh_sign(&secret, XH_STR(ID), AT, XH_STR(BODY), out), 0);
  assert_string_equal(out, SIGNATURE);
  assert_int_equal(verify(SECRET, "1614265330", SIGNATURE, BODY, AT), 0);
}

static void what_differs_does_not_verify(void **state)
{
  (void)state;
  assert_int_equal(verify(SECRET, "1614265330", SIGNATURE, BODY " ", AT), XH_ESIGNATURE);
  assert_int_equal(verify(SECRET, "1614265331", SIGNATURE, BODY, AT), XH_ESIGNATURE);
  assert_int_equal(verify("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "1614265330", SIGNATURE, BODY, AT), XH_ESIGNATURE);
  static const char *const wrong[] = {
      "",    "v1,", "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
      "v1a", "   ", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE",  "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=="};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_int_equal(verify(SECRET, "1614265330", wrong[i], BODY, AT), XH_ESIGNATURE);
}

static void one_of_several_signatures_and_secrets_is_enough(void **state)
{
  (void)state;
  assert_int_equal(verify(SECRET, "1614265330", "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc= v2,x " SIGNATURE, BODY, AT), 0);
  xh_secret both[] = {secret_of("another one"), secret_of(SECRET)};
  assert_int_equal(xh_verify(both, 2, XH_STR(ID), XH_STR("1614265330"), XH_STR(SIGNATURE), XH_STR(BODY), AT, 300), 0);
}

static void a_time_far_away_is_stale(void **state)
{
  (void)state;
  assert_int_equal(verify(SECRET, "1614265330", SIGNATURE, BODY, AT + 300), 0);
  assert_int_equal(verify(SECRET, "1614265330", SIGNATURE, BODY, AT + 301), XH_ESTALE);
  assert_int_equal(verify(SECRET, "1614265330", SIGNATURE, BODY, AT - 301), XH_ESTALE);
  static const char *const wrong[] = {"", "now", "1614265330x", "-", "99999999999999999999"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_int_equal(verify(SECRET, wrong[i], SIGNATURE, BODY, AT), XH_ESTALE);
}

static void secrets_are_base64_or_plain(void **state)
{
  (void)state;
  xh_secret secret;
  assert_int_equal(secret_of("plain text").len, 10);
  assert_int_equal(secret_of(SECRET).len, 24);
  static const char *const wrong[] = {"", "whsec_", "whsec_***", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!", "whsec_MfKQ "};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_int_equal(xh_secret_parse(xh_str_z(wrong[i]), &secret), XH_EINVAL);
  char longest[XH_SECRET_BYTES_MAX + 2];
  memset(longest, 'x', sizeof longest);
  assert_int_equal(xh_secret_parse((xh_str){longest, XH_SECRET_BYTES_MAX}, &secret), 0);
  assert_int_equal(xh_secret_parse((xh_str){longest, XH_SECRET_BYTES_MAX + 1}, &secret), XH_EINVAL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_published_vector),
      cmocka_unit_test(what_differs_does_not_verify),
      cmocka_unit_test(one_of_several_signatures_and_secrets_is_enough),
      cmocka_unit_test(a_time_far_away_is_stale),
      cmocka_unit_test(secrets_are_base64_or_plain),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
