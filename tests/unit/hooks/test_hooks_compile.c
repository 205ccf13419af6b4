/* What a configuration may hold, what it becomes, and what is said about its mistakes. */
#include "base/err.h"
#include "hooks/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static xh_hooks *good(const char *config, size_t warnings)
{
  xh_hooks *hooks = NULL;
  xh_mistakes mistakes;
  int rc = xh_hooks_compile(xh_str_z(config), 0, &hooks, &mistakes);
  for (size_t i = 0; rc && i < mistakes.count; i++)
    print_message("%s: %s\n", mistakes.items[i].pointer, mistakes.items[i].message);
  assert_int_equal(rc, 0);
  assert_int_equal(mistakes.count, warnings);
  xh_mistakes_done(&mistakes);
  return hooks;
}

/* Wraps a hook's `advanced` object. */
static xh_hooks *advanced(const char *object)
{
  char config[4096];
  snprintf(config, sizeof config,
           "{\"hooks\":[{\"method\":\"vm.start\",\"type\":\"post\",\"url\":\"https://h/\",\"format\":\"json\",\"advanced\":%s}]}", object);
  return good(config, 0);
}

static void the_stock_configuration_loads_unchanged(void **state)
{
  (void)state;
  xh_hooks *hooks = good("{\"hooks\":[{\"method\":\"vm.start\",\"type\":\"pre/post\",\"url\":\"http://127.0.0.1:3000/x\",\"format\":\"json\","
                         "\"waitForResponse\":true},{\"method\":\"backupNg.runJob\",\"type\":\"post\",\"url\":\"https://chat/\","
                         "\"format\":\"office365\"}]}",
                         0);
  assert_int_equal(xh_hooks_count(hooks), 2);
  const xh_hook *hook = xh_hooks_at(hooks, 0);
  assert_string_equal(hook->method, "vm.start");
  assert_int_equal(hook->types, XH_PRE | XH_POST);
  assert_true(hook->wait_for_response && hook->enabled && hook->mask_secrets);
  assert_int_equal(hook->timeout_ms, 10000);
  assert_int_equal(hook->schedule_count, 10);
  assert_int_equal(hook->schedule_ms[1], 5000);
  assert_int_equal(xh_hooks_at(hooks, 1)->format, XH_FORMAT_OFFICE365);
  assert_int_equal(xh_hooks_at(hooks, 1)->types, XH_POST);
  xh_hooks_unref(hooks);
}

static void everything_optional_is_taken(void **state)
{
  (void)state;
  xh_hooks *hooks = advanced(
      "{\"headers\":[{\"name\":\"X-Site\",\"value\":\"paris\"},{\"name\":\"X-Key\",\"passwordValue\":\"k\"}],\"token\":\"abc\","
      "\"passphrase\":\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\",\"previousPassphrase\":\"old\",\"timeout\":2.5,"
      "\"retry\":{\"schedule\":[0,1,60],\"expire\":3600},\"only\":\"failure\","
      "\"when\":[{\"property\":\"params.id\",\"matches\":[\"a*\",\"b\"],\"negate\":true}],\"fields\":[\"method\",\"params.id\"],"
      "\"maskSecrets\":false,\"dropStack\":true,\"tls\":{\"certificateFile\":\"/c.pem\",\"keyFile\":\"/k.pem\",\"passphrase\":\"p\","
      "\"pinnedCertificate\":\"AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99\"},"
      "\"proxy\":\"http://me@proxy:3128\",\"proxyPassword\":\"p@ss\"}");
  const xh_hook *hook = xh_hooks_at(hooks, 0);
  assert_int_equal(hook->header_count, 3);
  assert_string_equal(hook->headers[1].value, "k");
  assert_string_equal(hook->headers[2].value, "Bearer abc");
  assert_int_equal(hook->secret_count, 2);
  assert_int_equal(hook->timeout_ms, 2500);
  assert_int_equal(hook->schedule_count, 3);
  assert_int_equal(hook->expire_ms, 3600000);
  assert_int_equal(hook->only, XH_ONLY_FAILURE);
  assert_int_equal(hook->when_count, 1);
  assert_int_equal(hook->when[0].match_count, 2);
  assert_int_equal(hook->field_count, 2);
  assert_true(!hook->mask_secrets && hook->drop_stack);
  assert_string_equal(hook->tls.pinned_certificate, "aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899");
  assert_non_null(strstr(hook->proxy, "me:p%40ss@proxy:3128"));
  /* What is kept compiles to the same. */
  xh_hook *again;
  assert_int_equal(xh_hook_compile(xh_str_z(hook->config), &again), 0);
  assert_string_equal(again->digest, hook->digest);
  assert_string_equal(again->target_key, hook->target_key);
  xh_hook_unref(again);
  xh_hooks_unref(hooks);
}

