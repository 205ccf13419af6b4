/* What is sent for an event. The MessageCards are those that XO's stock plugin really sent. */
#include "hooks/hooks.h"
#include "payload/payload.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static xh_hook *hook_of(const char *format, const char *advanced)
{
  char config[1024];
  xh_hook *hook;
  snprintf(config, sizeof config, "{\"method\":\"*\",\"type\":\"pre/post\",\"url\":\"http://h/\",\"format\":\"%s\",\"advanced\":%s}", format,
           advanced);
  assert_int_equal(xh_hook_compile(xh_str_z(config), &hook), 0);
  return hook;
}

/* The body, to free(); the event's own text when it is sent as it is. */
static char *render(const char *format, const char *advanced, const char *text)
{
  xh_hook *hook = hook_of(format, advanced);
  xh_event event;
  xh_payload payload;
  xh_buf body;
  assert_int_equal(xh_event_parse(xh_str_z(text), &event, NULL), 0);
  xh_buf_init(&body, 1 << 24);
  assert_int_equal(xh_payload_render(hook, &event, XH_STR("paris"), &payload, &body), 0);
  if (payload.verbatim) {
    assert_int_equal(body.len, 0);
    xh_buf_str(&body, event.raw);
  }
  xh_hook_unref(hook);
  char *bytes = xh_buf_steal(&body, NULL);
  if (xh_json_validate(xh_str_z(bytes), NULL) != 0)
    fail_msg("not JSON: %s", bytes);
  return bytes;
}

static void expect(const char *format, const char *advanced, const char *event, const char *body)
{
  char *got = render(format, advanced, event);
  assert_string_equal(got, body);
  free(got);
}

static void json_is_the_events_own_bytes(void **state)
{
  (void)state;
  static const char *const events[] = {
      "{ \"type\" : \"pre\" , \"method\":\"a.b\",\"params\":{\"n\":12345678901234567890,\"e\":1E+2,\"s\":\"\\ud800\",\"k\":1,\"k\":2}, "
      "\"mine\":null }",
      "{\"method\":\"user.create\",\"type\":\"post\",\"params\":{\"password\":\"* obfuscated *\"},\"result\":\"9deda370\"}",
  };
  for (size_t i = 0; i < 2; i++) {
    xh_hook *hook = hook_of("json", "{}");
    xh_event event;
    xh_payload payload;
    xh_buf body;
    assert_int_equal(xh_event_parse(xh_str_z(events[i]), &event, NULL), 0);
    xh_buf_init(&body, 1 << 20);
    assert_int_equal(xh_payload_render(hook, &event, XH_STR("x"), &payload, &body), 0);
    assert_true(payload.verbatim);
    assert_string_equal(payload.content_type, "application/json");
    xh_hook_unref(hook);
  }
}

