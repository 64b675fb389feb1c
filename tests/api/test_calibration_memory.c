/* Calibration takes the same memory for 64 samples as for 1,024. */
#include <stdlib.h>
#include <string.h>

#include "models.h"
#include "test.h"

static size_t live, peak;

/* The size stands in front. */
static void *allocate(void *user, size_t size, size_t alignment) {
  (void)user;
  (void)alignment;
  char *memory = aligned_alloc(64, (size + 127) / 64 * 64);
  if (!memory)
    return NULL;
  *(size_t *)(void *)memory = size;
  live += size;
  peak = live > peak ? live : peak;
  return memory + 64;
}

static void release(void *user, void *memory) {
  (void)user;
  if (!memory)
    return;
  live -= *(size_t *)(void *)((char *)memory - 64);
  free((char *)memory - 64);
}

/* The peak over calibrator and ranges. Values grow, so that histograms are widened again and again. */
static size_t peak_of(const qint8_model *model, const qint8_host *host, int64_t samples) {
  enum { BATCH = 8 };
  static float images[BATCH * 784];
  qint8_error failure = QINT8_ERROR_INIT;
  qint8_calibrator *calibrator = NULL;
  qint8_ranges *ranges = NULL;
  peak = live = 0;
  CHECK(qint8_calibrator_create(model, NULL, host, &calibrator, &failure) == QINT8_OK);
  for (int64_t done = 0; done < samples; done += BATCH) {
    qint8_tensor x = {sizeof x, QINT8_DTYPE_F32, 4, {BATCH, 1, 28, 28}, images};
    const qint8_tensor *inputs[] = {&x};
    for (int i = 0; i < BATCH * 784; i++)
      images[i] = test_random_float(-1, 1) * (1 + (float)done / 100);
    CHECK(qint8_calibrator_feed(calibrator, inputs, 1, &failure) == QINT8_OK);
  }
  CHECK(qint8_calibrator_ranges(calibrator, &ranges, &failure) == QINT8_OK);
  CHECK(qint8_ranges_warning_count(ranges, NULL) < 1000);
  size_t result = peak;
  qint8_ranges_destroy(ranges);
  qint8_calibrator_destroy(calibrator);
  CHECK_EQ(live, 0);
  return result;
}

static void does_not_grow_with_samples(void) {
  qint8_model *model = test_load("demo", NULL);
  qint8_host host = QINT8_HOST_INIT;
  host.allocate = allocate;
  host.release = release;
  size_t few = peak_of(model, &host, 64), many = peak_of(model, &host, 1024);
  printf("     peak of calibration: %zu bytes at 64 samples, %zu at 1024\n", few, many);
  CHECK_EQ(few, many);
  qint8_model_destroy(model);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(does_not_grow_with_samples);
  return TEST_END();
}