static void null_and_empty_mean_absent(void **state)
{
  (void)state;
  xh_hooks *with = advanced("{\"token\":null,\"proxy\":\"\",\"tls\":{\"caFile\":\"\"},\"only\":\"\",\"retry\":null}");
  xh_hooks *without = advanced("{\"tls\":{}}");
  assert_null(xh_hooks_at(with, 0)->proxy);
  assert_string_equal(xh_hooks_at(with, 0)->digest, xh_hooks_at(without, 0)->digest);
  xh_hooks_unref(with);
  xh_hooks_unref(without);
}

static void urls_are_shown_without_their_secrets(void **state)
{
  (void)state;
  static const char *const cases[][2] = {
      {"https://user:pass@host:8443/path?token=x", "https://host:8443/path"},
      {"http://[2001:db8::1]:3000/", "http://[2001:db8::1]:3000/"},
      {"http://host", "http://host/"},
      {"https://hooks.slack.com/services/T000/B000/XXXXXXXXXXXXXXXXXXXXXXXX", "https://hooks.slack.com/services/T000/B000/XXXXXX…"},
      {"https://b\u00fccher.example/", "https://b\u00fccher.example/"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char config[512];
    snprintf(config, sizeof config, "{\"hooks\":[{\"method\":\"*\",\"type\":\"pre\",\"url\":\"%s\",\"format\":\"json\"}]}", cases[i][0]);
    xh_hooks *hooks = good(config, 0);
    assert_string_equal(xh_hooks_at(hooks, 0)->url, cases[i][0]);
    assert_string_equal(xh_hooks_at(hooks, 0)->url_shown, cases[i][1]);
    xh_hooks_unref(hooks);
  }
}

typedef struct mistake_case {
  const char *config, *pointer, *says;
} mistake_case;

#define HOOK(rest) "{\"hooks\":[{\"method\":\"vm.start\",\"type\":\"pre\",\"url\":\"http://h/\",\"format\":\"json\"" rest "}]}"
#define ADVANCED(rest) HOOK(",\"advanced\":{" rest "}")

static void each_mistake_has_its_pointer_and_its_words(void **state)
{
  (void)state;
  static const mistake_case cases[] = {
      {"", "", "empty"},
      {"{\"hooks\":[}", "", "line 1"},
      {"[]", "", "must be an object"},
      {"{}", "", "needs \"hooks\""},
      {"{\"hooks\":{}}", "/hooks", "must be a list"},
      {"{\"hooks\":null}", "", "needs \"hooks\""},
      {"{\"hooks\":\"\"}", "", "needs \"hooks\""},
      {HOOK(",\"advanced\":{\"retry\":{\"schedule\":[70]}}"), "/hooks/0/advanced/retry/schedule", "first entry must be 0"},
      {"{\"hook\":[]}", "/hook", "did you mean \"hooks\""},
      {"{\"hooks\":[],\"hooks\":[]}", "", "duplicate"},
      {"{\"hooks\":[7]}", "/hooks/0", "must be an object"},
      {"{\"hooks\":[{}]}", "/hooks/0", "needs a \"method\""},
      {HOOK(",\"methd\":1"), "/hooks/0/methd", "did you mean \"method\""},
      {HOOK(",\"a/b~\":1"), "/hooks/0/a~1b~0", "no property"},
      {HOOK(",\"enabled\":\"yes\""), "/hooks/0/enabled", "true or false"},
      {HOOK(",\"name\":7"), "/hooks/0/name", "text in quotes"},
      {"{\"hooks\":[{\"method\":\"vm start\",\"type\":\"pre\",\"url\":\"http://h/\",\"format\":\"json\"}]}", "/hooks/0/method", "letters"},
      {"{\"hooks\":[{\"method\":\"*\",\"type\":\"prepost\",\"url\":\"http://h/\",\"format\":\"json\"}]}", "/hooks/0/type",
       "did you mean \"pre/post\""},
      {"{\"hooks\":[{\"method\":\"*\",\"type\":\"pre\",\"url\":\"ftp://h/\",\"format\":\"json\"}]}", "/hooks/0/url", "http:// or https://"},
      {"{\"hooks\":[{\"method\":\"*\",\"type\":\"pre\",\"url\":\"h/x\",\"format\":\"json\"}]}", "/hooks/0/url", "http:// or https://"},
      {"{\"hooks\":[{\"method\":\"*\",\"type\":\"pre\",\"url\":\"http://h:99999/\",\"format\":\"json\"}]}", "/hooks/0/url", "65535"},
      {"{\"hooks\":[{\"method\":\"*\",\"type\":\"pre\",\"url\":\"http://a b/\",\"format\":\"json\"}]}", "/hooks/0/url", "host"},
      {"{\"hooks\":[{\"method\":\"*\",\"type\":\"pre\",\"url\":\"http://h/\",\"format\":\"Slack\"}]}", "/hooks/0/format",
       "did you mean \"slack\""},
      {ADVANCED("\"timeout\":0"), "/hooks/0/advanced/timeout", "from 0.1 to 600"},
      {ADVANCED("\"timeout\":\"5\""), "/hooks/0/advanced/timeout", "must be a number"},
      {ADVANCED("\"retry\":{\"schedule\":[]}"), "/hooks/0/advanced/retry/schedule", "[0] tries once"},
      {ADVANCED("\"retry\":{\"schedule\":[0,-1]}"), "/hooks/0/advanced/retry/schedule/1", "from 0"},
      {ADVANCED("\"retry\":{\"expires\":1}"), "/hooks/0/advanced/retry/expires", "did you mean \"expire\""},
      {ADVANCED("\"headers\":[{\"name\":\"Host\",\"value\":\"x\"}]"), "/hooks/0/advanced/headers/0/name", "itself"},
      {ADVANCED("\"headers\":[{\"name\":\"a b\"}]"), "/hooks/0/advanced/headers/0/name", "header's name"},
      {ADVANCED("\"headers\":[{\"name\":\"a\",\"value\":\"x\\r\\nEvil: 1\"}]"), "/hooks/0/advanced/headers/0/value", "one line"},
      {ADVANCED("\"headers\":[{\"value\":\"x\"}]"), "/hooks/0/advanced/headers/0", "needs a \"name\""},
      {ADVANCED("\"headers\":{\"a\":\"b\"}"), "/hooks/0/advanced/headers", "must be a list"},
      {ADVANCED("\"token\":\"Bearer x\""), "/hooks/0/advanced/token", "without \"Bearer\""},
      {ADVANCED("\"passphrase\":\"whsec_%%\""), "/hooks/0/advanced/passphrase", "base64"},
      {ADVANCED("\"previousPassphrase\":\"x\""), "/hooks/0/advanced", "without a \"passphrase\""},
      {ADVANCED("\"previousPassword\":\"x\""), "/hooks/0/advanced", "without a \"passphrase\""},
      {ADVANCED("\"passphrase\":\"p\",\"previousPassphrase\":\"x\",\"previousPassword\":\"x\""), "/hooks/0/advanced/previousPassword", "which are the same"},
      {ADVANCED("\"only\":\"succes\""), "/hooks/0/advanced/only", "did you mean \"success\""},
      {ADVANCED("\"when\":[{\"property\":\"param.id\",\"matches\":[\"x\"]}]"), "/hooks/0/advanced/when/0/property",
       "did you mean \"params\""},
      {ADVANCED("\"when\":[{\"property\":\"params.id\"}]"), "/hooks/0/advanced/when/0", "needs \"matches\""},
      {ADVANCED("\"when\":[{\"property\":\"params.id\",\"matches\":[1]}]"), "/hooks/0/advanced/when/0/matches/0", "text"},
      {ADVANCED("\"fields\":[\"nope\"]"), "/hooks/0/advanced/fields/0", "not a property"},
      {ADVANCED("\"tls\":{\"caFile\":\"ca.pem\"}"), "/hooks/0/advanced/tls/caFile", "absolute"},
      {ADVANCED("\"tls\":{\"keyFile\":\"/k\"}"), "/hooks/0/advanced/tls", "certificateFile"},
      {ADVANCED("\"tls\":{\"pinnedCertificate\":\"ab\"}"), "/hooks/0/advanced/tls/pinnedCertificate", "64 hex"},
      {ADVANCED("\"proxy\":\"gopher://p\""), "/hooks/0/advanced/proxy", "proxy's URL"},
      {ADVANCED("\"proxyPassword\":\"x\""), "/hooks/0/advanced", "no \"proxy\""},
      {ADVANCED("\"proxy\":\"http://p\",\"proxyPassword\":\"x\""), "/hooks/0/advanced", "names no user"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    xh_hooks *hooks = NULL;
    xh_mistakes mistakes;
    assert_int_equal(xh_hooks_compile(xh_str_z(cases[i].config), 0, &hooks, &mistakes), XH_ECONFIG);
    assert_null(hooks);
    bool found = false;
    for (size_t m = 0; m < mistakes.count; m++)
      found |= !mistakes.items[m].warning && strcmp(mistakes.items[m].pointer, cases[i].pointer) == 0 &&
               strstr(mistakes.items[m].message, cases[i].says);
    if (!found) {
      for (size_t m = 0; m < mistakes.count; m++)
        print_message("  %s: %s\n", mistakes.items[m].pointer, mistakes.items[m].message);
      fail_msg("%s: no mistake at %s that says %s", cases[i].config, cases[i].pointer, cases[i].says);
    }
    xh_mistakes_done(&mistakes);
  }
}

static void all_mistakes_come_at_once_and_secrets_stay_hidden(void **state)
{
  (void)state;
  xh_hooks *hooks;
  xh_mistakes mistakes;
  const char *config = "{\"hooks\":[{\"method\":7,\"type\":8,\"url\":\"http://joe:hunter2@ho st/\",\"format\":9,"
                       "\"advanced\":{\"token\":\"hunter2 hunter2\",\"passphrase\":[\"hunter2\"]}},{\"x\":1}]}";
  assert_int_equal(xh_hooks_compile(xh_str_z(config), XH_CHECK_STRICT, &hooks, &mistakes), XH_ECONFIG);
  assert_int_equal(mistakes.errors, 6 + 5);
  for (size_t i = 0; i < mistakes.count; i++) {
    assert_null(strstr(mistakes.items[i].message, "hunter2"));
    if (mistakes.items[i].found)
      assert_null(strstr(mistakes.items[i].found, "hunter2"));
  }
  xh_mistakes_done(&mistakes);
}

/* What is said of a URL that can't be used, and of a text of each length around the cut. */
static void found_texts_hide_credentials_and_are_cut(void **state)
{
  (void)state;
  static const char *const urls[][2] = {{"http://joe:hunter2@ho st/", "\"http://***@ho st/\""},
                                        {"http://joe:p@hunter2@ho st/", "\"http://***@ho st/\""},
                                        {"http:/joe:hunter2@ho st/", "\"***@ho st/\""},
                                        {"joe:hunter2@ho st", "\"***@ho st\""},
                                        {"ht tp://a@h/", "\"ht tp://a@h/\""}};
  char config[512];
  xh_hooks *hooks;
  xh_mistakes mistakes;
  for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
    snprintf(config, sizeof config, "{\"hooks\":[{\"method\":\"*\",\"type\":\"pre\",\"url\":\"%s\",\"format\":\"json\"}]}", urls[i][0]);
    assert_int_equal(xh_hooks_compile(xh_str_z(config), XH_CHECK_STRICT, &hooks, &mistakes), XH_ECONFIG);
    assert_int_equal(mistakes.count, 1);
    assert_string_equal(mistakes.items[0].found, urls[i][1]);
    xh_mistakes_done(&mistakes);
  }
  for (int len = 70; len < 100; len++) {
    char type[128] = "";
    memset(type, 'x', (size_t)len);
    memcpy(type + 76, "é€", 5);
    snprintf(config, sizeof config, "{\"hooks\":[{\"method\":\"*\",\"type\":\"%s\",\"url\":\"http://h/\",\"format\":\"json\"}]}", type);
    assert_int_equal(xh_hooks_compile(xh_str_z(config), XH_CHECK_STRICT, &hooks, &mistakes), XH_ECONFIG);
    assert_true(strlen(mistakes.items[0].found) <= 80 + strlen("…"));
    xh_mistakes_done(&mistakes);
  }
}

static void a_nul_byte_is_a_mistake(void **state)
{
  (void)state;
  xh_hooks *hooks;
  xh_mistakes mistakes;
  assert_int_equal(xh_hooks_compile(XH_STR("{\"hooks\":[]}\0 and more"), 0, &hooks, &mistakes), XH_ECONFIG);
  assert_non_null(strstr(mistakes.items[0].message, "byte 13"));
  xh_mistakes_done(&mistakes);
}

static void a_nearly_right_method_is_named(void **state)
{
  (void)state;
  const char *config = "{\"hooks\":[{\"method\":\"vm.strat\",\"type\":\"pre\",\"url\":\"http://h/\",\"format\":\"json\"}]}";
  xh_hooks *hooks;
  xh_mistakes mistakes;
  assert_int_equal(xh_hooks_compile(xh_str_z(config), XH_CHECK_STRICT, &hooks, &mistakes), XH_ECONFIG);
  assert_non_null(strstr(mistakes.items[0].message, "\"vm.start\""));
  xh_mistakes_done(&mistakes);
  xh_hooks_unref(good(config, 1)); /* a plugin may add it: it loads, with a warning */
}

/* Of more mistakes than are kept, all are counted, and none is taken for a want of memory. */
static void mistakes_that_are_not_kept_are_counted(void **state)
{
  (void)state;
  enum { HOOKS = XH_MISTAKES_KEPT_MAX + 10 };
  xh_hooks *hooks;
  xh_mistakes mistakes;
  xh_buf config;
  xh_buf_init(&config, 1 << 20);
  xh_buf_z(&config, "{\"hooks\":[{\"method\":\"acme.method\"}");
  for (int i = 1; i < HOOKS; i++)
    xh_buf_z(&config, ",{\"method\":\"acme.method\"}");
  xh_buf_z(&config, "]}");
  assert_int_equal(xh_hooks_compile(xh_buf_span(&config), 0, &hooks, &mistakes), XH_ECONFIG);
  assert_int_equal(mistakes.errors, 3 * HOOKS);
  assert_int_equal(mistakes.warnings, HOOKS);
  assert_true(mistakes.count <= 2 * XH_MISTAKES_KEPT_MAX);
  xh_mistakes_done(&mistakes);
  assert_int_equal(xh_hooks_compile(xh_buf_span(&config), XH_CHECK_ALL, &hooks, &mistakes), XH_ECONFIG);
  assert_int_equal(mistakes.count, 4 * HOOKS);
  xh_mistakes_done(&mistakes);
  xh_buf_done(&config);
}

/* ---- the schema says the same ---- */

static void same_names(const property *properties, const json_t *schema)
{
  const json_t *described = json_object_get(schema, "properties");
  size_t count = 0;
  for (; properties[count].name; count++)
    if (!json_object_get(described, properties[count].name))
      fail_msg("the schema lacks %s", properties[count].name);
  assert_int_equal(json_object_size(described), count);
  assert_true(json_is_false(json_object_get(schema, "additionalProperties")));
}

static void the_schema_names_what_the_compiler_reads(void **state)
{
  (void)state;
  json_t *schema = json_loads(xh_hooks_schema(), 0, NULL);
  assert_non_null(schema);
  const json_t *hook = json_object_get(json_object_get(json_object_get(schema, "properties"), "hooks"), "items");
  same_names(HOOK_PROPERTIES, hook);
  same_names(ADVANCED_PROPERTIES, json_object_get(json_object_get(hook, "properties"), "advanced"));
  json_decref(schema);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_stock_configuration_loads_unchanged),
      cmocka_unit_test(everything_optional_is_taken),
      cmocka_unit_test(null_and_empty_mean_absent),
      cmocka_unit_test(urls_are_shown_without_their_secrets),
      cmocka_unit_test(each_mistake_has_its_pointer_and_its_words),
      cmocka_unit_test(all_mistakes_come_at_once_and_secrets_stay_hidden),
      cmocka_unit_test(found_texts_hide_credentials_and_are_cut),
      cmocka_unit_test(a_nul_byte_is_a_mistake),
      cmocka_unit_test(a_nearly_right_method_is_named),
      cmocka_unit_test(mistakes_that_are_not_kept_are_counted),
      cmocka_unit_test(the_schema_names_what_the_compiler_reads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
