#include "ptq/ranges.h"

#include <string.h>

#include "ops/op.h"

int q8_takes_activation(const q8_graph *graph, const q8_node *node, int32_t index) {
  q8_id id = node->inputs[index];
  if (id == Q8_NONE || node->op->quant == Q8_QUANT_FLOAT || node->op->quant == Q8_QUANT_RECURRENT)
    return 0;
  if (q8_is_parameter(node->op, index) || (index > 0 && node->op->quant == Q8_QUANT_WEIGHTED))
    return 0;
  int32_t dtype = graph->tensors[id].dtype;
  return dtype == QINT8_DTYPE_F32 || dtype == QINT8_DTYPE_NONE;
}

/* Marks what int8 nodes read and write, constants excepted: those are known already. */
static void mark_candidates(const q8_graph *graph, uint8_t *candidate) {
  for (size_t n = 0; n < graph->node_count; n++) {
    const q8_node *node = &graph->nodes[n];
    if (node->op->quant == Q8_QUANT_FLOAT || node->op->quant == Q8_QUANT_RECURRENT)
      continue;
    for (int32_t i = 0; i < node->input_count; i++)
      if (q8_takes_activation(graph, node, i) && !q8_graph_is_constant(graph, node->inputs[i]))
        candidate[node->inputs[i]] = 1;
    for (int32_t i = 0; i < node->output_count; i++)
      if (node->outputs[i] != Q8_NONE && node->op->quant != Q8_QUANT_WEIGHTED)
        candidate[node->outputs[i]] = 1;
  }
}

static q8_status finish(q8_status status, q8_ranges **out) {
  if (status != QINT8_OK) {
    q8_ranges_free(*out);
    *out = NULL;
  }
  return status;
}

static q8_status new_table(size_t tensor_count, const q8_host *host, q8_ranges **out, qint8_error *error) {
  *out = NULL;
  q8_ranges *ranges = q8_new(host, sizeof(*ranges), "ranges", error);
  if (!ranges)
    return QINT8_ERROR_MEMORY;
  ranges->holders = 1;
  ranges->names = q8_pool_alloc(&ranges->pool, tensor_count, sizeof(*ranges->names));
  ranges->observers = q8_pool_alloc(&ranges->pool, tensor_count, sizeof(*ranges->observers));
  ranges->is_input = q8_pool_alloc(&ranges->pool, tensor_count, 1);
  ranges->tensor_count = tensor_count;
  *out = ranges;
  return finish(q8_pool_check(&ranges->pool, "ranges", error), out);
}

static q8_status set_name(q8_ranges *ranges, size_t tensor, const char *name, qint8_error *error) {
  ranges->names[tensor] = q8_pool_string(&ranges->pool, name, strlen(name));
  return q8_pool_check(&ranges->pool, "ranges", error);
}

/* One block for all observers, and some for what is small. */
static q8_status expect(q8_ranges *ranges, size_t observers, size_t size, qint8_error *error) {
  size_t total;
  int fits = q8_add(size, Q8_ALIGN, &size) && q8_mul(observers + 1, size, &total);
  return fits && q8_pool_expect(&ranges->pool, total) ? QINT8_OK : q8_fail_memory(error, "ranges", size);
}

static q8_status fill(const q8_graph *graph, const q8_observer_config *config, q8_ranges *ranges,
                      qint8_error *error) {
  size_t size = q8_observer_size(config), observers = 0;
  uint8_t *candidate = q8_pool_alloc(&ranges->pool, graph->tensor_count, 1);
  Q8_TRY(q8_pool_check(&ranges->pool, "ranges", error));
  mark_candidates(graph, candidate);
  for (size_t t = 0; t < graph->tensor_count; t++)
    observers += candidate[t];
  Q8_TRY(expect(ranges, observers, size, error));
  for (size_t t = 0; t < graph->tensor_count; t++) {
    Q8_TRY(set_name(ranges, t, graph->tensors[t].name, error));
    if (!candidate[t])
      continue;
    void *memory = q8_pool_reserve(&ranges->pool, 1, size);
    Q8_TRY(q8_pool_check(&ranges->pool, "ranges", error));
    ranges->observers[t] = q8_observer_place(memory, config, &ranges->pool.host);
  }
  for (size_t i = 0; i < graph->input_count; i++)
    ranges->is_input[graph->inputs[i]] = 1;
  return q8_quality_new(graph, &ranges->pool, &ranges->quality, error);
}

