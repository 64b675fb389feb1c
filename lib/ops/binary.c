/* binary.c - elementwise operators of two inputs, or of any number: arithmetic, comparisons, logic, bits.
 *
 * Each has rows for float32 and for the wide types of base/element.h; tensors of other types are cast on the way. */
#include "ops/binary.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/element.h"
#include "ops/hooks.h"

/* Rows of R = expression(x, z) with x and z of type T, small rather than fast: the fast ones are in binary_rows.c. */
#define ROW(name, T, R, expression)                                                                                 \
  static void name(size_t n, const void *pa, int64_t sa, const void *pb, int64_t sb, void *py) {                    \
    const T *a = pa, *b = pb;                                                                                       \
    R *y = py;                                                                                                      \
    for (; n > 0; n--, a += sa, b += sb) {                                                                          \
      const T x = *a, z = *b;                                                                                       \
      *y++ = (R)(expression);                                                                                       \
    }                                                                                                               \
  }

/* The family of a record; rows are NULL where the operator is not defined for the types. */
typedef struct row_set {
  q8_binary_row *f32, *f64, *s64, *u64;
  int takes_bool, gives_bool; /* nothing but bool */
} row_set;

/* The row for tensors of that type, and the type that it reads. */
static q8_binary_row *row_of(const row_set *set, int32_t dtype, int32_t *in) {
  *in = dtype == QINT8_DTYPE_F32 ? dtype : q8_wide_dtype(dtype);
  switch (*in) {
  case QINT8_DTYPE_F32:
    return set->f32;
  case QINT8_DTYPE_F64:
    return set->f64;
  case QINT8_DTYPE_S64:
    return set->s64;
  default:
    return set->u64;
  }
}

static q8_status infer_rows(const q8_op_io *io, const row_set *set) {
  int32_t in, dtype = io->inputs[0]->dtype;
  if (set->takes_bool)
    Q8_TRY(q8_need_dtype(io, 0, QINT8_DTYPE_BOOL));
  if (!row_of(set, dtype, &in))
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "%s of %s", io->node->op->name, q8_dtype_name(dtype));
  Q8_TRY(q8_infer_binary(io));
  return set->gives_bool ? q8_infer_set(io, 0, QINT8_DTYPE_BOOL, &io->outputs[0].shape) : QINT8_OK;
}
static q8_status infer(const q8_op_io *io) {
  return infer_rows(io, io->node->op->family);
}

/* y = a OP b; what the row computes in is `in`, its results are of that type, or bool. */
static void eval_pair(q8_binary_row *row, int32_t in, const q8_value *a, const q8_value *b, q8_value *y, int is_bool) {
  q8_loops loops;
  q8_typed_row typed = {row, in, is_bool ? QINT8_DTYPE_BOOL : in, a->dtype, b->dtype, y->dtype};
  q8_loops_init(&loops, &a->shape, &b->shape, &y->shape);
  q8_loops_run(&loops, &typed, a->data, b->data, y->data);
}

/* y = ((x0 OP x1) OP x2) ...; y itself is the left operand from the second step on. */
static q8_status eval_rows(const q8_op_io *io, const row_set *set) {
  q8_value *y = &io->outputs[0];
  const q8_value *left = io->inputs[0];
  int32_t in;
  q8_binary_row *row = row_of(set, left->dtype, &in);
  if (io->node->input_count == 1 && y->count)
    memcpy(y->data, left->data, y->count * qint8_dtype_size((qint8_dtype)y->dtype));
  for (int32_t i = 1; i < io->node->input_count && y->count; i++, left = y)
    eval_pair(row, in, left, io->inputs[i], y, set->gives_bool);
  return QINT8_OK;
}
static q8_status eval(const q8_op_io *io) {
  return eval_rows(io, io->node->op->family);
}

