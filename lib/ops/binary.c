/* binary.c - elementwise operators of two inputs, or of any number: arithmetic, comparisons, logic, bits.
 *
 * Each says what it makes of two doubles and of two integers, some also of rows of float32: see q8_pair_set. Tensors of
 * other types are cast on the way. */
#include "ops/binary.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include "base/element.h"
#include "ops/hooks.h"

/* The type that the operator computes in for tensors of type `dtype`, or NONE. */
static int32_t computed_in(const q8_pair_set *set, int32_t dtype) {
  int32_t in = dtype == QINT8_DTYPE_F32 && set->f32 ? dtype : q8_wide_dtype(dtype);
  int is_defined = in == QINT8_DTYPE_F32 || (in == QINT8_DTYPE_F64 && set->f64) || (in == QINT8_DTYPE_S64 && set->s64) ||
                   (in == QINT8_DTYPE_U64 && set->u64);
  return is_defined ? in : QINT8_DTYPE_NONE;
}

static q8_status infer(const q8_op_io *io) {
  const q8_pair_set *set = io->node->op->variant;
  int32_t dtype = io->inputs[0]->dtype;
  if (set->takes_bool)
    Q8_TRY(q8_need_dtype(io, 0, QINT8_DTYPE_BOOL));
  if (computed_in(set, dtype) == QINT8_DTYPE_NONE)
    return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "%s of %s", io->node->op->name, q8_dtype_name(dtype));
  Q8_TRY(q8_infer_binary(io));
  return set->gives_bool ? q8_infer_set(io, 0, QINT8_DTYPE_BOOL, &io->outputs[0].shape) : QINT8_OK;
}

/* y = ((x0 OP x1) OP x2) ...; y itself is the left operand from the second step on. */
static q8_status eval_set(const q8_op_io *io, const q8_pair_set *set) {
  q8_value *y = &io->outputs[0];
  const q8_value *left = io->inputs[0];
  int32_t in = computed_in(set, left->dtype);
  if (io->node->input_count == 1 && y->count)
    memcpy(y->data, left->data, y->count * qint8_dtype_size((qint8_dtype)y->dtype));
  for (int32_t i = 1; i < io->node->input_count && y->count; i++, left = y)
    q8_eval_pairs(set, in, left, io->inputs[i], y);
  return QINT8_OK;
}
static q8_status eval(const q8_op_io *io) {
  return eval_set(io, io->node->op->variant);
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

static q8_status upgrade(q8_upgrade *node) {
  binary_params *p = node->params;
  const q8_graph *graph = node->graph;
  q8_id *inputs = node->inputs;
  int64_t axis = p->axis;
  p->axis = NO_AXIS;
  p->broadcast = 0;
  if (graph->opset >= 7 || axis == NO_AXIS || node->input_count != 2 || inputs[0] == Q8_NONE || inputs[1] == Q8_NONE)
    return QINT8_OK;
  int32_t rank = graph->tensors[inputs[0]].shape.rank, own = graph->tensors[inputs[1]].shape.rank;
  axis = axis < 0 ? axis + rank : axis;
  if (rank < 0 || own < 0)
    return q8_fail(node->error, QINT8_ERROR_UNSUPPORTED, node->name,
                   "attribute axis of opset 6 and inputs of unknown rank; convert the model to opset 7 or later");
  q8_ints last = {.count = 0};
  for (int64_t i = axis + own; i < rank; i++, last.count++)
    last.v[last.count] = -1 - last.count;
  if (last.count == 0)
    return QINT8_OK;
  q8_id unsqueeze[2] = {inputs[1], Q8_NONE};
  Q8_TRY(q8_import_constant(node->importer, node->name, QINT8_DTYPE_S64, last.count, last.v, &unsqueeze[1]));
  return q8_import_new_node(node->importer, "Unsqueeze", node->name, unsqueeze, 2, &inputs[1]);
}

/* ---- Records ---- */

#define NEEDS_FLOAT "no int8 form: the result needs the range of float"
#define INTEGERS "no int8 form: arithmetic of integers and conditions"

static const q8_op_family arithmetic = {
    .int8_obstacle = NEEDS_FLOAT, .infer = infer, .eval = eval, .plan = q8_plan_binary, .upgrade = upgrade};
static const q8_op_family logic = {.int8_obstacle = INTEGERS, .infer = infer, .eval = eval, .upgrade = upgrade};

#define RECORD(id, onnx_name, first_opset, max_in, list, rule, its_family, set)                                    \
  const q8_op q8_op_##id = {                                                                                       \
      .name = onnx_name, Q8_OPSETS(first_opset, 21), Q8_INPUTS(max_in < 0 ? 1 : 2, max_in), Q8_OUTPUTS(1, 1),      \
      Q8_ATTRIBUTES(list), .params_size = sizeof(binary_params), .quant = rule,                                    \
      .family = its_family, .variant = &set};
