/* element.h - values of every element type: read, written and cast.
 *
 * Where speed does not matter, operators compute in one of three wide types: F64 for the float types, S64 for signed
 * integers, U64 for unsigned ones and bool. Every value of a type is exact in its wide type. */
#ifndef Q8_BASE_ELEMENT_H
#define Q8_BASE_ELEMENT_H

#include "base/status.h"

/* F64, S64 or U64; NONE for an unknown type. */
int32_t q8_wide_dtype(int32_t dtype);
static inline int q8_is_float(int32_t dtype) {
  return q8_wide_dtype(dtype) == QINT8_DTYPE_F64;
}

/* y[i] = x[i * stride] as ONNX Cast does it, n dense results. Floats become integers by truncation (NaN 0, beyond 64
 * bits the nearest), integers wrap, and bool is "not 0"; floats round half to even. y may be x if `to` is not larger
 * than `from` and stride is 1. */
void q8_cast(int32_t from, const void *x, int64_t stride, int32_t to, void *y, size_t n);

/* Element i. */
double q8_element_double(int32_t dtype, const void *x, size_t i);
int64_t q8_element_int(int32_t dtype, const void *x, size_t i);

/* -1, 0 or 1: element i against element j. NaN is larger than all else, as in numpy. */
int q8_element_compare(int32_t dtype, const void *x, size_t i, size_t j);

/* "float32", "int64", ...; "type 8" has no name here and is "unknown". */
const char *q8_dtype_name(int32_t dtype);

#endif
