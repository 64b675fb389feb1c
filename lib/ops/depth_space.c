/* depth_space.c - DepthToSpace, SpaceToDepth: blocks of positions become channels, and back. */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "ops/common.h"

typedef struct block_params {
  int64_t size;
  char mode[32];
} block_params;

static const q8_attribute to_space_attributes[] = {
    {"blocksize", Q8_ATTR_INT, offsetof(block_params, size), 1, 0, 0},
    {Q8_NAME_AND_TEXT("mode", "DCR"), Q8_ATTR_STRING, offsetof(block_params, mode), 0, 0, 0}};
static const q8_attribute to_depth_attributes[] = {
    {"blocksize", Q8_ATTR_INT, offsetof(block_params, size), 1, 0, 0}};

static q8_status fail(const q8_op_io *io) {
  const block_params *p = io->node->params;
  return q8_op_fail(io, QINT8_ERROR_SHAPE, "blocks of %" PRId64 " do not divide shape %p", p->size,
                    &io->inputs[0]->shape);
}

static q8_status infer_to_space(const q8_op_io *io) {
  const block_params *p = io->node->params;
  q8_shape y = io->inputs[0]->shape;
  if (strcmp(p->mode, "DCR") && strcmp(p->mode, "CRD"))
    return q8_op_fail(io, QINT8_ERROR_FORMAT, "mode \"%s\"", p->mode);
  if (y.rank != 4 || p->size < 1 || p->size > 1 << 15 || y.dim[1] % (p->size * p->size))
    return fail(io);
  y.dim[1] /= p->size * p->size;
  y.dim[2] *= p->size;
  y.dim[3] *= p->size;
  return q8_infer_shaped(io, &y);
}

static q8_status infer_to_depth(const q8_op_io *io) {
  const block_params *p = io->node->params;
  q8_shape y = io->inputs[0]->shape;
  if (y.rank != 4 || p->size < 1 || p->size > 1 << 15 || y.dim[2] % p->size || y.dim[3] % p->size)
    return fail(io);
  y.dim[1] *= p->size * p->size;
  y.dim[2] /= p->size;
  y.dim[3] /= p->size;
  return q8_infer_shaped(io, &y);
}

/* The result is x seen as six dimensions, transposed: out[i] = in[perm[i]]. */
static q8_status transpose6(const q8_op_io *io, const int64_t *in, const int *perm) {
  q8_shape x = {.rank = 6}, y = {.rank = 6};
  int64_t own[6], stride[6];
  memcpy(x.dim, in, 6 * sizeof *in);
  q8_strides(&x, own);
  for (int i = 0; i < 6; i++) {
    y.dim[i] = x.dim[perm[i]];
    stride[i] = own[perm[i]];
  }
  return q8_eval_view(io, &y, 0, stride);
}

static q8_status eval_to_space(const q8_op_io *io) {
  static const int depth_first[6] = {0, 3, 4, 1, 5, 2}, column_first[6] = {0, 1, 4, 2, 5, 3};
  const block_params *p = io->node->params;
  const q8_shape *x = &io->inputs[0]->shape;
  int64_t b = p->size, c = x->dim[1] / (b * b);
  if (p->mode[0] == 'D')
    return transpose6(io, (int64_t[6]){x->dim[0], b, b, c, x->dim[2], x->dim[3]}, depth_first);
  return transpose6(io, (int64_t[6]){x->dim[0], c, b, b, x->dim[2], x->dim[3]}, column_first);
}

static q8_status eval_to_depth(const q8_op_io *io) {
  static const int perm[6] = {0, 3, 5, 1, 2, 4};
  const q8_shape *x = &io->inputs[0]->shape;
  int64_t b = ((const block_params *)io->node->params)->size;
  return transpose6(io, (int64_t[6]){x->dim[0], x->dim[1], x->dim[2] / b, b, x->dim[3] / b, b}, perm);
}

#define BLOCKS(id, onnx_name, list, infer_fn, eval_fn)                                                              \
  const q8_op q8_op_##id = {                                                                                       \
      .name = onnx_name, Q8_OPSETS(1, 21), Q8_INPUTS(1, 1), Q8_OUTPUTS(1, 1),                                      \
      Q8_ATTRIBUTES(list), .params_size = sizeof(block_params), .quant = Q8_QUANT_SAME,                            \
      .family = &(const q8_op_family){.infer = infer_fn, .eval = eval_fn, .plan = q8_plan_move}};

BLOCKS(depth_to_space, "DepthToSpace", to_space_attributes, infer_to_space, eval_to_space)
BLOCKS(space_to_depth, "SpaceToDepth", to_depth_attributes, infer_to_depth, eval_to_depth)
