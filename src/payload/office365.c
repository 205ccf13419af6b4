#include "payload/formats.h"

#include "base/json_scan.h"

/* A card beyond 28 KB is refused by the service; a value that nobody reads to its end is cut. */
enum { VALUE_BYTES_MAX = 4096 };

/* Strings as they are, everything else as its JSON text. */
static void put_value(xh_buf *out, xh_str value)
{
  if (value.len > VALUE_BYTES_MAX) {
    size_t len = VALUE_BYTES_MAX;
    while (len > 0 && ((unsigned char)value.ptr[len] & 0xc0) == 0x80)
      len--;
    xh_buf cutting;
    xh_buf_init(&cutting, VALUE_BYTES_MAX + 8);
    size_t from = *value.ptr == '"';
    xh_buf_append(&cutting, value.ptr + from, len - from);
    xh_buf_z(&cutting, "…");
    xh_buf_json_buf(out, &cutting);
    xh_buf_done(&cutting);
  } else if (xh_json_typeof(value) == XH_JSON_STRING) {
    xh_buf_str(out, value); /* its own escapes are right here too */
  } else {
    xh_buf_json(out, value);
  }
}

void format_office365(const xh_event *event, xh_buf *out)
{
  xh_json_iter it;
  xh_str key, value;
  bool first = true;
  xh_buf_printf(out,
                "{\"@type\":\"MessageCard\",\"@context\":\"https://schema.org/extensions\",\"themeColor\":\"6B63BF\","
                "\"summary\":\"New notification from the Xen-Orchestra webhook plugin\",\"sections\":[{\"title\":\"XO %s notification\","
                "\"facts\":[",
                event->type == XH_PRE ? "PRE" : "POST");
  if (xh_json_iter_init(&it, event->raw))
    while (xh_json_next(&it, &key, &value)) {
      if (xh_json_key_eq(key, XH_STR("type")))
        continue;
      xh_buf_z(out, first ? "{\"name\":\"" : ",{\"name\":\"");
      xh_buf_str(out, key);
      xh_buf_z(out, "\",\"value\":");
      put_value(out, value);
      xh_buf_char(out, '}');
      first = false;
    }
  xh_buf_z(out, "]}]}");
}