static void credentials_are_masked_and_the_rest_keeps_its_bytes(void **state)
{
  (void)state;
#define POST(rest) "{\"type\":\"post\",\"method\":\"vm.x\"," rest "}"
  expect("json", "{}", "{\"method\":\"token.create\",\"type\":\"post\",\"result\":\"EXAMPLE-TOKEN\"}",
         "{\"method\":\"token.create\",\"type\":\"post\",\"result\":\"* obfuscated *\"}");
  expect("json", "{}", "{\"method\":\"token.getAll\",\"type\":\"post\",\"result\":[{\"id\":\"EXAMPLE\",\"description\":\"ci\"}]}",
         "{\"method\":\"token.getAll\",\"type\":\"post\",\"result\":[{\"id\":\"* obfuscated *\",\"description\":\"ci\"}]}");
  expect("json", "{}", POST("\"result\":{ \"apiToken\" : \"a\\\"b\", \"n\":1e2,\"PASSWORD\":\"x\",\"private_key\":\"k\",\"ok\":true}"),
         POST("\"result\":{ \"apiToken\" : \"* obfuscated *\", \"n\":1e2,\"PASSWORD\":\"* obfuscated *\",\"private_key\":\"* obfuscated "
              "*\",\"ok\":true}"));
  expect("json", "{}", POST("\"result\":{\"p\\u0061ssword\":\"x\",\"tokens\":[\"a\",[\"b\"],{\"c\":\"d\"}],\"tokenAge\":3,\"password\":7}"),
         POST("\"result\":{\"p\\u0061ssword\":\"* obfuscated *\",\"tokens\":[\"* obfuscated *\",[\"* obfuscated *\"],{\"c\":\"* obfuscated *\"}],"
              "\"tokenAge\":3,\"password\":\"* obfuscated *\"}"));
  expect("json", "{\"maskSecrets\":false}", POST("\"result\":{\"password\":\"x\"}"), POST("\"result\":{\"password\":\"x\"}"));
  expect("json", "{}", "{\"method\":\"token.create\",\"type\":\"post\",\"resul\\u0074\":\"EXAMPLE-TOKEN\"}",
         "{\"method\":\"token.create\",\"type\":\"post\",\"resul\\u0074\":\"* obfuscated *\"}");
  /* What only looks like it. */
  expect("json", "{}", POST("\"result\":{\"hasPassword\":true,\"text\":\"\\\"password\\\":\\\"x\\\"\",\"password\":\"\",\"secret\":null}"),
         POST("\"result\":{\"hasPassword\":true,\"text\":\"\\\"password\\\":\\\"x\\\"\",\"password\":\"\",\"secret\":null}"));
}

static void whatever_is_below_a_secret_key_is_masked(void **state)
{
  (void)state;
#define X "* obfuscated *"
  expect("json", "{}", POST("\"result\":{\"secret\":{\"data\":\"hid\",\"n\":[1,{\"deep\":[\"hid\"]}],\"is\":true},\"name\":\"n\"}"),
         POST("\"result\":{\"secret\":{\"data\":\"" X "\",\"n\":[1,{\"deep\":[\"" X "\"]}],\"is\":true},\"name\":\"n\"}"));
  expect("json", "{}", POST("\"params\":{\"sessionToken\":{\"value\":\"v\"}},\"result\":[{\"tokens\":{\"count\":3}},\"text\"]"),
         POST("\"params\":{\"sessionToken\":{\"value\":\"" X "\"}},\"result\":[{\"tokens\":{\"count\":3}},\"text\"]"));
  expect("json", "{}", POST("\"result\":{\"tokens\":[\"t1\",{\"id\":\"t2\",\"password\":7}],\"id\":\"i\"}"),
         POST("\"result\":{\"tokens\":[\"" X "\",{\"id\":\"" X "\",\"password\":\"" X "\"}],\"id\":\"i\"}"));
}

static void results_that_are_credentials_by_their_nature(void **state)
{
  (void)state;
  expect("json", "{}",
         "{\"method\":\"user.getAuthenticationTokens\",\"type\":\"post\",\"params\":{\"id\":\"i\"},\"result\":[{\"id\":\"TTT4\",\"description\":\"ci\"}]}",
         "{\"method\":\"user.getAuthenticationTokens\",\"type\":\"post\",\"params\":{\"id\":\"i\"},\"result\":[{\"id\":\"" X "\",\"description\":\"ci\"}]}");
  expect("json", "{}", "{\"method\":\"vm.export\",\"type\":\"post\",\"result\":{\"$getFrom\":\"/api/s3cr3t/vm.xva\"}}",
         "{\"method\":\"vm.export\",\"type\":\"post\",\"result\":{\"$getFrom\":\"" X "\"}}");
  expect("json", "{}", "{\"method\":\"xo.importConfig\",\"type\":\"post\",\"result\":{\"$sendTo\":\"/api/s3cr3t\"}}",
         "{\"method\":\"xo.importConfig\",\"type\":\"post\",\"result\":{\"$sendTo\":\"" X "\"}}");
  expect("json", "{}", POST("\"result\":{\"id\":\"u\",\"preferences\":{\"otp\":\"JBSWY3DP\",\"laptop\":\"x\"}}"),
         POST("\"result\":{\"id\":\"u\",\"preferences\":{\"otp\":\"" X "\",\"laptop\":\"x\"}}"));
}

