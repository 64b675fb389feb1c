/* quantize.c - float to uint8 and back, and the range of a float array. */
#include <string.h>

#include "scalar.h"

void q8_scalar_quantize(size_t n, const float *x, float scale, int32_t zero_point, uint8_t flip, uint8_t *y) {
  for (size_t i = 0; i < n; i++)
    y[i] = q8_scalar_round(x[i] / scale, zero_point, 0, 255) ^ flip;
}

void q8_scalar_dequantize(size_t n, const uint8_t *x, float scale, int32_t zero_point, uint8_t flip, float *y) {
  for (size_t i = 0; i < n; i++)
    y[i] = (float)((int32_t)(x[i] ^ flip) - zero_point) * scale;
}

int q8_scalar_minmax(size_t n, const float *x, float *min, float *max) {
  float low = INFINITY, high = -INFINITY;
  int none = 1;
  for (size_t i = 0; i < n; i++) { /* a comparison with NaN is false: it changes neither */
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
    none &= x[i] == x[i];
  }
  *min = low + 0.0f; /* -0 becomes +0: the order of the values must not show */
  *max = high + 0.0f;
  return none;
}

int q8_scalar_minmax_rows(size_t rows, size_t n, const float *x, q8_ends *ends) {
  int none = 1;
  for (size_t i = 0; i < rows; i++)
    none &= q8_scalar_minmax(n, x + i * n, &ends[i].min, &ends[i].max);
  return none;
}

#define CHUNK 64

/* A constant count and no branches, so that compilers vectorize it. 0 if there is a NaN. */
static int slots_of_chunk(const float *x, float inverse, int32_t *slot) {
  int32_t bad = 0;
  for (int i = 0; i < CHUNK; i++) {
    int32_t is_nan = x[i] != x[i];
    float v = is_nan ? 0.0f : x[i] * inverse;
    int32_t bin = (int32_t)v;
    bin -= (float)bin > v; /* truncation to floor */
    slot[i] = bin & (Q8_SLOTS - 1);
    bad |= is_nan;
  }
  return !bad;
}

size_t q8_scalar_slots(size_t n, const float *x, float inverse, uint16_t *slot) {
  float rest[CHUNK] = {0};
  int32_t wide[CHUNK];
  int fine = 1;
  size_t kept = 0;
  for (size_t i = 0; i < n; i += CHUNK) {
    size_t count = n - i < CHUNK ? n - i : CHUNK;
    if (count < CHUNK)
      memcpy(rest, x + i, count * sizeof *x);
    fine &= slots_of_chunk(count < CHUNK ? rest : x + i, inverse, wide);
    for (size_t j = 0; j < count; j++) {
      slot[kept] = (uint16_t)wide[j];
      kept += x[i + j] != 0.0f;
    }
  }
  return fine ? kept : Q8_NAN;
}

