/* threads.c - a small pool behind the library's parallel_for callback. The steps of a run follow each other within
 * microseconds, waking a thread takes tens: so a worker looks out for the next step a little before it sleeps. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tool.h"

#define PATIENCE 50e-6 /* seconds of looking out */

/* The caller writes the task, opens the round, and after the last task closes it and waits until nobody is inside; then
 * it may write the next. A worker that comes late finds it closed, so nobody waits for one that is still waking. */
struct thread_pool {
  pthread_t *threads;
  long count;
  pthread_mutex_t lock;
  pthread_cond_t work, done;
  atomic_ulong round; /* of parallel_for calls */
  atomic_long inside, sleepers;
  atomic_int open, caller_sleeps, stop;
  void (*task)(void *, size_t);
  void *argument;
  size_t total;
  atomic_size_t next;
};

typedef int condition(thread_pool *pool, unsigned long seen);

static int has_news(thread_pool *pool, unsigned long seen) {
  return atomic_load(&pool->round) != seen || atomic_load(&pool->stop);
}

static int is_empty(thread_pool *pool, unsigned long seen) {
  (void)seen;
  return atomic_load(&pool->inside) == 0;
}

static int comes_soon(thread_pool *pool, condition *holds, unsigned long seen) {
  for (double end = 0;;) {
    for (int i = 0; i < 200; i++)
      if (holds(pool, seen))
        return 1;
    double now = now_seconds();
    end = end > 0 ? end : now + PATIENCE;
    if (now > end)
      return 0;
    sched_yield(); /* to whoever has work, where threads are more than cores */
  }
}

static void take_tasks(thread_pool *pool) {
  for (size_t i; (i = atomic_fetch_add(&pool->next, 1)) < pool->total;)
    pool->task(pool->argument, i);
}

static void sleep_until_news(thread_pool *pool, unsigned long seen) {
  pthread_mutex_lock(&pool->lock);
  atomic_fetch_add(&pool->sleepers, 1);
  while (!has_news(pool, seen))
    pthread_cond_wait(&pool->work, &pool->lock);
  atomic_fetch_sub(&pool->sleepers, 1);
  pthread_mutex_unlock(&pool->lock);
}

static void *worker(void *user) {
  thread_pool *pool = user;
  for (unsigned long seen = 0; !atomic_load(&pool->stop);) {
    if (!comes_soon(pool, has_news, seen))
      sleep_until_news(pool, seen);
    seen = atomic_load(&pool->round);
    atomic_fetch_add(&pool->inside, 1);
    if (atomic_load(&pool->open))
      take_tasks(pool);
    if (atomic_fetch_sub(&pool->inside, 1) == 1 && atomic_load(&pool->caller_sleeps)) {
      pthread_mutex_lock(&pool->lock);
      pthread_cond_signal(&pool->done);
      pthread_mutex_unlock(&pool->lock);
    }
  }
  return NULL;
}

static void wake_workers(thread_pool *pool) {
  if (atomic_load(&pool->sleepers) == 0)
    return;
  pthread_mutex_lock(&pool->lock);
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->lock);
}

static void wait_for_workers(thread_pool *pool) {
  if (comes_soon(pool, is_empty, 0))
    return;
  pthread_mutex_lock(&pool->lock);
  atomic_store(&pool->caller_sleeps, 1);
  while (!is_empty(pool, 0))
    pthread_cond_wait(&pool->done, &pool->lock);
  atomic_store(&pool->caller_sleeps, 0);
  pthread_mutex_unlock(&pool->lock);
}

static void parallel_for(void *user, size_t count, void (*task)(void *, size_t), void *argument) {
  thread_pool *pool = user;
  pool->task = task;
  pool->argument = argument;
  pool->total = count;
  atomic_store(&pool->next, 0);
  atomic_store(&pool->open, 1);
  atomic_fetch_add(&pool->round, 1);
  wake_workers(pool);
  take_tasks(pool);
  atomic_store(&pool->open, 0);
  wait_for_workers(pool);
}

void host_open(qint8_host *host, long threads, thread_pool **out) {
  *host = (qint8_host)QINT8_HOST_INIT;
  *out = NULL;
  if (threads < 2)
    return;
  thread_pool *pool = allocate(1, sizeof *pool);
  pool->threads = allocate((size_t)threads, sizeof *pool->threads);
  pthread_mutex_init(&pool->lock, NULL);
  pthread_cond_init(&pool->work, NULL);
  pthread_cond_init(&pool->done, NULL);
  for (; pool->count < threads - 1; pool->count++)
    if (pthread_create(&pool->threads[pool->count], NULL, worker, pool))
      break;
  host->user = pool;
  host->parallel_for = parallel_for;
  host->threads = (int32_t)threads;
  *out = pool;
}

void host_close(thread_pool *pool) {
  if (!pool)
    return;
  atomic_store(&pool->stop, 1);
  wake_workers(pool);
  for (long i = 0; i < pool->count; i++)
    pthread_join(pool->threads[i], NULL);
  free(pool->threads);
  free(pool);
}
