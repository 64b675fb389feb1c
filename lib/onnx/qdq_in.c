/* qdq_in.c - QuantizeLinear / DequantizeLinear pairs leave the graph; what they said goes to the side table.
 *
 *   x -> Q -> DQ -> d     readers of d read x; x gets the parameters
 *   ... x -> Q -> DQ -> d, d an output of the graph: x is renamed to d, so that the output keeps its name
 *   integers -> DQ -> w   w becomes the float constant (q - zero_point) * scale, with the parameters; weights stay
 *                         integers in memory until somebody wants their floats
 *   x -> DynamicQuantizeLinear -> DQ -> d    readers of d read x; x is noted as dynamic
 *
 * Nodes that do not fit have become operators of the graph before: see qdq_keep.c.
 */
#include <string.h>

#include "onnx/importer.h"
#include "onnx/qdq.h"

typedef struct tensor_state {
  q8_id alias;      /* the tensor that stands for this one; itself at the end of a chain */
  const q8_raw_node *source; /* QUANTIZE or DYNAMIC that writes it, or NULL */
  int32_t entry;    /* its parameters in the side table, or -1 */
  uint8_t is_pair;  /* written by the DequantizeLinear of a pair */
  uint8_t is_written; /* by a DequantizeLinear of any kind */
  uint8_t is_output, is_input;
} tensor_state;

typedef struct qdq {
  q8_importer *importer;
  tensor_state *states;
  size_t count;
} qdq;

static const char *tensor_name(const qdq *q, q8_id id) {
  return q->importer->graph->tensors[id].name;
}

static q8_status resolve(const qdq *q, q8_id id, q8_id *out) {
  q8_id at = id;
  for (size_t hops = 0; q->states[at].alias != at; hops++) {
    if (hops > q->importer->node_count + 1)
      return q8_fail(q->importer->error, QINT8_ERROR_FORMAT, tensor_name(q, id),
                     "the graph has a cycle through this tensor");
    at = q->states[at].alias;
  }
  q->states[id].alias = at; /* so that long chains stay cheap */
  *out = at;
  return QINT8_OK;
}

static q8_status note_name(qdq *q, q8_id tensor, q8_name_list *list) {
  const char *name = tensor_name(q, tensor);
  return q8_import_note(q->importer, list, name, strlen(name));
}

static q8_status note_params(qdq *q, q8_id tensor, const q8_tensor_quant *params) {
  q8_onnx_quant *quant = q->importer->quant;
  const char *name = tensor_name(q, tensor);
  if (q->states[tensor].entry >= 0) {
    if (!q8_qdq_equal(&quant->entries[q->states[tensor].entry].quant, params))
      return q8_fail(q->importer->error, QINT8_ERROR_UNSUPPORTED, name,
                     "the tensor is quantized in two different ways");
    return QINT8_OK;
  }
  q8_quant_entry entry = {.name = q8_pool_string(&quant->pool, name, strlen(name)), .quant = *params};
  if (!entry.name || !q8_grow(&quant->pool.host, (void **)&quant->entries, &quant->entry_capacity,
                              quant->entry_count + 1, sizeof entry, quant->entry_count))
    return q8_fail_memory(q->importer->error, name, sizeof entry);
  q->states[tensor].entry = (int32_t)quant->entry_count;
  quant->entries[quant->entry_count++] = entry;
  return QINT8_OK;
}

static q8_status two_writers(const qdq *q, q8_id tensor) {
  return q8_fail(q->importer->error, QINT8_ERROR_FORMAT, tensor_name(q, tensor), "two nodes produce this tensor");
}

/* ---- Which node is what ---- */

static q8_status find_sources(qdq *q) {
  for Q8_EACH_RAW(node, q->importer) {
    if (node->kind != Q8_RAW_QUANTIZE && node->kind != Q8_RAW_DYNAMIC)
      continue;
    Q8_TRY(q8_import_check_whole(q->importer, node));
    for (int32_t j = 0; j < node->output_count; j++) {
      if (node->outputs[j] == Q8_NONE)
        continue;
      if (q->states[node->outputs[j]].source || q8_graph_is_constant(q->importer->graph, node->outputs[j]))
        return two_writers(q, node->outputs[j]);
      q->states[node->outputs[j]].source = node;
    }
  }
  return QINT8_OK;
}

/* ---- DequantizeLinear ---- */

/* u8 around 128 is s8 around 0: the form in which weights run. */
static void prefer_signed(q8_tensor_quant *params) {
  if (params->dtype != QINT8_DTYPE_U8)
    return;
  for (int32_t i = 0; i < params->count; i++)
    if (params->zero_point[i] != 128)
      return;
  params->dtype = QINT8_DTYPE_S8;
  memset(params->zero_point, 0, (size_t)params->count * sizeof *params->zero_point);
}

/* w = integers * scale without a copy: what most of a model is. 0 if they are not of that kind. */
static int can_keep(const q8_tensor *integers, const q8_tensor_quant *params) {
  for (int32_t i = 0; i < params->count; i++)
    if (params->zero_point[i] != 0)
      return 0;
  return integers->dtype == QINT8_DTYPE_S8;
}