/* The word at each place around the pieces in which long keys are read, at the end and before it. */
static void long_keys_are_judged_to_their_end(void **state)
{
  (void)state;
  static const char *const ends[] = {"Token", "private-key", "tokenAge"};
  for (size_t end = 0; end < 3; end++)
    for (int before = 90; before < 300; before++) {
      char event[2048], key[512];
      memset(key, 'x', (size_t)before);
      strcpy(key + before, ends[end]);
      snprintf(event, sizeof event, POST("\"result\":{\"%s\":\"hid\",\"%s\":7}"), key, key);
      char *got = render("json", "{}", event);
      assert_null(strstr(got, "hid"));
      assert_int_equal(strstr(got, ":7") != NULL, end == 2);
      free(got);
    }
}

static void deep_events_are_masked_too(void **state)
{
  (void)state;
  enum { DEPTH = 4000 };
  char *text = calloc(1, DEPTH * 8), *at = text;
  at += sprintf(at, "{\"type\":\"post\",\"method\":\"a.b\",\"result\":");
  for (int i = 0; i < DEPTH / 2; i++)
    at += sprintf(at, "[{\"a\":");
  at += sprintf(at, "{\"password\":\"hunter2\"}");
  for (int i = 0; i < DEPTH / 2; i++)
    at += sprintf(at, "}]");
  sprintf(at, "}");
  xh_event event;
  xh_buf out;
  assert_int_equal(xh_event_parse(xh_str_z(text), &event, NULL), 0);
  xh_buf_init(&out, 1 << 20);
  assert_int_equal(xh_redact(&event, &out), 0);
  assert_true(out.len > 0);
  assert_null(strstr(out.ptr, "hunter2"));
  xh_buf_done(&out);
  free(text);
}

static void fields_and_stack(void **state)
{
  (void)state;
  const char *event = POST("\"params\":{\"id\":\"x\",\"name\":\"y\",\"deep\":{\"a\":1,\"b\":2}},\"error\":{\"message\":\"no\",\"stack\":\"at "
                           "…\",\"code\":1},\"duration\":3");
  expect("json", "{\"fields\":[\"method\",\"params.id\",\"params.deep.b\",\"duration\"]}", event,
         "{\"method\":\"vm.x\",\"params\":{\"id\":\"x\",\"deep\":{\"b\":2}},\"duration\":3}");
  expect("json", "{\"dropStack\":true}", event,
         POST("\"params\":{\"id\":\"x\",\"name\":\"y\",\"deep\":{\"a\":1,\"b\":2}},\"error\":{\"message\":\"no\",\"code\":1},\"duration\":3"));
  expect("json", "{\"fields\":[\"error\"],\"dropStack\":true}", event, "{\"error\":{\"message\":\"no\",\"code\":1}}");
}

