/* Envelopes: a line is understood, with all its parts inside it, or refused in words; and an id is told even then. */
#include "fuzz.h"

#include "intake/envelope.h"

static void check_understood(const envelope *e, xh_str line)
{
  CHECK(e->id >= 0);
  switch (e->kind) {
  case ENVELOPE_EVENT:
    fuzz_check_value(e->event.raw, line);
    fuzz_check_value(e->event.params, line);
    CHECK(e->event.raw.ptr && e->event.method.len > 0);
    CHECK(!e->wait || e->id > 0);
    break;
  case ENVELOPE_CALL:
    CHECK(e->id > 0 && fuzz_is_inside(e->call, line));
    CHECK(xh_json_typeof(e->params) == XH_JSON_OBJECT && xh_json_validate(e->params, NULL) == 0);
    break;
  case ENVELOPE_CONFIGURE:
    CHECK(e->id > 0 && e->config.ptr);
    fuzz_check_value(e->config, line);
    break;
  case ENVELOPE_HELLO:
    CHECK(*e->hello.source && memchr(e->hello.source, 0, sizeof e->hello.source) && memchr(e->hello.session, 0, sizeof e->hello.session));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  char *copy = fuzz_copy(data, size);
  xh_str line = {copy, size};
  envelope e;
  envelope_fault fault;
  int rc = envelope_parse(line, &e, &fault);
  if (rc == 0)
    check_understood(&e, line);
  else
    CHECK(rc < 0 && *fault.what && memchr(fault.what, 0, sizeof fault.what) && fault.id >= 0);
  free(copy);
  return 0;
}
