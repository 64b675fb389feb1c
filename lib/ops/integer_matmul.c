/* integer_matmul.c - MatMulInteger and QLinearMatMul on integer tensors. Scales and zero points: one, one per row of a,
 * one per column of b. */
#include "ops/integer.h"
#include "ops/matmul.h"

/* Where the inputs of the two operators stand. */
typedef struct places {
  int32_t b, a_zero, b_zero;
} places;

static q8_status find_shape(const q8_op_io *io, const places *at, q8_matmul_shape *s) {
  Q8_TRY(q8_need_int8(io, 0));
  Q8_TRY(q8_need_int8(io, at->b));
  Q8_TRY(q8_need_int8(io, at->a_zero));
  Q8_TRY(q8_need_int8(io, at->b_zero));
  Q8_TRY(q8_matmul_shape_of(io, &io->inputs[0]->shape, &io->inputs[at->b]->shape, s));
  Q8_TRY(q8_need_count(io, at->a_zero, s->m, "zero point of a"));
  return q8_need_count(io, at->b_zero, s->n, "zero point of b");
}

typedef void store_fn(const q8_op_io *io, size_t row, size_t column, size_t i, int32_t acc);

static q8_status each(const q8_op_io *io, const places *at, store_fn *store) {
  q8_matmul_shape s;
  Q8_TRY(find_shape(io, at, &s));
  const q8_value *va = io->inputs[0], *vb = io->inputs[at->b];
  const q8_value *a_zero = q8_input(io, at->a_zero), *b_zero = q8_input(io, at->b_zero);
  size_t batches = q8_shape_count(&s.batch, NULL), a, b;
  for (size_t i = 0; i < batches; i++) {
    q8_matmul_operands(&s, i, &a, &b);
    for (size_t m = 0; m < s.m; m++)
      for (size_t n = 0; n < s.n; n++) {
        uint32_t sum = 0;
        int32_t az = q8_zero_at(a_zero, m), bz = q8_zero_at(b_zero, n);
        for (size_t k = 0; k < s.k; k++)
          sum += (uint32_t)((q8_integer_at(va, a + m * s.k + k) - az) * (q8_integer_at(vb, b + k * s.n + n) - bz));
        store(io, m, n, (i * s.m + m) * s.n + n, (int32_t)sum);
      }
  }
  return QINT8_OK;
}

/* ---- MatMulInteger ---- */

static const places plain = {1, 2, 3};

static q8_status integer_infer(const q8_op_io *io) {
  q8_matmul_shape s;
  q8_shape y;
  Q8_TRY(find_shape(io, &plain, &s));
  Q8_TRY(q8_matmul_result(io, &s, &y));
  return q8_infer_set(io, 0, QINT8_DTYPE_S32, &y);
}

static void store_integer(const q8_op_io *io, size_t row, size_t column, size_t i, int32_t acc) {
  (void)row, (void)column;
  ((int32_t *)io->outputs[0].data)[i] = acc;
}

static q8_status integer_eval(const q8_op_io *io) {
  return each(io, &plain, store_integer);
}

const q8_op q8_op_matmul_integer = {
    .name = "MatMulInteger", Q8_OPSETS(10, 21), Q8_INPUTS(2, 4), Q8_OUTPUTS(1, 1),
    .quant = Q8_QUANT_FLOAT,
    .family = &(const q8_op_family){.int8_obstacle = "takes integers as values of the graph",
                                    .infer = integer_infer, .eval = integer_eval}};

/* ---- QLinearMatMul: a, a_scale, a_zero_point, b, b_scale, b_zero_point, y_scale, y_zero_point ---- */

static const places qlinear = {3, 2, 5};

static q8_status qlinear_infer(const q8_op_io *io) {
  q8_matmul_shape s;
  q8_shape y;
  Q8_TRY(find_shape(io, &qlinear, &s));
  for (int32_t i = 1; i <= 6; i += i == 1 ? 3 : 2)
    Q8_TRY(q8_need_dtype(io, i, QINT8_DTYPE_F32));
  Q8_TRY(q8_need_count(io, 1, s.m, "a_scale"));
  Q8_TRY(q8_need_count(io, 4, s.n, "b_scale"));
  Q8_TRY(q8_need_count(io, 6, 1, "y_scale"));
  Q8_TRY(q8_need_int8(io, 7));
  Q8_TRY(q8_matmul_result(io, &s, &y));
  return q8_infer_set(io, 0, io->inputs[7]->dtype, &y);
}

static void store_qlinear(const q8_op_io *io, size_t row, size_t column, size_t i, int32_t acc) {
  float factor = q8_scale_at(io->inputs[1], row) * q8_scale_at(io->inputs[4], column) / q8_scale_at(io->inputs[6], 0);
  q8_store_rounded(&io->outputs[0], i, (float)acc * factor, q8_zero_at(io->inputs[7], 0));
}

static q8_status qlinear_eval(const q8_op_io *io) {
  return each(io, &qlinear, store_qlinear);
}

const q8_op q8_op_qlinear_matmul = {
    .name = "QLinearMatMul", Q8_OPSETS(10, 21), Q8_INPUTS(8, 8), Q8_OUTPUTS(1, 1),
    .quant = Q8_QUANT_FLOAT,
    .family = &(const q8_op_family){.int8_obstacle = "takes integers as values of the graph",
                                    .infer = qlinear_infer, .eval = qlinear_eval}};
