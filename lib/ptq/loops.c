#include "ptq/loops.h"

#include <math.h>
#include <string.h>

void q8_add_to_sums(double *sum, const float *x, size_t n) {
  for (size_t i = 0; i < n; i++)
    sum[i] += (double)x[i];
}

void q8_add_scaled(float *to, float factor, const float *row, size_t stride) {
  for (size_t j = 0; j < stride; j += Q8_CHUNK_FLOATS)
    for (size_t l = 0; l < Q8_CHUNK_FLOATS; l++)
      to[j + l] += factor * row[j + l];
}

void q8_add_products(const float *rows, size_t stride, float *h) {
  for (size_t i = 0; i < stride; i++) {
    float a = rows[i], b = rows[stride + i], c = rows[2 * stride + i], d = rows[3 * stride + i];
    for (size_t j = i / Q8_CHUNK_FLOATS * Q8_CHUNK_FLOATS; j < stride; j += Q8_CHUNK_FLOATS) {
      const float *r = rows + j;
      float sum[Q8_CHUNK_FLOATS];
      for (int l = 0; l < Q8_CHUNK_FLOATS; l++)
        sum[l] = a * r[l] + b * r[stride + (size_t)l];
      r += 2 * stride;
      for (int l = 0; l < Q8_CHUNK_FLOATS; l++)
        sum[l] += c * r[l] + d * r[stride + (size_t)l];
      for (int l = 0; l < Q8_CHUNK_FLOATS; l++)
        h[i * stride + j + (size_t)l] += sum[l];
    }
  }
}

void q8_read_taps(const q8_conv_nd *c, const float *x, size_t group, size_t row, float *out) {
  size_t inputs = q8_conv_positions(c, 0), outputs = q8_conv_positions(c, 1), channels = c->c / c->groups;
  size_t taps = q8_conv_taps(c), t = 0;
  const float *image = x + (row / outputs * c->c + group * channels) * inputs;
  int64_t at[Q8_CONV_DIMS], tap[Q8_CONV_DIMS];
  q8_conv_split(c, 1, row % outputs, at);
  for (tap[0] = 0; tap[0] < c->e[0].kernel; tap[0]++)
    for (tap[1] = 0; tap[1] < c->e[1].kernel; tap[1]++)
      for (tap[2] = 0; tap[2] < c->e[2].kernel; tap[2]++, t++) {
        int64_t from = q8_conv_find(c, at, tap);
        for (size_t i = 0; i < channels; i++)
          out[i * taps + t] = from < 0 ? 0 : image[i * inputs + (size_t)from];
      }
}

static uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

/* Four at a time by their bits, without a branch for each. */
int q8_is_all(const float *x, size_t count, size_t stride, float value) {
  uint32_t bits = bits_of(value);
  size_t i = 0;
  for (; i + 4 <= count; i += 4, x += 4 * stride) {
    const float *two = x + 2 * stride;
    uint32_t differ = (bits_of(x[0]) ^ bits) | (bits_of(x[stride]) ^ bits) | (bits_of(two[0]) ^ bits) |
                      (bits_of(two[stride]) ^ bits);
    if (differ && (x[0] != value || x[stride] != value || two[0] != value || two[stride] != value))
      return 0; /* zeros of both signs are one value */
  }
  for (; i < count && *x == value; i++)
    x += stride;
  return i == count && !isnan(value);
}