#define ARITHMETIC(id, onnx_name, max_in, rule, set)                                                               \
  RECORD(id, onnx_name, 1, max_in, old_attributes, rule, &arithmetic, set)

/* What is made of two elements: T is their type, W their wide type. */
#define ELEMENT(name, W, T, expression)                                                                            \
  static W name(W wide_x, W wide_z) {                                                                              \
    const T x = (T)wide_x, z = (T)wide_z;                                                                          \
    return (W)(expression);                                                                                        \
  }
#define IN_DOUBLE(name, expression) ELEMENT(name, double, double, expression)
#define IN_SIGNED(name, expression) ELEMENT(name, uint64_t, int64_t, expression)
#define IN_UNSIGNED(name, expression) ELEMENT(name, uint64_t, uint64_t, expression)

/* Rows of float32, small rather than fast: the fast ones are in binary_rows.c. */
#define ROW(name, expression)                                                                                      \
  static void name(size_t n, const float *a, const float *b, float *y) {                                           \
    for (; n > 0; n--) {                                                                                           \
      const float x = *a++, z = *b++;                                                                              \
      *y++ = (expression);                                                                                         \
    }                                                                                                              \
  }

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

#define PAIRS(id, row_f32, in_double, in_signed, in_unsigned)                                                      \
  IN_DOUBLE(id##_f64, in_double)                                                                                   \
  IN_SIGNED(id##_s64, in_signed)                                                                                   \
  IN_UNSIGNED(id##_u64, in_unsigned)                                                                               \
  static const q8_pair_set id = {.f32 = row_f32, .f64 = id##_f64, .s64 = id##_s64, .u64 = id##_u64};
/* Whose integers have the same bits with and without a sign. */
#define RING(id, in_int8, expression)                                                                              \
  IN_DOUBLE(id##_f64, expression)                                                                                  \
  IN_UNSIGNED(id##_u64, expression)                                                                                \
  static const q8_pair_set id = {                                                                        \
      .f32 = q8_##id##_row, .f64 = id##_f64, .s64 = id##_u64, .u64 = id##_u64, .int8 = in_int8};

RING(add, Q8_INT8_ADD, x + z)
RING(sub, Q8_INT8_SUB, x - z)
RING(mul, Q8_INT8_MUL, x * z)
static const q8_pair_set sum = {.f32 = q8_add_row, .f64 = add_f64, .s64 = add_u64, .u64 = add_u64};
PAIRS(div, q8_div_row, x / z, divide(x, z), z == 0 ? 0 : x / z)
PAIRS(min, q8_min_row, x < z || x != x ? x : z, x < z ? x : z, x < z ? x : z)
PAIRS(max, q8_max_row, x > z || x != x ? x : z, x > z ? x : z, x > z ? x : z)

ARITHMETIC(add, "Add", 2, Q8_QUANT_OWN, add)
ARITHMETIC(mul, "Mul", 2, Q8_QUANT_OWN, mul)
ARITHMETIC(sub, "Sub", 2, Q8_QUANT_OWN, sub)
ARITHMETIC(div, "Div", 2, Q8_QUANT_FLOAT, div)
ARITHMETIC(min, "Min", -1, Q8_QUANT_FLOAT, min)
ARITHMETIC(max, "Max", -1, Q8_QUANT_FLOAT, max)
ARITHMETIC(sum, "Sum", -1, Q8_QUANT_FLOAT, sum)

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
  eval(io);
  if (y->count && io->node->input_count > 1)
    q8_eval_pairs(&mul, QINT8_DTYPE_F64, y, &scale, y);
  return QINT8_OK;
}
static const q8_op_family mean = {.int8_obstacle = NEEDS_FLOAT, .infer = infer_mean, .eval = eval_mean};
RECORD(mean, "Mean", 1, -1, NULL, Q8_QUANT_FLOAT, &mean, sum)

/* ---- PRelu: the slope's shape must broadcast to x; before opset 7 it was one value per channel ---- */

static q8_status upgrade_prelu(q8_upgrade *node) {
  binary_params *p = node->params;
  const q8_graph *graph = node->graph;
  q8_id id = node->input_count == 2 ? node->inputs[1] : Q8_NONE;
  const q8_shape *slope = id != Q8_NONE ? &graph->tensors[id].shape : NULL;
  p->axis = graph->opset < 7 && slope && slope->rank == 1 && slope->dim[0] != 1 ? 1 : NO_AXIS;
  return upgrade(node);
}

PAIRS(prelu, q8_prelu_row, x < 0 ? x * z : x, x < 0 ? (uint64_t)x * (uint64_t)z : (uint64_t)x, ((void)z, x))

static q8_status infer_prelu(const q8_op_io *io) {
  Q8_TRY(infer(io));
  if (!q8_shape_equal(&io->outputs[0].shape, &io->inputs[0]->shape)) {
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "a slope of shape %p for an input of shape %p",
                      &io->inputs[1]->shape, &io->inputs[0]->shape);
  }
  return QINT8_OK;
}
static const q8_op_family slope = {
    .int8_obstacle = NEEDS_FLOAT, .infer = infer_prelu, .eval = eval, .plan = q8_plan_binary, .upgrade = upgrade_prelu};
RECORD(prelu, "PRelu", 1, 2, old_attributes, Q8_QUANT_FLOAT, &slope, prelu)

/* ---- Pow: the exponent may have another type ---- */

ROW(pow_row, power(x, z))
PAIRS(raise, pow_row, pow(x, z), integer_power(x, z), whole_power(x, z))

static q8_status infer_pow(const q8_op_io *io) {
  q8_shape y;
  for (int i = 0; i < 2; i++)
    if (!q8_wide_dtype(io->inputs[i]->dtype) || io->inputs[i]->dtype == QINT8_DTYPE_BOOL)
      return q8_op_fail(io, QINT8_ERROR_UNSUPPORTED, "Pow of %s", q8_dtype_name(io->inputs[i]->dtype));
  Q8_TRY(q8_infer_broadcast(io, &io->inputs[0]->shape, &io->inputs[1]->shape, &y));
  return q8_infer_shaped(io, &y);
}

static q8_status eval_pow(const q8_op_io *io) {
  int32_t a = io->inputs[0]->dtype, b = io->inputs[1]->dtype;
  if (a == b)
    return eval(io);
  int32_t in = q8_is_float(a) || q8_is_float(b) ? QINT8_DTYPE_F64 : QINT8_DTYPE_S64;
  q8_eval_pairs(&raise, in, io->inputs[0], io->inputs[1], &io->outputs[0]);
  return QINT8_OK;
}
static const q8_op_family powers = {
    .int8_obstacle = NEEDS_FLOAT, .infer = infer_pow, .eval = eval_pow, .plan = q8_plan_binary, .upgrade = upgrade};
RECORD(pow, "Pow", 1, 2, old_attributes, Q8_QUANT_FLOAT, &powers, raise)

/* ---- Mod: the sign of the divisor, or of the dividend as in C with `fmod`; x mod 0 is 0 for integers ---- */

static inline int64_t floor_mod(int64_t x, int64_t z) {
  int64_t r = z == 0 || z == -1 ? 0 : x % z;
  return r && (r < 0) != (z < 0) ? r + z : r;
}
static inline double floor_fmod(double x, double z) {
  double r = fmod(x, z);
  return r != 0 && (r < 0) != (z < 0) ? r + z : r;
}
PAIRS(mod, NULL, floor_fmod(x, z), floor_mod(x, z), z == 0 ? 0 : x % z)
PAIRS(c_mod, NULL, fmod(x, z), z == 0 || z == -1 ? 0 : x % z, z == 0 ? 0 : x % z)

static q8_status eval_mod(const q8_op_io *io) {
  return eval_set(io, ((const binary_params *)io->node->params)->fmod ? &c_mod : &mod);
}
static const q8_op_family modulo = {.int8_obstacle = INTEGERS, .infer = infer, .eval = eval_mod};
RECORD(mod, "Mod", 10, 2, mod_attributes, Q8_QUANT_FLOAT, &modulo, mod)

/* ---- Comparisons, logic, bits ---- */

#define LOGIC(id, onnx_name, first_opset, ...)                                                                     \
  static const q8_pair_set pairs_##id = {__VA_ARGS__};                                                             \
  RECORD(id, onnx_name, first_opset, 2, old_attributes, Q8_QUANT_FLOAT, &logic, pairs_##id)
#define COMPARISON(id, onnx_name, first_opset, op)                                                                 \
  ROW(id##_f32, x op z)                                                                                            \
  IN_DOUBLE(id##_f64, x op z)                                                                                      \
  IN_SIGNED(id##_s64, x op z)                                                                                      \
  IN_UNSIGNED(id##_u64, x op z)                                                                                    \
  LOGIC(id, onnx_name, first_opset, .f32 = id##_f32, .f64 = id##_f64, .s64 = id##_s64,                           \
        .u64 = id##_u64, .gives_bool = 1)
#define CONDITION(id, onnx_name, op)                                                                               \
  IN_UNSIGNED(id##_u64, x op z)                                                                                    \
  LOGIC(id, onnx_name, 1, .u64 = id##_u64, .takes_bool = 1, .gives_bool = 1)
#define BITS(id, onnx_name, op)                                                                                    \
  IN_UNSIGNED(id##_u64, x op z)                                                                                    \
  LOGIC(id, onnx_name, 18, .s64 = id##_u64, .u64 = id##_u64)

COMPARISON(equal, "Equal", 1, ==)
COMPARISON(less, "Less", 1, <)
COMPARISON(less_equal, "LessOrEqual", 12, <=)
COMPARISON(greater, "Greater", 1, >)
COMPARISON(greater_equal, "GreaterOrEqual", 12, >=)
CONDITION(and, "And", &&)
CONDITION(or, "Or", ||)
CONDITION(xor, "Xor", !=)
BITS(bitwise_and, "BitwiseAnd", &)
BITS(bitwise_or, "BitwiseOr", |)
BITS(bitwise_xor, "BitwiseXor", ^)

/* Bits shifted out of the type are lost. */
IN_UNSIGNED(left, z < 64 ? x << z : 0)
IN_UNSIGNED(right, z < 64 ? x >> z : 0)
static const q8_pair_set shift_left = {.u64 = left}, shift_right = {.u64 = right};

static q8_status infer_bit_shift(const q8_op_io *io) {
  const char *direction = ((const binary_params *)io->node->params)->direction;
  if (strcmp(direction, "LEFT") && strcmp(direction, "RIGHT"))
    return q8_op_fail(io, QINT8_ERROR_FORMAT, "direction \"%s\"", direction);
  return infer(io);
}
static q8_status eval_bit_shift(const q8_op_io *io) {
  const char *direction = ((const binary_params *)io->node->params)->direction;
  return eval_set(io, *direction == 'L' ? &shift_left : &shift_right);
}
static const q8_op_family shift = {.int8_obstacle = INTEGERS, .infer = infer_bit_shift, .eval = eval_bit_shift};
RECORD(bit_shift, "BitShift", 11, 2, shift_attributes, Q8_QUANT_FLOAT, &shift, shift_left)
