#include "ptq/batches.h"

q8_batches q8_first_batches(const q8_graph *graph, const q8_batches *batches, size_t values) {
  q8_batches first = *batches;
  size_t inputs = graph->input_count, taken = 0;
  for (size_t b = 0; b < batches->count; b++) {
    for (size_t i = 0; i < inputs; i++)
      taken += q8_shape_count(&batches->shapes[b * inputs + i], NULL);
    if (b > 0 && taken > values) {
      first.count = b;
      break;
    }
  }
  return first;
}

static int are_alike(const q8_graph *graph, const q8_batches *batches, size_t a, size_t b) {
  size_t inputs = graph->input_count;
  for (size_t i = 0; i < inputs; i++)
    if (!q8_shape_equal(&batches->shapes[a * inputs + i], &batches->shapes[b * inputs + i]))
      return 0;
  return 1;
}

size_t q8_batches_alike(const q8_graph *graph, const q8_batches *batches, size_t first) {
  size_t end = first + 1;
  while (end < batches->count && are_alike(graph, batches, first, end))
    end++;
  return end;
}
