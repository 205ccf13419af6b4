/* A line → what its source wants (docs/protocol.md, "From the source"). Pure; spans point into the line. */
#ifndef XH_INTAKE_ENVELOPE_H
#define XH_INTAKE_ENVELOPE_H

#include "intake/intake.h"

typedef enum envelope_kind { ENVELOPE_HELLO, ENVELOPE_CONFIGURE, ENVELOPE_EVENT, ENVELOPE_CALL } envelope_kind;

typedef struct envelope {
  envelope_kind kind;
  int64_t id; /* 0: none */
  bool wait;
  xh_hello hello;
  xh_str config;
  xh_str call;   /* its name */
  xh_str params; /* "{}" when absent */
  xh_event event;
} envelope;

typedef struct envelope_fault {
  int64_t id; /* of the line, when it could be read; 0 otherwise */
  bool is_event;
  char what[240];
} envelope_fault;

/* Returns 0, a code of xh_json_validate or xh_event_parse, or XH_EPROTOCOL; `ret_fault` then says what is wrong. */
int envelope_parse(xh_str line, envelope *ret_envelope, envelope_fault *ret_fault);

#endif