static q8_status plan_rows(q8_planner *planner, q8_id node, q8_binary_fn *int8, float b_sign, qint8_error *error) {
  const q8_node *n = q8_plan_node(planner, node);
  const row_set *set = n->op->family;
  if (n->input_count != 2 || q8_plan_value(planner, n->inputs[0])->dtype != QINT8_DTYPE_F32 ||
      q8_plan_value(planner, n->inputs[1])->dtype != QINT8_DTYPE_F32)
    return q8_plan_eval(planner, node, error);
  return q8_plan_binary(planner, node, set->f32, int8, b_sign, error);
}
static q8_status plan_float(q8_planner *planner, q8_id node, qint8_error *error) {
  return plan_rows(planner, node, NULL, 1, error);
}
static q8_status plan_add(q8_planner *planner, q8_id node, qint8_error *error) {
  return plan_rows(planner, node, q8_plan_kernels(planner)->add, 1, error);
}
/* a - b is a + b with the scale of b negated: exact. */
static q8_status plan_sub(q8_planner *planner, q8_id node, qint8_error *error) {
  return plan_rows(planner, node, q8_plan_kernels(planner)->add, -1, error);
}
static q8_status plan_mul(q8_planner *planner, q8_id node, qint8_error *error) {
  return plan_rows(planner, node, q8_plan_kernels(planner)->mul, 1, error);
}

/* ---- Before opset 7: the second input's dimensions stood at `axis` of the first one's, or at the end ---- */

typedef struct binary_params {
  int64_t axis, broadcast, fmod;
  char direction[32];
} binary_params;

#define NO_AXIS 1000000

static const q8_attribute old_attributes[] = {
    {"axis", Q8_ATTR_INT, offsetof(binary_params, axis), 0, 0, NO_AXIS},
    {"broadcast", Q8_ATTR_INT, offsetof(binary_params, broadcast), 0, 0, 0}};
static const q8_attribute mod_attributes[] = {{"fmod", Q8_ATTR_INT, offsetof(binary_params, fmod), 0, 0, 0}};
static const q8_attribute shift_attributes[] = {
    {Q8_NAME_AND_TEXT("direction", ""), Q8_ATTR_STRING, offsetof(binary_params, direction), 1, 0, 0}};

static q8_status upgrade(q8_importer *importer, int64_t opset, void *params, q8_id *inputs, int32_t *input_count,
                         const char *node_name, qint8_error *error) {
  binary_params *p = params;
  const q8_graph *graph = q8_import_graph(importer);
  int64_t axis = p->axis;
  p->axis = NO_AXIS;
  p->broadcast = 0;
  if (opset >= 7 || axis == NO_AXIS || *input_count != 2 || inputs[0] == Q8_NONE || inputs[1] == Q8_NONE)
    return QINT8_OK;
  int32_t rank = graph->tensors[inputs[0]].shape.rank, own = graph->tensors[inputs[1]].shape.rank;
  axis = axis < 0 ? axis + rank : axis;
  if (rank < 0 || own < 0)
    return q8_fail(error, QINT8_ERROR_UNSUPPORTED, node_name,
                   "attribute axis of opset 6 and inputs of unknown rank; convert the model to opset 7 or later");
  q8_ints last = {.count = 0};
  for (int64_t i = axis + own; i < rank; i++, last.count++)
    last.v[last.count] = -1 - last.count;
  if (last.count == 0)
    return QINT8_OK;
  q8_id unsqueeze[2] = {inputs[1], Q8_NONE};
  Q8_TRY(q8_import_ints(importer, node_name, &last, &unsqueeze[1], error));
  return q8_import_new_node(importer, "Unsqueeze", node_name, unsqueeze, 2, &inputs[1], error);
}

/* ---- Records ---- */

#define RECORD(id, onnx_name, first_opset, max_in, rows, infer_fn, eval_fn, plan_fn, list, more, rule,       \
               obstacle)                                                                                     \
  const q8_op q8_op_##id = {.name = onnx_name,                                                               \
                            .min_opset = first_opset,                                                        \
                            .max_opset = 21,                                                                 \
                            .min_inputs = max_in < 0 ? 1 : 2,                                                \
                            .max_inputs = max_in,                                                            \
                            .min_outputs = 1,                                                                \
                            .max_outputs = 1,                                                                \
                            Q8_ATTRIBUTES(list),                                                             \
                            .params_size = sizeof(binary_params),                                            \
                            .quant = rule,                                                                   \
                            .int8_obstacle = obstacle,                                                       \
                            .family = rows,                                                                  \
                            .extras = more,                                                                  \
                            .infer = infer_fn,                                                               \
                            .eval = eval_fn,                                                                 \
                            .plan = plan_fn};

