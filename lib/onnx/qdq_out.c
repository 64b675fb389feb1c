/* qdq_out.c - quantized constants and the QuantizeLinear / DequantizeLinear pairs of activations. */

#include "onnx/exporter.h"
#include "onnx/round.h"

/* Scale and zero point initializers, per tensor (scalars) or per channel (lists). s32 has no zero point: names[1] is
 * NULL then. */
static void write_params(q8_exporter *exporter, const char *base, const q8_tensor_quant *quant, const char *names[2]) {
  int64_t dims[1] = {quant->count};
  int32_t rank = quant->count > 1;
  names[0] = q8_export_derive(exporter, base, "_scale");
  names[1] = NULL;
  q8_export_tensor_proto(exporter, Q8_GRAPH_INITIALIZER, names[0],
                         &(q8_out_data){QINT8_DTYPE_F32, rank, dims, quant->scale});
  if (quant->dtype == QINT8_DTYPE_S32)
    return;
  names[1] = q8_export_derive(exporter, base, "_zero_point");
  uint8_t *zero = q8_export_alloc(exporter, (size_t)quant->count, 1);
  for (int32_t i = 0; zero && i < quant->count; i++)
    zero[i] = (uint8_t)quant->zero_point[i]; /* two's complement serves s8 */
  q8_export_tensor_proto(exporter, Q8_GRAPH_INITIALIZER, names[1], &(q8_out_data){quant->dtype, rank, dims, zero});
}

/* The constant's floats; NULL without memory. *temporary is what to free afterwards. */
static const void *constant_values(q8_exporter *exporter, const q8_tensor *tensor, float **temporary) {
  *temporary = NULL;
  if (!tensor->integers)
    return tensor->data;
  *temporary = q8_alloc(&exporter->pool.host, q8_shape_count(&tensor->shape, NULL), sizeof(float));
  if (*temporary)
    q8_int8_to_float(tensor, *temporary);
  return *temporary;
}

/* base_quantized, whose name it returns. */
static const char *write_integers(q8_exporter *exporter, const q8_tensor *tensor, const q8_tensor_quant *quant,
                                  const char *base) {
  float *floats;
  const float *x = constant_values(exporter, tensor, &floats);
  size_t size = quant->dtype == QINT8_DTYPE_S32 ? 4 : 1;
  void *data = x ? q8_alloc(&exporter->pool.host, q8_shape_count(&tensor->shape, NULL) + 1, size) : NULL;
  const char *name = q8_export_derive(exporter, base, "_quantized");
  if (data)
    q8_round_constant(quant, &tensor->shape, x, data);
  exporter->writer.failed |= !data;
  q8_export_tensor_proto(exporter, Q8_GRAPH_INITIALIZER, name,
                         &(q8_out_data){quant->dtype, tensor->shape.rank, tensor->shape.dim, data});
  q8_free(&exporter->pool.host, floats);
  q8_free(&exporter->pool.host, data);
  return name;
}

/* name_quantized -> DequantizeLinear -> output */
static void write_constant(q8_exporter *exporter, const q8_tensor *tensor, const q8_tensor_quant *quant,
                           const char *output) {
  const char *inputs[3] = {write_integers(exporter, tensor, quant, output)};
  write_params(exporter, output, quant, inputs + 1);
  const int64_t axis = quant->axis;
  const q8_export_attribute attribute = {"axis", Q8_ATTR_INT, &axis};
  q8_export_node(exporter, "DequantizeLinear", inputs, inputs[2] ? 3 : 2, output,
                 quant->count > 1 && axis >= 0 ? &attribute : NULL);
}

/* A bias has the scale of its node's accumulators: another node that shares it gets its own. */
const char *q8_export_bias(q8_exporter *exporter, const q8_node *node, int pair) {
  const q8_tensor *bias = &exporter->graph->tensors[node->inputs[2]];
  const q8_tensor_quant *w = &exporter->recipe->tensors[node->inputs[1]];
  q8_out_tensor *out = &exporter->tensors[node->inputs[2]];
  size_t count = (size_t)w->count;
  q8_tensor_quant quant = {.dtype = QINT8_DTYPE_S32, .axis = count > 1 ? bias->shape.rank - 1 : -1, .count = w->count};
  quant.scale = q8_export_alloc(exporter, count, sizeof *quant.scale);
  quant.zero_point = q8_export_alloc(exporter, count, sizeof *quant.zero_point);
  if (!quant.scale || !quant.zero_point)
    return NULL;
  const char *name = bias->name;
  if (out->bias_named || out->wants_raw || out->wants_pair)
    name = q8_export_derive(exporter, name, "_int32");
  out->bias_named = 1;
  const q8_tensor_quant *imported = &exporter->recipe->tensors[node->inputs[2]];
  int same = imported->count == w->count;
  for (size_t c = 0; c < count; c++) {
    quant.scale[c] = exporter->recipe->tensors[node->inputs[0]].scale[0] * w->scale[c];
    same = same && imported->scale[c] == quant.scale[c];
  }
  if (same) {
    quant.integers = imported->integers;
    quant.integer_count = imported->integer_count;
  }
  if (!pair)
    return write_integers(exporter, bias, &quant, name);
  write_constant(exporter, bias, &quant, name);
  return name;
}

