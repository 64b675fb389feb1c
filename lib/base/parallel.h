/* parallel.h - splitting work over the host's threads. Results never depend on the split. */
#ifndef Q8_BASE_PARALLEL_H
#define Q8_BASE_PARALLEL_H

#include "base/memory.h"

typedef void (*q8_task_fn)(void *argument, size_t i);

/* Runs task(argument, 0 .. count-1); on the calling thread when count is 1 or the host has one thread. */
void q8_parallel(const q8_host *host, size_t count, q8_task_fn task, void *argument);

#endif
