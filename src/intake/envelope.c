#include "intake/envelope.h"

#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

static int __attribute__((format(printf, 3, 4))) fail(envelope_fault *fault, int code, const char *format, ...)
{
  va_list args;
  va_start(args, format);
  vsnprintf(fault->what, sizeof fault->what, format, args);
  va_end(args);
  return code;
}

/* The parts of a line, before they are judged. */
typedef struct parts {
  xh_str id, wait, hello, configure, event, call, params;
} parts;

static int split(xh_str line, parts *p, envelope_fault *fault)
{
  const struct {
    const char *name;
    xh_str *to;
  } known[] = {{"id", &p->id},       {"event", &p->event}, {"wait", &p->wait},    {"call", &p->call},
               {"params", &p->params}, {"hello", &p->hello}, {"configure", &p->configure}};
  xh_json_iter it;
  xh_str key, value;
  if (xh_json_typeof(line) != XH_JSON_OBJECT || !xh_json_iter_init(&it, line))
    return fail(fault, XH_EPROTOCOL, "a line is a JSON object, such as {\"event\":{…}}");
  while (xh_json_next(&it, &key, &value)) {
    size_t i = 0, count = sizeof known / sizeof *known;
    while (i < count && !xh_json_key_eq(key, xh_str_z(known[i].name)))
      i++;
    if (i == count)
      return fail(fault, XH_EPROTOCOL, "unknown property \"%.*s\"; an event is sent as {\"event\":{…}}",
                  (int)(key.len < 64 ? key.len : 64), key.ptr);
    *known[i].to = value;
  }
  return 0;
}

static int read_id(const parts *p, envelope *e, envelope_fault *fault)
{
  if (!p->id.ptr)
    return 0;
  if (!xh_json_i64(p->id, &e->id) || e->id < 1 || memchr(p->id.ptr, '.', p->id.len)) {
    e->id = 0;
    return fail(fault, XH_EPROTOCOL, "\"id\" must be a whole number from 1 up");
  }
  fault->id = e->id;
  return 0;
}

/* Copies a string of plain characters; false when it has others or does not fit. */
static bool plain_text(xh_str value, const char *more, char *out, size_t size)
{
  if (xh_json_typeof(value) != XH_JSON_STRING || value.len - 2 >= size)
    return false;
  for (size_t i = 1; i + 1 < value.len; i++) {
    char c = value.ptr[i];
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr(more, c)))
      return false;
  }
  memcpy(out, value.ptr + 1, value.len - 2);
  out[value.len - 2] = '\0';
  return true;
}

static int read_hello_property(xh_str key, xh_str value, xh_hello *hello, envelope_fault *fault)
{
  int64_t protocol;
  if (xh_json_key_eq(key, XH_STR("protocol"))) {
    if (!xh_json_i64(value, &protocol) || protocol != XH_PROTOCOL)
      return fail(fault, XH_EPROTOCOL, "this is protocol %d", XH_PROTOCOL);
  } else if (xh_json_key_eq(key, XH_STR("source"))) {
    if (!plain_text(value, "._-@", hello->source, sizeof hello->source) || !*hello->source)
      return fail(fault, XH_EPROTOCOL, "\"source\" must have 1 to %d letters, digits or . _ - @", XH_SOURCE_NAME_MAX);
  } else if (xh_json_key_eq(key, XH_STR("session"))) {
    if (!plain_text(value, "._-@", hello->session, sizeof hello->session))
      return fail(fault, XH_EPROTOCOL, "\"session\" must have up to %zu letters, digits or . _ - @", sizeof hello->session - 1);
  } else if (xh_json_key_eq(key, XH_STR("acks"))) {
    if (!xh_str_eqz(value, "\"each\"") && !xh_str_eqz(value, "\"cumulative\""))
      return fail(fault, XH_EPROTOCOL, "\"acks\" must be \"each\" or \"cumulative\"");
    hello->cumulative = xh_str_eqz(value, "\"cumulative\"");
  } else {
    return fail(fault, XH_EPROTOCOL, "unknown property \"%.*s\" in hello", (int)(key.len < 64 ? key.len : 64), key.ptr);
  }
  return 0;
}

