#include "outbox/webhook_id.h"

#include "base/err.h"

#include <inttypes.h>
#include <stdio.h>

void xh_webhook_id(const char *instance, int64_t delivery_id, char out[XH_WEBHOOK_ID_SIZE])
{
  snprintf(out, XH_WEBHOOK_ID_SIZE, "msg_%.16s%016" PRIx64, instance, (uint64_t)delivery_id);
}

static int parse_digits(xh_str text, unsigned base, int64_t *ret_number)
{
  uint64_t number = 0;
  if (text.len == 0)
    return XH_EINVAL;
  for (size_t i = 0; i < text.len; i++) {
    char c = text.ptr[i];
    unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 99;
    if (digit >= base || number > ((uint64_t)INT64_MAX - digit) / base)
      return XH_EINVAL;
    number = number * base + digit;
  }
  *ret_number = (int64_t)number;
  return 0;
}

int xh_webhook_id_parse(const char *instance, xh_str text, int64_t *ret_delivery_id)
{
  if (!xh_str_starts(text, XH_STR("msg_")))
    return parse_digits(text, 10, ret_delivery_id);
  if (text.len != 36)
    return XH_EINVAL;
  if (!xh_str_eq((xh_str){text.ptr + 4, 16}, xh_str_z(instance)))
    return XH_ENOENT;
  return parse_digits((xh_str){text.ptr + 20, 16}, 16, ret_delivery_id);
}
