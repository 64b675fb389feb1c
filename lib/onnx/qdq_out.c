/* qdq_out.c - quantized constants and the QuantizeLinear / DequantizeLinear pairs of activations. */
#include <stdio.h>
#include <string.h>

#include "onnx/exporter.h"
#include "onnx/round.h"

/* base + suffix, not taken yet; NULL without memory. */
static const char *derive(q8_exporter *exporter, const char *base, const char *suffix) {
  char text[512];
  snprintf(text, sizeof text, "%.450s%s", base, suffix);
  return q8_export_fresh(exporter, text);
}

/* Scale and zero point initializers, per tensor (scalars) or per channel (lists). s32 has no zero point: names[1] is
 * NULL then. */
static q8_status write_params(q8_exporter *exporter, const char *base, const q8_tensor_quant *quant,
                              const char *names[2], qint8_error *error) {
  names[0] = derive(exporter, base, "_scale");
  names[1] = quant->dtype == QINT8_DTYPE_S32 ? NULL : derive(exporter, base, "_zero_point");
  uint8_t *zero = q8_pool_alloc(&exporter->pool, (size_t)quant->count, 1);
  if (!names[0] || (!names[1] && quant->dtype != QINT8_DTYPE_S32) || !zero)
    return q8_fail_memory(error, base, (size_t)quant->count);
  int64_t dims[1] = {quant->count};
  int32_t rank = quant->count > 1;
  q8_export_tensor_proto(exporter, Q8_GRAPH_INITIALIZER, names[0],
                         &(q8_out_data){QINT8_DTYPE_F32, rank, dims, quant->scale});
  if (!names[1])
    return QINT8_OK;
  for (int32_t i = 0; i < quant->count; i++)
    zero[i] = (uint8_t)quant->zero_point[i]; /* two's complement serves s8 */
  q8_export_tensor_proto(exporter, Q8_GRAPH_INITIALIZER, names[1], &(q8_out_data){quant->dtype, rank, dims, zero});
  return QINT8_OK;
}

/* The constant's floats; NULL without memory. *temporary is what to free afterwards. */
static const void *constant_values(q8_exporter *exporter, const q8_tensor *tensor, float **temporary) {
  *temporary = NULL;
  if (!tensor->integers)
    return tensor->data;
  *temporary = q8_alloc(&exporter->host, q8_shape_count(&tensor->shape, NULL), sizeof(float));
  if (*temporary)
    q8_int8_to_float(tensor, *temporary);
  return *temporary;
}

/* The integers of a float constant, in temporary memory of the host. */
static void *round_constant(q8_exporter *exporter, const q8_tensor *tensor, const q8_tensor_quant *quant) {
  size_t count = q8_shape_count(&tensor->shape, NULL), inner = 1;
  for (int32_t i = quant->axis + 1; quant->count > 1 && i < tensor->shape.rank; i++)
    inner *= (size_t)tensor->shape.dim[i];
  inner = inner ? inner : 1;
  int wide = quant->dtype == QINT8_DTYPE_S32, exact = quant->integers && quant->integer_count == count;
  void *out = q8_alloc(&exporter->host, count ? count : 1, wide ? 4 : 1);
  if (!out)
    return NULL;
  q8_round_range range = q8_round_range_of(quant->dtype);
  float *floats;
  const float *x = constant_values(exporter, tensor, &floats);
  if (!x) {
    q8_free(&exporter->host, out);
    return NULL;
  }
  size_t c = 0, left = inner;
  for (size_t i = 0; i < count; i++) {
    int32_t q = exact ? quant->integers[i] : q8_round(x[i], quant->scale[c], quant->zero_point[c], range);
    if (wide)
      ((int32_t *)out)[i] = q;
    else
      ((uint8_t *)out)[i] = (uint8_t)q;
    if (--left == 0) {
      left = inner;
      c = c + 1 < (size_t)quant->count ? c + 1 : 0;
    }
  }
  q8_free(&exporter->host, floats);
  return out;
}

