/* The receiver's judgement of requests: one line a header, then the body. Whatever they are, there is a known status, and words when it is refused. */
#include "fuzz.h"

#include "receiver/head.h"

static void check_verdict(xh_verdict verdict)
{
  static const int known[] = {0, 400, 401, 404, 405, 413, 415};
  bool is_known = false;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++)
    is_known |= verdict.status == known[i];
  CHECK(is_known && memchr(verdict.why, 0, sizeof verdict.why) && (*verdict.why != '\0') == (verdict.status != 0));
}

/* An empty line is a header that is absent. */
static xh_str header(xh_str *rest)
{
  xh_str line = fuzz_line(rest);
  return line.len ? line : (xh_str){NULL, 0};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char *copy = fuzz_copy(data, size);
  xh_str rest = {copy, size};
  unsigned flags = fuzz_byte(&rest);
  xh_secret secret;
  CHECK(xh_secret_parse(XH_STR("a secret"), &secret) == 0);
  xh_gate gate = {.body_cap_bytes = 1000, .tolerance_s = 300, .secrets = &secret, .secret_count = flags & 1};
  if (flags & 2)
    gate.token = XH_STR("token");
  if (flags & 4)
    gate.path = XH_STR("/hooks");
  xh_head head = {.method = fuzz_line(&rest),
                  .path = fuzz_line(&rest),
                  .content_type = header(&rest),
                  .content_length = header(&rest),
                  .content_encoding = header(&rest),
                  .authorization = header(&rest),
                  .id = header(&rest),
                  .timestamp = header(&rest),
                  .signature = header(&rest)};
  xh_verdict verdict = xh_head_judge(&gate, &head);
  check_verdict(verdict);
  if (verdict.status == 0) {
    CHECK(xh_str_eqz(head.method, "POST") && xh_is_json_type(head.content_type));
    verdict = xh_body_judge(&gate, &head, rest, 1700000000);
    check_verdict(verdict);
    CHECK(!(flags & 1) || verdict.status == 401); /* nobody guesses a signature */
  }
  free(copy);
  return 0;
}
