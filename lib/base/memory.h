/* memory.h - the host's allocator, and arenas that free everything at once. */
#ifndef Q8_BASE_MEMORY_H
#define Q8_BASE_MEMORY_H

#include "base/status.h"

/* Where an object gets its memory, threads and progress: a copy of the caller's qint8_host with defaults filled in. */
typedef struct q8_host {
  void *user;
  void *(*allocate)(void *user, size_t size, size_t alignment);
  void (*release)(void *user, void *memory);
  void (*parallel_for)(void *user, size_t count, void (*task)(void *, size_t), void *argument);
  int32_t (*progress)(void *user, const char *what, size_t done, size_t total);
  int32_t threads;
} q8_host;

/* Defaults for NULL. ARGUMENT if only one of allocate and release is given or threads is negative. */
q8_status q8_host_init(q8_host *out, const qint8_host *host, qint8_error *error);

/* Tells the host, if it wants to know, that `done` of `total` are done; CANCELLED if it says to stop. */
q8_status q8_progress(const q8_host *host, const char *what, size_t done, size_t total, qint8_error *error);

#define Q8_ALIGN 64

/* 64-byte aligned, uninitialised / zeroed; NULL on failure and for count * size overflow. */
void *q8_alloc(const q8_host *host, size_t count, size_t size);
void *q8_calloc(const q8_host *host, size_t count, size_t size);
/* `host` may lie in `memory`. */
void q8_free(const q8_host *host, void *memory);
/* Grows an array to hold at least `needed` elements (doubling); keeps the old array on failure. */
int q8_grow(const q8_host *host, void **array, size_t *capacity, size_t needed, size_t size, size_t used);

/* A zeroed object that begins with its q8_host or its q8_pool, whose host is a copy; NULL without memory, which `error`
 * tells. */
void *q8_new(const q8_host *host, size_t size, const char *what, qint8_error *error);

/* Many small allocations with one owner: graph, recipe and plan live in one each. */
typedef struct q8_pool {
  q8_host host;
  struct q8_pool_block *blocks;
  size_t size;    /* bytes handed out */
  size_t refused; /* the first request since the last q8_pool_check that was not met; 0: none */
} q8_pool;
void q8_pool_init(q8_pool *pool, const q8_host *host);
void q8_pool_destroy(q8_pool *pool);
/* An object of q8_new that begins with its pool, and all that is in it. NULL is fine. */
void q8_pool_delete(void *object);
/* MEMORY if a request was refused since the last call: one check for many allocations in a row. */
q8_status q8_pool_check(q8_pool *pool, const char *where, qint8_error *error);
/* Zeroed, aligned to 64 from 64 bytes up and to 16 below. NULL on failure or overflow. */
void *q8_pool_alloc(q8_pool *pool, size_t count, size_t size);
/* The same, not zeroed: for large arrays that are filled at once. */
void *q8_pool_reserve(q8_pool *pool, size_t count, size_t size);
/* One block of that size, of which what follows is cut while it fits; 0 without memory. */
int q8_pool_expect(q8_pool *pool, size_t size);
char *q8_pool_string(q8_pool *pool, const char *text, size_t length);

/* Checked arithmetic: 0 on overflow, the result through `out`. */
int q8_mul(size_t a, size_t b, size_t *out);
int q8_add(size_t a, size_t b, size_t *out);
static inline size_t q8_round_up(size_t value, size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

#endif
