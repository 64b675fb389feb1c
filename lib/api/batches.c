#include "api/batches.h"

#include <math.h>

#include "api/api.h"

static q8_status take_batch(const q8_graph *graph, const qint8_tensor *const *inputs, q8_shape *shapes,
                            const void **data, qint8_error *error) {
  for (size_t i = 0; i < graph->input_count; i++) {
    const q8_tensor *declared = &graph->tensors[graph->inputs[i]];
    int32_t dtype = declared->dtype ? declared->dtype : QINT8_DTYPE_F32;
    Q8_TRY(q8_take_shape(inputs[i], declared->name, &declared->shape, &shapes[i], error));
    Q8_TRY(q8_check_tensor(inputs[i], declared->name, dtype, &shapes[i], error));
    const float *x = data[i] = inputs[i]->data;
    for (size_t k = 0, count = q8_shape_count(&shapes[i], NULL); dtype == QINT8_DTYPE_F32 && k < count; k++)
      if (!isfinite(x[k]))
        return q8_fail(error, QINT8_ERROR_DATA, declared->name, "element %zu is %s", k,
                       isnan(x[k]) ? "NaN" : "infinite");
  }
  return QINT8_OK;
}

q8_status q8_take_batches(const q8_graph *graph, const qint8_tensor *const *inputs, size_t count, q8_pool *pool,
                          q8_batches *out, qint8_error *error) {
  size_t total = count * graph->input_count + 1;
  q8_shape *shapes = q8_pool_alloc(pool, total, sizeof *shapes);
  const void **data = q8_pool_alloc(pool, total, sizeof *data);
  Q8_TRY(q8_pool_check(pool, "samples", error));
  for (size_t b = 0; b < count; b++) {
    size_t at = b * graph->input_count;
    Q8_TRY(take_batch(graph, inputs + at, shapes + at, data + at, error));
  }
  *out = (q8_batches){count, shapes, data};
  return QINT8_OK;
}
