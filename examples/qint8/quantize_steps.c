/* quantize_steps.c - the steps of `qint8 quantize` that change the model or look at samples. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quantize.h"

/* ---- Model to model ---- */

int equalise(job *j, const qint8_host *host) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_model *equal;
  qint8_status s = qint8_model_equalise(j->model, host, &equal, &j->equalised, &error);
  if (s != QINT8_OK)
    return fail_error("equalisation", s, &error);
  qint8_model_destroy(j->model);
  j->model = equal;
  return 0;
}

/* Largest magnitude of each channel (axis 1) of the data. */
static int measure_channels(const dataset_part *data, size_t count, size_t channels, float *largest) {
  float *values = allocate(data->sample + 1, sizeof *values);
  size_t inner = data->sample / channels;
  int failed = 0;
  for (size_t n = 0; n < count && !failed; n++) {
    failed = dataset_read(data, n, 1, values);
    for (size_t i = 0; i < data->sample && !failed; i++)
      largest[i / inner] = fmaxf(largest[i / inner], fabsf(values[i]));
  }
  free(values);
  return failed;
}

/* Data that is not finite is left for calibration to complain about. */
static int scale_part(job *j, const dataset *data, size_t input, const qint8_host *host) {
  const dataset_part *part = &data->part[input];
  size_t channels = part->rank > 1 && part->sample > 0 ? (size_t)part->shape[1] : 0;
  if (channels < 2 || part->dtype != QINT8_DTYPE_F32)
    return 0;
  qint8_model *scaled = NULL;
  int32_t changed = 0;
  float *largest = allocate(channels, sizeof *largest);
  int status = measure_channels(part, data->count, channels, largest);
  if (!status && qint8_model_scale_input(j->model, input, largest, (int64_t)channels, host, &scaled, &changed, NULL) == QINT8_OK) {
    qint8_model_destroy(j->model);
    j->model = scaled;
    j->scaled_input |= changed;
  }
  free(largest);
  return status;
}

int scale_input(job *j, const qint8_host *host) {
  dataset data;
  int status = dataset_open(j->calibration, j->model, j->mean, j->std, j->samples, &data);
  for (size_t i = 0; i < data.parts && !status; i++)
    status = scale_part(j, &data, i, host);
  dataset_free(&data);
  return status;
}

/* ---- Calibration ---- */

/* Where the data to validate on differs from what was calibrated on. */
static int check_validation(job *j, const qint8_host *host) {
  dataset validation = {0};
  qint8_ranges *ranges = NULL;
  int status = dataset_open(j->automatic.validation, j->model, j->mean, j->std, j->samples, &validation);
  if (!status)
    status = dataset_ranges(j->model, &validation, validation.count, j->batch, host, &ranges);
  if (!status)
    print_warnings(j->ranges, ranges);
  qint8_ranges_destroy(ranges);
  dataset_free(&validation);
  return status;
}

int calibrate(job *j, const qint8_host *host) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_calibrator *calibrator = NULL;
  qint8_calibrator_options options = QINT8_CALIBRATOR_OPTIONS_INIT;
  options.observer = j->observer;
  double start = now_seconds();
  int status = dataset_open(j->calibration, j->model, j->mean, j->std, j->samples, &j->data);
  if (!status) {
    if (j->samples > 0 && j->data.count < (size_t)j->samples)
      warn("%s holds %zu samples, %ld were asked for", j->calibration, j->data.count, j->samples);
    j->used = j->data.count;
    qint8_status s = qint8_calibrator_create(j->model, &options, host, &calibrator, &error);
    status = s == QINT8_OK ? dataset_feed(calibrator, &j->data, j->data.count, batch_for(j->model, j->batch), "calibrate")
                           : fail_error("calibration", s, &error);
    if (!status && (s = qint8_calibrator_ranges(calibrator, &j->ranges, &error)) != QINT8_OK)
      status = fail_error("calibration", s, &error);
  }
  if (!status && j->automatic.validation)
    status = check_validation(j, host);
  else if (!status)
    print_warnings(j->ranges, NULL);
  qint8_calibrator_destroy(calibrator);
  j->peak_bytes = peak_resident_bytes();
  j->seconds_calibrate = now_seconds() - start;
  return status;
}

/* ---- Repairs of the recipe ---- */

/* Samples that a recipe is repaired on: the first ones, as many as REPAIR_VALUES values hold, whatever the batch. Of a
 * model with a fixed batch, whole batches, at least one. */
#define REPAIR_VALUES ((size_t)1 << 22)

typedef qint8_status repair_fn(const qint8_model *model, qint8_recipe *recipe, const qint8_tensor *const *inputs,
                               size_t batch_count, const qint8_host *host, qint8_error *error);

static int repair(job *j, repair_fn *step, const char *what, const qint8_host *quiet) {
  qint8_host host = *quiet;
  host.progress = progress_of_host;
  qint8_error error = QINT8_ERROR_INIT;
  size_t batch = (size_t)batch_for(j->model, j->batch), samples = j->data.count;
  size_t most = j->data.sample ? REPAIR_VALUES / j->data.sample : samples;
  int fixed = batch_for(j->model, 1) == batch_for(j->model, 2);
  samples = samples > most ? most : samples;
  if (fixed)
    samples -= samples % batch;
  if (samples == 0)
    samples = fixed && j->data.count >= batch ? batch : 1;
  if (dataset_hold(&j->data, samples))
    return EXIT_FAILED;
  size_t batches;
  const qint8_tensor **inputs = dataset_batches(&j->data, 0, samples, (int64_t)batch, &batches);
  qint8_status s = step(j->model, j->recipe, inputs, batches, &host, &error);
  free((void *)(uintptr_t)inputs);
  return s == QINT8_OK ? 0 : fail_error(what, s, &error);
}

int repair_recipe(job *j, const qint8_host *host) {
  const struct {
    int wanted;
    repair_fn *step;
    const char *what;
  } repairs[] = {{!j->all_int8 && !j->force, qint8_recipe_keep_head, "float head"},
                 {j->round_weights, qint8_recipe_round_weights, "adaptive rounding"},
                 {!j->no_correction, qint8_recipe_correct_biases, "bias correction"}};
  int failed = 0;
  for (int i = 0; i < COUNT(repairs) && !failed; i++)
    if (repairs[i].wanted)
      failed = repair(j, repairs[i].step, repairs[i].what, host);
  return failed;
}
