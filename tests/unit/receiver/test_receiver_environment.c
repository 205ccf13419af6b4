/* What a script's environment holds. */
#include "receiver/environment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *get(char *const *env, const char *name)
{
  size_t length = strlen(name);
  for (; *env; env++)
    if (strncmp(*env, name, length) == 0 && (*env)[length] == '=')
      return *env + length + 1;
  return NULL;
}

static char **build(const char *json, const char *const *pass, size_t count)
{
  xh_event event;
  char delivery[] = "msg_1";
  const xh_job job = {.delivery = delivery, .attempt = 3};
  char **env;
  assert_int_equal(xh_event_from_valid(xh_str_z(json), &event, NULL), 0);
  assert_int_equal(xh_environment_build(&event, &job, pass, count, &env), 0);
  return env;
}

static void absent_and_null_fields_leave_their_variables_out(void **state)
{
  (void)state;
  char **env = build("{\"type\":\"pre\",\"method\":\"vm.start\",\"userName\":null,\"params\":[1]}", NULL, 0);
  assert_string_equal(get(env, "XO_METHOD"), "vm.start");
  assert_string_equal(get(env, "XO_TYPE"), "pre");
  assert_string_equal(get(env, "XO_DELIVERY_ID"), "msg_1");
  assert_string_equal(get(env, "XO_ATTEMPT"), "3");
  assert_null(get(env, "XO_USER_NAME"));
  assert_null(get(env, "XO_OBJECT_ID"));
  assert_null(get(env, "XO_SUCCESS"));
  free(env);
}

static void strings_are_decoded_and_other_values_are_json(void **state)
{
  (void)state;
  char **env = build("{\"type\":\"post\",\"method\":\"m\",\"userName\":\"zo\\u00eb\\n$(id)\",\"params\":{\"id\":{\"a\":1}},"
                     "\"error\":{\"message\":\"a\\u0000b\",\"code\":7}}",
                     NULL, 0);
  assert_string_equal(get(env, "XO_USER_NAME"), "zo\xc3\xab\n$(id)");
  assert_string_equal(get(env, "XO_OBJECT_ID"), "{\"a\":1}");
  assert_string_equal(get(env, "XO_SUCCESS"), "false");
  assert_string_equal(get(env, "XO_ERROR_MESSAGE"), "a"); /* a variable can't hold more */
  assert_string_equal(get(env, "XO_ERROR_CODE"), "7");
  free(env);
}

static void long_values_are_cut_between_characters(void **state)
{
  (void)state;
  char json[3 * XH_ENV_VALUE_BYTES_MAX] = "{\"type\":\"post\",\"method\":\"m\",\"userName\":\"x";
  for (int i = 0; i < XH_ENV_VALUE_BYTES_MAX; i++)
    strcat(json + 40 + i, "\xc3\xab");
  strcat(json, "\"}");
  char **env = build(json, NULL, 0);
  assert_int_equal(strlen(get(env, "XO_USER_NAME")), XH_ENV_VALUE_BYTES_MAX - 1);
  free(env);
}

static void only_named_variables_of_ours_are_passed(void **state)
{
  (void)state;
  static const char *const pass[] = {"XH_TEST_MINE", "XH_TEST_ABSENT"};
  setenv("XH_TEST_MINE", "a b", 1);
  setenv("XH_TEST_HIDDEN", "secret", 1);
  char **env = build("{\"type\":\"pre\",\"method\":\"m\"}", pass, 2);
  assert_string_equal(get(env, "XH_TEST_MINE"), "a b");
  assert_null(get(env, "XH_TEST_ABSENT"));
  assert_null(get(env, "XH_TEST_HIDDEN"));
  free(env);
}

static size_t times(char *const *env, const char *name)
{
  size_t count = 0, length = strlen(name);
  for (; *env; env++)
    count += strncmp(*env, name, length) == 0 && (*env)[length] == '=';
  return count;
}

static void a_passed_variable_replaces_ours(void **state)
{
  (void)state;
  static const char *const pass[] = {"PATH", "LANG", "XH_TEST_TWICE", "XH_TEST_TWICE"};
  char *path = strdup(getenv("PATH"));
  setenv("PATH", "/mine", 1);
  unsetenv("LANG");
  setenv("XH_TEST_TWICE", "x", 1);
  char **env = build("{\"type\":\"pre\",\"method\":\"m\"}", pass, 4);
  setenv("PATH", path, 1);
  assert_string_equal(get(env, "PATH"), "/mine");
  assert_int_equal(times(env, "PATH"), 1);
  assert_string_equal(get(env, "LANG"), "C.UTF-8"); /* there was none to pass */
  assert_int_equal(times(env, "LANG"), 1);
  assert_int_equal(times(env, "XH_TEST_TWICE"), 1);
  free(env);
  free(path);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(absent_and_null_fields_leave_their_variables_out),
      cmocka_unit_test(strings_are_decoded_and_other_values_are_json),
      cmocka_unit_test(long_values_are_cut_between_characters),
      cmocka_unit_test(only_named_variables_of_ours_are_passed),
      cmocka_unit_test(a_passed_variable_replaces_ours),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
