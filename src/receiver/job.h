/*
 * A job: what one accepted request has to do, either its scripts or its way on to one other URL. Plain memory; whoever holds the
 * pointer owns it.
 */
#ifndef XH_RECEIVER_JOB_H
#define XH_RECEIVER_JOB_H

#include "base/event.h"

#include <stdint.h>

typedef struct xh_job xh_job;

/* All strings are terminated, owned by the job, and NULL when there is nothing to say. */
struct xh_job {
  xh_job *next;     /* for the list it is in */
  int64_t spool_id; /* its row; 0 without a spool */
  char *delivery;   /* the delivery's id, for people and programs */
  char *method;     /* NULL for cards */
  xh_event_type type;
  char *object;     /* JSON text of params.id, when jobs of one object run one at a time */
  char *forward;    /* the URL to pass the request on to; NULL: run the scripts */
  char *headers;    /* "Name: value" lines to pass on */
  char *body;       /* the request's bytes */
  size_t body_len;
  int attempt;      /* the one to make next, from 1 */
  char *resume;     /* the script that failed last time: those before it are done */
  void *waiter;     /* whoever waits for the outcome; borrowed */
};

/* How an attempt ended. Borrowed for the callback. */
typedef struct xh_job_outcome {
  bool ok;
  bool timed_out;
  bool nothing; /* there was no script to run */
  char script[256]; /* the script that failed, or the URL without its secrets */
  char words[200];  /* "exit status 3" */
  xh_str tail;      /* the last lines that the scripts wrote */
  int64_t duration_ms;
} xh_job_outcome;

/* Zeroed, attempt 1; NULL when out of memory. */
xh_job *xh_job_new(void);
void xh_job_free(xh_job *job); /* NULL allowed */

/* A terminated copy; NULL for an absent text or without memory. */
char *xh_job_copy(xh_str text);

/* What the job keeps in memory, about. */
size_t xh_job_bytes(const xh_job *job);

/* First in, first out. */
typedef struct xh_job_list {
  xh_job *first, *last;
  size_t count;
} xh_job_list;

void xh_job_list_push(xh_job_list *list, xh_job *job);
xh_job *xh_job_list_pop(xh_job_list *list); /* NULL when empty */

#endif
