/*
 * One process at a time writes to a data folder: an advisory lock (flock) on the file xo-hooks.lock, which holds the owner's process
 * id. The kernel gives it up with the process, however that ends. Any thread.
 */
#ifndef XH_OUTBOX_LOCK_H
#define XH_OUTBOX_LOCK_H

/* Makes the folder (0700) when it is missing and takes its lock. Returns 0 with the descriptor to close; XH_EBUSY with the owner's
 * process id (0 when it can't be read); XH_EDENIED, XH_EFULL, XH_EIO. */
int xh_folder_lock(const char *folder, int *ret_fd, int *ret_pid);

/* The process id of the folder's owner: 0 when nobody has it, -1 when somebody has it who can't be named. */
int xh_folder_owner(const char *folder);

#endif
