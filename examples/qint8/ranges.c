/* ranges.c - the ranges of samples, for comparison and for charts. */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

int dataset_ranges(const qint8_model *model, const dataset *data, size_t limit, long wanted_batch,
                   const qint8_host *host, qint8_ranges **out) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_calibrator *calibrator = NULL;
  size_t batch = (size_t)batch_for(model, wanted_batch), count = data->count < limit ? data->count : limit;
  float *x = allocate(batch * data->sample + 1, sizeof *x);
  qint8_tensor in = QINT8_TENSOR_INIT;
  const qint8_tensor *inputs[] = {&in};
  in.dtype = QINT8_DTYPE_F32;
  in.rank = data->rank;
  in.data = x;
  memcpy(in.shape, data->shape, sizeof in.shape);
  qint8_status s = qint8_calibrator_create(model, NULL, host, &calibrator, &error);
  int failed = 0;
  *out = NULL;
  for (size_t done = 0; s == QINT8_OK && !failed && done < count; done += batch) {
    size_t now = count - done < batch ? count - done : batch;
    in.shape[0] = (int64_t)now;
    failed = dataset_read(data, done, now, x);
    if (!failed)
      s = qint8_calibrator_feed(calibrator, inputs, 1, &error);
  }
  if (s == QINT8_OK && !failed)
    s = qint8_calibrator_ranges(calibrator, out, &error);
  qint8_calibrator_destroy(calibrator);
  free(x);
  return s == QINT8_OK ? failed : fail_error("calibration", s, &error);
}
