/* compare.c - the tolerance of the ONNX backend tests. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "nodes.h"

#define RTOL 1e-3
#define ATOL 1e-7

static double half(uint16_t bits) {
  int exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
  double x = exponent == 31 ? (fraction ? NAN : INFINITY)
             : exponent     ? ldexp(1024 + fraction, exponent - 25)
                            : ldexp(fraction, -24);
  return bits & 0x8000 ? -x : x;
}

static double float_at(const qint8_tensor *t, size_t i) {
  uint32_t bits;
  float f;
  switch (t->dtype) {
  case QINT8_DTYPE_F32:
    return ((const float *)t->data)[i];
  case QINT8_DTYPE_F64:
    return ((const double *)t->data)[i];
  case QINT8_DTYPE_F16:
    return half(((const uint16_t *)t->data)[i]);
  default: /* BF16 */
    bits = (uint32_t)((const uint16_t *)t->data)[i] << 16;
    memcpy(&f, &bits, sizeof f);
    return f;
  }
}

static int is_float(int32_t dtype) {
  return dtype == QINT8_DTYPE_F32 || dtype == QINT8_DTYPE_F64 || dtype == QINT8_DTYPE_F16 || dtype == QINT8_DTYPE_BF16;
}

static int near(double got, double want) {
  if (isnan(want) || isnan(got))
    return isnan(want) && isnan(got);
  if (isinf(want) || isinf(got))
    return got == want;
  return fabs(got - want) <= ATOL + RTOL * fabs(want);
}

static const char *shape_text(const qint8_tensor *t, char *text, size_t size) {
  size_t used = (size_t)snprintf(text, size, "type %d [", (int)t->dtype);
  for (int i = 0; i < t->rank && used < size; i++)
    used += (size_t)snprintf(text + used, size - used, "%s%" PRId64, i ? ", " : "", t->shape[i]);
  if (used < size)
    snprintf(text + used, size - used, "]");
  return text;
}

int node_equal(const qint8_tensor *got, const qint8_tensor *expected, char *reason, size_t reason_size) {
  size_t count = 1, wrong = 0, first = 0, element = qint8_dtype_size((qint8_dtype)expected->dtype);
  int same = got->dtype == expected->dtype && got->rank == expected->rank;
  for (int i = 0; same && i < got->rank; i++) {
    same = got->shape[i] == expected->shape[i];
    count *= (size_t)got->shape[i];
  }
  if (!same) {
    char a[96], b[96];
    return snprintf(reason, reason_size, "%s instead of %s", shape_text(got, a, sizeof a),
                    shape_text(expected, b, sizeof b)), 0;
  }
  for (size_t i = count; i-- > 0;) {
    int ok = is_float(got->dtype) ? near(float_at(got, i), float_at(expected, i))
                                  : !memcmp((char *)got->data + i * element, (char *)expected->data + i * element, element);
    if (!ok) {
      wrong++;
      first = i;
    }
  }
  if (!wrong)
    return 1;
  if (is_float(got->dtype))
    snprintf(reason, reason_size, "%zu of %zu values differ, the first at %zu: %.9g instead of %.9g", wrong, count, first,
             float_at(got, first), float_at(expected, first));
  else
    snprintf(reason, reason_size, "%zu of %zu values differ, the first at %zu", wrong, count, first);
  return 0;
}
