/* gemm.c - u8 x s8 tiles with vpdpbusd: four products a lane, 16 columns a register. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "vnni.h"

enum { KR = 4, MAX_MR = 12, MAX_ACC = 24 };

Q8_INLINE __m512i broadcast4(const uint8_t *p) {
  int32_t x;
  memcpy(&x, p, sizeof x);
  return _mm512_set1_epi32(x);
}

/* Adds the products to acc[mr][nv]; mr and nv are constants in every caller. `steps` is how many blocks of k one pass of
 * the loop takes: narrow tiles have more rows than there are registers for addresses, which several steps share. */
Q8_INLINE void multiply(int mr, int nv, size_t taps, size_t k, const void *const *a, size_t a_stride,
                        const int8_t *b, __m512i *acc) {
  const int steps = nv > 2 ? 1 : 4 / nv;
  for (size_t t = 0; t < taps; t++, a += a_stride) {
    const uint8_t *rows[MAX_MR];
    size_t at = 0;
    Q8_UNROLL
    for (int i = 0; i < mr; i++)
      rows[i] = a[i];
    for (; steps > 1 && at + steps * KR <= k; at += steps * KR, b += steps * nv * 64) {
      __m512i w[4];
      Q8_UNROLL
      for (int v = 0; v < steps * nv; v++)
        w[v] = _mm512_load_si512(b + v * 64);
      Q8_UNROLL
      for (int i = 0; i < mr; i++)
        Q8_UNROLL
      for (int v = 0; v < steps * nv; v++)
        add_products(&acc[i * nv + v % nv], broadcast4(rows[i] + at + v / nv * KR), w[v]);
    }
    for (; at < k; at += KR, b += nv * 64) {
      __m512i w[4];
      Q8_UNROLL
      for (int v = 0; v < nv; v++)
        w[v] = _mm512_load_si512(b + v * 64);
      Q8_UNROLL
      for (int i = 0; i < mr; i++) {
        const __m512i x = broadcast4(rows[i] + at);
        Q8_UNROLL
        for (int v = 0; v < nv; v++)
          add_products(&acc[i * nv + v], x, w[v]);
      }
    }
  }
}

Q8_INLINE void tile(int mr, int nv, size_t taps, size_t k, const void *const *a, size_t a_stride,
                    const int8_t *b, int32_t *c) {
  __m512i acc[MAX_ACC];
  Q8_UNROLL
  for (int i = 0; i < mr * nv; i++)
    acc[i] = _mm512_setzero_si512();
  multiply(mr, nv, taps, k, a, a_stride, b, acc);
  Q8_UNROLL
  for (int i = 0; i < mr * nv; i++)
    _mm512_store_si512(c + i * 16, acc[i]);
}

/* ---- With the epilogue ---- */

typedef struct {
  requant_bounds bounds;
  __m512i hi; /* bytes */
  const int32_t *bias;
  const float *scale;
  __mmask64 mask;
  int dense; /* rows of y lie one behind the other and fill registers */
  int small; /* see small_scales */
} epilogue;

Q8_INLINE epilogue make_epilogue(int nv, const q8_requant *rq, size_t columns, size_t y_stride) {
  epilogue e = {.bounds = bounds_of(rq->zero_point, rq->lo, rq->hi),
                .hi = _mm512_set1_epi8((char)rq->hi),
                .bias = rq->bias,
                .scale = rq->scale,
                .mask = first64(columns),
                .dense = columns == (size_t)nv * 16 && columns == y_stride};
  __m512 scale[4];
  Q8_UNROLL
  for (int v = 0; v < nv; v++)
    scale[v] = _mm512_loadu_ps(e.scale + 16 * v);
  e.small = small_scales(nv, scale);
  return e;
}

/* Up to four accumulators as bytes, in the order of acc; of fewer, the rest is anything. Needs small scales. */
Q8_INLINE __m512i requant64(int nv, int count, const __m512i *acc, const epilogue *e) {
  __m512i t[4];
  Q8_UNROLL
  for (int v = 0; v < 4; v++) {
    const int at = v < count ? v : 0;
    const __m512 x = _mm512_mul_ps(_mm512_cvtepi32_ps(acc[at]), _mm512_loadu_ps(e->scale + at % nv * 16));
    t[v] = _mm512_cvtps_epi32(x);
  }
  return _mm512_min_epu8(narrow_plain(t, &e->bounds), e->hi);
}

Q8_INLINE void finish(int mr, int nv, const __m512i *acc, const epilogue *e, size_t rows, uint8_t *y,
                      size_t y_stride) {
  const int parts = nv > 2 ? 1 : 4 / nv;
  Q8_UNROLL
  for (int i = 0; i < mr; i += parts, y += (size_t)parts * y_stride)
    if ((size_t)i < rows) {
      const int left = (mr - i) * nv, count = left < parts * nv ? left : parts * nv;
      const __m512i z = requant64(nv, count, acc + i * nv, e);
      if (parts > 1 && e->dense && (size_t)(i + parts) <= rows)
        _mm512_storeu_si512(y, z);
      else
        store_parts(parts, z, e->mask, y, y_stride, rows - (size_t)i);
    }
}

