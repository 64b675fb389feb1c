/* transpose.c - matrix transposition in square blocks held in registers. The result does not overlap the
 * source, so the last blocks end at the last row and column and write some elements twice; a matrix thinner
 * than a block goes element by element. */
#include "kernel.h"

#if defined(__AVX2__) && defined(__FMA__)
#include "vec.h"

/* 16 x 16 bytes: four rounds of interleaving row i with row i + 8 rotate the index bits (row, column) by
 * four. */
static void block8(const uint8_t *x, size_t x_stride, uint8_t *y, size_t y_stride) {
  __m128i a[16], b[16];
  Q8_UNROLL
  for (size_t i = 0; i < 16; i++)
    a[i] = _mm_loadu_si128((const __m128i *)(x + i * x_stride));
  Q8_UNROLL
  for (size_t round = 0; round < 4; round++) {
    Q8_UNROLL
    for (size_t i = 0; i < 8; i++) {
      b[2 * i] = _mm_unpacklo_epi8(a[i], a[i + 8]);
      b[2 * i + 1] = _mm_unpackhi_epi8(a[i], a[i + 8]);
    }
    Q8_UNROLL
    for (size_t i = 0; i < 16; i++)
      a[i] = b[i];
  }
  Q8_UNROLL
  for (size_t i = 0; i < 16; i++)
    _mm_storeu_si128((__m128i *)(y + i * y_stride), a[i]);
}

/* 8 x 8 words of 32 bits. */
Q8_INLINE void block32(const float *x, size_t x_stride, float *y, size_t y_stride) {
  __m256 a[8], b[8];
  Q8_UNROLL
  for (size_t i = 0; i < 4; i++, x += x_stride) { /* rows i and i + 4 side by side in columns 0-3, then in columns 4-7 */
    const float *high = x + 4 * x_stride;
    a[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(x)), _mm_loadu_ps(high), 1);
    a[i + 4] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(x + 4)), _mm_loadu_ps(high + 4), 1);
  }
  Q8_UNROLL
  for (size_t i = 0; i < 8; i += 4, y += 4 * y_stride) { /* 4 x 4 transposes in each half */
    b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    b[i + 2] = _mm256_unpacklo_ps(a[i + 2], a[i + 3]);
    b[i + 3] = _mm256_unpackhi_ps(a[i + 2], a[i + 3]);
    _mm256_storeu_ps(y, _mm256_shuffle_ps(b[i], b[i + 2], 0x44));
    _mm256_storeu_ps(y + y_stride, _mm256_shuffle_ps(b[i], b[i + 2], 0xEE));
    _mm256_storeu_ps(y + 2 * y_stride, _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44));
    _mm256_storeu_ps(y + 3 * y_stride, _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xEE));
  }
}

/* Start of the block after the one at `at`, moved back to end at `count`; `count` when there is none. */
Q8_INLINE size_t next_block(size_t at, size_t block, size_t count) {
  if (at + block >= count)
    return count;
  return at + 2 * block <= count ? at + block : count - block;
}

/* Two to four rows of at least 16 columns, which follow each other without a gap in the result, 16 columns at a time:
 * interleaved with zeros every column is a dword, and a byte shuffle closes the gaps. Stores of 16 bytes reach into
 * what is written next, where that many bytes follow. */
