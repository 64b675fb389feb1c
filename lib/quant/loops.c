#include "quant/loops.h"

#include <math.h>
#include <string.h>

double q8_grid_error(const float *values, size_t n, float scale, double most) {
  const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds |v| < 2^22 to an integer, half to even */
  float inverse = 1.0f / scale;
  double sum = 0;
  for (size_t i = 0; i < n && sum < most;)
    for (size_t end = n - i > 64 ? i + 64 : n; i < end; i++) {
      float v = values[i] * inverse;
      v = v < -127.0f ? -127.0f : v > 127.0f ? 127.0f : v;
      float error = values[i] - ((v + magic) - magic) * scale;
      sum += (double)error * error;
    }
  return sum;
}

float q8_largest_magnitude(const float *values, size_t n, float largest) {
  for (size_t i = 0; i < n; i++)
    largest = fabsf(values[i]) > largest ? fabsf(values[i]) : largest;
  return largest;
}

void q8_count_slots(uint32_t *count, const uint16_t *slot, size_t n, uint32_t weight) {
  size_t i = 0;
  for (; i + 4 <= n; i += 4) { /* one load for four */
    uint64_t four;
    memcpy(&four, slot + i, sizeof four);
    count[four & 0xFFFF] += weight;
    count[four >> 16 & 0xFFFF] += weight;
    count[four >> 32 & 0xFFFF] += weight;
    count[four >> 48] += weight;
  }
  for (; i < n; i++)
    count[slot[i]] += weight;
}

void q8_take_chunks(const float *x, size_t count, size_t k, uint32_t *phase, float *taken) {
  size_t i = 0;
  for (; i + Q8_PART_CHUNK <= count; i += Q8_PART_CHUNK, *phase += 0x9E3779B9u)
    memcpy(taken + i, x + i * k + (size_t)((uint64_t)*phase * k >> 32) * Q8_PART_CHUNK, Q8_PART_CHUNK * sizeof *x);
  memcpy(taken + i, x + i * k, (count - i) * sizeof *x);
}

double q8_points_error(const q8_points *p, q8_unary_fn *f, const void *params, const qint8_qparams *q,
                       double clip_weight, double enough) {
  double y[256], inverse = 1.0 / (double)q->scale, zero = q->zero_point, sum = 0;
  for (int i = 0; i < 256; i++) {
    float x = (float)(i - q->zero_point) * q->scale;
    y[i] = f ? (double)f(params, x) : (double)x;
  }
  for (int i = 0; i < p->count && !(sum >= enough); i++) {
    double v = p->x[i] * inverse + zero, weight = v < -0.5 || v > 255.5 ? clip_weight : 1;
    v = v < 0 ? 0 : v > 255 ? 255 : v;
    double error = p->fx[i] - y[(int)(v + 0.5)];
    sum += weight * p->n[i] * error * error;
  }
  return sum;
}

void q8_grid_values(const q8_tensor_quant *quant, const float *x, size_t inner, float *out, size_t count) {
  for (size_t begin = 0, c = 0; begin < count; begin += inner, c = c + 1 < (size_t)quant->count ? c + 1 : 0) {
    float scale = quant->scale[c];
    for (size_t i = begin; i < begin + inner; i++) {
      float q = quant->integers ? (float)quant->integers[i] : rintf(x[i] / scale);
      out[i] = (quant->integers ? q : q > 127 ? 127 : q < -127 ? -127 : q) * scale;
    }
  }
}