static q8_status keep_integers(qdq *q, q8_id w, const q8_tensor *integers, const q8_tensor_quant *params) {
  q8_graph *graph = q->importer->graph;
  q8_tensor *tensor = &graph->tensors[w];
  q8_int8_values *kept = q8_pool_alloc(&graph->pool, 1, sizeof *kept);
  float *scale = q8_pool_alloc(&graph->pool, (size_t)params->count, sizeof *scale);
  if (!kept || !scale)
    return q8_fail_memory(q->importer->error, tensor->name, (size_t)params->count * sizeof *scale);
  memcpy(scale, params->scale, (size_t)params->count * sizeof *scale);
  *kept = (q8_int8_values){integers->data, scale, params->count, params->axis};
  tensor->dtype = QINT8_DTYPE_F32;
  tensor->shape = integers->shape;
  tensor->dim_names = NULL;
  tensor->integers = kept;
  return QINT8_OK;
}

/* `lasting`: the integers lie in the graph's memory. */
static q8_status take_constant(qdq *q, const q8_raw_node *node, const q8_tensor *integers, int lasting) {
  q8_tensor_quant *params = node->quant;
  q8_raw_tensor value;
  if (lasting && can_keep(integers, params)) {
    Q8_TRY(keep_integers(q, node->outputs[0], integers, params));
    return note_params(q, node->outputs[0], params);
  }
  Q8_TRY(q8_qdq_dequantize(q->importer, node, integers, params, &value));
  Q8_TRY(q8_import_define(q->importer, node->outputs[0], &value));
  prefer_signed(params);
  if (integers->dtype == QINT8_DTYPE_S32) {
    params->integers = integers->data;
    params->integer_count = q8_shape_count(&integers->shape, NULL);
  }
  return note_params(q, node->outputs[0], params);
}

/* x is a float constant: its rounded values become the constant d. */
static q8_status take_fake_constant(qdq *q, const q8_raw_node *quantize, const q8_raw_node *node) {
  const q8_tensor *x = &q->importer->graph->tensors[quantize->inputs[0]];
  q8_tensor integers;
  Q8_TRY(q8_qdq_quantize(q->importer, quantize, x, quantize->quant, &integers));
  Q8_TRY(q8_qdq_params(q->importer, node, &integers, node->quant)); /* again, as their type is known now */
  return take_constant(q, node, &integers, 0);
}

static q8_status take_dequantize(qdq *q, const q8_raw_node *node) {
  Q8_TRY(q8_import_check_whole(q->importer, node));
  const q8_importer *importer = q->importer;
  q8_id x = node->inputs[0];
  tensor_state *d = &q->states[node->outputs[0]];
  if (d->is_written || d->source || q8_graph_is_constant(importer->graph, node->outputs[0]))
    return two_writers(q, node->outputs[0]);
  d->is_written = 1;
  if (q8_graph_is_constant(importer->graph, x))
    return take_constant(q, node, &importer->graph->tensors[x], 1);
  const q8_raw_node *source = q->states[x].source;
  if (source->kind == Q8_RAW_QUANTIZE && q8_graph_is_constant(importer->graph, source->inputs[0]))
    return take_fake_constant(q, source, node);
  d->alias = source->inputs[0];
  d->is_pair = source->kind == Q8_RAW_QUANTIZE;
  return QINT8_OK;
}

/* ---- Names ---- */

/* An output of the graph that a pair writes. */
static q8_status keep_outputs(qdq *q) {
  const q8_importer *importer = q->importer;
  for (size_t i = 0; i < importer->output_count; i++) {
    q8_id out = importer->outputs[i], x;
    Q8_TRY(resolve(q, out, &x));
    if (x == out)
      continue;
    q->states[out].alias = out;
    tensor_state *state = &q->states[x];
    if (state->is_input || state->is_output || q8_graph_is_constant(importer->graph, x))
      Q8_TRY(q8_import_identity(q->importer, tensor_name(q, out), x, out));
    else
      state->alias = out;
  }
  return QINT8_OK;
}

/* Parameters go to the tensors that remain. */
static q8_status note_pairs(qdq *q) {
  q8_importer *importer = q->importer;
  for Q8_EACH_RAW(node, importer) {
    if (node->kind != Q8_RAW_DEQUANTIZE || q8_graph_is_constant(importer->graph, node->outputs[0]))
      continue;
    const q8_raw_node *source = q->states[node->inputs[0]].source;
    q8_id x, d;
    Q8_TRY(resolve(q, source->inputs[0], &x));
    Q8_TRY(resolve(q, node->outputs[0], &d)); /* another tensor than x if an Identity lies between */
    if (source->kind == Q8_RAW_DYNAMIC) {
      Q8_TRY(note_name(q, x, &importer->quant->dynamic));
      continue;
    }
    Q8_TRY(note_params(q, x, source->quant));
    Q8_TRY(note_params(q, d, source->quant));
  }
  return QINT8_OK;
}

