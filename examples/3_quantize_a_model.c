/* 3_quantize_a_model.c - calibrate from memory, decide a recipe, write the int8 model.
 * Usage: 3_quantize_a_model [MODEL.onnx [OUT.onnx]]; the model has one float input whose free dimensions are samples. */
#include <qint8.h>
#include <stdio.h>
#include <stdlib.h>

enum { BATCHES = 8, BATCH = 16 };

/* Stands for real samples: a program would copy images here. */
static void next_batch(float *values, size_t count) {
  for (size_t i = 0; i < count; i++)
    values[i] = (float)rand() / (float)RAND_MAX * 4.0f - 1.0f;
}

static qint8_status calibrate(const qint8_model *model, qint8_ranges **ranges, qint8_error *error) {
  qint8_tensor_info info = QINT8_TENSOR_INFO_INIT;
  qint8_tensor batch = QINT8_TENSOR_INIT;
  const qint8_tensor *inputs[] = {&batch};
  size_t count = 1;
  qint8_model_input(model, 0, &info);
  batch.dtype = QINT8_DTYPE_F32;
  batch.rank = info.rank;
  for (int d = 0; d < info.rank; d++) {
    batch.shape[d] = info.shape[d] < 0 ? BATCH : info.shape[d];
    count *= (size_t)batch.shape[d];
  }
  qint8_calibrator *calibrator;
  qint8_status status = qint8_calibrator_create(model, NULL, NULL, &calibrator, error);
  if (status != QINT8_OK)
    return status;
  batch.data = malloc(count * sizeof(float));
  for (int i = 0; i < BATCHES && status == QINT8_OK && batch.data; i++) {
    next_batch(batch.data, count);
    status = qint8_calibrator_feed(calibrator, inputs, 1, error);
  }
  if (status == QINT8_OK)
    status = qint8_calibrator_ranges(calibrator, ranges, error);
  free(batch.data);
  qint8_calibrator_destroy(calibrator);
  return status;
}

int main(int argc, char **argv) {
  const char *path = argc > 1 ? argv[1] : "examples/data/fmnist_mnv3s.onnx";
  const char *out = argc > 2 ? argv[2] : "build/example_int8.onnx";
  qint8_error error = QINT8_ERROR_INIT;
  qint8_model *model = NULL;
  qint8_ranges *ranges = NULL;
  qint8_recipe *recipe = NULL;
  qint8_status status = qint8_model_load_file(path, NULL, &model, &error);
  if (status == QINT8_OK)
    status = calibrate(model, &ranges, &error);
  if (status == QINT8_OK) /* NULL options: static, one weight scale per output channel, uint8 activations */
    status = qint8_recipe_create(model, ranges, NULL, NULL, &recipe, &error);
  if (status == QINT8_OK)
    status = qint8_model_save_file(model, recipe, out, &error);
  if (status == QINT8_OK)
    printf("%s: int8 model written to %s\n", path, out);
  else
    fprintf(stderr, "%s: %s: %s\n", qint8_status_name(status), error.where, error.message);
  qint8_recipe_destroy(recipe);
  qint8_ranges_destroy(ranges);
  qint8_model_destroy(model);
  return status != QINT8_OK;
}