/* base_quantized */
static q8_status write_integers(q8_exporter *exporter, const q8_tensor *tensor, const q8_tensor_quant *quant,
                                const char *base, const char **integers, qint8_error *error) {
  void *data = round_constant(exporter, tensor, quant);
  *integers = derive(exporter, base, "_quantized");
  if (!*integers || !data) {
    q8_free(&exporter->host, data);
    return q8_fail_memory(error, tensor->name, q8_shape_count(&tensor->shape, NULL));
  }
  q8_export_tensor_proto(exporter, Q8_GRAPH_INITIALIZER, *integers,
                         &(q8_out_data){quant->dtype, tensor->shape.rank, tensor->shape.dim, data});
  q8_free(&exporter->host, data);
  return QINT8_OK;
}

/* name_quantized -> DequantizeLinear -> output */
static q8_status write_constant(q8_exporter *exporter, const q8_tensor *tensor, const q8_tensor_quant *quant,
                                const char *output, qint8_error *error) {
  const char *params[2], *integers;
  Q8_TRY(write_integers(exporter, tensor, quant, output, &integers, error));
  Q8_TRY(write_params(exporter, output, quant, params, error));
  const char *inputs[3] = {integers, params[0], params[1]};
  q8_export_quant_node(exporter, "DequantizeLinear", inputs, params[1] ? 3 : 2, &output, 1,
                       quant->count > 1 ? quant->axis : -1);
  return QINT8_OK;
}

/* A bias has the scale of its node's accumulators: another node that shares it gets its own. */
q8_status q8_export_bias(q8_exporter *exporter, const q8_node *node, int pair, const char **name, qint8_error *error) {
  const q8_tensor *bias = &exporter->graph->tensors[node->inputs[2]];
  const q8_tensor_quant *w = &exporter->recipe->tensors[node->inputs[1]];
  q8_out_tensor *out = &exporter->tensors[node->inputs[2]];
  size_t count = (size_t)w->count;
  q8_tensor_quant quant = {.dtype = QINT8_DTYPE_S32, .axis = count > 1 ? bias->shape.rank - 1 : -1, .count = w->count};
  quant.scale = q8_pool_alloc(&exporter->pool, count, sizeof *quant.scale);
  quant.zero_point = q8_pool_alloc(&exporter->pool, count, sizeof *quant.zero_point);
  *name = out->bias_named || out->wants_raw || out->wants_pair ? derive(exporter, bias->name, "_int32") : bias->name;
  if (!quant.scale || !quant.zero_point || !*name)
    return q8_fail_memory(error, bias->name, count * sizeof *quant.scale);
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
  return pair ? write_constant(exporter, bias, &quant, *name, error)
              : write_integers(exporter, bias, &quant, *name, name, error);
}

q8_status q8_export_name_integers(q8_exporter *exporter, q8_id id, qint8_error *error) {
  q8_out_tensor *out = &exporter->tensors[id];
  const q8_tensor *tensor = &exporter->graph->tensors[id];
  const q8_tensor_quant *quant = &exporter->recipe->tensors[id];
  const char *params[2];
  if (out->integers)
    return QINT8_OK;
  if (q8_graph_is_constant(exporter->graph, id))
    Q8_TRY(write_integers(exporter, tensor, quant, tensor->name, &out->integers, error));
  else if (!(out->integers = derive(exporter, tensor->name, "_quantized")))
    return q8_fail_memory(error, tensor->name, strlen(tensor->name));
  Q8_TRY(write_params(exporter, tensor->name, quant, params, error));
  out->scale = params[0];
  out->zero = params[1];
  return QINT8_OK;
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
  q8_free(&exporter->host, floats);
}

