#include "payload/redact.h"

#include "base/err.h"
#include "base/json_scan.h"
#include "payload/payload.h"

#include <stdlib.h>

/* ---- keys ---- */

static const char *const WORDS[] = {"token",      "secret", "password",      "passwd",
                                    "passphrase", "apikey", "encryptionkey", "privatekey"};

enum { KEY_BYTES_MAX = 128 };

bool key_is_secret(xh_str key, bool *ret_ends)
{
  char plain[KEY_BYTES_MAX + 1]; /* lower case letters and digits: privateKey, private_key and PRIVATE-KEY are one */
  size_t len = 0;
  for (size_t i = 0; i < key.len && len < KEY_BYTES_MAX; i++) {
    char c = key.ptr[i];
    if (c >= 'A' && c <= 'Z')
      c = (char)(c + ('a' - 'A'));
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
      plain[len++] = c;
  }
  plain[len] = '\0';
  bool found = false;
  *ret_ends = false;
  for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
    const char *at = strstr(plain, WORDS[i]);
    if (!at)
      continue;
    found = true;
    *ret_ends = *ret_ends || strlen(at) == strlen(WORDS[i]);
  }
  return found;
}

/* ---- the walk: one pass, no recursion, as deep as an event may be ---- */

typedef enum secrecy { OPEN, SECRET_TEXT, SECRET_ALL } secrecy; /* of a value: not, strings only, numbers too */

typedef struct level {
  bool object;
  unsigned char elements; /* of an array: their secrecy */
} level;

typedef struct walk {
  const char *at, *end;
  const char *copied; /* up to here the text is in `out` */
  xh_buf *out;
  bool masked;
  bool token_result; /* the event is of token.*: in its result, ids are tokens */
  bool in_result;
  size_t depth;
  bool expect_key;
  secrecy member; /* of the value that follows the last key */
  level levels[XH_JSON_DEPTH_MAX + 1];
} walk;

static secrecy judge_plain_key(const walk *w, xh_str key)
{
  bool ends;
  if (key_is_secret(key, &ends))
    return ends ? SECRET_ALL : SECRET_TEXT;
  if (w->token_result && w->in_result && xh_str_eqz(key, "id"))
    return SECRET_TEXT;
  return OPEN;
}

static secrecy judge_key(const walk *w, xh_str quoted)
{
  if (!memchr(quoted.ptr, '\\', quoted.len))
    return judge_plain_key(w, (xh_str){quoted.ptr + 1, quoted.len - 2});
  xh_buf plain;
  xh_buf_init(&plain, 64 * 1024);
  secrecy found = xh_json_decode(quoted, &plain) == 0 ? judge_plain_key(w, xh_buf_span(&plain)) : SECRET_ALL; /* rather too much */
  xh_buf_done(&plain);
  return found;
}

static secrecy value_secrecy(const walk *w)
{
  if (w->depth == 0)
    return OPEN;
  const level *top = &w->levels[w->depth - 1];
  return top->object ? w->member : (secrecy)top->elements;
}

static void mask(walk *w, const char *from, const char *to)
{
  xh_str old = {from, (size_t)(to - from)};
  if (xh_str_eqz(old, "\"" XH_MASK "\"") || xh_str_eqz(old, "\"\""))
    return; /* masked already, or nothing there */
  xh_buf_append(w->out, w->copied, (size_t)(from - w->copied));
  xh_buf_z(w->out, "\"" XH_MASK "\"");
  w->copied = to;
  w->masked = true;
}

static void take_string(walk *w)
{
  const char *from = w->at, *to = xh_json_string_end(from, w->end);
  w->at = to;
  if (w->expect_key) {
    xh_str key = {from, (size_t)(to - from)};
    if (w->depth == 1)
      w->in_result = xh_json_key_eq((xh_str){key.ptr + 1, key.len - 2}, XH_STR("result"));
    w->member = judge_key(w, key);
    if (w->depth == 1 && w->token_result && w->in_result)
      w->member = SECRET_TEXT; /* token.create returns the token itself */
    w->expect_key = false;
  } else if (value_secrecy(w) != OPEN) {
    mask(w, from, to);
  }
}

static void take_number(walk *w)
{
  const char *from = w->at;
  while (w->at < w->end && strchr("+-.0123456789eE", *w->at) && *w->at)
    w->at++;
  if (value_secrecy(w) == SECRET_ALL)
    mask(w, from, w->at);
}

static void open_level(walk *w, bool object)
{
  secrecy elements = object ? OPEN : value_secrecy(w); /* "tokens": ["…"]; what is in an object has keys of its own */
  if (w->depth < XH_JSON_DEPTH_MAX)
    w->levels[w->depth++] = (level){.object = object, .elements = (unsigned char)elements};
  w->expect_key = object;
  w->member = OPEN;
  w->at++;
}

static void walk_all(walk *w)
{
  while (w->at < w->end) {
    char c = *w->at;
    if (c == '"')
      take_string(w);
    else if (c == '{' || c == '[')
      open_level(w, c == '{');
    else if (c == '-' || (c >= '0' && c <= '9'))
      take_number(w);
    else {
      if ((c == '}' || c == ']') && w->depth > 0)
        w->depth--;
      if (c == ',')
        w->expect_key = w->depth > 0 && w->levels[w->depth - 1].object;
      if (c == '}' || c == ']')
        w->expect_key = false;
      w->at++;
    }
  }
}

int xh_redact(const xh_event *event, xh_buf *out)
{
  walk *w = calloc(1, sizeof *w);
  if (!w)
    return XH_ENOMEM;
  w->at = w->copied = event->raw.ptr;
  w->end = event->raw.ptr + event->raw.len;
  w->out = out;
  w->token_result = xh_str_starts(event->method, XH_STR("token."));
  walk_all(w);
  if (w->masked)
    xh_buf_append(out, w->copied, (size_t)(w->end - w->copied));
  free(w);
  return xh_buf_error(out);
}
