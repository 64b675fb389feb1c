/* models.h - what the tests of tests/api share: a model from the full set, quantized on its own calibration data. */
#ifndef Q8_TEST_MODELS_H
#define Q8_TEST_MODELS_H

#include <stddef.h>
#include <stdint.h>

#include "qint8.h"

/* The models that must be quantizable, without path and ending. */
extern const char *const test_model_names[];
extern const size_t test_model_count;

/* A host that counts what it hands out and can be told to fail. */
typedef struct counting_host {
  qint8_host host;
  long allocations; /* calls so far */
  long live;        /* not yet released */
  long fail_at;     /* this call (counted from 1) and every later one returns NULL; 0: never */
} counting_host;
void counting_host_init(counting_host *counter);

/* The model `name` of $MODELS, or one of examples/data: "demo" (a MobileNetV3), "tiny" (a perceptron); NULL with a
 * failed check if it does not load. */
qint8_model *test_load(const char *name, const qint8_host *host);
/* A batch of reproducible inputs for the plan: floats in the data's usual range. Free with free(). */
qint8_tensor test_input(const qint8_plan *plan, size_t index);
/* 28x28 pixels: a bright, noisy rectangle on a background that is the same everywhere. */
void test_draw_image(float *image);
/* Memory for output `index`. */
qint8_tensor test_output(const qint8_plan *plan, size_t index);
/* Calibrated on a few random batches: enough for byte comparisons, not for accuracy. */
qint8_recipe *test_recipe(const qint8_model *model, qint8_config config, const qint8_host *host);
qint8_plan *test_plan(const qint8_model *model, const qint8_recipe *recipe, const char *isa, int64_t batch,
                      const qint8_host *host);
/* Runs once on test_input; returns the bytes of output 0 (malloc), their number in *size. */
void *test_run_plan(const qint8_plan *plan, const qint8_host *host, size_t *size);

#endif
