/* gemm.c - u8 x s8 tiles with vpdpbusd: four products a lane, 16 columns a register. */
#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) &&    \
    defined(__x86_64__)
#include "vnni.h"

/* One region for the register allocation of gcc 12: by its default, a region a loop, tiles of 16 to 24 sums move up to six
 * of them to other registers and back in every pass. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("ira-region=all")
#endif

enum { KR = 4, MAX_MR = 12, MAX_ACC = 24, MAX_WIDE = 7, AHEAD = 1024 };

Q8_INLINE __m512i broadcast4(const uint8_t *p) {
  int32_t x;
  memcpy(&x, p, sizeof x);
  return _mm512_set1_epi32(x);
}

/* The next panel, into L2: some lines of it in every pass of the loop, and in all tiles of this one the whole. */
typedef struct {
  const char *at;
  size_t step;
} next_panel;

/* A row alone has two sets of sums, as each multiplication waits five cycles for its sum. They are arrays of this function and
 * begin in a loop of four: clang 14 keeps in memory, too, what the caller's arrays or a loop of one pass hold. */
Q8_INLINE void multiply_row(int nv, size_t taps, size_t k, const void *const *a, size_t a_stride, const int8_t *b,
                            const int32_t *bias, __m512i *acc) {
  __m512i even[4], odd[4];
  Q8_UNROLL
  for (int v = 0; v < 4; v++) {
    even[v] = _mm512_loadu_si512(bias + v % nv * 16);
    odd[v] = _mm512_setzero_si512();
  }
  for (size_t t = 0; t < taps; t++, a += a_stride) {
    const uint8_t *row = a[0];
    size_t at = 0;
    for (; at + 2 * KR <= k; at += 2 * KR, b += 2 * nv * 64) {
      const __m512i x = broadcast4(row + at), z = broadcast4(row + at + KR);
      Q8_UNROLL
      for (int v = 0; v < nv; v++) {
        add_products_at(&even[v], x, b + v * 64);
        add_products_at(&odd[v], z, b + (nv + v) * 64);
      }
    }
    if (at < k) {
      const __m512i x = broadcast4(row + at);
      Q8_UNROLL
      for (int v = 0; v < nv; v++)
        add_products_at(&even[v], x, b + v * 64);
      b += nv * 64;
    }
  }
  Q8_UNROLL
  for (int v = 0; v < 4; v++)
    acc[v] = _mm512_add_epi32(even[v], odd[v]);
}

/* Adds the products to acc[mr][nv]; mr and nv are constants in every caller. `steps` is how many blocks of k one pass of
 * the loop takes: narrow tiles have more rows than there are registers for addresses, which several steps share. */
