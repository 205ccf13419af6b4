/* The TLS side of one exchange: own CA, client certificate, pinned certificate. */
#ifndef XH_DELIVERY_TLS_H
#define XH_DELIVERY_TLS_H

#include "hooks/hook.h"

#include <curl/curl.h>

/* Sets what `tls` asks for on the handle; `tls` is borrowed until the exchange ends. Returns curl's code. */
CURLcode xh_tls_apply(CURL *easy, const xh_tls *tls);

#endif
