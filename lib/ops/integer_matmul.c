/* integer_matmul.c - MatMulInteger and QLinearMatMul on integer tensors. Scales and zero points: one, one per row of a,
 * one per column of b. */
#include "ops/integer.h"
#include "ops/matmul.h"

static q8_status find_shape(const q8_op_io *io, q8_matmul_shape *s) {
  Q8_TRY(q8_matmul_shape_of(io, &io->inputs[0]->shape, &io->inputs[q8_integer_places_of(io)->b]->shape, s));
  return q8_integer_check(io, s->m, s->n);
}

static q8_status infer(const q8_op_io *io) {
  q8_matmul_shape s;
  q8_shape y;
  Q8_TRY(find_shape(io, &s));
  Q8_TRY(q8_matmul_result(io, &s, &y));
  return q8_infer_set(io, 0, q8_integer_dtype(io), &y);
}

static q8_status eval(const q8_op_io *io) {
  const q8_integer_places *at = q8_integer_places_of(io);
  q8_matmul_shape s;
  Q8_TRY(find_shape(io, &s));
  size_t batches = q8_shape_count(&s.batch, NULL), first_a, first_b;
  for (size_t i = 0; i < batches * s.m; i++) {
    size_t m = i % s.m;
    q8_matmul_operands(&s, i / s.m, &first_a, &first_b);
    q8_integer_operand a = q8_integer_operand_of(io, 0, at->a_zero, m);
    for (size_t n = 0; n < s.n; n++) {
      q8_integer_operand b = q8_integer_operand_of(io, at->b, at->b_zero, n);
      uint32_t sum = 0;
      for (size_t k = 0; k < s.k; k++)
        sum += q8_operand_at(&a, first_a + m * s.k + k) * q8_operand_at(&b, first_b + k * s.n + n);
      q8_integer_store(io, m, n, i * s.n + n, sum);
    }
  }
  return QINT8_OK;
}

static const q8_op_family family = {
    .int8_obstacle = "takes integers as values of the graph", .infer = infer, .eval = eval};

const q8_op q8_op_matmul_integer = {
    .name = "MatMulInteger", Q8_OPSETS(10, 21), Q8_INPUTS(2, 4), Q8_OUTPUTS(1, 1),
    .quant = Q8_QUANT_FLOAT,
    .family = &family};

/* a, a_scale, a_zero_point, b, b_scale, b_zero_point, y_scale, y_zero_point */
const q8_op q8_op_qlinear_matmul = {
    .name = "QLinearMatMul", Q8_OPSETS(10, 21), Q8_INPUTS(8, 8), Q8_OUTPUTS(1, 1),
    .quant = Q8_QUANT_FLOAT,
    .family = &family};
