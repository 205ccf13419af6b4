/* OpenSSL's own functions of SHA-256: those of EVP set the whole library up, 2 MiB that an idle program does not need. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/digest.h"

#include <openssl/sha.h>
#include <stdio.h>

void xh_digest(xh_str text, char out[XH_DIGEST_SIZE])
{
  unsigned char hash[SHA256_DIGEST_LENGTH];
  SHA256_CTX sha;
  SHA256_Init(&sha);
  SHA256_Update(&sha, text.ptr, text.len);
  SHA256_Final(hash, &sha);
  for (size_t i = 0; i < sizeof hash; i++)
    snprintf(out + 2 * i, 3, "%02x", hash[i]);
}
