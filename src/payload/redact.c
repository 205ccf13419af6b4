#include "payload/redact.h"

#include "base/err.h"
#include "base/json_scan.h"
#include "payload/payload.h"

#include <stdlib.h>

/* ---- keys ---- */

static const char *const WORDS[] = {"token",      "secret", "password",      "passwd",
                                    "passphrase", "apikey", "encryptionkey", "privatekey"};

/* Keys that are credentials only as they stand. */
static const char *const NAMES[] = {
    "otp",     /* preferences.otp of a user, in what session.getUser and user.getAll return: the secret of the one-time passwords */
    "getfrom", /* $getFrom of vm.export, xo.exportConfig and others: whoever has this URL downloads, without signing in */
    "sendto",  /* $sendTo of vm.import, xo.importConfig and others: the same for an upload */
};

/* The words can be anywhere in a key, which is read in pieces of this many letters: each begins with the end of the one before. */
enum { PIECE_BYTES = 128, LONGEST_WORD_BYTES = 16 };

/* Lower case letters and digits: privateKey, private_key and PRIVATE-KEY are one. False for what is left out. */
static bool plain_letter(char c, char *ret_plain)
{
  if (c >= 'A' && c <= 'Z')
    c = (char)(c + ('a' - 'A'));
  *ret_plain = c;
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* Is a word in the piece? `ret_whole` when it stands at its end. */
static bool piece_is_secret(const char *plain, bool *ret_whole)
{
  bool found = false;
  for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
    size_t len = strlen(WORDS[i]), piece_len = strlen(plain);
    found = found || strstr(plain, WORDS[i]);
    *ret_whole = *ret_whole || (piece_len >= len && strcmp(plain + piece_len - len, WORDS[i]) == 0);
  }
  return found;
}

bool key_is_secret(xh_str key, bool *ret_whole)
{
  char plain[PIECE_BYTES + 1];
  size_t len = 0, pieces = 0;
  bool found = false;
  for (size_t i = 0; i < key.len; i++) {
    if (!plain_letter(key.ptr[i], &plain[len]) || ++len < PIECE_BYTES)
      continue;
    plain[len] = '\0';
    bool ends = false;
    found = piece_is_secret(plain, &ends) || found;
    memmove(plain, plain + len - LONGEST_WORD_BYTES, LONGEST_WORD_BYTES);
    len = LONGEST_WORD_BYTES;
    pieces++;
  }
  plain[len] = '\0';
  *ret_whole = false;
  found = piece_is_secret(plain, ret_whole) || found;
  for (size_t i = 0; pieces == 0 && i < sizeof NAMES / sizeof *NAMES; i++)
    if (strcmp(plain, NAMES[i]) == 0)
      found = *ret_whole = true;
  return found;
}

/* ---- methods ---- */

/* Methods whose result is or holds credentials under keys that don't say so. */
static const struct {
  const char *method; /* or all that begin with it, when it ends with a dot */
  bool ids_only;      /* the values of the key "id"; otherwise texts directly in the result too */
} METHODS[] = {
    {"token.", false},                      /* token.create returns a token that works; a token's id is the token */
    {"user.getAuthenticationTokens", true}, /* the caller's tokens, by that very id */
};

static bool method_fits(xh_str method, const char *pattern)
{
  return pattern[strlen(pattern) - 1] == '.' ? xh_str_starts(method, xh_str_z(pattern)) : xh_str_eqz(method, pattern);
}

/* ---- the walk: one pass, no recursion, as deep as an event may be ---- */

/* Of a value: not; texts, but not those in objects; texts however deep; numbers too, but not those in objects ("tokens": {"count": 3}). */
typedef enum secrecy { OPEN, RESULT_TEXT, SECRET_TEXT, SECRET_ALL } secrecy;

typedef struct level {
  bool object;
  unsigned char inside; /* the secrecy of what is in it: an array's elements, and in an object whatever its key says */
} level;

typedef struct walk {
  const char *at, *end;
  const char *copied; /* up to here the text is in `out` */
  xh_buf *out;
  bool masked;
  bool result_ids;   /* in the result of this method, ids are credentials */
  bool result_texts; /* and texts too */
  bool in_result;
  size_t depth;
  bool expect_key;
  secrecy member; /* of the value that follows the last key */
  level levels[XH_JSON_DEPTH_MAX + 1];
} walk;

static secrecy judge_plain_key(const walk *w, xh_str key)
{
  bool whole;
  if (key_is_secret(key, &whole))
    return whole ? SECRET_ALL : SECRET_TEXT;
  if (w->result_ids && w->in_result && xh_str_eqz(key, "id"))
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
  secrecy inside = (secrecy)top->inside;
  return top->object && w->member > inside ? w->member : inside;
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
    if (w->depth == 1 && w->result_texts && w->in_result)
      w->member = RESULT_TEXT;
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
  secrecy inside = value_secrecy(w);
  if (object && inside != OPEN)
    inside = inside == RESULT_TEXT ? OPEN : SECRET_TEXT;
  if (w->depth < XH_JSON_DEPTH_MAX)
    w->levels[w->depth++] = (level){.object = object, .inside = (unsigned char)inside};
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
  for (size_t i = 0; i < sizeof METHODS / sizeof *METHODS; i++)
    if (method_fits(event->method, METHODS[i].method)) {
      w->result_ids = true;
      w->result_texts = w->result_texts || !METHODS[i].ids_only;
    }
  walk_all(w);
  if (w->masked)
    xh_buf_append(out, w->copied, (size_t)(w->end - w->copied));
  free(w);
  return xh_buf_error(out);
}
