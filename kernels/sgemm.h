/* sgemm.h - fp32 GEMM for vectors of any kind: one source for the ISA folders.
 *
 * Before including it a folder defines what sdwconv.h needs, too: the type sv_vec, SV_LANES, the type sv_part (which lanes
 * are on), SV_MASKED (1 if loads and stores of parts cost no more than whole ones), and as functions sv_part_of(n),
 * sv_load(x), sv_load_part(x, part), sv_store(y, v), sv_store_part(y, v, part), sv_fma(a, b, c), sv_add(a, b),
 * sv_clamp(v, lo, hi); and here SG_MAX_MR, SG_MAX_ACC, SG_AHEAD, SG_WIDE, sg_part(columns, v), the part of vector v that lies
 * within the columns, and
 *   sg_steps(mr, nv, rows, at, stop, b, ahead, next, next_step, acc)
 * which adds the products of k from `at` to `stop` to acc[mr][nv]; b is the panel at `at`. It may fetch the line `ahead`
 * bytes from the one it reads, if the panel is SG_WIDE vectors wide or more, and `next + i * next_step` at k = i. */
#ifndef Q8_SGEMM_H
#define Q8_SGEMM_H

#include "kernel.h"

/* Values of the next tile's rows that are fetched while a tile runs: of a matrix with few k, where waiting for them costs a
 * tenth. More would drive the panel out of L1; the rows of a convolution are mostly in L1. */
enum { SG_REACH = 2048 };

/* All products of a tile. At each k mr values of the next tile's rows are fetched: all of them by the end, if they lie one
 * behind the other. Of the panel what lies SG_AHEAD bytes ahead is, and near its end its beginning, for the next tile:
 * behind it there may be no memory, and looking for that takes as long as many products. */
Q8_INLINE void sg_multiply(size_t mr, size_t nv, size_t taps, size_t k, const void *const *a, size_t a_stride,
                           const float *b, size_t reach, sv_vec *acc) {
  const size_t line = nv * sizeof(sv_vec), far = taps * k * line > SG_AHEAD ? taps * k - SG_AHEAD / line : 0;
  size_t before = nv >= SG_WIDE ? far : 0; /* steps until the end is near */
  do {
    const float *rows[SG_MAX_MR];
    Q8_UNROLL
    for (size_t i = 0; i < mr; i++)
      rows[i] = a[i];
    for (size_t at = 0, stop; at < k; b += (stop - at) * nv * SV_LANES, at = stop) {
      const ptrdiff_t ahead = before ? SG_AHEAD : -(ptrdiff_t)(far * line);
      stop = before && before < k - at ? at + before : k;
      before -= before ? stop - at : 0;
      sg_steps(mr, nv, rows, at, stop, b, ahead, a[reach], reach * sizeof(float), acc);
    }
    a += a_stride;
  } while (--taps > 0);
}

/* Bias and clamp of `rows` rows of a tile in memory that has fewer columns. */
static __attribute__((noinline, unused)) void sg_edge(size_t nr, const float *sum, const float *bias, float lo, float hi,
                                                      size_t rows, size_t columns, float *y, size_t y_stride) {
  for (size_t i = 0; i < rows; i++, sum += nr, y += y_stride)
    for (size_t c = 0; c < columns; c += SV_LANES) {
      const sv_vec v = sv_clamp(sv_add(sv_load(sum + c), sv_load(bias + c)), lo, hi);
      if (columns - c >= SV_LANES)
        sv_store(y + c, v);
      else
        sv_store_part(y + c, v, sv_part_of(columns - c));
    }
}

/* Bias and clamp of the first `rows` rows, whose columns are all there, or parts of vectors. */
Q8_INLINE void sg_finish(size_t mr, size_t nv, const sv_vec *acc, const float *bias, float lo, float hi, size_t rows,
                         const sv_part *part, float *y, size_t y_stride) {
  Q8_UNROLL
  for (size_t i = 0; i < mr; i++, y += y_stride) {
    if (i < rows) {
      Q8_UNROLL
      for (size_t v = 0; v < nv; v++) {
        const sv_vec sum = sv_clamp(sv_add(acc[i * nv + v], sv_load(bias + v * SV_LANES)), lo, hi);
        if (SV_MASKED)
          sv_store_part(y + v * SV_LANES, sum, part[v]);
        else
          sv_store(y + v * SV_LANES, sum);
      }
    }
  }
}

/* mr and nv are constants in every caller. */
Q8_INLINE void sg_run(size_t mr, size_t nv, size_t taps, size_t k, const void *const *a, size_t a_stride, const float *b,
                      const float *bias, float lo, float hi, size_t rows, size_t columns, float *y, size_t y_stride) {
  const size_t nr = nv * SV_LANES;
  const float limits[2] = {lo, hi};
  sv_part part[SG_MAX_ACC];
  Q8_UNROLL
  for (size_t v = 0; v < nv; v++)
    part[v] = sg_part(columns, v);
  for (; rows > 0; a += mr, y += mr * y_stride) {
    const size_t left = rows < mr ? rows : mr, reach = rows > mr && mr * k <= SG_REACH ? mr : 0;
    sv_vec acc[SG_MAX_ACC];
    Q8_UNROLL
    for (size_t i = 0; i < mr * nv; i++)
      acc[i] = sv_zero();
    sg_multiply(mr, nv, taps, k, a, a_stride, b, reach, acc);
    const float *limit = limits;
    __asm__("" : "+r"(limit) : "m"(limits)); /* limits stay in memory: the products need every register */
    lo = limit[0];
    hi = limit[1];
    if (SV_MASKED || columns == nr) {
      sg_finish(mr, nv, acc, bias, lo, hi, left, part, y, y_stride);
    } else {
      float sum[SG_MAX_ACC * SV_LANES];
      Q8_UNROLL
      for (size_t i = 0; i < mr * nv; i++)
        sv_store(sum + i * SV_LANES, acc[i]);
      sg_edge(nr, sum, bias, lo, hi, left, columns, y, y_stride);
    }
    rows -= left;
  }
}

#define SG_TILE(mr, nr)                                                                                            \
  static void sgemm_##mr##x##nr(size_t taps, size_t k, const void *const *a, size_t a_stride, const float *b,      \
                                const float *bias, float lo, float hi, size_t rows, size_t columns, float *y,      \
                                size_t y_stride) {                                                                 \
    sg_run(mr, nr / SV_LANES, taps, k, a, a_stride, b, bias, lo, hi, rows, columns, y, y_stride);                  \
  }
#define SG_ROW(isa, needs, mr, nr) {"sgemm_" #isa "_" #mr "x" #nr, needs, mr, nr, sgemm_##mr##x##nr}

#endif