Q8_INLINE void multiply(int mr, int nv, size_t taps, size_t k, const void *const *a, size_t a_stride,
                        const int8_t *b, next_panel *next, __m512i *acc) {
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
      for (int v = 0; v < nv; v++) {
        w[v] = _mm512_load_si512(b + v * 64);
        if (steps == 1)
          _mm_prefetch((const char *)b + AHEAD + v * 64, _MM_HINT_T0);
      }
      if (steps == 1) {
        _mm_prefetch(next->at, _MM_HINT_T1);
        next->at += next->step;
      }
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

static Q8_NOINLINE int all_small(size_t nr, const float *scales) {
  int small = 1;
  for (size_t j = 0; j < nr; j += 16) {
    const __m512 scale = _mm512_loadu_ps(scales + j);
    small &= small_scales(1, &scale);
  }
  return small;
}

static epilogue make_epilogue(size_t nr, const q8_requant *rq, size_t columns, size_t y_stride) {
  epilogue e = {.bounds = bounds_of(rq->zero_point, rq->lo, rq->hi),
                .hi = _mm512_set1_epi8((char)rq->hi),
                .bias = rq->bias,
                .scale = rq->scale,
                .mask = first64(columns),
                .dense = columns == nr && columns == y_stride,
                .small = all_small(nr, rq->scale)};
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

/* Tile by tile through memory: for scales from 1 up, which are rare, and for the tiles of few rows. The requant family
 * adds the bias itself. Without `run`, wide tiles, which read no rows beyond the last if these are four or more. */
static Q8_NOINLINE void through_memory(q8_gemm_fn *run, size_t mr, size_t nr, size_t taps, size_t k, const void *const *a,
                                       size_t a_stride, const int8_t *b, const q8_requant *rq, size_t rows,
                                       size_t columns, uint8_t *y, size_t y_stride) {
  _Alignas(64) int32_t sums[MAX_WIDE * 64];
  q8_requant without_table = *rq;
  without_table.table = NULL;
  for (size_t count; rows > 0; rows -= count, a += count, y += count * y_stride) {
    const size_t most = run ? mr : rows > MAX_WIDE ? MAX_WIDE - 3 : MAX_WIDE;
    count = rows < most ? rows : most;
    if (run)
      run(taps, k, a, a_stride, b, sums);
    else
      q8_avx512vnni_wide(taps, k, a, a_stride, b, b, NULL, count, 64, sums, 0);
    q8_avx512bw_requant(count, columns, sums, nr, &without_table, y, y_stride);
  }
}

/* A narrow panel and few k, up to eight registers in all, stay in registers: `blocks` of them, a constant in every
 * caller. */
Q8_INLINE void add_resident(int blocks, const void *const *a, const __m512i *w, __m512i acc[MAX_MR]) {
  Q8_UNROLL
  for (int t = 0; t < blocks; t++)
    Q8_UNROLL
  for (int i = 0; i < MAX_MR; i++)
    add_products(&acc[i], broadcast4((const uint8_t *)a[i] + 4 * t), w[t]);
}

Q8_INLINE void store_sums(int count, const __m512i *acc, void *y) {
  Q8_UNROLL
  for (int i = 0; i < count; i++)
    _mm512_store_si512((__m512i *)y + i, acc[i]);
}

/* Without `e`, the sums of one tile; with it not for scales from 1 up. */
Q8_INLINE void panel(int mr, int nv, size_t taps, size_t k, const void *const *a, size_t a_stride, const int8_t *b,
                     const void *next, const epilogue *e, size_t rows, uint8_t *y, size_t y_stride) {
  const int32_t *bias = e ? e->bias : q8_avx512vnni_no_bias;
  const int narrow = mr == MAX_MR && nv == 1;
  const size_t blocks = narrow && taps == 1 && (k == 16 || k == 32) ? k / KR : 0;
  next_panel n = {next, (size_t)(nv * 64 * mr) / (rows > (size_t)mr ? rows : (size_t)mr)};
  __m512i w[8];
  if (narrow) {
    Q8_UNROLL
    for (size_t t = 0; t < 8; t++)
      w[t] = _mm512_load_si512(b + 64 * (t < blocks ? t : 0));
  }
  for (size_t done = 0; done < rows; done += (size_t)mr, a += mr, y += (size_t)mr * y_stride) {
    __m512i acc[MAX_ACC];
    Q8_UNROLL
    for (int i = 0; i < mr * nv; i++)
      acc[i] = _mm512_loadu_si512(bias + i % nv * 16);
    if (narrow && blocks == 8)
      add_resident(8, a, w, acc);
    else if (narrow && blocks == 4)
      add_resident(4, a, w, acc);
    else if (mr == 1)
      multiply_row(nv, taps, k, a, a_stride, b, bias, acc);
    else
      multiply(mr, nv, taps, k, a, a_stride, b, &n, acc);
    if (e)
      finish(mr, nv, acc, e, rows - done, y, y_stride);
    else
      store_sums(mr * nv, acc, y);
  }
}

#define SUMS(mr, nr)                                                                                         \
  static void gemm_##mr##x##nr(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b,  \
                               int32_t *acc)
#define BYTES(mr, nr)                                                                                        \
  static void gemm_u8_##mr##x##nr(size_t taps, size_t k, const void *const *a, size_t a_stride,              \
                                  const void *b, const void *next, const q8_requant *rq, size_t rows,        \
                                  size_t columns, uint8_t *y, size_t y_stride)
typedef void panel_fn(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b, const void *next,
                      const epilogue *e, size_t rows, uint8_t *y, size_t y_stride);

