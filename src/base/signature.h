/*
 * Standard Webhooks 1.0 signatures (standard-webhooks specification, "Signature scheme"): HMAC-SHA256 over
 * "id.timestamp.body", base64, prefixed "v1,"; several, separated by spaces, while a secret is rotated.
 * Any thread.
 */
#ifndef XH_BASE_SIGNATURE_H
#define XH_BASE_SIGNATURE_H

#include "base/str.h"

#include <stdint.h>

enum { XH_SECRET_BYTES_MAX = 512, XH_SIGNATURE_SIZE = 48 };

typedef struct xh_secret {
  unsigned char key[XH_SECRET_BYTES_MAX];
  size_t len;
} xh_secret;

/* Reads a secret: "whsec_" followed by base64, or plain text, whose bytes are the key. XH_EINVAL when it is empty, too
 * long, or not base64 after "whsec_". */
int xh_secret_parse(xh_str text, xh_secret *ret_secret);

/* Writes "v1,BASE64" and its NUL to `out`. */
int xh_sign(const xh_secret *secret, xh_str id, int64_t timestamp_s, xh_str body, char out[XH_SIGNATURE_SIZE]);

/*
 * Does one signature of the header value (several, separated by spaces; other versions are skipped) fit one of the
 * secrets? Constant time in the signatures' bytes. Returns 0, XH_ESIGNATURE, or XH_ESTALE when `timestamp` (the header,
 * decimal seconds) is no number or further than `tolerance_s` from `now_s` either way.
 */
int xh_verify(const xh_secret *secrets, size_t count, xh_str id, xh_str timestamp, xh_str signatures, xh_str body,
              int64_t now_s, int64_t tolerance_s);

#endif