void q8_export_name_integers(q8_exporter *exporter, q8_id id) {
  q8_out_tensor *out = &exporter->tensors[id];
  const q8_tensor *tensor = &exporter->graph->tensors[id];
  const q8_tensor_quant *quant = &exporter->recipe->tensors[id];
  const char *params[2];
  if (out->integers)
    return;
  out->integers = q8_graph_is_constant(exporter->graph, id) ? write_integers(exporter, tensor, quant, tensor->name)
                                                            : q8_export_derive(exporter, tensor->name, "_quantized");
  write_params(exporter, tensor->name, quant, params);
  out->scale = params[0];
  out->zero = params[1];
}

void q8_export_raw_constant(q8_exporter *exporter, q8_id id) {
  q8_out_tensor *out = &exporter->tensors[id];
  const q8_tensor *tensor = &exporter->graph->tensors[id];
  if (out->raw_written)
    return;
  out->raw_written = 1;
  float *floats;
  const void *values = constant_values(exporter, tensor, &floats);
  if (!values)
    exporter->writer.failed = 1;
  else
    q8_export_tensor_proto(exporter, Q8_GRAPH_INITIALIZER, out->raw,
                           &(q8_out_data){tensor->dtype, tensor->shape.rank, tensor->shape.dim, values});
  q8_free(&exporter->pool.host, floats);
}

static const char *constant_input(q8_exporter *exporter, const q8_node *node, q8_mode mode, int32_t i) {
  q8_id id = node->inputs[i];
  q8_out_tensor *out = &exporter->tensors[id];
  int32_t weights = q8_weight_inputs(node->op);
  if (weights == 1 && i == 2 && mode == Q8_MODE_STATIC && q8_export_bias_is_int32(exporter, node))
    return q8_export_bias(exporter, node, 1);
  int rounded = out->wants_pair && mode != Q8_MODE_FLOAT && (!weights || (i >= 1 && i <= weights)) &&
                q8_is_quantized(&exporter->recipe->tensors[id]);
  if (!rounded) {
    q8_export_raw_constant(exporter, id);
    return out->raw;
  }
  if (!out->pair_written)
    write_constant(exporter, &exporter->graph->tensors[id], &exporter->recipe->tensors[id], out->dequantized);
  out->pair_written = 1;
  return out->dequantized;
}

void q8_export_inputs(q8_exporter *exporter, size_t index) {
  const q8_node *node = &exporter->graph->nodes[index];
  q8_mode mode = (q8_mode)exporter->modes[index];
  for (int32_t i = 0; i < node->input_count; i++) {
    q8_id id = node->inputs[i];
    exporter->inputs[i] = NULL;
    if (id == Q8_NONE)
      continue;
    const q8_out_tensor *out = &exporter->tensors[id];
    int rounded = out->stored_int8 ||
                  (mode == Q8_MODE_STATIC && q8_is_quantized(&exporter->recipe->tensors[id]));
    if (q8_graph_is_constant(exporter->graph, id))
      exporter->inputs[i] = constant_input(exporter, node, mode, i);
    else if (mode == Q8_MODE_DYNAMIC && i == 0)
      exporter->inputs[i] = out->dynamic;
    else
      exporter->inputs[i] = rounded ? out->dequantized : out->raw;
  }
}

static void write_dynamic(q8_exporter *exporter, q8_id id) {
  const q8_out_tensor *out = &exporter->tensors[id];
  const char *name = exporter->graph->tensors[id].name;
  const char *from = out->stored_int8 ? out->dequantized : out->raw, *parts[3];
  parts[0] = q8_export_derive(exporter, name, "_dynamic");
  parts[1] = q8_export_derive(exporter, name, "_dynamic_scale");
  parts[2] = q8_export_derive(exporter, name, "_dynamic_zero_point");
  q8_write_end(&exporter->writer, q8_export_begin(exporter, "DynamicQuantizeLinear", NULL, &from, 1, parts, 3));
  q8_export_node(exporter, "DequantizeLinear", parts, 3, out->dynamic, NULL);
}

void q8_export_pairs(q8_exporter *exporter, q8_id id) {
  const q8_out_tensor *out = &exporter->tensors[id];
  if (out->wants_pair || out->wants_integers) {
    q8_export_name_integers(exporter, id);
    const char *quantize[3] = {out->raw, out->scale, out->zero};
    const char *dequantize[3] = {out->integers, out->scale, out->zero};
    if (!out->integers_made)
      q8_export_node(exporter, "QuantizeLinear", quantize, 3, out->integers, NULL);
    if (out->wants_pair)
      q8_export_node(exporter, "DequantizeLinear", dequantize, 3, out->dequantized, NULL);
  }
  if (out->wants_dynamic)
    write_dynamic(exporter, id);
}
