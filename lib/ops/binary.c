/* binary.c - Add, Sub, Mul, Div, Pow, Min, Max, PRelu; comparisons and logic for shape arithmetic. */
#include "ops/binary.h"

#include <math.h>

#include "ops/fast.h"

/* Rows of R = expression(x, z) with x and z of type T. */
#define ROW(name, T, R, expression)                                                                                 \
  static inline R name##_one(T x, T z) {                                                                            \
    return (R)(expression);                                                                                         \
  }                                                                                                                 \
  static void name(size_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *py) {                    \
    const T *a = pa, *b = pb;                                                                                       \
    R *y = py;                                                                                                      \
    if (sa == 1 && sb == 1) {                                                                                       \
      Q8_FOR_BLOCKS(R, n, y, name##_one(a[i], b[i]));                                                               \
    } else if (sa == 1 && sb == 0) {                                                                                \
      const T z = b[0];                                                                                             \
      Q8_FOR_BLOCKS(R, n, y, name##_one(a[i], z));                                                                  \
    } else {                                                                                                        \
      for (size_t i = 0; i < n; i++)                                                                                \
        y[i] = name##_one(a[(int64_t)i * sa], b[(int64_t)i * sb]);                                                  \
    }                                                                                                               \
  }

typedef struct row_set {
  q8_binary_row *f32, *s32, *s64, *u8; /* u8: bool and uint8; NULL where the type is not supported */
} row_set;

static q8_binary_row *row_of(const row_set *set, int32_t dtype) {
  switch (dtype) {
  case QINT8_DTYPE_F32:
    return set->f32;
  case QINT8_DTYPE_S32:
    return set->s32;
  case QINT8_DTYPE_S64:
    return set->s64;
  case QINT8_DTYPE_BOOL:
  case QINT8_DTYPE_U8:
    return set->u8;
  default:
    return NULL;
  }
}

static q8_status check_type(const q8_op_io *io, const row_set *set) {
  if (!row_of(set, io->inputs[0]->dtype))
    return q8_fail(io->error, QINT8_ERROR_UNSUPPORTED, io->node->name, "%s of element type %d", io->node->op->name,
                   (int)io->inputs[0]->dtype);
  return QINT8_OK;
}

static q8_status infer_arithmetic(const q8_op_io *io, const row_set *set) {
  Q8_TRY(check_type(io, set));
  return q8_infer_binary(io);
}

static q8_status infer_comparison(const q8_op_io *io, const row_set *set) {
  Q8_TRY(infer_arithmetic(io, set));
  io->outputs[0].dtype = QINT8_DTYPE_BOOL;
  return QINT8_OK;
}

/* y = ((x0 OP x1) OP x2) ...; y itself is the left operand from the second step on. */
static q8_status eval_rows(const q8_op_io *io, const row_set *set) {
  q8_value *y = &io->outputs[0];
  const q8_value *left = io->inputs[0];
  q8_binary_row *row = row_of(set, left->dtype);
  size_t element = qint8_dtype_size((qint8_dtype)left->dtype), result = qint8_dtype_size((qint8_dtype)y->dtype);
  if (io->node->input_count == 1) {
    int64_t stride[Q8_MAX_RANK];
    q8_strides(&y->shape, stride);
    q8_copy_strided(element, &y->shape, left->data, stride, y->data);
    return QINT8_OK;
  }
  for (int32_t i = 1; i < io->node->input_count && y->count; i++) {
    q8_loops loops;
    q8_loops_init(&loops, &left->shape, &io->inputs[i]->shape, &y->shape);
    q8_loops_run(&loops, row, element, result, left->data, io->inputs[i]->data, y->data);
    left = y;
  }
  return QINT8_OK;
}

static q8_status plan_rows(q8_planner *planner, q8_id node, const row_set *set, q8_binary_fn *int8, float b_sign,
                           qint8_error *error) {
  const q8_node *n = q8_plan_node(planner, node);
  if (n->input_count != 2 || q8_plan_value(planner, n->inputs[0])->dtype != QINT8_DTYPE_F32)
    return q8_plan_eval(planner, node, error);
  return q8_plan_binary(planner, node, set->f32, int8, b_sign, error);
}

#define BINARY(id, onnx_name, max_in, infer_fn, quant_rule, obstacle, plan_expression)                              \
  static q8_status infer_##id(const q8_op_io *io) {                                                                \
    return infer_fn(io, &rows_##id);                                                                               \
  }                                                                                                                \
  static q8_status eval_##id(const q8_op_io *io) {                                                                 \
    return eval_rows(io, &rows_##id);                                                                              \
  }                                                                                                                \
  static q8_status plan_##id(q8_planner *planner, q8_id node, qint8_error *error) {                                 \
    return plan_expression;                                                                                        \
  }                                                                                                                \
  const q8_op q8_op_##id = {.name = onnx_name,                                                                     \
                            .domain = "",                                                                          \
                            .min_opset = 7,                                                                        \
                            .max_opset = 21,                                                                       \
                            .min_inputs = max_in < 0 ? 1 : 2,                                                      \
                            .max_inputs = max_in,                                                                  \
                            .min_outputs = 1,                                                                      \
                            .max_outputs = 1,                                                                      \
                            .quant = quant_rule,                                                                   \
                            .int8_obstacle = obstacle,                                                             \
                            .infer = infer_##id,                                                                   \
                            .eval = eval_##id,                                                                     \
                            .plan = plan_##id};

#define FLOAT_ROWS(id) plan_rows(planner, node, &rows_##id, NULL, 1, error)
/* a - b is a + b with the scale of b negated: exact. */
#define INT8_ROWS(id, kernel, sign) plan_rows(planner, node, &rows_##id, q8_plan_kernels(planner)->kernel, sign, error)
#define EVAL q8_plan_eval(planner, node, error)

/* Integer arithmetic wraps; a division by zero gives 0. */
static inline int64_t divide(int64_t x, int64_t z) {
  return z == 0 ? 0 : z == -1 ? (int64_t)(0 - (uint64_t)x) : x / z;
}
static inline float power(float x, float z) {
  return z == 2 ? x * x : powf(x, z);
}
static inline int64_t integer_power(int64_t x, int64_t z) {
  uint64_t result = 1, base = (uint64_t)x;
  if (z < 0)
    return x == 1 ? 1 : x == -1 ? (z & 1 ? -1 : 1) : 0;
  for (; z; z >>= 1, base *= base)
    if (z & 1)
      result *= base;
  return (int64_t)result;
}

#define ARITHMETIC(id, in_float, in_unsigned)                                                                       \
  ROW(id##_f32, float, float, in_float)                                                                             \
  ROW(id##_s32, int32_t, int32_t, (uint32_t)(in_unsigned))                                                          \
  ROW(id##_s64, int64_t, int64_t, in_unsigned)                                                                      \
  static const row_set rows_##id = {id##_f32, id##_s32, id##_s64, NULL};

ARITHMETIC(add, x + z, (uint64_t)x + (uint64_t)z)
ARITHMETIC(sub, x - z, (uint64_t)x - (uint64_t)z)
ARITHMETIC(mul, x * z, (uint64_t)x * (uint64_t)z)
ARITHMETIC(div, x / z, divide(x, z))
ARITHMETIC(pow, power(x, z), integer_power(x, z))
ARITHMETIC(min, x < z || x != x ? x : z, x < z ? x : z)
ARITHMETIC(max, x > z || x != x ? x : z, x > z ? x : z)
ROW(prelu_f32, float, float, x < 0 ? x * z : x)
static const row_set rows_prelu = {prelu_f32, NULL, NULL, NULL};

#define NEEDS_FLOAT "no int8 form: the result needs the range of float"
#define INTEGERS "no int8 form: arithmetic of integers and conditions"

BINARY(add, "Add", 2, infer_arithmetic, Q8_QUANT_OWN, NULL, INT8_ROWS(add, add, 1))
BINARY(mul, "Mul", 2, infer_arithmetic, Q8_QUANT_OWN, NULL, INT8_ROWS(mul, mul, 1))
BINARY(sub, "Sub", 2, infer_arithmetic, Q8_QUANT_OWN, NULL, INT8_ROWS(sub, add, -1))
BINARY(div, "Div", 2, infer_arithmetic, Q8_QUANT_FLOAT, NEEDS_FLOAT, FLOAT_ROWS(div))
BINARY(pow, "Pow", 2, infer_arithmetic, Q8_QUANT_FLOAT, NEEDS_FLOAT, FLOAT_ROWS(pow))
BINARY(min, "Min", -1, infer_arithmetic, Q8_QUANT_FLOAT, NEEDS_FLOAT, FLOAT_ROWS(min))
BINARY(max, "Max", -1, infer_arithmetic, Q8_QUANT_FLOAT, NEEDS_FLOAT, FLOAT_ROWS(max))
BINARY(prelu, "PRelu", 2, infer_arithmetic, Q8_QUANT_FLOAT, NEEDS_FLOAT, FLOAT_ROWS(prelu))

#define COMPARISON(id, op)                                                                                          \
  ROW(id##_f32, float, uint8_t, x op z)                                                                             \
  ROW(id##_s32, int32_t, uint8_t, x op z)                                                                           \
  ROW(id##_s64, int64_t, uint8_t, x op z)                                                                           \
  ROW(id##_u8, uint8_t, uint8_t, x op z)                                                                            \
  static const row_set rows_##id = {id##_f32, id##_s32, id##_s64, id##_u8};
#define LOGIC(id, op)                                                                                               \
  ROW(id##_u8, uint8_t, uint8_t, x op z)                                                                            \
  static const row_set rows_##id = {NULL, NULL, NULL, id##_u8};

COMPARISON(equal, ==)
COMPARISON(less, <)
COMPARISON(less_equal, <=)
COMPARISON(greater, >)
COMPARISON(greater_equal, >=)
LOGIC(and, &&)
LOGIC(or, ||)
LOGIC(xor, !=)

BINARY(equal, "Equal", 2, infer_comparison, Q8_QUANT_FLOAT, INTEGERS, EVAL)
BINARY(less, "Less", 2, infer_comparison, Q8_QUANT_FLOAT, INTEGERS, EVAL)
BINARY(less_equal, "LessOrEqual", 2, infer_comparison, Q8_QUANT_FLOAT, INTEGERS, EVAL)
BINARY(greater, "Greater", 2, infer_comparison, Q8_QUANT_FLOAT, INTEGERS, EVAL)
BINARY(greater_equal, "GreaterOrEqual", 2, infer_comparison, Q8_QUANT_FLOAT, INTEGERS, EVAL)
BINARY(and, "And", 2, infer_comparison, Q8_QUANT_FLOAT, INTEGERS, EVAL)
BINARY(or, "Or", 2, infer_comparison, Q8_QUANT_FLOAT, INTEGERS, EVAL)
BINARY(xor, "Xor", 2, infer_comparison, Q8_QUANT_FLOAT, INTEGERS, EVAL)