/* Scales from 1 up are rare: the requant family does them, which adds the bias itself. */
Q8_INLINE void finish_large(int mr, int nv, const __m512i *acc, const q8_requant *rq, size_t rows, size_t columns,
                            uint8_t *y, size_t y_stride) {
  _Alignas(64) int32_t sums[MAX_ACC * 16];
  q8_requant without_table = *rq;
  without_table.table = NULL;
  Q8_UNROLL
  for (int i = 0; i < mr * nv; i++)
    _mm512_store_si512(sums + 16 * i, _mm512_sub_epi32(acc[i], _mm512_loadu_si512(rq->bias + i % nv * 16)));
  q8_avx512bw_requant->run(rows < (size_t)mr ? rows : (size_t)mr, columns, sums, (size_t)nv * 16, &without_table, y,
                           y_stride);
}

/* `together` rows against a panel of `blocks` registers. */
Q8_INLINE void resident_rows(int together, int blocks, const void *const *a, const __m512i *w, const epilogue *e,
                             size_t rows, uint8_t *y, size_t y_stride) {
  __m512i acc[8];
  const uint8_t *row[8];
  Q8_UNROLL
  for (int i = 0; i < together; i++) {
    row[i] = a[i];
    acc[i] = _mm512_loadu_si512(e->bias);
  }
  Q8_UNROLL
  for (int t = 0; t < blocks; t++)
    Q8_UNROLL
  for (int i = 0; i < together; i++)
    add_products(&acc[i], broadcast4(row[i] + 4 * t), w[t]);
  finish(together, 1, acc, e, rows, y, y_stride);
}

/* A panel of one register and few k stays in registers, `blocks` of them. */
Q8_INLINE void resident_u8(int blocks, const void *const *a, const int8_t *b, const epilogue *e, size_t rows, uint8_t *y,
                           size_t y_stride) {
  __m512i w[8];
  size_t done = 0;
  Q8_UNROLL
  for (int t = 0; t < blocks; t++)
    w[t] = _mm512_load_si512(b + 64 * t);
  for (; done + 8 <= rows; done += 8, a += 8, y += 8 * y_stride)
    resident_rows(8, blocks, a, w, e, 8, y, y_stride);
  for (; done < rows; done += 4, a += 4, y += 4 * y_stride)
    resident_rows(4, blocks, a, w, e, rows - done, y, y_stride);
}

Q8_INLINE int try_resident(size_t taps, size_t k, const void *const *a, const int8_t *b, const epilogue *e, size_t rows,
                           uint8_t *y, size_t y_stride) {
  if (taps != 1 || !e->small)
    return 0;
  if (k == 16)
    resident_u8(4, a, b, e, rows, y, y_stride);
  else if (k == 32)
    resident_u8(8, a, b, e, rows, y, y_stride);
  else
    return 0;
  return 1;
}

Q8_INLINE void tile_u8(int mr, int nv, size_t taps, size_t k, const void *const *a, size_t a_stride, const int8_t *b,
                       const q8_requant *rq, size_t rows, size_t columns, uint8_t *y, size_t y_stride) {
  const epilogue e = make_epilogue(nv, rq, columns, y_stride);
  if (mr == 12 && nv == 1 && try_resident(taps, k, a, b, &e, rows, y, y_stride))
    return;
  for (size_t done = 0; done < rows; done += (size_t)mr, a += mr, y += (size_t)mr * y_stride) {
    __m512i acc[MAX_ACC];
    Q8_UNROLL
    for (int i = 0; i < mr * nv; i++)
      acc[i] = _mm512_loadu_si512(e.bias + i % nv * 16);
    multiply(mr, nv, taps, k, a, a_stride, b, acc);
    if (e.small)
      finish(mr, nv, acc, &e, rows - done, y, y_stride);
    else
      finish_large(mr, nv, acc, rq, rows - done, columns, y, y_stride);
  }
}

#define TILE(mr, nr)                                                                                         \
  static void gemm_##mr##x##nr(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b,  \
                               int32_t *acc) {                                                               \
    tile(mr, nr / 16, taps, k, a, a_stride, b, acc);                                                         \
  }                                                                                                          \
  static void gemm_u8_##mr##x##nr(size_t taps, size_t k, const void *const *a, size_t a_stride,              \
                                  const void *b, const q8_requant *rq, size_t rows, size_t columns,          \
                                  uint8_t *y, size_t y_stride) {                                             \
    tile_u8(mr, nr / 16, taps, k, a, a_stride, b, rq, rows, columns, y, y_stride);                           \
  }
TILE(6, 64)
TILE(4, 64)
TILE(2, 64)
TILE(1, 64)
TILE(8, 48)
TILE(4, 48)
TILE(1, 48)
TILE(12, 32)
TILE(6, 32)
TILE(1, 32)
TILE(12, 16)
TILE(1, 16)

#define ROW(mr, nr)                                                                                          \
  {                                                                                                          \
    "gemm_avx512vnni_" #mr "x" #nr, Q8_NEEDS_AVX512VNNI, mr, nr, KR, 1, 1, 0, -128, gemm_##mr##x##nr,        \
        gemm_u8_##mr##x##nr                                                                                  \
  }
const q8_gemm_kernel q8_avx512vnni_gemm[] = {
    ROW(6, 64),  ROW(4, 64), ROW(2, 64), ROW(1, 64),  ROW(8, 48), ROW(4, 48), ROW(1, 48),
    ROW(12, 32), ROW(6, 32), ROW(1, 32), ROW(12, 16), ROW(1, 16), {0},
};
#endif