static void interleave_rows(size_t rows, size_t cols, const uint8_t *x, size_t x_stride, uint8_t *y) {
  const __m128i zero = _mm_setzero_si128();
  const __m128i close = rows == 3   ? _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1)
                        : rows == 2 ? _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, -1, -1, -1, -1, -1, -1, -1, -1)
                                    : _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (size_t c = 0; c < cols; c = next_block(c, 16, cols)) {
    uint8_t *to = y + c * rows;
    __m128i row[4], quad[4];
    Q8_UNROLL
    for (size_t i = 0; i < 4; i++)
      row[i] = i < rows ? _mm_loadu_si128((const __m128i *)(x + i * x_stride + c)) : zero;
    const __m128i low01 = _mm_unpacklo_epi8(row[0], row[1]), high01 = _mm_unpackhi_epi8(row[0], row[1]);
    const __m128i low23 = _mm_unpacklo_epi8(row[2], row[3]), high23 = _mm_unpackhi_epi8(row[2], row[3]);
    quad[0] = _mm_shuffle_epi8(_mm_unpacklo_epi16(low01, low23), close);
    quad[1] = _mm_shuffle_epi8(_mm_unpackhi_epi16(low01, low23), close);
    quad[2] = _mm_shuffle_epi8(_mm_unpacklo_epi16(high01, high23), close);
    quad[3] = _mm_shuffle_epi8(_mm_unpackhi_epi16(high01, high23), close);
    Q8_UNROLL
    for (size_t i = 0; i < 3; i++, to += 4 * rows)
      _mm_storeu_si128((__m128i *)to, quad[i]);
    if (c + 20 <= cols || rows == 4) {
      _mm_storeu_si128((__m128i *)to, quad[3]);
      continue;
    }
    _mm_storel_epi64((__m128i *)to, quad[3]);
    const int rest = _mm_extract_epi32(quad[3], 2);
    if (rows == 3)
      memcpy(to + 8, &rest, sizeof rest);
  }
}

void q8_avx2_transpose8(size_t rows, size_t cols, const void *x, size_t x_stride, void *y, size_t y_stride) {
  const uint8_t *from = x;
  uint8_t *to = y;
  if (rows >= 2 && rows <= 4 && y_stride == rows && cols >= 16) {
    interleave_rows(rows, cols, from, x_stride, to);
    return;
  }
  if (rows < 16 || cols < 16) {
    for (size_t r = 0; r < rows; r++)
      for (size_t c = 0; c < cols; c++)
        to[c * y_stride + r] = from[r * x_stride + c];
    return;
  }
  for (size_t r = 0; r < rows; r = next_block(r, 16, rows))
    for (size_t c = 0; c < cols; c = next_block(c, 16, cols))
      block8(from + r * x_stride + c, x_stride, to + c * y_stride + r, y_stride);
}

/* Three rows to triples, four columns at a time; a store spills into the next triple, which is written after it. Returns
 * the columns done. */
static size_t triples32(size_t cols, const float *x, size_t x_stride, float *y) {
  size_t c = 0;
  for (; c + 5 <= cols; c += 4, y += 12) {
    __m128 r0 = _mm_loadu_ps(x + c), r1 = _mm_loadu_ps(x + x_stride + c), r2 = _mm_loadu_ps(x + 2 * x_stride + c),
           r3 = r2;
    _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
    _mm_storeu_ps(y, r0);
    _mm_storeu_ps(y + 3, r1);
    _mm_storeu_ps(y + 6, r2);
    _mm_storeu_ps(y + 9, r3);
  }
  return c;
}

void q8_avx2_transpose32(size_t rows, size_t cols, const void *x, size_t x_stride, void *y, size_t y_stride) {
  const float *from = x; /* moved only, never computed with: any 32-bit pattern survives */
  float *to = y;
  if (rows == 3 && y_stride == 3) {
    size_t done = triples32(cols, from, x_stride, to);
    x = from + done;
    y = to + 3 * done;
    cols -= done;
  }
  if (rows < 8 || cols < 8) {
    const uint8_t *src = x;
    uint8_t *dst = y;
    for (size_t r = 0; r < rows; r++)
      for (size_t c = 0; c < cols; c++)
        memcpy(dst + 4 * (c * y_stride + r), src + 4 * (r * x_stride + c), 4);
    return;
  }
  for (size_t r = 0; r < rows; r = next_block(r, 8, rows))
    for (size_t c = 0; c < cols; c = next_block(c, 8, cols))
      block32(from + r * x_stride + c, x_stride, to + c * y_stride + r, y_stride);
}
#endif
