/*
 * Signatures: what was signed verifies, and nothing else does. Three lines: a secret, the value of a signature header, a body.
 */
#include "fuzz.h"

#include "base/err.h"
#include "base/signature.h"

static const int64_t SENT_S = 1700000000;

static int verify(const xh_secret *secrets, size_t count, const char *id, const char *signature, xh_str body, int64_t now_s)
{
  return xh_verify(secrets, count, xh_str_z(id), XH_STR("1700000000"), xh_str_z(signature), body, now_s, 300);
}

static void check_secret(const xh_secret *secret, xh_str body)
{
  char signature[XH_SIGNATURE_SIZE], both[2 * XH_SIGNATURE_SIZE + 16];
  xh_secret other = *secret;
  other.key[0] ^= 1;
  const xh_secret pair[2] = {other, *secret};
  CHECK(secret->len >= 1 && secret->len <= XH_SECRET_BYTES_MAX);
  CHECK(xh_sign(secret, XH_STR("msg_1"), SENT_S, body, signature) == 0);
  snprintf(both, sizeof both, "v1a,xxxx v1,AAAA  %s", signature);
  CHECK(verify(secret, 1, "msg_1", signature, body, SENT_S) == 0);
  CHECK(verify(secret, 1, "msg_1", both, body, SENT_S + 300) == 0);
  CHECK(verify(pair, 2, "msg_1", signature, body, SENT_S) == 0);
  CHECK(verify(&other, 1, "msg_1", signature, body, SENT_S) == XH_ESIGNATURE);
  CHECK(verify(secret, 1, "msg_2", signature, body, SENT_S) == XH_ESIGNATURE);
  CHECK(verify(secret, 1, "msg_1", signature, body, SENT_S + 301) == XH_ESTALE);
  CHECK(verify(secret, 1, "msg_1", signature, body, SENT_S - 301) == XH_ESTALE);
  if (body.len > 0)
    CHECK(verify(secret, 1, "msg_1", signature, (xh_str){body.ptr, body.len - 1}, SENT_S) == XH_ESIGNATURE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
  xh_str rest = {(const char *)data, size};
  xh_str text = fuzz_line(&rest), header = fuzz_line(&rest);
  char *copy = fuzz_copy(text.ptr, text.len), *headers = fuzz_copy(header.ptr, header.len), *body = fuzz_copy(rest.ptr, rest.len);
  xh_secret secret, fixed;
  xh_str sent = {body, rest.len}, signatures = {headers, header.len};
  CHECK(xh_secret_parse(XH_STR("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), &fixed) == 0);
  int rc = xh_secret_parse((xh_str){copy, text.len}, &secret);
  CHECK(rc == 0 || rc == XH_EINVAL);
  if (rc == 0)
    check_secret(&secret, sent);
  rc = xh_verify(&fixed, 1, XH_STR("msg_1"), signatures, signatures, sent, SENT_S, 300); /* any bytes as time stamp */
  CHECK(rc == XH_ESTALE || rc == XH_ESIGNATURE);
  rc = xh_verify(&fixed, 1, XH_STR("msg_1"), XH_STR("1700000000"), signatures, sent, SENT_S, 300);
  CHECK(rc == XH_ESIGNATURE);
  free(copy);
  free(headers);
  free(body);
  return 0;
}
