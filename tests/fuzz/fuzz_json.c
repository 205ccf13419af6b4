/*
 * The JSON scanner: what validates, its parts validate too and lie inside it; and it agrees with jansson, apart from what it accepts on purpose
 * (lone surrogates, numbers of any size, deep nesting).
 */
#include "fuzz.h"

#include <jansson.h>
#include <math.h>

enum { DEPTH_MAX = 40 };

static void check_string(xh_str value, xh_buf *out)
{
  xh_buf_init(out, value.len * 3 + 16);
  CHECK(xh_json_decode(value, out) == 0);
  CHECK(fuzz_is_utf8(xh_buf_span(out)));
}

/* A whole number is that number, or said to be too large. */
static void check_number(xh_str value)
{
  int64_t n;
  char text[32];
  bool whole = !memchr(value.ptr, '.', value.len) && !memchr(value.ptr, 'e', value.len) && !memchr(value.ptr, 'E', value.len);
  bool read = xh_json_i64(value, &n);
  CHECK(read || !whole || value.len > 18);
  if (!read || !whole || xh_str_eqz(value, "-0"))
    return;
  snprintf(text, sizeof text, "%lld", (long long)n);
  CHECK(xh_str_eqz(value, text));
}

/* Walks everything below `value`; keys are found again by their meaning, elements by their index. */
static void walk(xh_str value, int depth)
{
  xh_json_iter it;
  xh_str key, member, found;
  xh_json_type type = xh_json_typeof(value);
  CHECK(type != XH_JSON_NONE);
  if (type == XH_JSON_STRING) {
    xh_buf text;
    check_string(value, &text);
    xh_buf_done(&text);
  } else if (type == XH_JSON_NUMBER) {
    check_number(value);
  }
  bool container = type == XH_JSON_ARRAY || type == XH_JSON_OBJECT;
  CHECK(xh_json_iter_init(&it, value) == container);
  if (!container)
    return;
  for (size_t index = 0; xh_json_next(&it, &key, &member); index++) {
    fuzz_check_value(member, value);
    char path[24];
    snprintf(path, sizeof path, "%zu", index);
    if (type == XH_JSON_OBJECT) {
      xh_str quoted = {key.ptr - 1, key.len + 2};
      CHECK(fuzz_is_inside(quoted, value) && xh_json_typeof(quoted) == XH_JSON_STRING);
      xh_buf name;
      check_string(quoted, &name);
      CHECK(xh_json_key_eq(key, xh_buf_span(&name)));
      CHECK(xh_json_find(value, xh_buf_span(&name), &found) && found.ptr >= member.ptr);
      xh_buf_done(&name);
    } else if (index < 20) {
      CHECK(xh_json_path(value, xh_str_z(path), &found) && found.ptr == member.ptr && found.len == member.len);
    }
    if (depth < DEPTH_MAX)
      walk(member, depth + 1);
  }
}

static void check_same(xh_str ours, const json_t *theirs, int depth);

static void check_same_members(xh_str ours, const json_t *theirs, int depth)
{
  xh_json_iter it;
  xh_str key, member, last;
  CHECK(xh_json_iter_init(&it, ours));
  while (xh_json_next(&it, &key, &member)) {
    xh_buf name;
    check_string((xh_str){key.ptr - 1, key.len + 2}, &name);
    const json_t *value = json_object_get(theirs, name.len ? name.ptr : "");
    CHECK(value && xh_json_find(ours, xh_buf_span(&name), &last));
    if (last.ptr == member.ptr) /* of several with one name the last counts */
      check_same(member, value, depth + 1);
    xh_buf_done(&name);
  }
}

static void check_same_number(xh_str ours, const json_t *theirs)
{
  int64_t n = 0;
  bool whole = xh_json_i64(ours, &n);
  if (json_is_integer(theirs))
    CHECK(whole && n == json_integer_value(theirs));
  else if (ours.len <= 400 && fabs(json_real_value(theirs)) < 9e18)
    CHECK(whole && n == (int64_t)json_real_value(theirs));
}

static void check_same(xh_str ours, const json_t *theirs, int depth)
{
  xh_json_type type = xh_json_typeof(ours);
  xh_buf text;
  if (depth > DEPTH_MAX)
    return;
  switch (json_typeof(theirs)) {
  case JSON_OBJECT:
    CHECK(type == XH_JSON_OBJECT);
    check_same_members(ours, theirs, depth);
    break;
  case JSON_ARRAY: {
    xh_json_iter it;
    xh_str element;
    size_t count = 0;
    CHECK(type == XH_JSON_ARRAY && xh_json_iter_init(&it, ours));
    for (; xh_json_next(&it, NULL, &element); count++)
      check_same(element, json_array_get(theirs, count), depth + 1);
    CHECK(count == json_array_size(theirs));
    break;
  }
  case JSON_STRING:
    CHECK(type == XH_JSON_STRING);
    check_string(ours, &text);
    CHECK(xh_str_eq(xh_buf_span(&text), (xh_str){json_string_value(theirs), json_string_length(theirs)}));
    xh_buf_done(&text);
    break;
  case JSON_INTEGER:
  case JSON_REAL:
    CHECK(type == XH_JSON_NUMBER);
    check_same_number(ours, theirs);
    break;
  case JSON_TRUE:
    CHECK(type == XH_JSON_TRUE);
    break;
  case JSON_FALSE:
    CHECK(type == XH_JSON_FALSE);
    break;
  case JSON_NULL:
    CHECK(type == XH_JSON_NULL);
  }
}

/* Could the text hold an escaped surrogate, which jansson refuses when it is alone? */
static bool may_have_surrogate(xh_str text)
{
  for (size_t i = 0; i + 2 < text.len; i++)
    if (text.ptr[i] == '\\' && text.ptr[i + 1] == 'u' && (text.ptr[i + 2] | 0x20) == 'd')
      return true;
  return false;
}

static void compare(xh_str text, int rc)
{
  if (text.len && memchr(text.ptr, 0, text.len))
    return; /* jansson takes a NUL byte for the end of the text */
  json_error_t error;
  json_t *theirs = json_loadb(text.ptr, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
  if (theirs) {
    CHECK(rc == 0);
    check_same(text, theirs, 0);
  } else if (rc == 0) {
    enum json_error_code code = json_error_code(&error);
    CHECK(code == json_error_numeric_overflow || code == json_error_null_byte_in_key || code == json_error_null_character ||
          code == json_error_stack_overflow || may_have_surrogate(text));
  }
  json_decref(theirs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char *copy = fuzz_copy(data, size);
  xh_str text = {copy, size};
  xh_json_fault fault = {SIZE_MAX, NULL};
  int rc = xh_json_validate(text, &fault);
  if (rc == 0) {
    xh_str trimmed = xh_json_trim(text);
    CHECK(xh_json_validate(trimmed, NULL) == 0);
    walk(trimmed, 0);
  } else {
    CHECK(fault.offset <= size && fault.what && *fault.what);
  }
  compare(text, rc);
  free(copy);
  return 0;
}
