/* ratio.c - factors for the product of a tensor with few values, each of which serves many elements.
 *
 * A product rounds four times to float: both dequantized values, their product, the quotient. One factor for each byte b
 * rounds once, so it differs in the last bits, and in the byte wherever a quotient lies that near to a tie: for about one
 * b in thirty. Then a neighbour of the factor, a few units in the last place away, mostly serves all bytes a. Nothing
 * is left to a proof: every pair of bytes is computed both ways. */
#include "nn/ratio.h"

#include <math.h>
#include <string.h>

#define ROWS 16 /* values of a at a time */
#define MOST_UNITS 6

/* b[0, count): which of them differ for some a stay, in order. Returns how many. */
static size_t keep_wrong(const q8_kernels *kernels, const q8_binary *p, const float *ratio, size_t count, uint8_t *b) {
  uint8_t a[ROWS * 256], want[ROWS * 256], got[ROWS * 256], wrong[256] = {0};
  q8_binary plain = *p, fast = *p;
  plain.ratio = NULL;
  fast.ratio = ratio;
  for (int first = 0; first < 256; first += ROWS) {
    for (int i = 0; i < ROWS; i++)
      memset(a + (size_t)i * count, first + i, count);
    kernels->mul(ROWS, count, a, count, b, 0, &plain, want, count);
    kernels->mul(ROWS, count, a, count, b, 0, &fast, got, count);
    if (memcmp(want, got, ROWS * count) == 0)
      continue;
    for (size_t i = 0; i < ROWS; i++)
      for (size_t j = 0; j < count; j++)
        wrong[j] |= want[i * count + j] != got[i * count + j];
  }
  size_t left = 0;
  for (size_t i = 0; i < count; i++)
    if (wrong[i])
      b[left++] = b[i];
  return left;
}

/* The factor for b, `units` in the last place away from the nearest one. */
static float factor(const q8_binary *p, int b, int units) {
  float r = (float)((double)(b - p->b_zero) * (double)p->b_scale * (double)p->a_scale / (double)p->y_scale);
  for (int i = units < 0 ? -units : units; i > 0; i--)
    r = nextafterf(r, units < 0 ? -INFINITY : INFINITY);
  return r;
}

int q8_find_ratios(const q8_kernels *kernels, const q8_binary *p, float ratio[256]) {
  uint8_t b[256];
  size_t count = 256;
  for (size_t i = 0; i < 256; i++) {
    b[i] = (uint8_t)i;
    ratio[i] = factor(p, (int)i, 0);
    if (!(fabsf(ratio[i]) < 0x1p22f))
      return 0;
  }
  for (int try = 0; try <= 2 * MOST_UNITS; try++) { /* 0, 1, -1, 2, -2, ... */
    for (size_t i = 0; i < count; i++)
      ratio[b[i]] = factor(p, b[i], try % 2 ? (try + 1) / 2 : -try / 2);
    count = keep_wrong(kernels, p, ratio, count, b);
    if (count == 0)
      return 1;
  }
  return 0;
}
