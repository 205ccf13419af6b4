#include "receiver/job.h"

#include <stdlib.h>

xh_job *xh_job_new(void)
{
  xh_job *job = calloc(1, sizeof *job);
  if (job)
    job->attempt = 1;
  return job;
}

void xh_job_free(xh_job *job)
{
  if (!job)
    return;
  free(job->delivery);
  free(job->method);
  free(job->object);
  free(job->forward);
  free(job->headers);
  free(job->body);
  free(job->resume);
  free(job);
}

char *xh_job_copy(xh_str text)
{
  return text.ptr ? strndup(text.ptr, text.len) : NULL;
}

size_t xh_job_bytes(const xh_job *job)
{
  return sizeof *job + job->body_len + (job->headers ? strlen(job->headers) : 0) + 512;
}

void xh_job_list_push(xh_job_list *list, xh_job *job)
{
  job->next = NULL;
  if (list->last)
    list->last->next = job;
  else
    list->first = job;
  list->last = job;
  list->count++;
}

xh_job *xh_job_list_pop(xh_job_list *list)
{
  xh_job *job = list->first;
  if (!job)
    return NULL;
  list->first = job->next;
  if (!list->first)
    list->last = NULL;
  list->count--;
  job->next = NULL;
  return job;
}
