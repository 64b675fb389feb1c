/* dwconv_multiply.c - the second pass of the depthwise kernel. */
#define Q8_LARGE_BODIES
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "dwconv.h"

Q8_INLINE void add_step(int vectors, const uint8_t *x, const int8_t *w, __m512i acc[][4]) {
  Q8_UNROLL
  for (int v = 0; v < 4; v++) {
    const __m512i weight = _mm512_load_si512(w + 64 * v);
    Q8_UNROLL
    for (int t = 0; t < vectors; t++)
      add_products(&acc[t][v], _mm512_loadu_si512(x + v * SCRATCH_ROW + 64 * t), weight);
  }
}

/* Four sums in quad order, of `pixels` pixels, to int32; the first n pixels exist. */
static void store_sums(const __m512i acc[4], const block *b, int32_t *y, size_t n) {
  const size_t width = b->unit;
  __m512i t[4];
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    t[v] = acc[v];
  transpose4_lanes(t);
  size_t c = 0;
  Q8_UNROLL
  for (int l = 0; l < 4; l++) { /* lane l holds 16 channels */
    if (n > 0)
      _mm512_storeu_si512(y + c, t[l]);
    c += 16;
    if (c == width)
      c = 0, y += b->y_stride, n -= n > 0;
  }
}

/* The sums of `vectors` registers of pixels, of which the first n pixels exist, to y. */
static Q8_NOINLINE void finish(int vectors, const __m512i acc[][4], const block *b, uint8_t *y, size_t n) {
  const size_t pixels = b->pixels, element = b->sums ? sizeof(int32_t) : 1;
  for (int t = 0; t < vectors && n > 0; t++, y += pixels * b->y_stride * element) {
    if (b->sums)
      store_sums(acc[t], b, (int32_t *)(void *)y, n);
    else
      store_parts((int)pixels, requant_quads(b->small, b->clamps, acc[t], b), first64(b->channels), y, b->y_stride, n);
    n -= n < pixels ? n : pixels;
  }
}

/* `vectors` registers of pixels from unit `at`. */
Q8_INLINE void tile(int vectors, const block *b, const int8_t *w, size_t at, uint8_t *y, size_t n) {
  __m512i acc[MAX_TILE][4];
  const size_t unit = b->unit;
  const uint8_t *scratch = b->scratch + at * unit;
  const uint32_t *offset = b->layout.offset, *const end = offset + b->layout.steps;
  Q8_UNROLL
  for (int t = 0; t < vectors; t++)
    Q8_UNROLL
  for (int v = 0; v < 4; v++)
    acc[t][v] = b->bias[v];
  for (; offset < end; offset++, w += 256)
    add_step(vectors, scratch + *offset * unit, w, acc);
  /* A copy: accumulators whose address leaves the function would live in memory. */
  __m512i sums[MAX_TILE][4];
  Q8_UNROLL
  for (int t = 0; t < vectors; t++)
    Q8_UNROLL
  for (int v = 0; v < 4; v++)
    sums[t][v] = acc[t][v];
  finish(vectors, (const __m512i(*)[4])sums, b, y, n);
}

/* n pixels of a stretch, four registers at a time. */
void q8_avx512vnni_dwconv_multiply(const block *b, const int8_t *w, void *y, size_t n) {
  const size_t pixels = b->pixels, stride = b->y_stride * (b->sums ? sizeof(int32_t) : 1);
  uint8_t *out = y;
  size_t at = 0;
  for (; at + 2 * pixels < n; at += 4 * pixels)
    tile(4, b, w, at, out + at * stride, n - at);
  if (at + pixels < n)
    tile(2, b, w, at, out + at * stride, n - at);
  else if (at < n)
    tile(1, b, w, at, out + at * stride, n - at);
}
#endif
