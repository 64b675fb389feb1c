/* group_norm.c - GroupNormalization: mean and variance per sample and group of channels; scale and bias per channel
 * (opset 21) or per group (opset 18). */
#include <math.h>

#include "ops/hooks.h"
#include "ops/norm.h"

typedef struct group_norm_params {
  float epsilon;
  int64_t num_groups, stash_type;
} group_norm_params;

#define AT(field) offsetof(group_norm_params, field)
static const q8_attribute attributes[] = {{"epsilon", Q8_ATTR_FLOAT, AT(epsilon), 0, 0, 1e-5},
                                          {"num_groups", Q8_ATTR_INT, AT(num_groups), 1, 0, 0},
                                          {"stash_type", Q8_ATTR_INT, AT(stash_type), 0, 0, 1}};

q8_status q8_group_norm_infer(const q8_op_io *io, int64_t groups) {
  const q8_shape *x = &io->inputs[0]->shape;
  if (groups < 1 || x->dim[1] % groups)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "%lld groups of an input of shape %p", (long long)groups, x);
  for (int32_t i = 1; i < 3; i++) {
    size_t count = io->inputs[i]->count;
    if (count != (size_t)x->dim[1] && count != (size_t)groups)
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "%s of shape %p for %lld groups of an input of shape %p",
                        i == 1 ? "scale" : "bias", &io->inputs[i]->shape, (long long)groups, x);
  }
  return q8_infer_same(io);
}

q8_status q8_group_norm_eval(const q8_op_io *io, int64_t group_count, float epsilon) {
  const q8_shape *shape = &io->inputs[0]->shape;
  const float *x = io->inputs[0]->data, *scale = io->inputs[1]->data, *bias = io->inputs[2]->data;
  float *y = io->outputs[0].data;
  size_t channels = (size_t)shape->dim[1], groups = (size_t)group_count, per_group = channels / groups;
  size_t n = q8_dims(shape, 2, shape->rank), planes = (size_t)shape->dim[0] * groups;
  size_t per_scale = io->inputs[1]->count == channels ? 1 : per_group;
  size_t per_bias = io->inputs[2]->count == channels ? 1 : per_group;
  for (size_t g = 0; g < planes && n; g++) {
    double mean, variance;
    q8_moments(per_group * n, x + g * per_group * n, &mean, &variance);
    for (size_t i = 0; i < per_group; i++) {
      size_t channel = g % groups * per_group + i, at = (g * per_group + i) * n;
      double factor = scale[channel / per_scale] / sqrt(variance + (double)epsilon);
      q8_scale_shift(n, x + at, (float)factor, (float)(bias[channel / per_bias] - mean * factor), y + at);
    }
  }
  return QINT8_OK;
}

static q8_status infer(const q8_op_io *io) {
  return q8_group_norm_infer(io, ((const group_norm_params *)io->node->params)->num_groups);
}

static q8_status eval(const q8_op_io *io) {
  const group_norm_params *p = io->node->params;
  return q8_group_norm_eval(io, p->num_groups, p->epsilon);
}

/* ---- As operators of opset 17: a group is an instance of [N, groups, the rest] ---- */

/* Constant `input` as an initializer of a shape that broadcasts over [N, C, ...]. */
static const char *per_channel(q8_exporter *exporter, const q8_graph *graph, const q8_node *node, int32_t input) {
  const q8_tensor *t = &graph->tensors[node->inputs[input]];
  q8_shape shape = {.rank = graph->tensors[node->inputs[0]].shape.rank - 1, .dim = {t->shape.dim[0]}};
  for (int32_t i = 1; i < shape.rank; i++)
    shape.dim[i] = 1;
  return q8_export_constant(exporter, t->name, QINT8_DTYPE_F32, &shape, t->data);
}

/* InstanceNormalization between two Reshapes, with scale and bias of each group. */
static void write_instances(q8_exporter *exporter, const q8_node *node, const char *scale, const char *bias,
                            const char *output) {
  const group_norm_params *p = node->params;
  const q8_shape three = {.rank = 1, .dim = {3}};
  const int64_t grouped[3] = {0, p->num_groups, -1};
  const char *x = q8_export_input(exporter, node, 0);
  const char *split[2] = {x, q8_export_constant(exporter, node->name, QINT8_DTYPE_S64, &three, grouped)};
  const char *normalize[3] = {q8_export_fresh(exporter, node->name), scale, bias};
  const char *join[2] = {q8_export_fresh(exporter, node->name), q8_export_fresh(exporter, node->name)};
  const q8_export_attribute epsilon = {"epsilon", Q8_ATTR_FLOAT, &p->epsilon};
  q8_export_node(exporter, "Reshape", split, 2, normalize[0], NULL);
  q8_export_node(exporter, "InstanceNormalization", normalize, 3, join[0], &epsilon);
  q8_export_node(exporter, "Shape", &x, 1, join[1], NULL);
  q8_export_node(exporter, "Reshape", join, 2, output, NULL);
}

static q8_status expand(q8_exporter *exporter, const q8_graph *graph, const q8_node *node, qint8_error *error) {
  const group_norm_params *p = node->params;
  const q8_tensor *scale = &graph->tensors[node->inputs[1]], *bias = &graph->tensors[node->inputs[2]];
  const char *output = q8_export_output(exporter, node, 0);
  if (!scale->data || !bias->data || scale->shape.rank != 1 || bias->shape.rank != 1 ||
      graph->tensors[node->inputs[0]].shape.rank < 3)
    return q8_fail(error, QINT8_ERROR_UNSUPPORTED, node->name,
                   "GroupNormalization has a form in opset 17 only with constant scale and bias and known rank");
  if (scale->shape.dim[0] == p->num_groups && bias->shape.dim[0] == p->num_groups) {
    write_instances(exporter, node, q8_export_input(exporter, node, 1), q8_export_input(exporter, node, 2), output);
    return QINT8_OK;
  }
  if (scale->shape.dim[0] != bias->shape.dim[0])
    return q8_fail(error, QINT8_ERROR_UNSUPPORTED, node->name, "scale and bias of different lengths");
  const q8_shape groups = {.rank = 1, .dim = {p->num_groups}};
  float *values = q8_export_alloc(exporter, 2 * (size_t)p->num_groups, sizeof *values);
  if (!values)
    return QINT8_ERROR_MEMORY;
  for (int64_t i = 0; i < p->num_groups; i++)
    values[i] = 1;
  const char *ones = q8_export_constant(exporter, node->name, QINT8_DTYPE_F32, &groups, values);
  const char *zeros = q8_export_constant(exporter, node->name, QINT8_DTYPE_F32, &groups, values + p->num_groups);
  const char *multiply[2] = {q8_export_fresh(exporter, node->name), per_channel(exporter, graph, node, 1)};
  const char *add[2] = {q8_export_fresh(exporter, node->name), per_channel(exporter, graph, node, 2)};
  write_instances(exporter, node, ones, zeros, multiply[0]);
  q8_export_node(exporter, "Mul", multiply, 2, add[0], NULL);
  q8_export_node(exporter, "Add", add, 2, output, NULL);
  return QINT8_OK;
}

const q8_op q8_op_group_norm = {
    .name = "GroupNormalization", Q8_OPSETS(18, 21), Q8_INPUTS(3, 3), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(group_norm_params), .quant = Q8_QUANT_FLOAT,
    .float_inputs = 7, .least_rank = 2,
    .family = &(const q8_op_family){.int8_obstacle = "no int8 form: mean and variance need the range of float",
                                    .infer = infer, .eval = eval,
                                    .extras = &(const q8_op_extras){.expand = expand}}};