static q8_status copy_into(const q8_ranges *from, q8_ranges *to, qint8_error *error) {
  for (size_t t = 0; t < from->tensor_count; t++) {
    const q8_observer *observer = from->observers[t];
    Q8_TRY(set_name(to, t, from->names[t], error));
    if (!observer)
      continue;
    size_t size = q8_observer_size(q8_observer_config_of(observer));
    void *memory = q8_pool_reserve(&to->pool, 1, size);
    Q8_TRY(q8_pool_check(&to->pool, "ranges", error));
    to->observers[t] = q8_observer_copy(memory, observer);
  }
  memcpy(to->is_input, from->is_input, from->tensor_count);
  to->samples = from->samples;
  return q8_quality_copy(from->quality, &to->pool, &to->quality, error);
}

q8_status q8_ranges_new(const q8_graph *graph, const q8_observer_config *config, const q8_host *host,
                        q8_ranges **out, qint8_error *error) {
  Q8_TRY(new_table(graph->tensor_count, host, out, error));
  return finish(fill(graph, config, *out, error), out);
}

void q8_ranges_free(q8_ranges *ranges) {
  if (ranges && atomic_fetch_sub(&ranges->holders, 1) == 1)
    q8_pool_delete(ranges);
}

q8_ranges *q8_ranges_share(q8_ranges *ranges) {
  atomic_fetch_add(&ranges->holders, 1);
  return ranges;
}

q8_status q8_ranges_own(q8_ranges **ranges, qint8_error *error) {
  q8_ranges *shared = *ranges, *copy;
  if (atomic_load(&shared->holders) == 1)
    return QINT8_OK;
  Q8_TRY(new_table(shared->tensor_count, &shared->pool.host, &copy, error));
  Q8_TRY(finish(copy_into(shared, copy, error), &copy));
  q8_ranges_free(shared);
  *ranges = copy;
  return QINT8_OK;
}

int q8_ranges_fit(const q8_ranges *ranges, const q8_graph *graph) {
  if (ranges->tensor_count != graph->tensor_count)
    return 0;
  for (size_t t = 0; t < graph->tensor_count; t++)
    if (strcmp(ranges->names[t], graph->tensors[t].name) != 0)
      return 0;
  return 1;
}

int q8_ranges_alike(const q8_ranges *a, const q8_ranges *b) {
  if (a->tensor_count != b->tensor_count)
    return 0;
  for (size_t t = 0; t < a->tensor_count; t++)
    if (strcmp(a->names[t], b->names[t]) != 0 || !a->observers[t] != !b->observers[t])
      return 0;
  return 1;
}

const q8_observer *q8_ranges_seen(const q8_ranges *ranges, q8_id tensor) {
  const q8_observer *o = ranges->observers[tensor];
  return o && q8_observer_finite(o, 0) + q8_observer_nonfinite(o, 0) > 0 ? o : NULL;
}

static int has_range(const q8_ranges *ranges, size_t tensor) {
  return ranges->observers[tensor] && q8_observer_finite(ranges->observers[tensor], 0) > 0;
}

size_t q8_ranges_count(const q8_ranges *ranges) {
  size_t count = 0;
  for (size_t t = 0; t < ranges->tensor_count; t++)
    count += (size_t)has_range(ranges, t);
  return count;
}

const q8_observer *q8_ranges_observer(const q8_ranges *ranges, size_t index, const char **name) {
  for (size_t t = 0; t < ranges->tensor_count; t++) {
    if (!has_range(ranges, t) || index-- > 0)
      continue;
    if (name)
      *name = ranges->names[t];
    return ranges->observers[t];
  }
  return NULL;
}

q8_status q8_ranges_get(const q8_ranges *ranges, size_t index, const char **name, qint8_range *out,
                        qint8_error *error) {
  for (size_t t = 0; t < ranges->tensor_count; t++) {
    if (!has_range(ranges, t) || index-- > 0)
      continue;
    *name = ranges->names[t];
    return q8_observer_range(ranges->observers[t], 0, out, error);
  }
  return q8_fail(error, QINT8_ERROR_ARGUMENT, "index", "there are %zu ranges", q8_ranges_count(ranges));
}
