#define _DEFAULT_SOURCE /* madvise */
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

/* Large blocks ask for huge pages, as many as fit: each saves 512 page faults, which cost as much as packing what they
 * hold. */
#define HUGE_PAGE ((size_t)1 << 21)

static void advise_huge(void *memory, size_t size) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  if (memory)
    madvise(memory, size - size % HUGE_PAGE, MADV_HUGEPAGE); /* advice: without it the memory serves as well */
#else
  (void)memory, (void)size;
#endif
}

static void *default_allocate(void *user, size_t size, size_t alignment) {
  (void)user;
  int huge = size >= 2 * HUGE_PAGE;
  size_t rounded;
  if (huge)
    alignment = HUGE_PAGE;
  if (!q8_add(size, alignment - 1, &rounded))
    return NULL;
  rounded -= rounded % alignment;
  void *memory = aligned_alloc(alignment, rounded ? rounded : alignment);
  if (huge)
    advise_huge(memory, size);
  return memory;
}

static void default_release(void *user, void *memory) {
  (void)user;
  free(memory);
}

#ifdef _OPENMP
static void default_parallel_for(void *user, size_t count, void (*task)(void *, size_t), void *argument) {
  (void)user;
#pragma omp parallel for schedule(dynamic, 1)
  for (size_t i = 0; i < count; i++)
    task(argument, i);
}
#else
static void default_parallel_for(void *user, size_t count, void (*task)(void *, size_t), void *argument) {
  (void)user;
  for (size_t i = 0; i < count; i++)
    task(argument, i);
}
#endif

q8_status q8_host_init(q8_host *out, const qint8_host *host, qint8_error *error) {
  *out = (q8_host){.allocate = default_allocate,
                   .release = default_release,
                   .parallel_for = default_parallel_for,
                   .threads = 1};
  if (!host)
    return QINT8_OK;
  if (host->struct_size < sizeof(qint8_host))
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "host", "struct_size is %zu, expected at least %zu",
                   host->struct_size, sizeof(qint8_host));
  if (!host->allocate != !host->release)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "host", "allocate and release must be given together");
  if (host->threads < 0 || host->threads > 1024)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "host", "threads is %d, expected 0 to 1024", (int)host->threads);
  out->user = host->user;
  if (host->allocate) {
    out->allocate = host->allocate;
    out->release = host->release;
  }
  if (host->parallel_for)
    out->parallel_for = host->parallel_for;
  out->progress = host->progress;
  out->threads = host->threads > 0 ? host->threads : 1;
  return QINT8_OK;
}

q8_status q8_progress(const q8_host *host, const char *what, size_t done, size_t total, qint8_error *error) {
  if (host->progress && host->progress(host->user, what, done, total))
    return q8_fail(error, QINT8_ERROR_CANCELLED, what, "stopped by the progress callback");
  return QINT8_OK;
}

void *q8_alloc(const q8_host *host, size_t count, size_t size) {
  size_t bytes;
  if (!q8_mul(count, size, &bytes))
    return NULL;
  return host->allocate(host->user, bytes ? bytes : 1, Q8_ALIGN);
}

void *q8_calloc(const q8_host *host, size_t count, size_t size) {
  void *memory = q8_alloc(host, count, size);
  if (memory)
    memset(memory, 0, count * size);
  return memory;
}

void *q8_new(const q8_host *host, size_t size, const char *what, qint8_error *error) {
  void *object = q8_calloc(host, 1, size);
  if (object)
    memcpy(object, host, sizeof *host);
  else
    q8_fail_memory(error, what, size);
  return object;
}

void q8_free(const q8_host *host, void *memory) {
  if (memory)
    host->release(host->user, memory);
}

int q8_grow(const q8_host *host, void **array, size_t *capacity, size_t needed, size_t size, size_t used) {
  if (needed <= *capacity)
    return 1;
  size_t grown = *capacity ? *capacity : 8;
  while (grown < needed)
    if (!q8_mul(grown, 2, &grown))
      return 0;
  void *bigger = q8_alloc(host, grown, size);
  if (!bigger)
    return 0;
  if (used)
    memcpy(bigger, *array, used * size);
  q8_free(host, *array);
  *array = bigger;
  *capacity = grown;
  return 1;
}

