/* gemm.c - int8 GEMM tiles with 16-bit operands: vpmaddwd multiplies pairs exactly, so nothing saturates and
 * every weight from -128 to 127 is served.
 *
 * A rows are int16 (widened by the driver), the B panel is int16 [k / 2][nr][2]: one 32-bit lane of a vector
 * holds the pair (2p, 2p + 1) of one column, and one 32-bit broadcast from a row holds the pair it meets. */
#include "kernel.h"

#if defined(__AVX2__) && defined(__FMA__)
#include "vec.h"

enum { MAX_MR = 4, MAX_NV = 3, MAX_ACC = MAX_MR * MAX_NV, STEPS = 4 };

/* As asm, for two reasons: the sums stay in their registers, and the load of a panel vector is part of its multiplication.
 * The loop is bound by the instructions it decodes, four a cycle, before it is bound by the three ports. */
Q8_INLINE void add_pairs(__m256i *sum, __m256i a, __m256i b) {
  __m256i product;
  __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(*sum), "=&x"(product) : "x"(a), "x"(b));
}
Q8_INLINE void add_pairs_from(__m256i *sum, __m256i a, const __m256i *b) {
  __m256i product;
  __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(*sum), "=&x"(product) : "x"(a), "m"(*b));
}

/* One vector of the panel in a register, as there are two loads a cycle and one vector of two or three would take more. */
Q8_INLINE void add_pair(size_t mr, size_t nv, const int16_t *const *row, size_t p, const __m256i *b, __m256i *sum) {
  const __m256i first = b[0];
  Q8_UNROLL
  for (size_t i = 0; i < mr; i++) {
    const __m256i v = q8_avx2_broadcast_pair(row[i] + p);
    add_pairs(&sum[i * nv], v, first);
    Q8_UNROLL
    for (size_t j = 1; j < nv; j++)
      add_pairs_from(&sum[i * nv + j], v, b + j);
  }
}

/* Fetched in the loop: the panel's own vectors a little ahead into L1, where few panels fit whole, and the next panel into
 * L2, spread over all tiles of this one. */
typedef struct {
  const char *next_panel;
  size_t step; /* a pass of the loop */
} ahead;

Q8_INLINE void fetch_ahead(size_t nv, const __m256i *b, ahead *f) {
  Q8_UNROLL
  for (size_t i = 0; i < STEPS * nv / 2; i++)
    _mm_prefetch((const char *)b + 512 + 64 * i, _MM_HINT_T0);
  _mm_prefetch(f->next_panel, _MM_HINT_T1);
  f->next_panel += f->step;
}

/* mr and nv (vectors of 8 columns) are constants in every caller: mr * nv accumulators, one panel vector, one broadcast and
 * one product fit the 16 registers. */
Q8_INLINE void multiply(size_t mr, size_t nv, size_t taps, size_t k, const void *const *a, size_t a_stride,
                        const __m256i *b, ahead *f, __m256i *sum) {
  for (size_t t = 0; t < taps; t++, a += a_stride) {
    const int16_t *row[MAX_MR];
    Q8_UNROLL
    for (size_t i = 0; i < mr; i++)
      row[i] = a[i];
    size_t p = 0;
    for (; p + 2 * STEPS <= k; p += 2 * STEPS, b += STEPS * nv) {
      fetch_ahead(nv, b, f);
      Q8_UNROLL
      for (size_t i = 0; i < STEPS; i++)
        add_pair(mr, nv, row, p + 2 * i, b + i * nv, sum);
    }
    for (; p < k; p += 2, b += nv)
      add_pair(mr, nv, row, p, b, sum);
  }
}

Q8_INLINE __m256i requantize(__m256i sum, const float *scale, const q8_avx2_rounding *r) {
  return q8_avx2_round(_mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_loadu_ps(scale)), r);
}

