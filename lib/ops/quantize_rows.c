#include "ops/quantize_rows.h"

#include <math.h>

#include "base/parallel.h"

/* Fewer values are quantized sooner than another thread begins with them. */
#define MIN_TASK_VALUES 8192

typedef struct rows_job {
  const q8_kernels *kernels;
  const float *x;
  size_t rows, n, tasks;
  q8_quantized_rows out;
} rows_job;

size_t q8_quantized_rows_size(size_t rows, size_t n) {
  return q8_round_up(rows * 8, Q8_ALIGN) + q8_round_up(rows * n + 64, Q8_ALIGN);
}

/* Scale and zero point as ONNX DynamicQuantizeLinear: the range includes 0; all zeros give scale 1. */
static void quantize_row(const rows_job *job, size_t i) {
  const float *x = job->x + i * job->n;
  float low, high;
  job->kernels->minmax(job->n, x, &low, &high);
  low = low < 0 ? low : 0;
  high = high > 0 ? high : 0;
  float scale = (high - low) / 255.0f;
  if (!(scale > 0) || !isfinite(scale))
    scale = 1;
  float zero = -low / scale;
  zero = zero < 255 ? zero : 255;
  job->out.scale[i] = scale;
  job->out.zero_point[i] = (int32_t)((zero + 0x1p23f) - 0x1p23f); /* rounds to nearest even */
  job->kernels->quantize(job->n, x, scale, job->out.zero_point[i], 0, job->out.data + i * job->n);
}

static void quantize_task(void *argument, size_t task) {
  const rows_job *job = argument;
  const size_t last = job->rows * (task + 1) / job->tasks;
  for (size_t i = job->rows * task / job->tasks; i < last; i++)
    quantize_row(job, i);
}

q8_quantized_rows q8_quantize_rows(const q8_kernels *kernels, const q8_host *host, size_t rows, size_t n,
                                   const float *x, void *scratch) {
  size_t tasks = rows * n / MIN_TASK_VALUES;
  q8_quantized_rows out = {scratch, (int32_t *)scratch + rows, (uint8_t *)scratch + q8_round_up(rows * 8, Q8_ALIGN)};
  rows_job job = {kernels, x, rows, n, tasks < 1 ? 1 : tasks < rows ? tasks : rows, out};
  q8_parallel(host, job.tasks, quantize_task, &job);
  return out;
}
