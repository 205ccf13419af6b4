/*
 * Judging: whatever came back, there is a result, whose fault it was, and words without secrets. The first bytes choose codes and numbers; then two
 * lines, curl's words and where a redirect points.
 */
#include "fuzz.h"

#include "delivery/attempt.h"
#include "hooks/hooks.h"

static void check_outcome(const xh_response *r, xh_result result, const xh_attempt *record, bool down)
{
  bool answered = r->code == CURLE_OK && r->http_status > 0 && !r->refused_address;
  bool good = answered && r->http_status >= 200 && r->http_status < 300;
  CHECK(*record->words && memchr(record->words, 0, sizeof record->words));
  CHECK((result == XH_RESULT_DELIVERED) == good);
  CHECK((result == XH_RESULT_GONE) == (answered && r->http_status == 410));
  CHECK((record->fault == XH_FAULT_NONE) == good);
  CHECK(!down || result == XH_RESULT_FAILED);
  CHECK(record->fault != XH_FAULT_OURS || !down); /* a target is not held for what we did */
  CHECK(!strstr(record->words, "hunter2"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  static xh_hook *hook;
  xh_str rest = {(const char *)data, size};
  if (!hook)
    CHECK(xh_hook_compile(XH_STR("{\"method\":\"*\",\"type\":\"post\",\"url\":\"http://h/\",\"format\":\"json\"}"), &hook) == 0);
  unsigned flags = fuzz_byte(&rest);
  xh_response r = {.code = (CURLcode)(fuzz_byte(&rest) % CURL_LAST)};
  if (flags & 1)
    r.code = CURLE_OK;
  r.http_status = (int)(fuzz_byte(&rest) << 2 | fuzz_byte(&rest) % 4);
  r.proxy_status = flags & 2 ? (int)(fuzz_byte(&rest) << 2) : 0;
  r.phase = (xh_phase)(fuzz_byte(&rest) % (XH_PHASE_ANSWER + 1));
  r.retry_after_s = (int64_t)fuzz_byte(&rest) << (flags & 4 ? 40 : 0);
  r.answer_cut = flags & 8;
  r.used_proxy = flags & 16;
  r.refused_address = flags & 32 ? "169.254.169.254" : NULL;
  xh_str words = fuzz_line(&rest);
  char error[CURL_ERROR_SIZE], url[2048];
  snprintf(error, sizeof error, "%.*s", (int)(words.len < 255 ? words.len : 255), words.ptr);
  for (char *at; (at = strstr(error, "hunter2")) != NULL;) /* curl's words hold no secrets of ours */
    *at = '-';
  r.error = error;
  snprintf(url, sizeof url, "https://user:p@hunter2@%.*s", (int)(rest.len < 1024 ? rest.len : 1024), rest.ptr);
  if (!strstr(url + 22, "hunter2"))
    r.redirect_url = flags & 64 ? url : NULL;
  xh_attempt record = {0};
  bool down = false;
  xh_result result = xh_judge(&r, hook, flags >> 7, &record, &down);
  check_outcome(&r, result, &record, down);
  (void)xh_same_origin(url, hook->url);
  CHECK(xh_same_origin(hook->url, hook->url));
  return 0;
}
