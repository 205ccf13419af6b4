#include "receiver/message.h"

#include "base/err.h"

#include <stdio.h>

enum { WORDS_DEPTH_MAX = 24 };

const char *xh_message_kind_name(xh_message_kind kind)
{
  static const char *const names[] = {"event", "cloudevents", "office365", "teams", "slack"};
  return names[kind];
}

static bool is_string(xh_str object, const char *name, const char *text)
{
  xh_str value;
  return xh_json_find(object, xh_str_z(name), &value) && xh_json_typeof(value) == XH_JSON_STRING && value.len == strlen(text) + 2 &&
         memcmp(value.ptr + 1, text, value.len - 2) == 0;
}

static bool has(xh_str object, const char *name, xh_json_type type)
{
  xh_str value;
  return xh_json_find(object, xh_str_z(name), &value) && xh_json_typeof(value) == type;
}

/* Cards have no method; what has one and is no event is a faulty event, not a card. */
static bool read_card(xh_str json, xh_message_kind *ret_kind)
{
  if (is_string(json, "@type", "MessageCard"))
    *ret_kind = XH_MESSAGE_OFFICE365;
  else if ((is_string(json, "type", "message") && has(json, "attachments", XH_JSON_ARRAY)) || is_string(json, "type", "AdaptiveCard"))
    *ret_kind = XH_MESSAGE_TEAMS;
  else if (!has(json, "method", XH_JSON_STRING) && (has(json, "text", XH_JSON_STRING) || has(json, "blocks", XH_JSON_ARRAY)))
    *ret_kind = XH_MESSAGE_SLACK;
  else
    return false;
  return true;
}

int xh_message_parse(xh_str body, xh_message *ret_message, xh_event_fault *ret_fault)
{
  xh_json_fault json_fault;
  int rc = xh_json_validate(body, &json_fault);
  if (rc) {
    if (ret_fault) {
      ret_fault->offset = json_fault.offset;
      snprintf(ret_fault->what, sizeof ret_fault->what, "%s", json_fault.what);
    }
    return rc;
  }
  xh_message message = {.kind = XH_MESSAGE_EVENT, .json = xh_json_trim(body)};
  if (xh_json_typeof(body) == XH_JSON_OBJECT) {
    xh_str data;
    if (has(body, "specversion", XH_JSON_STRING)) {
      message.enveloped = xh_json_find(body, XH_STR("data"), &data) && xh_event_from_valid(data, &message.event, NULL) == 0;
      message.kind = message.enveloped ? XH_MESSAGE_EVENT : XH_MESSAGE_CLOUDEVENT;
      *ret_message = message;
      return 0;
    }
    if (read_card(body, &message.kind)) {
      *ret_message = message;
      return 0;
    }
  }
  rc = xh_event_from_valid(body, &message.event, ret_fault);
  if (rc == 0)
    *ret_message = message;
  return rc;
}

/* A card must not move the cursor of whoever reads the log. */
static void append_words(xh_str string, size_t cap_bytes, size_t start, xh_buf *out)
{
  xh_buf text;
  xh_buf_init(&text, string.len + 16);
  xh_json_decode(string, &text);
  if (out->len > start && text.len > 0)
    xh_buf_z(out, " · ");
  if (out->len - start < cap_bytes)
    xh_buf_plain(out, xh_buf_span(&text), cap_bytes - (out->len - start), "");
  xh_buf_done(&text);
}

static bool is_words_key(xh_str key)
{
  static const char *const keys[] = {"summary", "title", "activityTitle", "text", "name", "value", "subject", "source", "type"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
    if (xh_json_key_eq(key, xh_str_z(keys[i])))
      return true;
  return false;
}

static void walk(xh_str value, const xh_message *message, int depth, size_t cap_bytes, size_t start, xh_buf *out)
{
  xh_json_iter it;
  xh_str key, member;
  if (depth > WORDS_DEPTH_MAX || !xh_json_iter_init(&it, value))
    return;
  bool array = xh_json_typeof(value) == XH_JSON_ARRAY;
  while (out->len - start < cap_bytes && xh_json_next(&it, &key, &member)) {
    xh_json_type type = xh_json_typeof(member);
    if (type == XH_JSON_STRING) {
      bool tells = !array && is_words_key(key);
      if (tells && xh_json_key_eq(key, XH_STR("type")))
        tells = message->kind == XH_MESSAGE_CLOUDEVENT; /* in a card it is a kind of layout */
      if (tells)
        append_words(member, cap_bytes, start, out);
    } else if (type == XH_JSON_ARRAY || type == XH_JSON_OBJECT) {
      walk(member, message, depth + 1, cap_bytes, start, out);
    }
  }
}

void xh_message_words(const xh_message *message, size_t cap_bytes, xh_buf *out)
{
  size_t start = out->len;
  xh_str text;
  if (message->kind == XH_MESSAGE_SLACK && xh_json_find(message->json, XH_STR("text"), &text) && xh_json_typeof(text) == XH_JSON_STRING)
    append_words(text, cap_bytes, start, out); /* the blocks say the same again */
  else
    walk(message->json, message, 0, cap_bytes, start, out);
}
