/* element.c - reading, writing and casting values of every element type. */
#include "base/element.h"

#include <math.h>
#include <string.h>

int32_t q8_wide_dtype(int32_t dtype) {
  switch (dtype) {
  case QINT8_DTYPE_F16:
  case QINT8_DTYPE_BF16:
  case QINT8_DTYPE_F32:
  case QINT8_DTYPE_F64:
    return QINT8_DTYPE_F64;
  case QINT8_DTYPE_S8:
  case QINT8_DTYPE_S16:
  case QINT8_DTYPE_S32:
  case QINT8_DTYPE_S64:
    return QINT8_DTYPE_S64;
  case QINT8_DTYPE_BOOL:
  case QINT8_DTYPE_U8:
  case QINT8_DTYPE_U16:
  case QINT8_DTYPE_U32:
  case QINT8_DTYPE_U64:
    return QINT8_DTYPE_U64;
  default:
    return QINT8_DTYPE_NONE;
  }
}

const char *q8_dtype_name(int32_t dtype) {
  static const char *const names[] = {"undefined", "float32", "uint8",   "int8",    "uint16", "int16",
                                      "int32",     "int64",   "string",  "bool",    "float16", "float64",
                                      "uint32",    "uint64",  "unknown", "unknown", "bfloat16"};
  return dtype >= 0 && dtype < (int32_t)(sizeof names / sizeof *names) ? names[dtype] : "unknown";
}

/* ---- 16-bit floats ---- */

static float float_of_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static double of_half(uint16_t bits) {
  uint32_t exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
  double x = exponent == 0    ? (double)fraction * 0x1p-24
             : exponent == 31 ? (fraction ? NAN : INFINITY)
                              : ldexp((double)(fraction + 1024), (int)exponent - 25);
  return bits & 0x8000 ? -x : x;
}

static uint16_t to_half(double x) {
  uint16_t sign = signbit(x) ? 0x8000 : 0;
  x = fabs(x);
  if (x != x)
    return 0x7e00;
  if (x >= 65520) /* half way between the largest value and what would follow it */
    return sign | 0x7c00;
  if (x < 0x1p-14)
    return sign | (uint16_t)rint(x * 0x1p24);
  int exponent;
  double fraction = frexp(x, &exponent); /* [0.5, 1) */
  return sign | (uint16_t)(((exponent + 14) << 10) + (int)rint(fraction * 2048) - 1024);
}

