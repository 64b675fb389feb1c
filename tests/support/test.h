/* test.h - the smallest harness that serves: CHECK in named tests, one summary line that tests/run.sh adds up.
 *
 *   static void adds(void) { CHECK(1 + 1 == 2); }
 *   int main(int argc, char **argv) { TEST_BEGIN(argc, argv); RUN(adds); return TEST_END(); }
 */
#ifndef Q8_TEST_H
#define Q8_TEST_H

#include <stdint.h>
#include <stdio.h>

extern int test_failed_checks; /* in the current test */

void test_begin(int argc, char **argv);
void test_run(const char *name, void (*fn)(void));
/* Prints one loud line; .ci/run fails if a skip is not on its list of allowed ones. */
void test_skip(const char *what, const char *why);
int test_end(void);
void test_fail(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The seed of this run: argv "--seed N", else fixed; printed on failure. */
extern uint64_t test_seed;
/* xorshift*, reproducible on every machine. */
uint32_t test_random(void);
/* In [lo, hi]. */
int32_t test_random_int(int32_t lo, int32_t hi);
float test_random_float(float lo, float hi);

/* `size` bytes that end at (or, with `front`, begin after) an unreadable page. Freed by test_guard_free. */
void *test_guard_alloc(size_t size, int front);
void test_guard_free(void *p, size_t size, int front);

/* Directory with models/ and data/: $MODELS, or NULL with a loud skip when it is unset, or when Q8_TEST_QUICK is set,
 * as .ci/run does under emulators. */
const char *test_models_dir(void);

#define TEST_BEGIN(argc, argv) test_begin(argc, argv)
#define TEST_END() test_end()
#define RUN(fn) test_run(#fn, fn)
#define CHECK(cond)                                                                                          \
  do {                                                                                                       \
    if (!(cond))                                                                                             \
      test_fail(__FILE__, __LINE__, "%s", #cond);                                                            \
  } while (0)
#define CHECK_MSG(cond, ...)                                                                                 \
  do {                                                                                                       \
    if (!(cond))                                                                                             \
      test_fail(__FILE__, __LINE__, __VA_ARGS__);                                                            \
  } while (0)
#define CHECK_EQ(a, b)                                                                                       \
  do {                                                                                                       \
    long long test_a_ = (long long)(a), test_b_ = (long long)(b);                                            \
    if (test_a_ != test_b_)                                                                                  \
      test_fail(__FILE__, __LINE__, "%s is %lld, %s is %lld", #a, test_a_, #b, test_b_);                     \
  } while (0)

#endif