#define BINARY(id, onnx_name, first_opset, max_in, rows, plan_fn, rule, obstacle)                            \
  RECORD(id, onnx_name, first_opset, max_in, &rows, infer, eval, plan_fn, old_attributes, &extras, rule,     \
         obstacle)

static const q8_op_extras extras = {.upgrade = upgrade};

#define NEEDS_FLOAT "no int8 form: the result needs the range of float"
#define INTEGERS "no int8 form: arithmetic of integers and conditions"

/* ---- Arithmetic: integers wrap, a division by zero gives 0 ---- */

static inline int64_t divide(int64_t x, int64_t z) {
  return z == 0 ? 0 : z == -1 ? (int64_t)(0 - (uint64_t)x) : x / z;
}
static inline float power(float x, float z) {
  return z == 2 ? x * x : (float)pow((double)x, (double)z);
}
static inline uint64_t whole_power(uint64_t base, uint64_t z) {
  uint64_t result = 1;
  for (; z; z >>= 1, base *= base)
    if (z & 1)
      result *= base;
  return result;
}
static inline int64_t integer_power(int64_t x, int64_t z) {
  if (z < 0)
    return x == 1 ? 1 : x == -1 ? (z & 1 ? -1 : 1) : 0;
  return (int64_t)whole_power((uint64_t)x, (uint64_t)z);
}

