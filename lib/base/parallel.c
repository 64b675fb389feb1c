#include "base/parallel.h"

#include "base/fpenv.h"

/* A host's worker may run with another rounding mode: each task brings its own. */
typedef struct guarded_task {
  q8_task_fn task;
  void *argument;
} guarded_task;

static void run_guarded(void *argument, size_t i) {
  const guarded_task *guarded = argument;
  q8_fpenv old = q8_fpenv_enter();
  guarded->task(guarded->argument, i);
  q8_fpenv_leave(old);
}

void q8_parallel(const q8_host *host, size_t count, q8_task_fn task, void *argument) {
  if (count <= 1 || host->threads <= 1) {
    for (size_t i = 0; i < count; i++)
      task(argument, i);
    return;
  }
  guarded_task guarded = {task, argument};
  host->parallel_for(host->user, count, run_guarded, &guarded);
}