static uint16_t to_brain(double x) {
  float f = (float)x;
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  return f != f ? 0x7fc0 : (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* ---- Between wide types ---- */

static int64_t truncated(double x) {
  if (x != x)
    return 0;
  return x >= 0x1p63 ? INT64_MAX : x < -0x1p63 ? INT64_MIN : (int64_t)x;
}
static uint64_t truncated_unsigned(double x) {
  if (!(x >= 0x1p63))
    return (uint64_t)truncated(x);
  return x >= 0x1p64 ? UINT64_MAX : (uint64_t)x;
}

/* ---- Blocks ---- */

/* y[i] = (to)x[i * stride], n > 0, for the pairs of C types that need no thought. */
#define EACH(T, R, expression)                                                                                       \
  {                                                                                                                  \
    const T *in = x;                                                                                                 \
    R *to_y = y, *const end = to_y + n;                                                                              \
    do {                                                                                                             \
      const T v = *in;                                                                                               \
      *to_y = (R)(expression);                                                                                       \
      in += stride;                                                                                                  \
    } while (++to_y < end);                                                                                          \
    return;                                                                                                          \
  }

static void widen(int32_t from, const void *x, int64_t stride, void *y, size_t n) {
  switch (from) {
  case QINT8_DTYPE_F16:
    EACH(uint16_t, double, of_half(v))
  case QINT8_DTYPE_BF16:
    EACH(uint16_t, double, float_of_bits((uint32_t)v << 16))
  case QINT8_DTYPE_F32:
    EACH(float, double, v)
  case QINT8_DTYPE_F64:
    EACH(double, double, v)
  case QINT8_DTYPE_S8:
    EACH(int8_t, int64_t, v)
  case QINT8_DTYPE_S16:
    EACH(int16_t, int64_t, v)
  case QINT8_DTYPE_S32:
    EACH(int32_t, int64_t, v)
  case QINT8_DTYPE_BOOL:
    EACH(uint8_t, uint64_t, v != 0)
  case QINT8_DTYPE_U8:
    EACH(uint8_t, uint64_t, v)
  case QINT8_DTYPE_U16:
    EACH(uint16_t, uint64_t, v)
  case QINT8_DTYPE_U32:
    EACH(uint32_t, uint64_t, v)
  default: /* S64, U64 */
    EACH(uint64_t, uint64_t, v)
  }
}

/* The low bytes of integers, whatever their sign. */
static void narrow_integers(size_t size, const void *x, void *y, size_t n) {
  const int64_t stride = 1;
  switch (size) {
  case 1:
    EACH(uint64_t, uint8_t, v)
  case 2:
    EACH(uint64_t, uint16_t, v)
  case 4:
    EACH(uint64_t, uint32_t, v)
  default:
    EACH(uint64_t, uint64_t, v)
  }
}

static void narrow_floats(int32_t to, const void *x, void *y, size_t n) {
  const int64_t stride = 1;
  switch (to) {
  case QINT8_DTYPE_F16:
    EACH(double, uint16_t, to_half(v))
  case QINT8_DTYPE_BF16:
    EACH(double, uint16_t, to_brain(v))
  case QINT8_DTYPE_F32:
    EACH(double, float, v)
  default:
    EACH(double, double, v)
  }
}

/* Between a wide float and a wide integer: of `from` itself, as smaller unsigned types are converted faster. */
static void change_class(int32_t from, const void *x, int32_t to, void *y, size_t n) {
  const int64_t stride = 1;
  if (to == QINT8_DTYPE_S64)
    EACH(double, int64_t, truncated(v))
  else if (to == QINT8_DTYPE_U64)
    EACH(double, uint64_t, truncated_unsigned(v))
  else if (from == QINT8_DTYPE_U64)
    EACH(uint64_t, double, v)
  else
    EACH(int64_t, double, v)
}

static void to_bool(int32_t wide, const void *x, uint8_t *y, size_t n) {
  for (size_t i = 0; i < n; i++)
    y[i] = wide == QINT8_DTYPE_F64 ? ((const double *)x)[i] != 0 : ((const uint64_t *)x)[i] != 0;
}

#define BLOCK 256

typedef union wide_value {
  double f;
  uint64_t u;
} wide_value;

/* To 64 bits, n > 0, which are what is computed in. */
static void cast_to_wide(int32_t from, const void *x, int64_t stride, int32_t to, void *y, size_t n) {
  const int32_t wide = q8_wide_dtype(from);
  wide_value block[BLOCK];
  if ((wide == QINT8_DTYPE_F64) == (to == QINT8_DTYPE_F64)) {
    widen(from, x, stride, y, n);
    return;
  }
  const size_t size = qint8_dtype_size((qint8_dtype)from);
  if (size == 8 && stride == 1) {
    change_class(from, x, to, y, n);
    return;
  }
  for (size_t at = 0; at < n; at += BLOCK) {
    const size_t count = n - at < BLOCK ? n - at : BLOCK;
    widen(from, (const char *)x + (int64_t)at * stride * (int64_t)size, stride, block, count);
    change_class(from, block, to, (char *)y + at * 8, count);
  }
}

void q8_cast(int32_t from, const void *x, int64_t stride, int32_t to, void *y, size_t n) {
  int32_t wide = q8_wide_dtype(from), wide_to = q8_wide_dtype(to);
  size_t size = qint8_dtype_size((qint8_dtype)from), size_to = qint8_dtype_size((qint8_dtype)to);
  wide_value block[BLOCK], changed[BLOCK];
  if (size_to == 8 && x != y && n > 0) {
    cast_to_wide(from, x, stride, to, y, n);
    return;
  }
  for (size_t at = 0; at < n; at += BLOCK) {
    size_t count = n - at < BLOCK ? n - at : BLOCK;
    char *out = (char *)y + at * size_to;
    const void *values = (const char *)x + (int64_t)at * stride * (int64_t)size;
    if (size != 8 || stride != 1 || x == y) {
      widen(from, values, stride, block, count);
      values = block;
    }
    if (to == QINT8_DTYPE_BOOL) {
      to_bool(wide, values, (uint8_t *)out, count);
      continue;
    }
    if ((wide == QINT8_DTYPE_F64) != (wide_to == QINT8_DTYPE_F64)) {
      change_class(from, values, wide_to, changed, count);
      values = changed;
    }
    if (wide_to == QINT8_DTYPE_F64)
      narrow_floats(to, values, out, count);
    else
      narrow_integers(size_to, values, out, count);
  }
}

double q8_element_double(int32_t dtype, const void *x, size_t i) {
  double value = 0;
  q8_cast(dtype, (const char *)x + i * qint8_dtype_size((qint8_dtype)dtype), 1, QINT8_DTYPE_F64, &value, 1);
  return value;
}

int64_t q8_element_int(int32_t dtype, const void *x, size_t i) {
  int64_t value = 0;
  q8_cast(dtype, (const char *)x + i * qint8_dtype_size((qint8_dtype)dtype), 1, QINT8_DTYPE_S64, &value, 1);
  return value;
}

int q8_element_compare(int32_t dtype, const void *x, size_t i, size_t j) {
  if (dtype == QINT8_DTYPE_F32 || q8_is_float(dtype)) {
    double a = dtype == QINT8_DTYPE_F32 ? ((const float *)x)[i] : q8_element_double(dtype, x, i);
    double b = dtype == QINT8_DTYPE_F32 ? ((const float *)x)[j] : q8_element_double(dtype, x, j);
    return a != a || b != b ? (a != a) - (b != b) : (a > b) - (a < b);
  }
  int64_t a = q8_element_int(dtype, x, i), b = q8_element_int(dtype, x, j);
  if (q8_wide_dtype(dtype) == QINT8_DTYPE_U64)
    return ((uint64_t)a > (uint64_t)b) - ((uint64_t)a < (uint64_t)b);
  return (a > b) - (a < b);
}
