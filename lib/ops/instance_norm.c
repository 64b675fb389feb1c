/* instance_norm.c - InstanceNormalization: mean and variance per sample and channel, which is a group of its own. */
#include "ops/norm.h"

typedef struct instance_norm_params {
  float epsilon;
} instance_norm_params;

static const q8_attribute attributes[] = {
    {"epsilon", Q8_ATTR_FLOAT, offsetof(instance_norm_params, epsilon), 0, 0, 1e-5}};

static q8_status infer(const q8_op_io *io) {
  return q8_group_norm_infer(io, io->inputs[0]->shape.dim[1]);
}

static q8_status eval(const q8_op_io *io) {
  return q8_group_norm_eval(io, io->inputs[0]->shape.dim[1], ((const instance_norm_params *)io->node->params)->epsilon);
}

const q8_op q8_op_instance_norm = {
    .name = "InstanceNormalization", Q8_OPSETS(6, 21), Q8_INPUTS(3, 3), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(instance_norm_params), .quant = Q8_QUANT_FLOAT,
    .float_inputs = 7, .least_rank = 2,
    .family = &(const q8_op_family){.int8_obstacle = "no int8 form: mean and variance need the range of float",
                                    .infer = infer, .eval = eval}};