static Q8_NOINLINE void whole(panel_fn *tiles, q8_gemm_fn *run, size_t mr, size_t nr, size_t taps, size_t k,
                              const void *const *a, size_t a_stride, const void *b, const void *next,
                              const q8_requant *rq, size_t rows, size_t columns, uint8_t *y, size_t y_stride) {
  const epilogue e = make_epilogue(nr, rq, columns, y_stride);
  if (e.small)
    tiles(taps, k, a, a_stride, b, next, &e, rows, y, y_stride);
  else
    through_memory(run, mr, nr, taps, k, a, a_stride, b, rq, rows, columns, y, y_stride);
}

/* With its epilogue in registers, in one body with the tile, or (TAIL) through memory. */
#define WHOLE(mr, nr)                                                                                        \
  static Q8_NOINLINE void panel_##mr##x##nr(size_t taps, size_t k, const void *const *a, size_t a_stride,    \
                                            const void *b, const void *next, const epilogue *e, size_t rows, \
                                            uint8_t *y, size_t y_stride) {                                   \
    panel(mr, nr / 16, taps, k, a, a_stride, b, next, e, rows, y, y_stride);                                 \
  }                                                                                                          \
  SUMS(mr, nr) { panel_##mr##x##nr(taps, k, a, a_stride, b, b, NULL, mr, (uint8_t *)acc, 0); }               \
  BYTES(mr, nr) {                                                                                            \
    whole(panel_##mr##x##nr, gemm_##mr##x##nr, mr, nr, taps, k, a, a_stride, b, next, rq, rows, columns, y,  \
          y_stride);                                                                                         \
  }
#define TAIL(mr, nr)                                                                                         \
  SUMS(mr, nr) { panel(mr, nr / 16, taps, k, a, a_stride, b, b, NULL, mr, (uint8_t *)acc, 0); }              \
  BYTES(mr, nr) {                                                                                            \
    (void)next;                                                                                              \
    through_memory(gemm_##mr##x##nr, mr, nr, taps, k, a, a_stride, b, rq, rows, columns, y, y_stride);       \
  }
SUMS(6, 64) { q8_avx512vnni_wide(taps, k, a, a_stride, b, b, NULL, 6, 64, acc, 0); }
SUMS(4, 64) { q8_avx512vnni_wide(taps, k, a, a_stride, b, b, NULL, 4, 64, acc, 0); }
BYTES(6, 64) {
  if (all_small(64, rq->scale))
    q8_avx512vnni_wide(taps, k, a, a_stride, b, next, rq, rows, columns, y, y_stride);
  else
    through_memory(NULL, 0, 64, taps, k, a, a_stride, b, rq, rows, columns, y, y_stride);
}
SUMS(8, 48) { q8_avx512vnni_tall(taps, k, a, a_stride, b, b, NULL, 8, 48, acc, 0); }
BYTES(8, 48) {
  if (all_small(48, rq->scale))
    q8_avx512vnni_tall(taps, k, a, a_stride, b, next, rq, rows, columns, y, y_stride);
  else
    through_memory(gemm_8x48, 8, 48, taps, k, a, a_stride, b, rq, rows, columns, y, y_stride);
}
WHOLE(1, 64)
TAIL(1, 48)
WHOLE(12, 32)
TAIL(6, 32)
TAIL(1, 32)
WHOLE(12, 16)
TAIL(1, 16)

#define ROW_OF(mr, nr, run_u8)                                                                               \
  { "gemm_avx512vnni_" #mr "x" #nr, Q8_NEEDS_AVX512VNNI, mr, nr, KR, 1, 1, 0, -128, gemm_##mr##x##nr, run_u8 }
#define ROW(mr, nr) ROW_OF(mr, nr, gemm_u8_##mr##x##nr)
const q8_gemm_kernel q8_avx512vnni_gemm[] = {
    ROW(6, 64), ROW_OF(4, 64, gemm_u8_6x64), ROW(1, 64),  ROW(8, 48), ROW(1, 48),
    ROW(12, 32), ROW(6, 32), ROW(1, 32), ROW(12, 16), ROW(1, 16), {0},
};
#endif
