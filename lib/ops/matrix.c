/* matrix.c - EyeLike, Trilu: matrices with a diagonal; Det. */
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/element.h"
#include "ops/common.h"

typedef struct matrix_params {
  int64_t dtype, k, upper;
} matrix_params;

static const q8_attribute eye_attributes[] = {
    {"dtype", Q8_ATTR_INT, offsetof(matrix_params, dtype), 0, 0, 0},
    {"k", Q8_ATTR_INT, offsetof(matrix_params, k), 0, 0, 0}};
static const q8_attribute trilu_attributes[] = {
    {"upper", Q8_ATTR_INT, offsetof(matrix_params, upper), 0, 0, 1}};

static q8_status infer_eye(const q8_op_io *io) {
  const matrix_params *p = io->node->params;
  const q8_shape *x = &io->inputs[0]->shape;
  if (x->rank != 2)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "EyeLike of shape %p, expected a matrix", x);
  int32_t dtype = p->dtype ? (int32_t)p->dtype : io->inputs[0]->dtype;
  if (p->dtype < 0 || p->dtype > 64 || !q8_wide_dtype(dtype))
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "EyeLike of element type %" PRId64, p->dtype);
  return q8_infer_set(io, 0, dtype, x);
}

static q8_status eval_eye(const q8_op_io *io) {
  const matrix_params *p = io->node->params;
  q8_value *y = &io->outputs[0];
  size_t columns = (size_t)y->shape.dim[1];
  for (size_t i = 0; i < y->count; i++)
    q8_put_int(y, i, (int64_t)(i % columns) - (int64_t)(i / columns) == p->k);
  return QINT8_OK;
}

static q8_status diagonal(const q8_op_io *io, int64_t *k) {
  q8_ints list = {.count = 1};
  if (q8_input(io, 1))
    Q8_TRY(q8_infer_ints(io, 1, &list));
  *k = list.v[0];
  return list.count == 1 ? QINT8_OK : q8_op_fail(io, QINT8_ERROR_SHAPE, "k is not a scalar");
}

static q8_status infer_trilu(const q8_op_io *io) {
  int64_t k;
  Q8_TRY(diagonal(io, &k));
  if (io->inputs[0]->shape.rank < 2)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "Trilu of shape %p, expected matrices", &io->inputs[0]->shape);
  return q8_infer_same(io);
}

static q8_status eval_trilu(const q8_op_io *io) {
  const q8_value *x = io->inputs[0];
  int upper = ((const matrix_params *)io->node->params)->upper != 0;
  size_t columns = (size_t)x->shape.dim[x->shape.rank - 1], rows = (size_t)x->shape.dim[x->shape.rank - 2];
  size_t size = qint8_dtype_size((qint8_dtype)x->dtype);
  int64_t k;
  Q8_TRY(diagonal(io, &k));
  for (size_t i = 0; i < x->count; i++) {
    int64_t off = (int64_t)(i % columns) - (int64_t)(i / columns % rows);
    char *to = (char *)io->outputs[0].data + i * size;
    if (upper ? off >= k : off <= k)
      memcpy(to, (const char *)x->data + i * size, size);
    else
      memset(to, 0, size);
  }
  return QINT8_OK;
}

/* ---- Det: of matrices [..., n, n] ---- */

#define MAX_DET 64 /* the matrix is eliminated in a copy on the stack */

static q8_status infer_det(const q8_op_io *io) {
  const q8_shape *x = &io->inputs[0]->shape;
  Q8_TRY(q8_need_dtype(io, 0, QINT8_DTYPE_F32));
  if (x->rank < 2 || x->dim[x->rank - 1] != x->dim[x->rank - 2])
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "Det of shape %p, expected square matrices", x);
  if (x->dim[x->rank - 1] > MAX_DET)
    return q8_op_fail(io, QINT8_ERROR_LIMIT, "Det of more than %d rows", MAX_DET);
  q8_shape y = *x;
  y.rank -= 2;
  return q8_infer_set(io, 0, QINT8_DTYPE_F32, &y);
}

/* Gaussian elimination with partial pivoting, in double. */
static double determinant(double *m, size_t n) {
  double product = 1;
  for (size_t k = 0; k < n; k++) {
    size_t pivot = k;
    for (size_t i = k + 1; i < n; i++)
      if (fabs(m[i * n + k]) > fabs(m[pivot * n + k]))
        pivot = i;
    if (m[pivot * n + k] == 0)
      return 0;
    for (size_t j = 0; pivot != k && j < n; j++) {
      double other = m[k * n + j];
      m[k * n + j] = m[pivot * n + j];
      m[pivot * n + j] = other;
    }
    product *= pivot == k ? m[k * n + k] : -m[k * n + k];
    for (size_t i = k + 1; i < n; i++)
      for (size_t j = n; j-- > k;)
        m[i * n + j] -= m[i * n + k] / m[k * n + k] * m[k * n + j];
  }
  return product;
}

static q8_status eval_det(const q8_op_io *io) {
  const q8_value *x = io->inputs[0];
  size_t n = (size_t)x->shape.dim[x->shape.rank - 1];
  double matrix[MAX_DET * MAX_DET];
  for (size_t i = 0; i < io->outputs[0].count; i++) {
    for (size_t j = 0; j < n * n; j++)
      matrix[j] = (double)((const float *)x->data)[i * n * n + j];
    ((float *)io->outputs[0].data)[i] = (float)determinant(matrix, n);
  }
  return QINT8_OK;
}

#define MATRIX(id, onnx_name, opset, most_inputs, list, infer_fn, eval_fn)                                          \
  const q8_op q8_op_##id = {                                                                                       \
      .name = onnx_name, Q8_OPSETS(opset, 21), Q8_INPUTS(1, most_inputs), Q8_OUTPUTS(1, 1),                        \
      Q8_ATTRIBUTES(list), .params_size = sizeof(matrix_params), .quant = Q8_QUANT_FLOAT,                          \
      .family = &(const q8_op_family){.int8_obstacle = "no int8 form: matrices of float", .infer = infer_fn,       \
                                      .eval = eval_fn}};

MATRIX(eye_like, "EyeLike", 9, 1, eye_attributes, infer_eye, eval_eye)
MATRIX(det, "Det", 11, 1, NULL, infer_det, eval_det)
MATRIX(trilu, "Trilu", 14, 2, trilu_attributes, infer_trilu, eval_trilu)
