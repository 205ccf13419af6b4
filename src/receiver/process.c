#include "receiver/process.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct xh_reaper {
  uv_signal_t signal;
  uv_loop_t *loop;
  xh_process *first;
  sigset_t ignored;       /* by us, which a script would inherit: they are given back their default */
  char chunk[64 * 1024]; /* what is being read of some output; libuv asks for it and gives it back within one turn */
};

struct xh_process {
  xh_process *next, **link; /* in the reaper's list until it has ended */
  xh_reaper *reaper;
  pid_t pid;
  uv_pipe_t output;
  uv_timer_t timer;
  int open_handles;
  bool exited; /* but not reaped before the end, so that its number stays taken and names this group only */
  bool closed; /* its output */
  bool last_look; /* at the output, before what holds it is ended */
  bool stopping, killed;
  bool told; /* its end; what it left is being ended, and then it is reaped */
  int64_t limit_at_ms; /* by the loop's clock; 0: none */
  bool timed_out;
  size_t written_bytes;
  xh_buf rest; /* of the last line */
  xh_process_end end;
  xh_process_spec spec; /* its callbacks only */
};

static void look_for_ended(uv_signal_t *handle, int signum);

static void free_reaper(uv_handle_t *handle)
{
  free(handle->data);
}

static void find_ignored(sigset_t *ret_ignored)
{
  sigemptyset(ret_ignored);
  for (int number = 1; number < NSIG; number++) {
    struct sigaction action;
    if (sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
      sigaddset(ret_ignored, number);
  }
}

int xh_reaper_new(uv_loop_t *loop, xh_reaper **ret_reaper)
{
  xh_reaper *reaper = calloc(1, sizeof *reaper);
  if (!reaper)
    return XH_ENOMEM;
  reaper->loop = loop;
  find_ignored(&reaper->ignored);
  reaper->signal.data = reaper;
  if (uv_signal_init(loop, &reaper->signal) != 0) {
    free(reaper);
    return XH_ENOMEM;
  }
  if (uv_signal_start(&reaper->signal, look_for_ended, SIGCHLD) != 0) {
    uv_close((uv_handle_t *)&reaper->signal, free_reaper);
    return XH_ENOMEM;
  }
  uv_unref((uv_handle_t *)&reaper->signal);
  *ret_reaper = reaper;
  return 0;
}

void xh_reaper_close(xh_reaper *reaper)
{
  if (reaper)
    uv_close((uv_handle_t *)&reaper->signal, free_reaper);
}

static void free_process(uv_handle_t *handle)
{
  xh_process *process = handle->data;
  if (--process->open_handles > 0)
    return;
  xh_buf_done(&process->rest);
  free(process);
}

static void emit_line(xh_process *process, xh_str text)
{
  if (process->written_bytes > XH_OUTPUT_RUN_BYTES)
    return;
  process->written_bytes += text.len + 1;
  process->spec.line(process->spec.arg,
                     process->written_bytes > XH_OUTPUT_RUN_BYTES ? XH_STR("(more than 1 MiB of output: the rest is dropped)") : text);
}

static void reap(xh_process *process)
{
  while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR)
    ;
  uv_close((uv_handle_t *)&process->timer, free_process);
}

static void tell_end(xh_process *process)
{
  if (process->rest.len > 0)
    emit_line(process, xh_buf_span(&process->rest));
  *process->link = process->next;
  if (process->next)
    process->next->link = process->link;
  process->told = true;
  process->end.timed_out = process->timed_out;
  process->spec.ended(process->spec.arg, &process->end);
}

static void end_if_done(xh_process *process)
{
  if (!process->exited || !process->closed || process->told)
    return;
  tell_end(process);
  reap(process);
}

/* SIGKILL cannot be refused: whoever still holds the output has left the group, and is not waited for. */
static void close_output(xh_process *process)
{
  if (process->closed)
    return;
  process->closed = true;
  uv_close((uv_handle_t *)&process->output, free_process);
}