static int read_hello(xh_str value, xh_hello *hello, envelope_fault *fault)
{
  xh_json_iter it;
  xh_str key, member;
  int rc = 0;
  if (xh_json_typeof(value) != XH_JSON_OBJECT || !xh_json_iter_init(&it, value))
    return fail(fault, XH_EPROTOCOL, "\"hello\" must be an object");
  while (rc == 0 && xh_json_next(&it, &key, &member))
    rc = read_hello_property(key, member, hello, fault);
  if (rc == 0 && !*hello->source)
    return fail(fault, XH_EMISSING, "hello lacks its \"source\"");
  return rc;
}

static int read_wait(const parts *p, envelope *e, envelope_fault *fault)
{
  xh_json_type type = p->wait.ptr ? xh_json_typeof(p->wait) : XH_JSON_FALSE;
  if (type != XH_JSON_TRUE && type != XH_JSON_FALSE)
    return fail(fault, XH_EPROTOCOL, "\"wait\" must be true or false");
  e->wait = type == XH_JSON_TRUE;
  return e->wait && e->id == 0 ? fail(fault, XH_EPROTOCOL, "\"wait\" needs an \"id\", so that it can be answered") : 0;
}

static int read_event(const parts *p, envelope *e, envelope_fault *fault)
{
  xh_event_fault why;
  e->kind = ENVELOPE_EVENT;
  fault->is_event = true;
  int rc = read_wait(p, e, fault);
  if (rc == 0 && (rc = xh_event_from_valid(p->event, &e->event, &why)) != 0)
    return fail(fault, rc, "%s", why.what);
  return rc;
}

static int read_call(const parts *p, envelope *e, envelope_fault *fault)
{
  e->kind = ENVELOPE_CALL;
  if (xh_json_typeof(p->call) != XH_JSON_STRING)
    return fail(fault, XH_EPROTOCOL, "\"call\" must be the name of what is asked, such as \"stats\"");
  if (e->id == 0)
    return fail(fault, XH_EPROTOCOL, "a call needs an \"id\", so that it can be answered");
  if (p->params.ptr && xh_json_typeof(p->params) != XH_JSON_OBJECT)
    return fail(fault, XH_EPROTOCOL, "\"params\" must be an object");
  e->call = (xh_str){p->call.ptr + 1, p->call.len - 2};
  e->params = p->params.ptr ? p->params : XH_STR("{}");
  return 0;
}

static int read_kind(const parts *p, envelope *e, envelope_fault *fault)
{
  int kinds = (p->hello.ptr != NULL) + (p->configure.ptr != NULL) + (p->event.ptr != NULL) + (p->call.ptr != NULL);
  if (kinds != 1)
    return fail(fault, kinds ? XH_EPROTOCOL : XH_EMISSING, "a line has one of \"event\", \"configure\", \"call\" and \"hello\"%s",
                kinds ? ", not several" : "");
  if (p->params.ptr && !p->call.ptr)
    return fail(fault, XH_EPROTOCOL, "\"params\" belongs to a \"call\"");
  if (p->wait.ptr && !p->event.ptr)
    return fail(fault, XH_EPROTOCOL, "\"wait\" belongs to an \"event\"");
  if (p->event.ptr)
    return read_event(p, e, fault);
  if (p->call.ptr)
    return read_call(p, e, fault);
  if (p->hello.ptr) {
    e->kind = ENVELOPE_HELLO;
    return read_hello(p->hello, &e->hello, fault);
  }
  e->kind = ENVELOPE_CONFIGURE;
  e->config = p->configure;
  return e->id ? 0 : fail(fault, XH_EPROTOCOL, "configure needs an \"id\", so that it can be answered");
}

int envelope_parse(xh_str line, envelope *ret_envelope, envelope_fault *ret_fault)
{
  xh_json_fault json;
  parts p = {.id = {NULL, 0}};
  envelope e = {.id = 0};
  *ret_fault = (envelope_fault){.id = 0};
  int rc = xh_json_validate(line, &json);
  if (rc)
    return fail(ret_fault, rc, "%s, at byte %zu: %s", xh_err_text(rc), json.offset + 1, json.what);
  line = xh_json_trim(line);
  rc = split(line, &p, ret_fault);
  int id_rc = read_id(&p, &e, ret_fault); /* also of a line that is refused: its answer can name it */
  if (rc == 0)
    rc = id_rc;
  if (rc == 0)
    rc = read_kind(&p, &e, ret_fault);
  if (rc == 0)
    *ret_envelope = e;
  return rc;
}
