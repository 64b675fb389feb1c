/* freeze.c - execution order, producers, uses; what nobody needs is dropped. */
#include <string.h>

#include "graph/graph.h"

static q8_status set_producers(q8_graph *graph, qint8_error *error) {
  for (size_t i = 0; i < graph->tensor_count; i++) {
    graph->tensors[i].producer = Q8_NONE;
    graph->tensors[i].uses = 0;
  }
  for (size_t i = 0; i < graph->node_count; i++) {
    const q8_node *node = &graph->nodes[i];
    for (int32_t j = 0; j < node->output_count; j++) {
      if (node->outputs[j] == Q8_NONE)
        continue;
      q8_tensor *tensor = &graph->tensors[node->outputs[j]];
      if (tensor->producer != Q8_NONE || q8_graph_is_constant(graph, node->outputs[j]))
        return q8_fail(error, QINT8_ERROR_FORMAT, tensor->name, "node %s produces a tensor that already has a value",
                       node->name);
      tensor->producer = (q8_id)i;
    }
  }
  return QINT8_OK;
}

/* Marks the nodes that outputs depend on, without recursion: `stack` holds tensors still to look at. */
static void mark_needed(const q8_graph *graph, uint8_t *needed, q8_id *stack) {
  size_t depth = 0;
  for (size_t i = 0; i < graph->output_count; i++) {
    q8_id node = graph->tensors[graph->outputs[i]].producer;
    if (node != Q8_NONE && !needed[node]) {
      needed[node] = 1;
      stack[depth++] = node;
    }
  }
  while (depth) {
    const q8_node *node = &graph->nodes[stack[--depth]];
    for (int32_t j = 0; j < node->input_count; j++) {
      q8_id from = node->inputs[j] == Q8_NONE ? Q8_NONE : graph->tensors[node->inputs[j]].producer;
      if (from != Q8_NONE && !needed[from]) {
        needed[from] = 1;
        stack[depth++] = from;
      }
    }
  }
}

static int is_graph_input(const q8_graph *graph, q8_id tensor) {
  for (size_t i = 0; i < graph->input_count; i++)
    if (graph->inputs[i] == tensor)
      return 1;
  return 0;
}

static q8_status check_available(const q8_graph *graph, q8_id tensor, const char *user, qint8_error *error) {
  const q8_tensor *t = &graph->tensors[tensor];
  if (t->producer == Q8_NONE && !q8_graph_is_constant(graph, tensor) && !is_graph_input(graph, tensor))
    return q8_fail(error, QINT8_ERROR_FORMAT, t->name, "%s needs this tensor, but no node, constant or input gives it",
                   user);
  return QINT8_OK;
}

static int is_ready(const q8_graph *graph, const q8_node *node, const uint8_t *placed) {
  for (int32_t j = 0; j < node->input_count; j++) {
    q8_id from = node->inputs[j] == Q8_NONE ? Q8_NONE : graph->tensors[node->inputs[j]].producer;
    if (from != Q8_NONE && !placed[from])
      return 0;
  }
  return 1;
}

/* Repeated sweeps in file order: one sweep for the usual sorted file. Each sweep places at least one node or fails, so
 * an adversarial order costs quadratic time in the node count; files are sorted by specification. */
static q8_status sort_nodes(q8_graph *graph, const uint8_t *needed, uint8_t *placed, q8_node *sorted, size_t *count,
                            qint8_error *error) {
  size_t wanted = 0, done = 0;
  for (size_t i = 0; i < graph->node_count; i++)
    wanted += needed[i];
  while (done < wanted) {
    size_t before = done;
    const q8_node *stuck = NULL;
    for (size_t i = 0; i < graph->node_count; i++) {
      if (!needed[i] || placed[i])
        continue;
      if (is_ready(graph, &graph->nodes[i], placed)) {
        placed[i] = 1;
        sorted[done++] = graph->nodes[i];
      } else if (!stuck) {
        stuck = &graph->nodes[i];
      }
    }
    if (done == before)
      return q8_fail(error, QINT8_ERROR_FORMAT, stuck->name, "the graph has a cycle through this node");
  }
  *count = done;
  return QINT8_OK;
}

q8_status q8_graph_freeze(q8_graph *graph, qint8_error *error) {
  const q8_host *host = &graph->pool.host;
  Q8_TRY(set_producers(graph, error));
  for (size_t i = 0; i < graph->output_count; i++)
    Q8_TRY(check_available(graph, graph->outputs[i], "the graph's output list", error));

  size_t n = graph->node_count ? graph->node_count : 1;
  uint8_t *needed = q8_calloc(host, n, 2);
  q8_id *stack = q8_alloc(host, n, sizeof *stack);
  q8_node *sorted = q8_alloc(host, n, sizeof *sorted);
  q8_status status = QINT8_OK;
  size_t count = 0;
  if (!needed || !stack || !sorted)
    status = q8_fail_memory(error, "graph", n * sizeof *sorted);
  if (status == QINT8_OK) {
    mark_needed(graph, needed, stack);
    for (size_t i = 0; i < graph->node_count && status == QINT8_OK; i++)
      for (int32_t j = 0; needed[i] && j < graph->nodes[i].input_count && status == QINT8_OK; j++)
        if (graph->nodes[i].inputs[j] != Q8_NONE)
          status = check_available(graph, graph->nodes[i].inputs[j], graph->nodes[i].name, error);
  }
  if (status == QINT8_OK)
    status = sort_nodes(graph, needed, needed + n, sorted, &count, error);
  if (status == QINT8_OK) {
    if (count)
      memcpy(graph->nodes, sorted, count * sizeof *sorted);
    graph->node_count = count;
    status = set_producers(graph, error);
    for (size_t i = 0; i < count; i++)
      for (int32_t j = 0; j < graph->nodes[i].input_count; j++)
        if (graph->nodes[i].inputs[j] != Q8_NONE)
          graph->tensors[graph->nodes[i].inputs[j]].uses++;
    for (size_t i = 0; i < graph->output_count; i++)
      graph->tensors[graph->outputs[i]].uses++;
  }
  q8_free(host, needed);
  q8_free(host, stack);
  q8_free(host, sorted);
  return status;
}