struct q8_pool_block {
  struct q8_pool_block *next;
  size_t used, size; /* of the bytes from the block's own address, header included */
};

#define POOL_BLOCK_SIZE ((size_t)16384)
#define POOL_HEADER ((sizeof(struct q8_pool_block) + Q8_ALIGN - 1) / Q8_ALIGN * Q8_ALIGN)

void q8_pool_init(q8_pool *pool, const q8_host *host) {
  *pool = (q8_pool){.host = *host};
}

void q8_pool_destroy(q8_pool *pool) {
  struct q8_pool_block *block = pool->blocks;
  while (block) {
    struct q8_pool_block *next = block->next;
    q8_free(&pool->host, block);
    block = next;
  }
  pool->blocks = NULL;
}

void q8_pool_delete(void *object) {
  q8_pool *pool = object;
  if (!pool)
    return;
  q8_pool_destroy(pool);
  q8_free(&pool->host, pool);
}

q8_status q8_pool_check(q8_pool *pool, const char *where, qint8_error *error) {
  size_t refused = pool->refused;
  pool->refused = 0;
  return refused ? q8_fail_memory(error, where, refused) : QINT8_OK;
}

int q8_pool_expect(q8_pool *pool, size_t size) {
  struct q8_pool_block *fresh = size < SIZE_MAX - POOL_HEADER ? q8_alloc(&pool->host, 1, size + POOL_HEADER) : NULL;
  if (!fresh)
    return 0;
  *fresh = (struct q8_pool_block){.next = pool->blocks, .used = POOL_HEADER, .size = size + POOL_HEADER};
  pool->blocks = fresh;
  return 1;
}

/* NULL without memory. */
static void *cut(q8_pool *pool, size_t count, size_t size) {
  size_t bytes, total;
  if (!q8_mul(count, size, &bytes) || !q8_add(bytes, POOL_HEADER + Q8_ALIGN, &total))
    return NULL;
  size_t align = bytes >= Q8_ALIGN ? Q8_ALIGN : 16;
  struct q8_pool_block *block = pool->blocks;
  size_t at = block ? (block->used + align - 1) & ~(align - 1) : 0;
  if (!block || at + bytes > block->size) {
    size_t block_size = total > POOL_BLOCK_SIZE ? total : POOL_BLOCK_SIZE;
    struct q8_pool_block *fresh = q8_alloc(&pool->host, 1, block_size);
    if (!fresh)
      return NULL;
    *fresh = (struct q8_pool_block){.used = POOL_HEADER, .size = block_size};
    if (block && total > POOL_BLOCK_SIZE) { /* a large one goes behind, so that the small block stays in use */
      fresh->next = block->next;
      block->next = fresh;
    } else {
      fresh->next = block;
      pool->blocks = fresh;
    }
    block = fresh;
    at = POOL_HEADER;
  }
  block->used = at + bytes;
  pool->size += bytes;
  return (char *)block + at;
}

void *q8_pool_reserve(q8_pool *pool, size_t count, size_t size) {
  void *memory = cut(pool, count, size);
  if (!memory && !pool->refused)
    pool->refused = q8_mul(count, size, &size) && size ? size : SIZE_MAX;
  return memory;
}

void *q8_pool_alloc(q8_pool *pool, size_t count, size_t size) {
  void *memory = q8_pool_reserve(pool, count, size);
  if (memory)
    memset(memory, 0, count * size);
  return memory;
}

char *q8_pool_string(q8_pool *pool, const char *text, size_t length) {
  size_t size;
  if (!q8_add(length, 1, &size))
    return NULL;
  char *copy = q8_pool_alloc(pool, size, 1);
  if (copy && length)
    memcpy(copy, text, length);
  return copy;
}

int q8_mul(size_t a, size_t b, size_t *out) {
  const size_t half = SIZE_MAX >> 4 * sizeof(size_t); /* two factors below it need no division, which takes 90 cycles */
  if ((a | b) > half && b && a > SIZE_MAX / b)
    return 0;
  *out = a * b;
  return 1;
}

int q8_add(size_t a, size_t b, size_t *out) {
  if (a > SIZE_MAX - b)
    return 0;
  *out = a + b;
  return 1;
}
