/* An event told for people: who did what to which object, when, how long it took and how it ended. Pure; internal to src/payload. */
#ifndef XH_PAYLOAD_STORY_H
#define XH_PAYLOAD_STORY_H

#include "base/buf.h"
#include "base/event.h"

#include <stdbool.h>

enum { STORY_TEXT_BYTES_MAX = 600, STORY_SHORT_BYTES_MAX = 200 };

/* Plain text, cut at character boundaries; empty where the event says nothing. */
typedef struct story {
  char title[140];                       /* "VM start failed" */
  char who[STORY_SHORT_BYTES_MAX];       /* "admin@admin.net" */
  char from[80];                         /* the address it came from */
  char object[STORY_TEXT_BYTES_MAX];     /* "web01 (67aac198-…)" */
  char when[40];                         /* "2026-11-23 08:15:30 UTC" */
  char iso[40];                          /* the same for machines */
  char duration[48];                     /* "3.4 s" */
  char result[STORY_TEXT_BYTES_MAX];     /* a short result, such as the id of what was made */
  char error[STORY_TEXT_BYTES_MAX * 2];  /* the error's message */
  char object_id[STORY_SHORT_BYTES_MAX]; /* for machines; empty without */
  bool failed;
} story;

void story_tell(const xh_event *event, story *ret_story); /* without memory some of its texts are still escaped */

/* Copies the text that a JSON value means (strings decoded, others as JSON), cut to fit `size` with "…". */
void story_text(xh_str value, char *out, size_t size);

#endif