static void office365_is_the_stock_plugins_card(void **state)
{
  (void)state;
  expect("office365", "{}",
         "{\"callId\":\"td4jxk8l2t\",\"userId\":\"924f93be-1695-4cc1-9321-b7b93228e3ea\",\"userName\":\"admin@admin.net\",\"userIp\":"
         "\"127.0.0.1\",\"method\":\"user.create\",\"params\":{\"email\":\"zoë@example.org\",\"password\":\"* obfuscated "
         "*\",\"permission\":\"none\"},\"timestamp\":1795457437125,\"duration\":108,\"result\":\"9deda370-12ab-4b6d-a993-56f0b6033690\","
         "\"type\":\"post\"}",
         "{\"@type\":\"MessageCard\",\"@context\":\"https://schema.org/extensions\",\"themeColor\":\"6B63BF\",\"summary\":\"New "
         "notification from the Xen-Orchestra webhook plugin\",\"sections\":[{\"title\":\"XO POST notification\",\"facts\":[{\"name\":"
         "\"callId\",\"value\":\"td4jxk8l2t\"},{\"name\":\"userId\",\"value\":\"924f93be-1695-4cc1-9321-b7b93228e3ea\"},{\"name\":"
         "\"userName\",\"value\":\"admin@admin.net\"},{\"name\":\"userIp\",\"value\":\"127.0.0.1\"},{\"name\":\"method\",\"value\":\"user."
         "create\"},{\"name\":\"params\",\"value\":\"{\\\"email\\\":\\\"zoë@example.org\\\",\\\"password\\\":\\\"* obfuscated "
         "*\\\",\\\"permission\\\":\\\"none\\\"}\"},{\"name\":\"timestamp\",\"value\":\"1795457437125\"},{\"name\":\"duration\",\"value\":"
         "\"108\"},{\"name\":\"result\",\"value\":\"9deda370-12ab-4b6d-a993-56f0b6033690\"}]}]}");
}

static const char FAILED[] = POST("\"callId\":\"c1\",\"userName\":\"admin@admin.net\",\"params\":{\"id\":\"67aac198\",\"name\":\"web <01> & "
                                  "more\"},\"timestamp\":1795457437249,\"duration\":3400,\"error\":{\"message\":\"no such <VM>\"}");

static void cards_tell_who_did_what_to_which_when_and_how_it_ended(void **state)
{
  (void)state;
  static const char *const formats[] = {"teams", "slack"};
  for (size_t i = 0; i < 2; i++) {
    char *card = render(formats[i], "{}", FAILED);
    assert_non_null(strstr(card, "VM: x failed"));
    assert_non_null(strstr(card, "admin@admin.net"));
    assert_non_null(strstr(card, "67aac198"));
    assert_non_null(strstr(card, "2026-11-23 18:10:37 UTC"));
    assert_non_null(strstr(card, "3.4 s"));
    assert_non_null(strstr(card, i ? "no such &lt;VM&gt;" : "no such \\\\<VM\\\\>"));
    if (i == 1)
      assert_non_null(strstr(card, "web &lt;01&gt; &amp; more"));
    free(card);
  }
}

static void cloudevents_carry_the_event(void **state)
{
  (void)state;
  char *body = render("cloudevents", "{}", FAILED);
  json_t *c = json_loads(body, 0, NULL);
  assert_string_equal(json_string_value(json_object_get(c, "specversion")), "1.0");
  assert_string_equal(json_string_value(json_object_get(c, "id")), "c1-post");
  assert_string_equal(json_string_value(json_object_get(c, "source")), "/xen-orchestra/paris");
  assert_string_equal(json_string_value(json_object_get(c, "type")), "xo.api.vm.x.post");
  assert_string_equal(json_string_value(json_object_get(c, "subject")), "67aac198");
  assert_string_equal(json_string_value(json_object_get(c, "time")), "2026-11-23T18:10:37.249Z");
  assert_non_null(json_object_get(json_object_get(c, "data"), "params"));
  json_decref(c);
  free(body);
  assert_string_equal(xh_payload_content_type(XH_FORMAT_CLOUDEVENTS), "application/cloudevents+json");
}

static void expect_id(const char *advanced, const char *event, const char *id)
{
  char *body = render("cloudevents", advanced, event);
  json_t *c = json_loads(body, 0, NULL);
  assert_string_equal(json_string_value(json_object_get(c, "id")), id);
  json_decref(c);
  free(body);
}

static void cloudevents_ids_differ_whatever_is_left_out(void **state)
{
  (void)state;
  expect_id("{\"fields\":[\"method\"]}", FAILED, "c1-post");
  expect_id("{}", "{\"type\":\"pre\",\"method\":\"a.b\",\"params\":1}", "294b9659e125ffbf-pre");
  expect_id("{}", "{\"type\":\"pre\",\"method\":\"a.b\",\"params\":2}", "29559659e12e5444-pre");
}

