/* Times, durations and sizes as people write them: what is read is in its range, and a time that is written reads as itself. */
#include "fuzz.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"

static const int64_t NOW_MS = 1795457437249;

static void check_time(int64_t ms)
{
  const int64_t first_ms = -62167219200000, last_ms = 253402300799999; /* years 0 to 9999 */
  char iso[XH_ISO_SIZE];
  int64_t again;
  CHECK(ms >= first_ms && ms <= last_ms);
  xh_iso_time(ms, iso);
  CHECK(strlen(iso) == 24 && xh_time_parse(iso, NOW_MS, &again) == 0 && again == ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char *text = malloc(size + 1), words[48];
  int64_t value = 0;
  CHECK(text);
  memcpy(text, data, size);
  text[size] = '\0';
  int rc = xh_time_parse(text, NOW_MS, &value);
  CHECK(rc == 0 || rc == XH_EINVAL);
  if (rc == 0)
    check_time(value);
  rc = xh_duration_parse(text, &value);
  CHECK(rc == 0 || rc == XH_EINVAL);
  if (rc == 0) {
    CHECK(value >= 0 && value <= 100000000000000);
    xh_duration_text(value, words, sizeof words);
    CHECK(*words && strlen(words) < sizeof words - 1);
  }
  rc = xh_size_parse(text, &value);
  CHECK(rc == 0 || rc == XH_EINVAL);
  if (rc == 0)
    CHECK(value >= 0);
  free(text);
  return 0;
}
