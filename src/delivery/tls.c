#include "delivery/tls.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

/* Replaces OpenSSL's chain verification: the one certificate with that fingerprint is accepted, nothing else. */
static int verify_pinned(X509_STORE_CTX *store, void *arg)
{
  const char *pinned = arg;
  X509 *leaf = X509_STORE_CTX_get0_cert(store);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned len = 0;
  char hex[65] = "";
  if (leaf && X509_digest(leaf, EVP_sha256(), digest, &len) && len == 32)
    for (unsigned i = 0; i < len; i++)
      snprintf(hex + 2 * i, 3, "%02x", digest[i]);
  if (strcmp(hex, pinned) == 0)
    return 1;
  X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
  return 0;
}

static CURLcode on_ssl_context(CURL *easy, void *ssl_context, void *arg)
{
  (void)easy;
  SSL_CTX *context = ssl_context;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
  SSL_CTX_set_cert_verify_callback(context, verify_pinned, arg);
  return CURLE_OK;
}

static CURLcode apply_pin(CURL *easy, char *fingerprint)
{
  CURLcode rc = curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_ssl_context);
  if (rc == CURLE_OK)
    rc = curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, fingerprint);
  /* curl's own checks are off: verify_pinned is stricter than they are. */
  if (rc == CURLE_OK)
    rc = curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
  if (rc == CURLE_OK)
    rc = curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
  /* The caches of connections and sessions do not know of the pin: neither may be shared, a resumed session is not verified again. */
  if (rc == CURLE_OK)
    rc = curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
  if (rc == CURLE_OK)
    rc = curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
  if (rc == CURLE_OK)
    rc = curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
  return rc;
}

CURLcode xh_tls_apply(CURL *easy, const xh_tls *tls)
{
  CURLcode rc = CURLE_OK;
  if (tls->ca_file)
    rc = curl_easy_setopt(easy, CURLOPT_CAINFO, tls->ca_file);
  if (rc == CURLE_OK && tls->certificate_file)
    rc = curl_easy_setopt(easy, CURLOPT_SSLCERT, tls->certificate_file);
  if (rc == CURLE_OK && tls->key_file)
    rc = curl_easy_setopt(easy, CURLOPT_SSLKEY, tls->key_file);
  if (rc == CURLE_OK && tls->certificate_file) /* without one OpenSSL would ask on the terminal, and the loop wait for it */
    rc = curl_easy_setopt(easy, CURLOPT_KEYPASSWD, tls->passphrase ? tls->passphrase : "");
  if (rc == CURLE_OK && tls->pinned_certificate)
    rc = apply_pin(easy, tls->pinned_certificate);
  return rc;
}
