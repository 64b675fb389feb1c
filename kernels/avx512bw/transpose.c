/* transpose.c - matrices of 1-byte and 4-byte elements, in blocks of 16 x 16. The result does not overlap the
 * source, so the last blocks end at the last row and column and write some elements twice; what is thinner than a block
 * is read under a mask, its last row again for those that do not exist, and turned on the stack. */
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "vec.h"

/* Start of the block after the one at `at`, moved back to end at `count`; `count` when there is none. */
Q8_INLINE size_t next16(size_t at, size_t count) {
  if (at + 16 >= count)
    return count;
  return at + 32 <= count ? at + 16 : count - 16;
}

Q8_INLINE __m128i load16(const uint8_t *x) {
  return _mm_loadu_si128((const __m128i *)x);
}

/* 16 columns of 16 rows.
 *
 * Lane l of register i holds row 4 l + i, so that interleaving gives, in lane l, four rows of every column as one
 * element; gathering the four elements of a column from the lanes completes it. */
static Q8_NOINLINE void block8(const uint8_t *x, size_t x_stride, uint8_t *y, size_t y_stride) {
  __m512i row[4], quad[4];
  Q8_UNROLL
  for (size_t i = 0; i < 4; i++)
    row[i] = join4(load16(x + i * x_stride), load16(x + (i + 4) * x_stride), load16(x + (i + 8) * x_stride),
                   load16(x + (i + 12) * x_stride));
  interleave4(row, quad);
  Q8_UNROLL
  for (size_t v = 0; v < 4; v++, y += 4 * y_stride) {
    const __m512i t = _mm512_permutexvar_epi32(quad_index(), quad[v]);
    _mm_storeu_si128((__m128i *)y, _mm512_castsi512_si128(t));
    _mm_storeu_si128((__m128i *)(y + y_stride), _mm512_extracti32x4_epi32(t, 1));
    _mm_storeu_si128((__m128i *)(y + 2 * y_stride), _mm512_extracti32x4_epi32(t, 2));
    _mm_storeu_si128((__m128i *)(y + 3 * y_stride), _mm512_extracti32x4_epi32(t, 3));
  }
}

/* Fewer than 16 rows or columns, at most 16 of both. */
static Q8_NOINLINE void edge8(size_t rows, size_t cols, const uint8_t *x, size_t x_stride, uint8_t *y, size_t y_stride) {
  const __mmask16 in = first16(cols), out = first16(rows);
  __m128i from[16], to[16];
  for (size_t i = 0; i < 16; i++) {
    from[i] = _mm_maskz_loadu_epi8(in, x);
    x += i + 1 < rows ? x_stride : 0;
  }
  block8((const uint8_t *)from, 16, (uint8_t *)to, 16);
  for (size_t i = 0; i < cols; i++)
    _mm_mask_storeu_epi8(y + i * y_stride, out, to[i]);
}

/* Two to four rows, whose columns follow each other without a gap in the result: 64 columns at a time. After
 * interleaving with zeros every column is a dword; two byte shuffles close the gaps. */
static Q8_NOINLINE void interleave_rows(size_t rows, size_t cols, const uint8_t *x, size_t x_stride, uint8_t *y) {
  const __m512i close = _mm512_broadcast_i32x4(
      rows == 3   ? _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1)
      : rows == 2 ? _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1)
                  : _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  const __mmask16 kept = rows == 3 ? 0x7777 : rows == 2 ? 0x3333 : 0xffff; /* dwords of the lanes */
  for (size_t c = 0; c < cols; c += 64, y += 64 * rows) {
    const __mmask64 m = first64(cols - c);
    __m512i row[4], quad[4];
    Q8_UNROLL
    for (size_t i = 0; i < 4; i++)
      row[i] = i < rows ? _mm512_maskz_loadu_epi8(m, x + i * x_stride + c) : _mm512_setzero_si512();
    interleave4(row, quad);
    transpose4_lanes(quad);
    const size_t bytes = (cols - c < 64 ? cols - c : 64) * rows;
    Q8_UNROLL
    for (size_t j = 0; j < 4; j++) {
      const size_t at = 16 * j * rows, left = bytes > at ? bytes - at : 0;
      __m512i z = _mm512_maskz_compress_epi32(kept, _mm512_shuffle_epi8(quad[j], close));
      _mm512_mask_storeu_epi8(y + at, first64(left < 16 * rows ? left : 16 * rows), z);
    }
  }
}

void q8_avx512bw_transpose8(size_t rows, size_t cols, const void *x, size_t x_stride, void *y, size_t y_stride) {
  const uint8_t *from = x;
  uint8_t *to = y;
  if (rows >= 2 && rows <= 4 && y_stride == rows) {
    interleave_rows(rows, cols, from, x_stride, to);
    return;
  }
  const size_t height = rows < 16 ? rows : 16, width = cols < 16 ? cols : 16;
  for (size_t c = 0; c < cols; c = next16(c, cols))
    for (size_t i = 0; i < rows; i = next16(i, rows)) {
      const uint8_t *block = from + i * x_stride + c;
      uint8_t *out = to + c * y_stride + i;
      if (height == 16 && width == 16)
        block8(block, x_stride, out, y_stride);
      else
        edge8(height, width, block, x_stride, out, y_stride);
    }
}