/* All of a tile, two vectors at a time, which may belong to two rows. */
Q8_INLINE void store_tile(size_t mr, size_t nv, const __m256i *sum, const float *scale, const q8_avx2_rounding *r,
                          uint8_t *y, size_t y_stride) {
  Q8_UNROLL
  for (size_t i = 0; i < mr * nv; i += 2) {
    const size_t next = i + 1 < mr * nv ? i + 1 : i;
    const __m256i t = requantize(sum[i], scale + i % nv * 8, r), u = requantize(sum[next], scale + next % nv * 8, r);
    const __m128i z = q8_avx2_pack16(t, u, r);
    _mm_storel_epi64((__m128i *)(y + i / nv * y_stride + i % nv * 8), z);
    if (next > i)
      _mm_storeh_pd((double *)(y + next / nv * y_stride + next % nv * 8), _mm_castsi128_pd(z));
  }
}

/* Without rq: the sums of one tile, to y as int32. */
Q8_INLINE void panel(size_t mr, size_t nv, size_t taps, size_t k, const void *const *a, size_t a_stride,
                     const __m256i *b, const void *next, const q8_requant *rq, size_t rows, size_t columns, void *out, size_t y_stride) {
  static const int32_t zeros[MAX_NV * 8];
  static const q8_requant sums_only = {.bias = zeros};
  const q8_requant e = rq ? *rq : sums_only; /* a copy: the stores to y might alias the original */
  const q8_avx2_rounding r = q8_avx2_rounding_of(e.zero_point, e.lo, e.hi);
  const size_t tiles = rows > mr ? (rows + mr - 1) / mr : 1;
  ahead f = {next, STEPS * nv * sizeof *b / tiles};
  uint8_t *y = out;
  for (size_t done = 0; done < rows; done += mr, a += mr, y += mr * y_stride) {
    __m256i sum[MAX_ACC];
    Q8_UNROLL
    for (size_t i = 0; i < mr * nv; i++)
      sum[i] = q8_avx2_load_i32(e.bias + i % nv * 8);
    multiply(mr, nv, taps, k, a, a_stride, b, &f, sum);
    if (!rq) {
      Q8_UNROLL
      for (size_t i = 0; i < mr * nv; i++)
        _mm256_store_si256((__m256i *)out + i, sum[i]);
      continue;
    }
    uint8_t whole[MAX_ACC * 8];
    const int edge = columns < nv * 8 || done + mr > rows;
    store_tile(mr, nv, sum, e.scale, &r, edge ? whole : y, edge ? nv * 8 : y_stride);
    for (size_t i = 0; edge && i < mr && done + i < rows; i++)
      memcpy(y + i * y_stride, whole + i * nv * 8, columns);
  }
}

#define TILE(mr, nr)                                                                                         \
  static void gemm_u8_##mr##x##nr(size_t taps, size_t k, const void *const *a, size_t a_stride,              \
                                  const void *b, const void *next, const q8_requant *rq, size_t rows,        \
                                  size_t columns, uint8_t *y, size_t y_stride) {                             \
    panel(mr, nr / 8, taps, k, a, a_stride, b, next, rq, rows, columns, y, y_stride);                        \
  }                                                                                                          \
  static void gemm_##mr##x##nr(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b,  \
                               int32_t *acc) {                                                               \
    gemm_u8_##mr##x##nr(taps, k, a, a_stride, b, b, NULL, mr, nr, (uint8_t *)acc, 0);                        \
  }
TILE(4, 24)
TILE(1, 24)
TILE(4, 16)
TILE(4, 8)

#define ROW(mr, nr)                                                                                          \
  { "gemm_avx2_" #mr "x" #nr, Q8_CPU_AVX2, mr, nr, 2, 2, 2, 0, -128, gemm_##mr##x##nr, gemm_u8_##mr##x##nr }
const q8_gemm_kernel q8_avx2_gemm[] = {
    ROW(4, 24), ROW(1, 24), ROW(4, 16), ROW(4, 8), {0},
};
#endif