static void odd_events_give_valid_bodies(void **state)
{
  (void)state;
  static const char *const formats[] = {"json", "office365", "teams", "slack", "cloudevents"};
  static const char *const events[] = {
      "{\"type\":\"pre\",\"method\":\"x\"}",
      "{\"type\":\"post\",\"method\":\"x.\",\"params\":null,\"timestamp\":\"soon\",\"duration\":-1,\"error\":null}",
      "{\"type\":\"post\",\"method\":\".x\",\"params\":[1],\"timestamp\":1e99,\"userName\":7,\"callId\":{},\"error\":\"plain\"}",
      "{\"type\":\"post\",\"method\":\"a.B.CDe\",\"params\":{\"id\":\"\\ud800\\n\\u0000\"},\"timestamp\":-5,\"result\":[]}",
  };
  for (size_t f = 0; f < 5; f++)
    for (size_t e = 0; e < 4; e++)
      free(render(formats[f], "{}", events[e]));
}

static void long_texts_are_cut_to_what_chats_take(void **state)
{
  (void)state;
  char *event = calloc(1, 400000), *at = event;
  at += sprintf(at, "{\"type\":\"post\",\"method\":\"a.b\",\"params\":{\"id\":\"");
  for (int i = 0; i < 40000; i++)
    at += sprintf(at, "é<");
  at += sprintf(at, "\"},\"error\":{\"message\":\"");
  for (int i = 0; i < 40000; i++)
    at += sprintf(at, "<é");
  sprintf(at, "\"}}");
  static const char *const formats[] = {"office365", "teams", "slack"};
  for (size_t i = 0; i < 3; i++) {
    char *body = render(formats[i], "{}", event);
    assert_true(strlen(body) < 28 * 1024);
    free(body);
  }
  free(event);
}

/* However long: what is shown is the beginning of the text, not of its JSON. */
static void long_texts_show_no_escapes(void **state)
{
  (void)state;
  static const char *const pieces[] = {"\\u0041", "\\n\\\\b", "\\ud83d\\ude00", "\\\"é", "😀"};
  for (size_t piece = 0; piece < 5; piece++)
    for (size_t shift = 0; shift < 7; shift++) {
      char *event = calloc(1, 400000), *at = event;
      at += sprintf(at, "{\"type\":\"post\",\"method\":\"a.b\",\"error\":{\"message\":\"%.*s", (int)shift, "xxxxxxx");
      for (int i = 0; i < 25000; i++)
        at += sprintf(at, "%s", pieces[piece]);
      sprintf(at, "\"}}");
      char *body = render("slack", "{}", event);
      assert_null(strstr(body, "\\u"));
      assert_null(strstr(body, "\\\\n"));
      assert_null(strstr(body, "\xef\xbf\xbd")); /* half a pair */
      assert_non_null(strstr(body, "…"));
      assert_true(strlen(body) > 1200);
      free(body);
      free(event);
    }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(json_is_the_events_own_bytes),
      cmocka_unit_test(credentials_are_masked_and_the_rest_keeps_its_bytes),
      cmocka_unit_test(whatever_is_below_a_secret_key_is_masked),
      cmocka_unit_test(results_that_are_credentials_by_their_nature),
      cmocka_unit_test(long_keys_are_judged_to_their_end),
      cmocka_unit_test(deep_events_are_masked_too),
      cmocka_unit_test(fields_and_stack),
      cmocka_unit_test(office365_is_the_stock_plugins_card),
      cmocka_unit_test(cards_tell_who_did_what_to_which_when_and_how_it_ended),
      cmocka_unit_test(cloudevents_carry_the_event),
      cmocka_unit_test(cloudevents_ids_differ_whatever_is_left_out),
      cmocka_unit_test(odd_events_give_valid_bodies),
      cmocka_unit_test(long_texts_are_cut_to_what_chats_take),
      cmocka_unit_test(long_texts_show_no_escapes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
