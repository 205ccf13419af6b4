#include "base/json_scan.h"

#include "base/err.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct scan {
  const char *start;
  const char *at;
  const char *end;
  const char *what;
  unsigned depth;
  unsigned char is_object[XH_JSON_DEPTH_MAX / 8]; /* one bit a level */
} scan;

static int fail(scan *s, int code, const char *what)
{
  s->what = what;
  return code;
}

static int fail_here(scan *s, const char *what)
{
  if (s->at >= s->end)
    return fail(s, XH_ETRUNCATED, "ends in the middle of a value");
  return *s->at ? fail(s, XH_EJSON, what) : fail(s, XH_ENUL, "NUL byte");
}

static const char *skip_space(const char *p, const char *end)
{
  while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
    p++;
  return p;
}

static bool is_digit(const scan *s)
{
  return s->at < s->end && *s->at >= '0' && *s->at <= '9';
}

static int hex_value(char c)
{
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static int scan_escape(scan *s)
{
  if (++s->at >= s->end)
    return fail_here(s, "");
  char c = *s->at;
  if (c != 'u') {
    if (c == '\0' || !strchr("\"\\/bfnrt", c))
      return fail_here(s, "unknown escape in a string");
    s->at++;
    return 0;
  }
  s->at++;
  for (int i = 0; i < 4; i++, s->at++)
    if (s->at >= s->end || hex_value(*s->at) < 0)
      return fail_here(s, "expected four hexadecimal digits after \\u");
  return 0;
}

/* At the opening quote; leaves the scan after the closing one. */
static int scan_string(scan *s)
{
  s->at++;
  for (;;) {
    const char *p = s->at;
    while (p < s->end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' && *p != '\\')
      p++;
    s->at = p;
    if (p >= s->end)
      return fail_here(s, "");
    unsigned char c = (unsigned char)*p;
    if (c == '"') {
      s->at++;
      return 0;
    }
    if (c == '\\') {
      int rc = scan_escape(s);
      if (rc)
        return rc;
    } else if (c < 0x20) {
      return fail_here(s, "control character in a string");
    } else {
      size_t width = xh_utf8_width(p, (size_t)(s->end - p));
      if (width == 0)
        return fail(s, XH_EUTF8, "not valid UTF-8");
      s->at += width;
    }
  }
}

static int scan_number(scan *s)
{
  if (*s->at == '-')
    s->at++;
  if (!is_digit(s))
    return fail_here(s, "expected a digit");
  if (*s->at == '0')
    s->at++;
  else
    while (is_digit(s))
      s->at++;
  if (s->at < s->end && *s->at == '.') {
    s->at++;
    if (!is_digit(s))
      return fail_here(s, "expected a digit after the decimal point");
    while (is_digit(s))
      s->at++;
  }
  if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
    s->at++;
    if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
      s->at++;
    if (!is_digit(s))
      return fail_here(s, "expected a digit in the exponent");
    while (is_digit(s))
      s->at++;
  }
  return 0;
}

static int scan_word(scan *s, const char *word)
{
  for (; *word; word++, s->at++)
    if (s->at >= s->end || *s->at != *word)
      return fail_here(s, "expected a value");
  return 0;
}

static bool in_object(const scan *s)
{
  return s->is_object[(s->depth - 1) / 8] >> ((s->depth - 1) % 8) & 1;
}

static int enter(scan *s, bool object)
{
  if (s->depth == XH_JSON_DEPTH_MAX)
    return fail(s, XH_EDEPTH, "nested too deeply");
  unsigned bit = s->depth++;
  if (object)
    s->is_object[bit / 8] = (unsigned char)(s->is_object[bit / 8] | 1u << bit % 8);
  else
    s->is_object[bit / 8] = (unsigned char)(s->is_object[bit / 8] & ~(1u << bit % 8));
  s->at++;
  return 0;
}

/* A key and its colon. */
static int scan_key(scan *s)
{
  s->at = skip_space(s->at, s->end);
  if (s->at >= s->end || *s->at != '"')
    return fail_here(s, "expected a key in double quotes");
  int rc = scan_string(s);
  if (rc)
    return rc;
  s->at = skip_space(s->at, s->end);
  if (s->at >= s->end || *s->at != ':')
    return fail_here(s, "expected ':'");
  s->at++;
  return 0;
}

/* A scalar, or the opening of a container with its first key; `ret_open` tells that a value must follow. */
static int scan_value(scan *s, bool *ret_open)
{
  *ret_open = false;
  s->at = skip_space(s->at, s->end);
  if (s->at >= s->end)
    return fail_here(s, "");
  switch (*s->at) {
  case '{':
  case '[': {
    bool object = *s->at == '{';
    int rc = enter(s, object);
    if (rc)
      return rc;
    s->at = skip_space(s->at, s->end);
    if (s->at < s->end && *s->at == (object ? '}' : ']'))
      return 0; /* closed by scan_after */
    *ret_open = true;
    return object ? scan_key(s) : 0;
  }
  case '"':
    return scan_string(s);
  case 't':
    return scan_word(s, "true");
  case 'f':
    return scan_word(s, "false");
  case 'n':
    return scan_word(s, "null");
  default:
    if (*s->at == '-' || is_digit(s))
      return scan_number(s);
    if ((unsigned char)*s->at >= 0x80 && !xh_utf8_width(s->at, (size_t)(s->end - s->at)))
      return fail(s, XH_EUTF8, "not valid UTF-8");
    return fail_here(s, "expected a value");
  }
}

/* After a value: closes what ends here; `ret_more` tells that another value must follow. */
static int scan_after(scan *s, bool *ret_more)
{
  *ret_more = false;
  while (s->depth > 0) {
    bool object = in_object(s);
    s->at = skip_space(s->at, s->end);
    if (s->at < s->end && *s->at == ',') {
      s->at++;
      *ret_more = true;
      return object ? scan_key(s) : 0;
    }
    if (s->at >= s->end || *s->at != (object ? '}' : ']'))
      return fail_here(s, object ? "expected ',' or '}'" : "expected ',' or ']'");
    s->at++;
    s->depth--;
  }
  return 0;
}

static int scan_all(scan *s)
{
  bool more = true;
  while (more) {
    int rc = scan_value(s, &more);
    if (rc == 0 && !more)
      rc = scan_after(s, &more);
    if (rc)
      return rc;
  }
  s->at = skip_space(s->at, s->end);
  return s->at == s->end ? 0 : fail_here(s, "something follows the value");
}

int xh_json_validate(xh_str text, xh_json_fault *ret_fault)
{
  scan s;
  s.start = s.at = text.ptr;
  s.end = text.ptr + text.len;
  s.what = NULL;
  s.depth = 0;
  int rc = scan_all(&s);
  if (rc && ret_fault)
    *ret_fault = (xh_json_fault){(size_t)(s.at - s.start), s.what};
  return rc;
}

xh_str xh_json_trim(xh_str text)
{
  const char *end = text.ptr + text.len;
  const char *p = skip_space(text.ptr, end);
  while (end > p && strchr(" \n\r\t", end[-1]) && end[-1])
    end--;
  return (xh_str){p, (size_t)(end - p)};
}

xh_json_type xh_json_typeof(xh_str value)
{
  if (!value.ptr)
    return XH_JSON_NONE;
  value = xh_json_trim(value);
  switch (value.len ? *value.ptr : '\0') {
  case '\0':
    return XH_JSON_NONE;
  case '{':
    return XH_JSON_OBJECT;
  case '[':
    return XH_JSON_ARRAY;
  case '"':
    return XH_JSON_STRING;
  case 't':
    return XH_JSON_TRUE;
  case 'f':
    return XH_JSON_FALSE;
  case 'n':
    return XH_JSON_NULL;
  default:
    return XH_JSON_NUMBER;
  }
}

const char *xh_json_string_end(const char *quote, const char *end)
{
  const char *from = quote + 1;
  for (const char *at = from; at < end;) {
    const char *close = memchr(at, '"', (size_t)(end - at));
    if (!close)
      return end;
    const char *p = close;
    while (p > from && p[-1] == '\\')
      p--;
    if ((close - p) % 2 == 0)
      return close + 1;
    at = close + 1;
  }
  return end;
}

/* The end of the valid value that starts at `p`. */
static const char *value_end(const char *p, const char *end)
{
  unsigned depth = 0;
  do {
    char c = *p;
    if (c == '"') {
      p = xh_json_string_end(p, end);
    } else if (c == '{' || c == '[') {
      depth++;
      p++;
    } else if (c == '}' || c == ']') {
      depth--;
      p++;
    } else if (depth > 0) {
      p++;
    } else {
      while (p < end && *p != ',' && *p != ']' && *p != '}' && (unsigned char)*p > ' ')
        p++;
    }
  } while (depth > 0 && p < end);
  return p;
}

bool xh_json_iter_init(xh_json_iter *it, xh_str value)
{
  xh_json_type type = xh_json_typeof(value);
  if (type != XH_JSON_OBJECT && type != XH_JSON_ARRAY)
    return false;
  value = xh_json_trim(value);
  *it = (xh_json_iter){value.ptr + 1, value.ptr + value.len - 1, type == XH_JSON_OBJECT};
  return true;
}

bool xh_json_next(xh_json_iter *it, xh_str *ret_key, xh_str *ret_value)
{
  const char *p = skip_space(it->at, it->end);
  if (p >= it->end)
    return false;
  if (it->object) {
    const char *after = xh_json_string_end(p, it->end);
    if (ret_key)
      *ret_key = (xh_str){p + 1, (size_t)(after - p) - 2};
    p = skip_space(after, it->end);
    p = skip_space(p + 1, it->end); /* the colon */
  }
  const char *after = value_end(p, it->end);
  *ret_value = (xh_str){p, (size_t)(after - p)};
  after = skip_space(after, it->end);
  it->at = after < it->end ? after + 1 : after; /* the comma */
  return true;
}

static uint32_t read_hex4(const char *p)
{
  uint32_t code = 0;
  for (int i = 0; i < 4; i++)
    code = code << 4 | (uint32_t)hex_value(p[i]);
  return code;
}

/* Decodes the escape at `p` (a backslash) to `out`; returns the bytes it took, sets the bytes written. */
static size_t decode_escape(const char *p, const char *end, char out[4], size_t *ret_len)
{
  static const char from[] = "\"\\/bfnrt";
  static const char to[] = "\"\\/\b\f\n\r\t";
  if (p[1] != 'u') {
    const char *at = strchr(from, p[1]);
    out[0] = at ? to[at - from] : p[1];
    *ret_len = 1;
    return 2;
  }
  uint32_t code = read_hex4(p + 2);
  size_t took = 6;
  if (code >= 0xd800 && code < 0xdc00 && end - p >= 12 && p[6] == '\\' && p[7] == 'u') {
    uint32_t low = read_hex4(p + 8);
    if (low >= 0xdc00 && low < 0xe000) {
      code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      took = 12;
    }
  }
  if (code >= 0xd800 && code < 0xe000)
    code = 0xfffd;
  *ret_len = xh_utf8_encode(code, out);
  return took;
}

int xh_json_decode(xh_str string, xh_buf *out)
{
  string = xh_json_trim(string);
  if (string.len < 2 || *string.ptr != '"')
    return XH_EINVAL;
  const char *p = string.ptr + 1;
  const char *end = string.ptr + string.len - 1;
  while (p < end) {
    const char *plain = p;
    while (p < end && *p != '\\')
      p++;
    xh_buf_append(out, plain, (size_t)(p - plain));
    if (p < end) {
      char bytes[4];
      size_t len;
      p += decode_escape(p, end, bytes, &len);
      xh_buf_append(out, bytes, len);
    }
  }
  return xh_buf_error(out);
}

bool xh_json_key_eq(xh_str escaped_key, xh_str name)
{
  if (escaped_key.len == 0 || !memchr(escaped_key.ptr, '\\', escaped_key.len))
    return xh_str_eq(escaped_key, name);
  const char *p = escaped_key.ptr;
  const char *end = p + escaped_key.len;
  size_t used = 0;
  while (p < end) {
    char bytes[4] = {*p};
    size_t len = 1;
    p += *p == '\\' ? decode_escape(p, end, bytes, &len) : 1;
    if (used + len > name.len || memcmp(bytes, name.ptr + used, len) != 0)
      return false;
    used += len;
  }
  return used == name.len;
}

bool xh_json_find(xh_str object, xh_str name, xh_str *ret_value)
{
  xh_json_iter it;
  if (xh_json_typeof(object) != XH_JSON_OBJECT || !xh_json_iter_init(&it, object))
    return false;
  xh_str key, value;
  bool found = false;
  while (xh_json_next(&it, &key, &value))
    if (xh_json_key_eq(key, name)) {
      *ret_value = value;
      found = true;
    }
  return found;
}

bool xh_json_has_only(xh_str object, const char *const *names, char *why, size_t why_size)
{
  xh_json_iter it;
  xh_str key, value;
  if (xh_json_typeof(object) != XH_JSON_OBJECT || !xh_json_iter_init(&it, object))
    return true;
  while (xh_json_next(&it, &key, &value)) {
    const char *const *name = names;
    while (*name && !xh_json_key_eq(key, xh_str_z(*name)))
      name++;
    if (!*name) {
      snprintf(why, why_size, "there is no parameter \"%.*s\"", (int)(key.len < 40 ? key.len : 40), key.ptr);
      return false;
    }
  }
  return true;
}

static bool element(xh_str array, xh_str index, xh_str *ret_value)
{
  size_t n = 0;
  if (index.len == 0 || index.len > 9)
    return false;
  for (size_t i = 0; i < index.len; i++) {
    if (index.ptr[i] < '0' || index.ptr[i] > '9')
      return false;
    n = n * 10 + (size_t)(index.ptr[i] - '0');
  }
  xh_json_iter it;
  xh_str value;
  if (!xh_json_iter_init(&it, array))
    return false;
  while (xh_json_next(&it, NULL, &value))
    if (n-- == 0) {
      *ret_value = value;
      return true;
    }
  return false;
}

bool xh_json_path(xh_str value, xh_str path, xh_str *ret_value)
{
  while (path.len > 0) {
    const char *dot = memchr(path.ptr, '.', path.len);
    xh_str part = {path.ptr, dot ? (size_t)(dot - path.ptr) : path.len};
    bool found = xh_json_typeof(value) == XH_JSON_ARRAY ? element(value, part, &value) : xh_json_find(value, part, &value);
    if (!found)
      return false;
    size_t used = part.len + (dot ? 1 : 0);
    path = (xh_str){path.ptr + used, path.len - used};
  }
  *ret_value = value;
  return true;
}

bool xh_json_i64(xh_str number, int64_t *ret_n)
{
  number = xh_json_trim(number);
  if (xh_json_typeof(number) != XH_JSON_NUMBER || number.len > 400)
    return false;
  char digits[401];
  memcpy(digits, number.ptr, number.len);
  digits[number.len] = '\0';
  char *end;
  errno = 0;
  long long n = strtoll(digits, &end, 10);
  if (*end == '\0' && errno == ERANGE)
    return false;
  if (*end != '\0') {
    double d = strtod(digits, NULL);
    if (!(d > -9.2e18 && d < 9.2e18))
      return false;
    n = (long long)d;
  }
  *ret_n = n;
  return true;
}
