#include "onnx/qdq.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/element.h"
#include "onnx/round.h"

/* Attributes of QuantizeLinear and DequantizeLinear up to opset 21, read like those of any operator. */
typedef struct qdq_params {
  int64_t axis, block_size, output_dtype, precision;
} qdq_params;

static const q8_attribute qdq_attributes[] = {
    {.name = "axis", .type = Q8_ATTR_INT, .offset = offsetof(qdq_params, axis), .preset = 1},
    {.name = "block_size", .type = Q8_ATTR_INT, .offset = offsetof(qdq_params, block_size)},
    {.name = "output_dtype", .type = Q8_ATTR_INT, .offset = offsetof(qdq_params, output_dtype)},
    {.name = "precision", .type = Q8_ATTR_INT, .offset = offsetof(qdq_params, precision)}};

static const q8_op qdq_op = {.name = "QuantizeLinear", Q8_ATTRIBUTES(qdq_attributes),
                             .params_size = sizeof(qdq_params)};

static size_t element_count(const q8_tensor *tensor) {
  return q8_shape_count(&tensor->shape, NULL);
}

static int is_integer(int32_t dtype) {
  return dtype == QINT8_DTYPE_U8 || dtype == QINT8_DTYPE_S8 || dtype == QINT8_DTYPE_S32;
}

static q8_status constant_input(const q8_importer *importer, const q8_raw_node *node, int32_t i, const char *what,
                                const q8_tensor **out) {
  *out = NULL;
  if (i >= node->input_count || node->inputs[i] == Q8_NONE)
    return QINT8_OK;
  if (!q8_graph_is_constant(importer->graph, node->inputs[i]))
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, node->name, "the %s of %s is not a constant", what,
                   node->op_type);
  *out = &importer->graph->tensors[node->inputs[i]];
  return QINT8_OK;
}

static q8_status check_axis(const q8_importer *importer, const q8_raw_node *node, const q8_tensor *data,
                            q8_tensor_quant *out) {
  if (out->count == 1) {
    out->axis = -1;
    return QINT8_OK;
  }
  int32_t rank = data ? data->shape.rank : Q8_MAX_RANK;
  if (data && out->axis < 0)
    out->axis += rank;
  if (!data)
    return QINT8_OK;
  if (out->axis < 0 || out->axis >= rank || data->shape.dim[out->axis] != out->count)
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, node->name, "%d scales do not fit axis %d of %s",
                   (int)out->count, (int)out->axis, data->name);
  return QINT8_OK;
}

static q8_status read_values(const q8_importer *importer, const q8_raw_node *node, const q8_tensor *scale,
                             const q8_tensor *zero, q8_tensor_quant *out) {
  q8_pool *pool = &importer->quant->pool;
  size_t n = element_count(scale);
  if (scale->dtype != QINT8_DTYPE_F32 || scale->shape.rank > 1 || n < 1 || n > INT32_MAX / 2)
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, node->name, "the scale is not a float scalar or list");
  if (zero && element_count(zero) != n)
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, node->name, "%zu scales, but %zu zero points", n,
                   element_count(zero));
  out->count = (int32_t)n;
  out->scale = q8_pool_alloc(pool, n, sizeof *out->scale);
  out->zero_point = q8_pool_alloc(pool, n, sizeof *out->zero_point);
  if (!out->scale || !out->zero_point)
    return q8_fail_memory(importer->error, node->name, n * sizeof *out->scale);
  for (size_t i = 0; i < n; i++) {
    out->scale[i] = ((const float *)scale->data)[i];
    out->zero_point[i] = zero ? (int32_t)q8_element_int(zero->dtype, zero->data, i) : 0;
    if (!isfinite(out->scale[i]) || out->scale[i] <= 0)
      return q8_fail(importer->error, QINT8_ERROR_FORMAT, node->name, "scale %g is not finite and above zero",
                     (double)out->scale[i]);
  }
  return QINT8_OK;
}