#define ARITHMETIC(id, in_double, in_signed, in_unsigned)                                                           \
  ROW(id##_f64, double, double, in_double)                                                                          \
  ROW(id##_s64, int64_t, int64_t, in_signed)                                                                        \
  ROW(id##_u64, uint64_t, uint64_t, in_unsigned)
#define ROWS(id, row_f32) static const row_set rows_##id = {row_f32, id##_f64, id##_s64, id##_u64, 0, 0};
/* Whose integers have the same bits with and without a sign. */
#define RING(id, expression)                                                                                        \
  ROW(id##_f64, double, double, expression)                                                                         \
  ROW(id##_u64, uint64_t, uint64_t, expression)                                                                     \
  static const row_set rows_##id = {q8_##id##_row, id##_f64, id##_u64, id##_u64, 0, 0};

RING(add, x + z)
RING(sub, x - z)
RING(mul, x * z)
ARITHMETIC(div, x / z, divide(x, z), z == 0 ? 0 : x / z)
ARITHMETIC(min, x < z || x != x ? x : z, x < z ? x : z, x < z ? x : z)
ARITHMETIC(max, x > z || x != x ? x : z, x > z ? x : z, x > z ? x : z)
ROWS(div, q8_div_row)
ROWS(min, q8_min_row)
ROWS(max, q8_max_row)

BINARY(add, "Add", 1, 2, rows_add, plan_add, Q8_QUANT_OWN, NULL)
BINARY(mul, "Mul", 1, 2, rows_mul, plan_mul, Q8_QUANT_OWN, NULL)
BINARY(sub, "Sub", 1, 2, rows_sub, plan_sub, Q8_QUANT_OWN, NULL)
BINARY(div, "Div", 1, 2, rows_div, plan_float, Q8_QUANT_FLOAT, NEEDS_FLOAT)
BINARY(min, "Min", 1, -1, rows_min, plan_float, Q8_QUANT_FLOAT, NEEDS_FLOAT)
BINARY(max, "Max", 1, -1, rows_max, plan_float, Q8_QUANT_FLOAT, NEEDS_FLOAT)
BINARY(sum, "Sum", 1, -1, rows_add, plan_float, Q8_QUANT_FLOAT, NEEDS_FLOAT)

/* ---- Mean: the sum times 1 / count ---- */

static q8_status infer_mean(const q8_op_io *io) {
  if (!q8_is_float(io->inputs[0]->dtype))
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "Mean of %s", q8_dtype_name(io->inputs[0]->dtype));
  return q8_infer_binary(io);
}

static q8_status eval_mean(const q8_op_io *io) {
  q8_value *y = &io->outputs[0];
  double factor = 1.0 / io->node->input_count;
  q8_value scale = {.dtype = QINT8_DTYPE_F64, .count = 1, .data = &factor};
  eval_rows(io, &rows_add);
  if (y->count && io->node->input_count > 1)
    eval_pair(mul_f64, QINT8_DTYPE_F64, y, &scale, y, 0);
  return QINT8_OK;
}
RECORD(mean, "Mean", 1, -1, NULL, infer_mean, eval_mean, NULL, NULL, NULL, Q8_QUANT_FLOAT, NEEDS_FLOAT)

/* ---- PRelu: the slope's shape must broadcast to x; before opset 7 it was one value per channel ---- */

static q8_status upgrade_prelu(q8_importer *importer, int64_t opset, void *params, q8_id *inputs, int32_t *input_count,
                               const char *node_name, qint8_error *error) {
  binary_params *p = params;
  const q8_graph *graph = q8_import_graph(importer);
  const q8_shape *slope = *input_count == 2 && inputs[1] != Q8_NONE ? &graph->tensors[inputs[1]].shape : NULL;
  p->axis = opset < 7 && slope && slope->rank == 1 && slope->dim[0] != 1 ? 1 : NO_AXIS;
  return upgrade(importer, opset, params, inputs, input_count, node_name, error);
}

ARITHMETIC(prelu, x < 0 ? x * z : x, x < 0 ? (uint64_t)x * (uint64_t)z : (uint64_t)x, ((void)z, x))
ROWS(prelu, q8_prelu_row)

static q8_status infer_prelu(const q8_op_io *io) {
  Q8_TRY(infer(io));
  if (!q8_shape_equal(&io->outputs[0].shape, &io->inputs[0]->shape)) {
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "a slope of shape %p for an input of shape %p",
                      &io->inputs[1]->shape, &io->inputs[0]->shape);
  }
  return QINT8_OK;
}
RECORD(prelu, "PRelu", 1, 2, &rows_prelu, infer_prelu, eval, plan_float, old_attributes,
       &(const q8_op_extras){.upgrade = upgrade_prelu}, Q8_QUANT_FLOAT, NEEDS_FLOAT)

/* ---- Pow: the exponent may have another type ---- */

ROW(pow_f32, float, float, power(x, z))
ARITHMETIC(pow, pow(x, z), integer_power(x, z), whole_power(x, z))
ROWS(pow, pow_f32)

static q8_status infer_pow(const q8_op_io *io) {
  q8_shape y;
  for (int i = 0; i < 2; i++)
    if (!q8_wide_dtype(io->inputs[i]->dtype) || io->inputs[i]->dtype == QINT8_DTYPE_BOOL)
      return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "Pow of %s", q8_dtype_name(io->inputs[i]->dtype));
  Q8_TRY(q8_infer_broadcast(io, &io->inputs[0]->shape, &io->inputs[1]->shape, &y));
  return q8_infer_set(io, 0, io->inputs[0]->dtype, &y);
}

static q8_status eval_pow(const q8_op_io *io) {
  int32_t a = io->inputs[0]->dtype, b = io->inputs[1]->dtype;
  if (a == b)
    return eval(io);
  int32_t in = q8_is_float(a) || q8_is_float(b) ? QINT8_DTYPE_F64 : QINT8_DTYPE_S64;
  eval_pair(in == QINT8_DTYPE_F64 ? pow_f64 : pow_s64, in, io->inputs[0], io->inputs[1], &io->outputs[0], 0);
  return QINT8_OK;
}
RECORD(pow, "Pow", 1, 2, &rows_pow, infer_pow, eval_pow, plan_float, old_attributes, &extras, Q8_QUANT_FLOAT,
       NEEDS_FLOAT)

/* ---- Mod: the sign of the divisor, or of the dividend as in C with `fmod`; x mod 0 is 0 for integers ---- */

static inline int64_t floor_mod(int64_t x, int64_t z) {
  int64_t r = z == 0 || z == -1 ? 0 : x % z;
  return r && (r < 0) != (z < 0) ? r + z : r;
}
static inline double floor_fmod(double x, double z) {
  double r = fmod(x, z);
  return r != 0 && (r < 0) != (z < 0) ? r + z : r;
}
ROW(mod_f32, float, float, floor_fmod((double)x, (double)z))
ROW(c_mod_f32, float, float, fmodf(x, z))
ARITHMETIC(mod, floor_fmod(x, z), floor_mod(x, z), z == 0 ? 0 : x % z)
ARITHMETIC(c_mod, fmod(x, z), z == 0 || z == -1 ? 0 : x % z, z == 0 ? 0 : x % z)
ROWS(mod, mod_f32)
ROWS(c_mod, c_mod_f32)

static const row_set *mod_rows(const q8_op_io *io) {
  return ((const binary_params *)io->node->params)->fmod ? &rows_c_mod : &rows_mod;
}
static q8_status infer_mod(const q8_op_io *io) {
  return infer_rows(io, mod_rows(io));
}
static q8_status eval_mod(const q8_op_io *io) {
  return eval_rows(io, mod_rows(io));
}
RECORD(mod, "Mod", 10, 2, NULL, infer_mod, eval_mod, NULL, mod_attributes, NULL, Q8_QUANT_FLOAT, INTEGERS)

/* ---- Comparisons and logic ---- */

#define COMPARISON(id, op)                                                                                          \
  ROW(id##_f32, float, uint8_t, x op z)                                                                             \
  ROW(id##_f64, double, uint8_t, x op z)                                                                            \
  ROW(id##_s64, int64_t, uint8_t, x op z)                                                                           \
  ROW(id##_u64, uint64_t, uint8_t, x op z)                                                                          \
  static const row_set rows_##id = {id##_f32, id##_f64, id##_s64, id##_u64, 0, 1};
#define LOGIC(id, op)                                                                                               \
  ROW(id##_u64, uint64_t, uint8_t, x op z)                                                                          \
  static const row_set rows_##id = {NULL, NULL, NULL, id##_u64, 1, 1};

COMPARISON(equal, ==)
COMPARISON(less, <)
COMPARISON(less_equal, <=)
COMPARISON(greater, >)
COMPARISON(greater_equal, >=)
LOGIC(and, &&)
LOGIC(or, ||)
LOGIC(xor, !=)

#define NO_INT8(id, onnx_name, first_opset)                                                                         \
  BINARY(id, onnx_name, first_opset, 2, rows_##id, NULL, Q8_QUANT_FLOAT, INTEGERS)
NO_INT8(equal, "Equal", 1)
NO_INT8(less, "Less", 1)
NO_INT8(less_equal, "LessOrEqual", 12)
NO_INT8(greater, "Greater", 1)
NO_INT8(greater_equal, "GreaterOrEqual", 12)
NO_INT8(and, "And", 1)
NO_INT8(or, "Or", 1)
NO_INT8(xor, "Xor", 1)

/* ---- Bits ---- */

#define BITS(id, op)                                                                                                \
  ROW(id##_u64, uint64_t, uint64_t, x op z)                                                                         \
  static const row_set rows_##id = {NULL, NULL, id##_u64, id##_u64, 0, 0};
BITS(bitwise_and, &)
BITS(bitwise_or, |)
BITS(bitwise_xor, ^)
NO_INT8(bitwise_and, "BitwiseAnd", 18)
NO_INT8(bitwise_or, "BitwiseOr", 18)
NO_INT8(bitwise_xor, "BitwiseXor", 18)

/* Bits shifted out of the type are lost. */
ROW(shift_left, uint64_t, uint64_t, z < 64 ? x << z : 0)
ROW(shift_right, uint64_t, uint64_t, z < 64 ? x >> z : 0)
static const row_set rows_shift_left = {NULL, NULL, NULL, shift_left, 0, 0},
                     rows_shift_right = {NULL, NULL, NULL, shift_right, 0, 0};

static int is_left(const q8_op_io *io) {
  return ((const binary_params *)io->node->params)->direction[0] == 'L';
}
static q8_status infer_bit_shift(const q8_op_io *io) {
  const char *direction = ((const binary_params *)io->node->params)->direction;
  if (strcmp(direction, "LEFT") && strcmp(direction, "RIGHT"))
    return q8_op_fail(io, QINT8_ERROR_FORMAT, "direction \"%s\"", direction);
  return infer_rows(io, &rows_shift_left);
}
static q8_status eval_bit_shift(const q8_op_io *io) {
  return eval_rows(io, is_left(io) ? &rows_shift_left : &rows_shift_right);
}
RECORD(bit_shift, "BitShift", 11, 2, NULL, infer_bit_shift, eval_bit_shift, NULL, shift_attributes, NULL, Q8_QUANT_FLOAT,
       INTEGERS)