/* 16 x 16 dwords: a 4 x 4 transpose within every 128-bit lane of four rows, then one of the lanes. */
static Q8_NOINLINE void block32(const uint32_t *x, size_t x_stride, uint32_t *y, size_t y_stride) {
  __m512i t[4][4]; /* t[e][g]: rows 4 g .. 4 g + 3 of columns e, 4 + e, 8 + e, 12 + e, one column a lane */
  Q8_UNROLL
  for (size_t g = 0; g < 4; g++, x += 4 * x_stride) {
    const __m512i r0 = _mm512_loadu_si512(x), r1 = _mm512_loadu_si512(x + x_stride),
                  r2 = _mm512_loadu_si512(x + 2 * x_stride), r3 = _mm512_loadu_si512(x + 3 * x_stride);
    const __m512i lo01 = _mm512_unpacklo_epi32(r0, r1), hi01 = _mm512_unpackhi_epi32(r0, r1);
    const __m512i lo23 = _mm512_unpacklo_epi32(r2, r3), hi23 = _mm512_unpackhi_epi32(r2, r3);
    t[0][g] = _mm512_unpacklo_epi64(lo01, lo23);
    t[1][g] = _mm512_unpackhi_epi64(lo01, lo23);
    t[2][g] = _mm512_unpacklo_epi64(hi01, hi23);
    t[3][g] = _mm512_unpackhi_epi64(hi01, hi23);
  }
  Q8_UNROLL
  for (size_t e = 0; e < 4; e++, y += y_stride) {
    transpose4_lanes(t[e]);
    Q8_UNROLL
    for (size_t l = 0; l < 4; l++)
      _mm512_storeu_si512(y + 4 * l * y_stride, t[e][l]);
  }
}

void q8_avx512bw_turn(size_t rows, __mmask64 bytes, const void *x, size_t stride, __m512i out[16]) {
  const uint8_t *at = x;
  __m512i from[16];
  for (size_t i = 0; i < 16; i++) {
    from[i] = _mm512_maskz_loadu_epi8(bytes, at);
    at += i + 1 < rows ? stride : 0;
  }
  block32((const uint32_t *)from, 16, (uint32_t *)out, 16);
}

/* As edge8. */
static Q8_NOINLINE void edge32(size_t rows, size_t cols, const uint32_t *x, size_t x_stride, uint32_t *y, size_t y_stride) {
  const __mmask16 out = first16(rows);
  __m512i to[16];
  q8_avx512bw_turn(rows, first64(4 * cols), x, 4 * x_stride, to);
  for (size_t i = 0; i < cols; i++)
    _mm512_mask_storeu_epi32(y + i * y_stride, out, to[i]);
}

/* Three rows to triples, 16 columns at a time: value k of vector v is row (16 v + k) % 3 of column (16 v + k) / 3. Returns
 * the columns done. */
static Q8_NOINLINE size_t triples32(size_t cols, const uint32_t *x, size_t x_stride, uint32_t *y) {
  _Alignas(64) uint32_t first[48], second[48]; /* from rows 0 and 1; row 2 into the gaps */
  __m512i from01[3], from2[3];
  size_t c = 0;
  for (uint32_t k = 0; k < 48; k++) {
    first[k] = k % 3 * 16 + k / 3;
    second[k] = k % 3 == 2 ? 16 + k / 3 : k % 16;
  }
  for (size_t v = 0; v < 3; v++) {
    from01[v] = _mm512_load_si512(first + 16 * v);
    from2[v] = _mm512_load_si512(second + 16 * v);
  }
  for (; c + 16 <= cols; c += 16) {
    const __m512i r0 = _mm512_loadu_si512(x + c), r1 = _mm512_loadu_si512(x + x_stride + c),
                  r2 = _mm512_loadu_si512(x + 2 * x_stride + c);
    Q8_UNROLL
    for (size_t v = 0; v < 3; v++)
      _mm512_storeu_si512(y + 3 * c + 16 * v, _mm512_permutex2var_epi32(_mm512_permutex2var_epi32(r0, from01[v], r1),
                                                                       from2[v], r2));
  }
  return c;
}

void q8_avx512bw_transpose32(size_t rows, size_t cols, const void *x, size_t x_stride, void *y, size_t y_stride) {
  const uint32_t *from = x;
  uint32_t *to = y;
  if (rows == 3 && y_stride == 3 && cols >= 64) {
    size_t done = triples32(cols, from, x_stride, to);
    from += done;
    to += 3 * done;
    cols -= done;
  }
  const size_t height = rows < 16 ? rows : 16, width = cols < 16 ? cols : 16;
  for (size_t c = 0; c < cols; c = next16(c, cols))
    for (size_t i = 0; i < rows; i = next16(i, rows)) {
      const uint32_t *block = from + i * x_stride + c;
      uint32_t *out = to + c * y_stride + i;
      if (height == 16 && width == 16)
        block32(block, x_stride, out, y_stride);
      else
        edge32(height, width, block, x_stride, out, y_stride);
    }
}
#endif