q8_status q8_qdq_params(q8_importer *importer, const q8_raw_node *node, const q8_tensor *data, q8_tensor_quant *out) {
  qdq_params params;
  const q8_tensor *scale, *zero;
  Q8_TRY(q8_import_attributes(importer, node, &qdq_op, &params));
  Q8_TRY(constant_input(importer, node, 1, "scale", &scale));
  Q8_TRY(constant_input(importer, node, 2, "zero point", &zero));
  if (!scale)
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, node->name, "%s has no scale", node->op_type);
  int32_t dtype = QINT8_DTYPE_U8;
  if (data && is_integer(data->dtype))
    dtype = data->dtype;
  else if (zero)
    dtype = zero->dtype;
  else if (node->kind == Q8_RAW_QUANTIZE && params.output_dtype && params.output_dtype != dtype)
    dtype = params.output_dtype == QINT8_DTYPE_S8 ? QINT8_DTYPE_S8 : QINT8_DTYPE_NONE;
  *out = (q8_tensor_quant){.dtype = dtype, .axis = params.axis >= -Q8_MAX_RANK && params.axis < Q8_MAX_RANK
                                                       ? (int32_t)params.axis
                                                       : Q8_MAX_RANK};
  if (params.block_size != 0)
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, node->name, "%s in blocks", node->op_type);
  if (!is_integer(dtype) || (dtype == QINT8_DTYPE_S32 && !data))
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, node->name, "%s to a type other than 8-bit integers",
                   node->op_type);
  if (zero && zero->dtype != dtype)
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, node->name, "the zero point has another type than the data");
  Q8_TRY(read_values(importer, node, scale, zero, out));
  return check_axis(importer, node, data, out);
}

int q8_qdq_equal(const q8_tensor_quant *a, const q8_tensor_quant *b) {
  size_t n = (size_t)a->count;
  return b && a->dtype == b->dtype && a->count == b->count && a->axis == b->axis &&
         memcmp(a->scale, b->scale, n * sizeof *a->scale) == 0 &&
         memcmp(a->zero_point, b->zero_point, n * sizeof *a->zero_point) == 0;
}

q8_status q8_qdq_dequantize(q8_importer *importer, const q8_raw_node *node, const q8_tensor *integers,
                            const q8_tensor_quant *params, q8_raw_tensor *out) {
  if (!is_integer(integers->dtype))
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, node->name,
                   "DequantizeLinear of a type other than integers");
  size_t n = element_count(integers), inner = q8_shape_inner(&integers->shape, params->axis + 1);
  float *values = q8_pool_reserve(&importer->graph->pool, n ? n : 1, sizeof *values);
  if (!values)
    return q8_fail_memory(importer->error, node->name, n * sizeof *values);
  int32_t c = 0;
  for (size_t i = 0; i < n; c = c + 1 < params->count ? c + 1 : 0)
    for (const size_t end = i + inner; i < end; i++)
      values[i] =
          (float)(q8_element_int(integers->dtype, integers->data, i) - params->zero_point[c]) * params->scale[c];
  *out = (q8_raw_tensor){.name = "", .dtype = QINT8_DTYPE_F32, .shape = integers->shape, .data = values};
  return QINT8_OK;
}

q8_status q8_qdq_quantize(q8_importer *importer, const q8_raw_node *node, const q8_tensor *values,
                          const q8_tensor_quant *params, q8_tensor *out) {
  if (values->dtype != QINT8_DTYPE_F32)
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, node->name, "QuantizeLinear of a type other than float");
  size_t n = element_count(values);
  int wide = params->dtype == QINT8_DTYPE_S32;
  void *integers = q8_pool_alloc(wide ? &importer->graph->pool : &importer->pool, n + 1, wide ? 4 : 1);
  if (!integers)
    return q8_fail_memory(importer->error, node->name, n);
  q8_round_constant(params, &values->shape, values->data, integers);
  *out = *values;
  out->dtype = params->dtype;
  out->data = integers;
  return QINT8_OK;
}
