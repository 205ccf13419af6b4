/* One function a format: an event (masked and filtered already) → the body. Pure; internal to src/payload. */
#ifndef XH_PAYLOAD_FORMATS_H
#define XH_PAYLOAD_FORMATS_H

#include "base/buf.h"
#include "base/event.h"

/* "Office 365 connectors: legacy actionable message card reference" (MessageCard), as XO's stock plugin fills it in. */
void format_office365(const xh_event *event, xh_buf *out);

/* A Teams workflow's message with one Adaptive Card 1.4 (adaptivecards.io/schemas/adaptive-card.json). */
void format_teams(const xh_event *event, xh_str source, xh_buf *out);

/* Slack incoming web hook: fallback text and Block Kit. */
void format_slack(const xh_event *event, xh_str source, xh_buf *out);

/* CloudEvents 1.0, JSON format 1.0, structured mode. The id is made from the `original`: `fields` may have left the call's id out, and
 * receivers drop what has an id that they have seen. */
void format_cloudevents(const xh_event *event, const xh_event *original, xh_str source, xh_buf *out);

#endif