static void on_kill(uv_timer_t *timer);

/* The script has ended, and something in the background holds its output: that does not count as the script. It is ended, too; the outcome
 * need not wait for it. */
static void on_grace(uv_timer_t *timer)
{
  xh_process *process = timer->data;
  if (!process->last_look) { /* the loop may have been late: what came meanwhile is read first */
    process->last_look = true;
    uv_timer_start(timer, on_grace, 1, 0);
    return;
  }
  process->end.left = true;
  close_output(process);
  kill(-process->pid, SIGTERM);
  tell_end(process);
  uv_timer_start(timer, on_kill, XH_KILL_AFTER_MS, 0);
}

static void wait_for_output(xh_process *process)
{
  if (process->closed || process->stopping)
    return;
  int64_t grace_ms = XH_OUTPUT_GRACE_MS, now_ms = (int64_t)uv_now(process->reaper->loop);
  if (process->limit_at_ms > 0 && process->limit_at_ms - now_ms < grace_ms)
    grace_ms = process->limit_at_ms > now_ms ? process->limit_at_ms - now_ms : 0;
  uv_timer_start(&process->timer, on_grace, (uint64_t)grace_ms, 0);
}

static void look_for_ended(uv_signal_t *handle, int signum)
{
  (void)signum;
  xh_reaper *reaper = handle->data;
  for (xh_process *process = reaper->first, *next; process; process = next) {
    next = process->next;
    siginfo_t info = {.si_pid = 0};
    if (process->exited || waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
      continue;
    process->exited = true;
    process->end.exit_status = info.si_code == CLD_EXITED ? info.si_status : -1;
    process->end.signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
    if (process->killed)
      close_output(process);
    wait_for_output(process);
    end_if_done(process);
  }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
  (void)suggested;
  xh_process *process = handle->data;
  *buf = uv_buf_init(process->reaper->chunk, sizeof process->reaper->chunk);
}

/* Emits the line so far, which has no end yet: without the beginning of a character at its end, which stays. */
static void emit_part(xh_process *process)
{
  xh_str line = xh_buf_span(&process->rest);
  size_t whole = xh_utf8_whole(line.ptr, line.len);
  emit_line(process, (xh_str){line.ptr, whole});
  xh_buf_drop(&process->rest, whole);
}

static void take(xh_process *process, xh_str bytes)
{
  while (bytes.len > 0) {
    const char *newline = memchr(bytes.ptr, '\n', bytes.len);
    size_t length = newline ? (size_t)(newline - bytes.ptr) : bytes.len;
    size_t room = XH_OUTPUT_LINE_BYTES - process->rest.len;
    size_t used = length < room ? length : room;
    xh_buf_append(&process->rest, bytes.ptr, used);
    bool whole = newline && used == length;
    if (whole) {
      emit_line(process, xh_buf_span(&process->rest));
      xh_buf_clear(&process->rest);
    } else if (process->rest.len >= XH_OUTPUT_LINE_BYTES) {
      emit_part(process);
    }
    used += whole ? 1 : 0;
    bytes = (xh_str){bytes.ptr + used, bytes.len - used};
  }
}

static void on_output(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
  xh_process *process = stream->data;
  if (count > 0)
    take(process, (xh_str){buf->base, (size_t)count});
  if (count >= 0)
    return;
  close_output(process);
  end_if_done(process);
}

static void on_kill(uv_timer_t *timer)
{
  xh_process *process = timer->data;
  process->killed = true;
  kill(-process->pid, SIGKILL);
  if (process->told) {
    reap(process);
    return;
  }
  if (process->exited)
    close_output(process);
  end_if_done(process);
}

void xh_process_stop(xh_process *process)
{
  if (process->stopping)
    return;
  process->stopping = true;
  kill(-process->pid, SIGTERM);
  uv_timer_start(&process->timer, on_kill, XH_KILL_AFTER_MS, 0);
}

static void on_limit(uv_timer_t *timer)
{
  xh_process *process = timer->data;
  process->timed_out = true;
  xh_process_stop(process);
}

/* Standard input is a file in memory: the script may read it at any pace or not at all, and nobody waits for it. */
static int input_file(xh_str input)
{
  int fd = memfd_create("event", MFD_CLOEXEC);
  for (size_t at = 0; fd >= 0 && at < input.len;) {
    ssize_t n = write(fd, input.ptr + at, input.len - at);
    if (n > 0) {
      at += (size_t)n;
    } else if (n == 0 || errno != EINTR) {
      int saved = errno;
      close(fd);
      errno = saved ? saved : EIO;
      return -1;
    }
  }
  if (fd >= 0)
    lseek(fd, 0, SEEK_SET);
  return fd;
}

/* posix_spawn uses a vfork: the cost does not grow with our memory. Nothing of ours stays open in the script. */
static int spawn(const xh_reaper *reaper, const xh_process_spec *spec, int in, int out, pid_t *ret_pid)
{
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;
  sigset_t none;
  sigemptyset(&none);
  if (posix_spawnattr_init(&attributes) != 0)
    return ENOMEM;
  if (posix_spawn_file_actions_init(&actions) != 0) {
    posix_spawnattr_destroy(&attributes);
    return ENOMEM;
  }
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setsigdefault(&attributes, &reaper->ignored);
  posix_spawnattr_setsigmask(&attributes, &none);
  int error = posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  if (!error)
    error = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  if (!error)
    error = posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
  if (!error)
    error = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  if (!error && spec->workdir)
    error = posix_spawn_file_actions_addchdir_np(&actions, spec->workdir);
  char *argv[] = {strdup(spec->name), NULL};
  if (!error)
    error = argv[0] ? posix_spawn(ret_pid, spec->path, &actions, &attributes, argv, spec->env) : ENOMEM;
  free(argv[0]);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return error;
}

static void watch(xh_reaper *reaper, xh_process *process, int fd)
{
  process->reaper = reaper;
  process->open_handles = 2;
  process->output.data = process->timer.data = process;
  uv_pipe_init(reaper->loop, &process->output, 0);
  uv_timer_init(reaper->loop, &process->timer);
  int error = uv_pipe_open(&process->output, fd);
  if (error)
    close(fd);
  if (error || uv_read_start((uv_stream_t *)&process->output, on_alloc, on_output) != 0)
    close_output(process); /* it runs to its end, unheard */
  if (process->spec.limit_ms > 0) {
    process->limit_at_ms = (int64_t)uv_now(reaper->loop) + process->spec.limit_ms;
    uv_timer_start(&process->timer, on_limit, (uint64_t)process->spec.limit_ms, 0);
  }
  process->next = reaper->first;
  if (process->next)
    process->next->link = &process->next;
  process->link = &reaper->first;
  reaper->first = process;
}

int xh_process_start(xh_reaper *reaper, const xh_process_spec *spec, xh_process **ret_process, int *ret_errno)
{
  xh_process *process = calloc(1, sizeof *process);
  if (!process) {
    *ret_errno = ENOMEM;
    return XH_ENOMEM;
  }
  process->spec = *spec;
  xh_buf_init(&process->rest, XH_OUTPUT_LINE_BYTES);
  int pipe_fds[2] = {-1, -1}, error = 0;
  int in = input_file(spec->input);
  if (in < 0 || pipe2(pipe_fds, O_CLOEXEC) != 0)
    error = errno;
  if (!error)
    error = spawn(reaper, spec, in, pipe_fds[1], &process->pid);
  if (in >= 0)
    close(in);
  if (pipe_fds[1] >= 0)
    close(pipe_fds[1]);
  if (error) {
    if (pipe_fds[0] >= 0)
      close(pipe_fds[0]);
    free(process);
    *ret_errno = error;
    return xh_err_from_errno(error);
  }
  watch(reaper, process, pipe_fds[0]);
  *ret_process = process;
  return 0;
}