static q8_status constant_input(q8_exporter *exporter, const q8_node *node, q8_mode mode, int32_t i,
                                const char **name, qint8_error *error) {
  q8_id id = node->inputs[i];
  q8_out_tensor *out = &exporter->tensors[id];
  int32_t weights = q8_weight_inputs(node->op);
  if (weights == 1 && i == 2 && mode == Q8_MODE_STATIC && q8_export_bias_is_int32(exporter, node))
    return q8_export_bias(exporter, node, 1, name, error);
  int rounded = out->wants_pair && mode != Q8_MODE_FLOAT && (!weights || (i >= 1 && i <= weights)) &&
                q8_is_quantized(&exporter->recipe->tensors[id]);
  if (!rounded) {
    q8_export_raw_constant(exporter, id);
    *name = out->raw;
    return QINT8_OK;
  }
  *name = out->dequantized;
  if (out->pair_written)
    return QINT8_OK;
  out->pair_written = 1;
  return write_constant(exporter, &exporter->graph->tensors[id], &exporter->recipe->tensors[id], *name, error);
}

q8_status q8_export_inputs(q8_exporter *exporter, size_t index, qint8_error *error) {
  const q8_node *node = &exporter->graph->nodes[index];
  q8_mode mode = (q8_mode)exporter->modes[index];
  exporter->inputs = q8_pool_alloc(&exporter->pool, (size_t)node->input_count + 1, sizeof *exporter->inputs);
  if (!exporter->inputs)
    return q8_fail_memory(error, node->name, (size_t)node->input_count * sizeof *exporter->inputs);
  for (int32_t i = 0; i < node->input_count; i++) {
    q8_id id = node->inputs[i];
    if (id == Q8_NONE)
      continue;
    const q8_out_tensor *out = &exporter->tensors[id];
    if (q8_graph_is_constant(exporter->graph, id)) {
      Q8_TRY(constant_input(exporter, node, mode, i, &exporter->inputs[i], error));
      continue;
    }
    int rounded = out->stored_int8 ||
                  (mode == Q8_MODE_STATIC && q8_is_quantized(&exporter->recipe->tensors[id]));
    exporter->inputs[i] = rounded ? out->dequantized : out->raw;
    if (mode == Q8_MODE_DYNAMIC && i == 0)
      exporter->inputs[i] = out->dynamic;
  }
  return QINT8_OK;
}

static q8_status write_dynamic(q8_exporter *exporter, q8_id id, qint8_error *error) {
  const q8_out_tensor *out = &exporter->tensors[id];
  const char *name = exporter->graph->tensors[id].name;
  const char *from = out->stored_int8 ? out->dequantized : out->raw;
  const char *parts[3] = {derive(exporter, name, "_dynamic"), derive(exporter, name, "_dynamic_scale"),
                          derive(exporter, name, "_dynamic_zero_point")};
  if (!parts[0] || !parts[1] || !parts[2])
    return q8_fail_memory(error, name, strlen(name));
  q8_export_quant_node(exporter, "DynamicQuantizeLinear", &from, 1, parts, 3, -1);
  q8_export_quant_node(exporter, "DequantizeLinear", parts, 3, &out->dynamic, 1, -1);
  return QINT8_OK;
}

q8_status q8_export_pairs(q8_exporter *exporter, q8_id id, qint8_error *error) {
  const q8_out_tensor *out = &exporter->tensors[id];
  if (out->wants_pair || out->wants_integers) {
    Q8_TRY(q8_export_name_integers(exporter, id, error));
    const char *quantize[3] = {out->raw, out->scale, out->zero};
    const char *dequantize[3] = {out->integers, out->scale, out->zero};
    if (!out->integers_made)
      q8_export_quant_node(exporter, "QuantizeLinear", quantize, 3, &out->integers, 1, -1);
    if (out->wants_pair)
      q8_export_quant_node(exporter, "DequantizeLinear", dequantize, 3, &out->dequantized, 1, -1);
  }
  return out->wants_dynamic ? write_dynamic(exporter, id, error) : QINT8_OK;
}
