#include "base/signature.h"

#include "base/err.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

static const char VERSION_PREFIX[] = "v1,";

/* EVP_DecodeBlock skips white space at both ends and takes padding anywhere; a mistyped secret would become another one. */
static bool is_base64(xh_str text)
{
  for (size_t i = 0; i < text.len; i++) {
    char c = text.ptr[i];
    bool fits = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
    if (!fits)
      return false;
  }
  return true;
}

/* EVP_DecodeBlock counts the padding as zero bytes; this gives the true length. XH_EINVAL unless it is padded base64. */
static int decode_base64(xh_str text, unsigned char *out, size_t room, size_t *ret_len)
{
  char padded[XH_SECRET_BYTES_MAX * 4 / 3 + 8];
  size_t given = 0;
  for (; given < 3 && text.len > 0 && text.ptr[text.len - 1] == '='; given++)
    text.len--;
  size_t padding = (4 - text.len % 4) % 4;
  if (padding == 3 || (given > 0 && given != padding) || !is_base64(text) || text.len + padding >= sizeof padded || (text.len + padding) / 4 * 3 > room + 2)
    return XH_EINVAL;
  memcpy(padded, text.ptr, text.len);
  memset(padded + text.len, '=', padding);
  unsigned char raw[sizeof padded];
  int len = EVP_DecodeBlock(raw, (const unsigned char *)padded, (int)(text.len + padding));
  if (len < 0 || (size_t)len < padding || (size_t)len - padding > room)
    return XH_EINVAL;
  *ret_len = (size_t)len - padding;
  memcpy(out, raw, *ret_len);
  return 0;
}

int xh_secret_parse(xh_str text, xh_secret *ret_secret)
{
  xh_secret secret = {.len = text.len};
  xh_str prefix = XH_STR("whsec_");
  if (xh_str_starts(text, prefix)) {
    int rc = decode_base64((xh_str){text.ptr + prefix.len, text.len - prefix.len}, secret.key, sizeof secret.key, &secret.len);
    if (rc)
      return rc;
  } else {
    if (text.len > sizeof secret.key)
      return XH_EINVAL;
    memcpy(secret.key, text.ptr, text.len);
  }
  if (secret.len == 0)
    return XH_EINVAL;
  *ret_secret = secret;
  return 0;
}

/* HMAC over the three parts without copying the body; OpenSSL 3's EVP_MAC. */
static int mac(const xh_secret *secret, xh_str id, xh_str timestamp, xh_str body, unsigned char out[32])
{
  static EVP_MAC *hmac; /* fetched once; EVP_MAC is shared and thread-safe */
  EVP_MAC *algorithm = __atomic_load_n(&hmac, __ATOMIC_ACQUIRE);
  if (!algorithm) {
    algorithm = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC *expected = NULL;
    if (algorithm && !__atomic_compare_exchange_n(&hmac, &expected, algorithm, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
      EVP_MAC_free(algorithm);
      algorithm = expected;
    }
  }
  EVP_MAC_CTX *ctx = algorithm ? EVP_MAC_CTX_new(algorithm) : NULL;
  char digest[] = "SHA256";
  OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0), OSSL_PARAM_construct_end()};
  size_t len = 0;
  bool ok = ctx && EVP_MAC_init(ctx, secret->key, secret->len, params) &&
            EVP_MAC_update(ctx, (const unsigned char *)id.ptr, id.len) &&
            EVP_MAC_update(ctx, (const unsigned char *)".", 1) &&
            EVP_MAC_update(ctx, (const unsigned char *)timestamp.ptr, timestamp.len) &&
            EVP_MAC_update(ctx, (const unsigned char *)".", 1) &&
            (body.len == 0 || EVP_MAC_update(ctx, (const unsigned char *)body.ptr, body.len)) &&
            EVP_MAC_final(ctx, out, &len, 32) && len == 32;
  EVP_MAC_CTX_free(ctx);
  return ok ? 0 : XH_ENOMEM;
}

static int sign_text(const xh_secret *secret, xh_str id, xh_str timestamp, xh_str body, char out[XH_SIGNATURE_SIZE])
{
  unsigned char digest[32];
  int rc = mac(secret, id, timestamp, body, digest);
  if (rc)
    return rc;
  memcpy(out, VERSION_PREFIX, sizeof VERSION_PREFIX - 1);
  EVP_EncodeBlock((unsigned char *)out + sizeof VERSION_PREFIX - 1, digest, sizeof digest);
  return 0;
}

int xh_sign(const xh_secret *secret, xh_str id, int64_t timestamp_s, xh_str body, char out[XH_SIGNATURE_SIZE])
{
  char digits[24];
  snprintf(digits, sizeof digits, "%lld", (long long)timestamp_s);
  return sign_text(secret, id, xh_str_z(digits), body, out);
}

static int parse_timestamp(xh_str text, int64_t *ret_s)
{
  int64_t s = 0;
  if (text.len == 0 || text.len > 15)
    return XH_ESTALE;
  for (size_t i = 0; i < text.len; i++) {
    if (text.ptr[i] < '0' || text.ptr[i] > '9')
      return XH_ESTALE;
    s = s * 10 + (text.ptr[i] - '0');
  }
  *ret_s = s;
  return 0;
}

int xh_verify(const xh_secret *secrets, size_t count, xh_str id, xh_str timestamp, xh_str signatures, xh_str body,
              int64_t now_s, int64_t tolerance_s)
{
  int64_t sent_s;
  int rc = parse_timestamp(timestamp, &sent_s);
  if (rc)
    return rc;
  if (sent_s > now_s + tolerance_s || sent_s < now_s - tolerance_s)
    return XH_ESTALE;
  bool fits = false;
  for (size_t i = 0; i < count; i++) {
    char expected[XH_SIGNATURE_SIZE];
    rc = sign_text(&secrets[i], id, timestamp, body, expected);
    if (rc)
      return rc;
    size_t len = strlen(expected);
    for (xh_str rest = signatures; rest.len > 0;) {
      const char *space = memchr(rest.ptr, ' ', rest.len);
      size_t one = space ? (size_t)(space - rest.ptr) : rest.len;
      if (one == len && CRYPTO_memcmp(rest.ptr, expected, len) == 0)
        fits = true;
      size_t used = one + (space ? 1 : 0);
      rest = (xh_str){rest.ptr + used, rest.len - used};
    }
  }
  return fits ? 0 : XH_ESIGNATURE;
}