/* Whether the node stayed an operator though its parameters are known: then its float side can be int8 without loss. */
static int is_border(const q8_raw_node *node, const char *op_type) {
  return node->kind == Q8_RAW_OP && !strcmp(node->op_type, op_type) && node->input_count > 2 && node->quant &&
         node->quant->count == 1 && node->quant->dtype != QINT8_DTYPE_S32;
}

/* Where integers enter or leave the graph: what DequantizeLinear gives, and what only QuantizeLinear reads. */
static q8_status note_borders(qdq *q) {
  q8_importer *importer = q->importer;
  for Q8_EACH_RAW(node, importer) {
    q8_id x = node->inputs[0], y = node->outputs[0];
    if (is_border(node, "DequantizeLinear") && q->states[y].entry < 0) {
      q->states[y].is_pair = 1;
      Q8_TRY(note_params(q, y, node->quant));
    } else if (is_border(node, "QuantizeLinear")) {
      const tensor_state *state = &q->states[x];
      if (importer->links.uses[x] == 1 && state->alias == x && state->entry < 0 && !state->is_input &&
          !state->is_output && !q8_graph_is_constant(importer->graph, x))
        Q8_TRY(note_params(q, x, node->quant));
    }
  }
  return QINT8_OK;
}

/* Whether a reader of `id` sees the float value of x, a tensor that others read rounded. */
static int is_raw_read(qdq *q, q8_id id, q8_id x) {
  if (q->states[x].entry < 0 || q->states[id].is_pair || q8_graph_is_constant(q->importer->graph, id))
    return 0;
  q->importer->quant->entries[q->states[x].entry].read_raw = 1;
  return 1;
}

/* `is_added`: an Identity that writes in the place of a DequantizeLinear. */
static q8_status rename_node(qdq *q, q8_raw_node *node, int is_added) {
  int reads_raw = 0; /* then the node is meant to be float */
  for (int32_t i = 0; i < node->input_count; i++) {
    q8_id id = node->inputs[i], x;
    if (id == Q8_NONE)
      continue;
    Q8_TRY(resolve(q, id, &x));
    reads_raw |= is_raw_read(q, id, x);
    node->inputs[i] = x;
  }
  for (int32_t i = 0; i < node->output_count; i++) {
    q8_id id = node->outputs[i];
    if (id == Q8_NONE)
      continue;
    if (!is_added && (q->states[id].is_written || q->states[id].source))
      return two_writers(q, id);
    Q8_TRY(resolve(q, id, &node->outputs[i]));
  }
  if (reads_raw && !is_added && node->outputs[0] != Q8_NONE)
    return note_name(q, node->outputs[0], &q->importer->quant->float_nodes);
  return QINT8_OK;
}

/* Only weights stay integers. */
static q8_status expand_others(q8_importer *importer) {
  for Q8_EACH_RAW(node, importer)
    for (int32_t j = 0; node->kind == Q8_RAW_OP && j < node->input_count; j++)
      if (node->inputs[j] != Q8_NONE && (j != 1 || node->op->quant != Q8_QUANT_WEIGHTED))
        Q8_TRY(q8_graph_expand(importer->graph, node->inputs[j], importer->error));
  for (size_t i = 0; i < importer->output_count; i++)
    Q8_TRY(q8_graph_expand(importer->graph, importer->outputs[i], importer->error));
  return QINT8_OK;
}

static q8_status run(qdq *q) {
  q8_importer *importer = q->importer;
  const q8_raw_node *last = importer->last;
  int is_added = 0;
  for (size_t i = 0; i < q->count; i++)
    q->states[i] = (tensor_state){.alias = (q8_id)i, .entry = -1};
  for (size_t i = 0; i < importer->input_count; i++)
    q->states[importer->inputs[i]].is_input = 1;
  for (size_t i = 0; i < importer->output_count; i++)
    q->states[importer->outputs[i]].is_output = 1;
  Q8_TRY(find_sources(q));
  for Q8_EACH_RAW(node, importer)
    if (node->kind == Q8_RAW_DEQUANTIZE)
      Q8_TRY(take_dequantize(q, node));
  Q8_TRY(keep_outputs(q));
  Q8_TRY(note_pairs(q));
  Q8_TRY(note_borders(q));
  for (size_t i = 0; i < importer->output_count; i++)
    is_raw_read(q, importer->outputs[i], importer->outputs[i]);
  for Q8_EACH_RAW(node, importer) {
    if (node->kind == Q8_RAW_OP)
      Q8_TRY(rename_node(q, node, is_added));
    is_added |= node == last;
  }
  return expand_others(importer);
}

q8_status q8_import_qdq(q8_importer *importer) {
  int any = 0;
  for Q8_EACH_RAW(node, importer)
    any |= node->kind > Q8_RAW_NOTHING;
  if (!any)
    return QINT8_OK;
  qdq q = {.importer = importer, .count = importer->graph->tensor_count};
  q.states = q8_import_alloc(importer, q.count, sizeof *q.states, "graph");
  return q.states ? run(&q) : QINT8_ERROR_MEMORY;
}
