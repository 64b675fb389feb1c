/* ranges.c - the ranges of samples, for comparison and for charts. */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

int dataset_feed(qint8_calibrator *calibrator, const dataset *data, size_t count, int64_t batch, const char *what) {
  qint8_error error = QINT8_ERROR_INIT;
  sample_tensors in;
  tensors_allocate(tensors_shaped(data, batch, &in));
  int failed = 0;
  for (size_t done = 0; done < count && !failed;) {
    size_t now = count - done < (size_t)batch ? count - done : (size_t)batch;
    failed = tensors_read(&in, data, done, now);
    qint8_status s = failed ? QINT8_OK : qint8_calibrator_feed(calibrator, in.inputs, in.count, &error);
    if (s != QINT8_OK)
      failed = fail_error("calibration", s, &error);
    done += now;
    progress(what, done, count);
  }
  tensors_free(&in);
  return failed;
}

int dataset_ranges(const qint8_model *model, const dataset *data, size_t limit, long wanted_batch,
                   const qint8_host *host, qint8_ranges **out) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_calibrator *calibrator = NULL;
  size_t count = data->count < limit ? data->count : limit;
  *out = NULL;
  qint8_status s = qint8_calibrator_create(model, NULL, host, &calibrator, &error);
  int failed = s == QINT8_OK && dataset_feed(calibrator, data, count, batch_for(model, wanted_batch), "ranges");
  if (s == QINT8_OK && !failed)
    s = qint8_calibrator_ranges(calibrator, out, &error);
  qint8_calibrator_destroy(calibrator);
  return s == QINT8_OK ? failed : fail_error("calibration", s, &error);
}
