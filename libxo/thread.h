/* thread.h - threads of ours. */
#ifndef XO_THREAD_H
#define XO_THREAD_H

#include <pthread.h>
#include <stddef.h>

/* Starts main(arg), with all signals blocked: they are for the program's own threads.
 * `stack_bytes` 0: the system's default. On failure -1, and errno is pthread_create(3)'s answer. */
int xoi_thread_start(pthread_t *thread, size_t stack_bytes, void *(*main)(void *arg), void *arg);

#endif
