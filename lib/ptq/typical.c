#include "ptq/typical.h"

#include <string.h>

#include "exec/exec.h"

/* A multiple of what networks halve images by, and within most tables of positions; an image; sound; the least. */
static const int64_t lengths[] = {64, 224, 16384, 1};

/* The first dimension of an input counts samples, and so does what has its symbol. */
static int counts_samples(const q8_graph *graph, const q8_tensor *input, int axis) {
  if (axis == 0)
    return 1;
  const char *name = input->dim_names ? input->dim_names[axis] : NULL;
  for (size_t i = 0; name && i < graph->input_count; i++) {
    const q8_tensor *t = &graph->tensors[graph->inputs[i]];
    if (t->shape.rank > 0 && t->dim_names && t->dim_names[0] && !strcmp(t->dim_names[0], name))
      return 1;
  }
  return 0;
}

/* Returns whether a dimension got `length`. */
static int fill(const q8_graph *graph, int64_t samples, int64_t length, q8_shape *shapes) {
  int any = 0;
  q8_plan_default_shapes(graph, shapes);
  for (size_t i = 0; i < graph->input_count; i++) {
    const q8_tensor *t = &graph->tensors[graph->inputs[i]];
    for (int axis = 0; axis < t->shape.rank; axis++)
      if (t->shape.dim[axis] < 0) {
        int first = counts_samples(graph, t, axis);
        shapes[i].dim[axis] = first ? samples : length;
        any |= !first;
      }
  }
  return any;
}

q8_status q8_bind_typical(const q8_graph *graph, int64_t samples, const q8_host *host, q8_binding **out,
                          qint8_error *error) {
  *out = NULL;
  q8_shape *shapes = q8_calloc(host, graph->input_count + 1, sizeof *shapes);
  q8_status status = shapes ? QINT8_ERROR_SHAPE : q8_fail_memory(error, "shapes", graph->input_count * sizeof *shapes);
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths && status != QINT8_OK && status != QINT8_ERROR_MEMORY; i++) {
    int free_lengths = fill(graph, samples, lengths[i], shapes);
    status = q8_bind(graph, shapes, NULL, host, out, error);
    if (!free_lengths)
      break;
  }
  q8_free(host, shapes);
  return status;
}
