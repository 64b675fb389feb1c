/* threads.c - a small pool behind the library's parallel_for callback. Idle workers sleep. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tool.h"

struct thread_pool {
  pthread_t *threads;
  long count;
  pthread_mutex_t lock;
  pthread_cond_t work, done;
  unsigned long round; /* of parallel_for calls */
  long busy;
  int stop;
  void (*task)(void *, size_t);
  void *argument;
  size_t total;
  atomic_size_t next;
};

static void take_tasks(thread_pool *pool) {
  for (size_t i; (i = atomic_fetch_add(&pool->next, 1)) < pool->total;)
    pool->task(pool->argument, i);
}

static void *worker(void *user) {
  thread_pool *pool = user;
  unsigned long seen = 0;
  pthread_mutex_lock(&pool->lock);
  for (;;) {
    while (!pool->stop && pool->round == seen)
      pthread_cond_wait(&pool->work, &pool->lock);
    if (pool->stop)
      break;
    seen = pool->round;
    pthread_mutex_unlock(&pool->lock);
    take_tasks(pool);
    pthread_mutex_lock(&pool->lock);
    if (--pool->busy == 0)
      pthread_cond_signal(&pool->done);
  }
  pthread_mutex_unlock(&pool->lock);
  return NULL;
}

static void parallel_for(void *user, size_t count, void (*task)(void *, size_t), void *argument) {
  thread_pool *pool = user;
  pthread_mutex_lock(&pool->lock);
  pool->task = task;
  pool->argument = argument;
  pool->total = count;
  atomic_store(&pool->next, 0);
  pool->busy = pool->count;
  pool->round++;
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->lock);
  take_tasks(pool);
  pthread_mutex_lock(&pool->lock);
  while (pool->busy)
    pthread_cond_wait(&pool->done, &pool->lock);
  pthread_mutex_unlock(&pool->lock);
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
  pthread_mutex_lock(&pool->lock);
  pool->stop = 1;
  pthread_cond_broadcast(&pool->work);
  pthread_mutex_unlock(&pool->lock);
  for (long i = 0; i < pool->count; i++)
    pthread_join(pool->threads[i], NULL);
  free(pool->threads);
  free(pool);
}
