/*
 * A compiled hook: one entry of hooks.json, checked, with defaults filled in. Immutable after xh_hooks_compile, so that
 * any thread may read it; reference-counted, because deliveries keep the hook they were accepted with when the
 * configuration changes.
 */
#ifndef XH_HOOKS_HOOK_H
#define XH_HOOKS_HOOK_H

#include "base/digest.h"
#include "base/event.h"
#include "base/signature.h"
#include "base/str.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum xh_format {
  XH_FORMAT_JSON,        /* the event itself */
  XH_FORMAT_OFFICE365,   /* MessageCard, as the stock plugin shapes it */
  XH_FORMAT_TEAMS,       /* Adaptive Card in a message, for Teams workflows */
  XH_FORMAT_SLACK,       /* Slack incoming web hook */
  XH_FORMAT_CLOUDEVENTS, /* CloudEvents 1.0, structured mode */
  XH_FORMAT_COUNT
} xh_format;

typedef enum xh_only { XH_ONLY_ALL, XH_ONLY_SUCCESS, XH_ONLY_FAILURE } xh_only;

enum {
  XH_TIMEOUT_DEFAULT_MS = 10000, /* in all, for one attempt */
  XH_TIMEOUT_MAX_MS = 600000,
  XH_SCHEDULE_MAX = 32,                    /* attempts of one delivery at most */
  XH_EXPIRE_DEFAULT_S = 7 * 86400,         /* counted from the event's acceptance */
  XH_HEADERS_MAX = 32,
  XH_CONDITIONS_MAX = 32
};

typedef struct xh_header {
  char *name;
  char *value; /* secret: never logged, never shown */
} xh_header;

/* One condition on the event: the value at `property` is (or, negated, is not) one of `matches`. */
typedef struct xh_condition {
  char *property; /* "userName", "params.id": names between dots */
  char **matches; /* wildcards * and ? allowed; compared with the text of strings, the JSON text of others */
  size_t match_count;
  bool negate;
} xh_condition;

typedef struct xh_tls {
  char *ca_file;
  char *certificate_file;
  char *key_file;
  char *passphrase;         /* of key_file; secret */
  char *pinned_certificate; /* SHA-256 fingerprint of the one accepted certificate: 64 lower-case hex digits */
} xh_tls;

typedef struct xh_hook {
  atomic_int references;

  char *method;   /* "vm.start", "vm.*", "*" */
  unsigned types; /* XH_PRE | XH_POST */
  char *url;      /* as written, with credentials: secret */
  char *url_shown; /* without user name, password and query: for logs and lists */
  xh_format format;
  bool wait_for_response;
  char *name; /* NULL when not given */
  bool enabled;

  xh_header *headers; /* extra headers, "Authorization: Bearer …" of `token` among them */
  size_t header_count;
  xh_secret secrets[2]; /* the present one first */
  size_t secret_count;  /* 0: requests are not signed */
  int64_t timeout_ms;
  int64_t *schedule_ms; /* the wait before each attempt, the first one mostly 0 */
  size_t schedule_count;
  int64_t expire_ms; /* an event older than this is not sent any more */
  xh_only only;
  xh_condition *when; /* all must hold */
  size_t when_count;
  char **fields; /* properties of the event to send ("params.id" too); NULL for all */
  size_t field_count;
  bool mask_secrets; /* mask credentials in `result` and wherever a key says so */
  bool drop_stack;   /* leave error.stack out */
  xh_tls tls;        /* members NULL when not given */
  char *proxy;       /* NULL: as the environment says; "": none; may hold credentials: secret */

  /* What identifies it in the outbox. */
  char *config;         /* its JSON object in canonical form (sorted keys, no white space), with secrets */
  char digest[XH_DIGEST_SIZE]; /* SHA-256 of config, hex */
  char *target_key;     /* URL, proxy and TLS identity in one string: hooks with the same key share limits and holds */
  uint32_t index;       /* its place in the `hooks` array, from 0 */
} xh_hook;

/* Another reference to `hook`; returns it. Any thread. */
xh_hook *xh_hook_ref(xh_hook *hook);

/* Gives a reference up; frees with the last. NULL allowed. Any thread. */
void xh_hook_unref(xh_hook *hook);

/* Its name or, without one, "METHOD TYPE → URL" with the shown URL. `out` is always terminated. */
void xh_hook_label(const xh_hook *hook, char *out, size_t size);

const char *xh_format_name(xh_format format); /* "json", "office365", … */

/* The Standard Webhooks schedule: at once, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h. */
extern const int64_t XH_SCHEDULE_DEFAULT_MS[10];

#endif
