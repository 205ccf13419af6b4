/*
 * The first judgement of a request, from its request line and headers alone, before a byte of the body is read. Pure; any thread.
 */
#ifndef XH_RECEIVER_HEAD_H
#define XH_RECEIVER_HEAD_H

#include "base/signature.h"

#include <stdbool.h>
#include <stdint.h>

/* What a client must present. All is borrowed. */
typedef struct xh_gate {
  xh_str path;              /* the only path that is served; absent: every path, as the stock plugin's users expect */
  xh_str token;             /* bearer token; absent: none asked for */
  const xh_secret *secrets; /* of signatures: the present one and the one before it */
  size_t secret_count;      /* 0: signatures are not looked at */
  int64_t tolerance_s;
  size_t body_cap_bytes;
} xh_gate;

/* What a request presents. Absent headers have NULL pointers. */
typedef struct xh_head {
  xh_str method, path, version;
  xh_str content_type, content_length, content_encoding, authorization;
  xh_str expect;                   /* the client waits for a word before it sends the body */
  xh_str id, timestamp, signature; /* webhook-id, webhook-timestamp, webhook-signature */
  xh_str transfer_encoding;
  const char *framing_fault; /* NULL: none; else why nobody can say where the body ends */
} xh_head;

typedef struct xh_verdict {
  int status; /* 0: go on; otherwise the HTTP status to answer with */
  bool last; /* where the request ends is not sure: nothing that follows on the connection may be taken for a request */
  char why[192];
} xh_verdict;

enum { XH_DELIVERY_ID_MAX = 256 };

/* Takes one header in, in their order. Strings are borrowed. */
void xh_head_add(xh_head *head, const char *name, const char *value);

/* Judges the framing (RFC 9112, 6.3), method, path, token, content type, announced length, and that the signature's headers are there. */
xh_verdict xh_head_judge(const xh_gate *gate, const xh_head *head);

/* Judges the signature over the whole body. */
xh_verdict xh_body_judge(const xh_gate *gate, const xh_head *head, xh_str body, int64_t now_s);

/* "application/json", with parameters, and "application/…+json". */
bool xh_is_json_type(xh_str content_type);

#endif
