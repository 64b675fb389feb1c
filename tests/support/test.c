#define _DEFAULT_SOURCE
#include "test.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int test_failed_checks;
uint64_t test_seed = 0x9E3779B97F4A7C15u;
static uint64_t state;
static int passed, failed, skipped;
static const char *only;

void test_begin(int argc, char **argv) {
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!strcmp(argv[i], "--seed"))
      test_seed = strtoull(argv[i + 1], NULL, 0);
    else if (!strcmp(argv[i], "--only"))
      only = argv[i + 1];
  }
  state = test_seed ? test_seed : 1;
}

void test_run(const char *name, void (*fn)(void)) {
  if (only && strcmp(only, name))
    return;
  test_failed_checks = 0;
  state = test_seed ? test_seed : 1;
  fn();
  if (test_failed_checks) {
    failed++;
    printf("FAIL %s (%d checks, seed 0x%llx)\n", name, test_failed_checks, (unsigned long long)test_seed);
  } else {
    passed++;
    printf("ok   %s\n", name);
  }
  fflush(stdout);
}

void test_skip(const char *what, const char *why) {
  skipped++;
  printf("SKIP %s: %s\n", what, why);
}

int test_end(void) {
  printf("# %d passed, %d failed, %d skipped\n", passed, failed, skipped);
  return failed ? 1 : 0;
}

void test_fail(const char *file, int line, const char *fmt, ...) {
  if (++test_failed_checks > 10)
    return;
  va_list ap;
  printf("  %s:%d: ", file, line);
  va_start(ap, fmt);
  vprintf(fmt, ap);
  va_end(ap);
  printf("\n");
}

uint32_t test_random(void) {
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return (uint32_t)((state * 0x2545F4914F6CDD1Du) >> 32);
}

int32_t test_random_int(int32_t lo, int32_t hi) {
  return (int32_t)(lo + (int64_t)(test_random() % ((uint64_t)((int64_t)hi - lo) + 1)));
}

float test_random_float(float lo, float hi) {
  return lo + (hi - lo) * ((float)(test_random() >> 8) / 16777216.0f);
}

static size_t page_round(size_t size) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  return (size + page - 1) / page * page;
}

void *test_guard_alloc(size_t size, int front) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), body = page_round(size ? size : 1);
  char *base = mmap(NULL, body + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED)
    abort();
  mprotect(base, page, PROT_NONE);
  mprotect(base + page + body, page, PROT_NONE);
  return front ? base + page : base + page + body - size;
}

void test_guard_free(void *p, size_t size, int front) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE), body = page_round(size ? size : 1);
  char *base = front ? (char *)p - page : (char *)p + size - body - page;
  munmap(base, body + 2 * page);
}

const char *test_models_dir(void) {
  const char *dir = getenv("MODELS"), *quick = getenv("Q8_TEST_QUICK");
  if (dir && *dir && quick && *quick) {
    test_skip("full model set", "Q8_TEST_QUICK is set");
    return NULL;
  }
  if (dir && *dir)
    return dir;
  test_skip("full model set", "set MODELS=dir to run on it");
  return NULL;
}
