/* table.c - 256-entry table lookup with vpshufb.
 *
 * Sixteen shuffles serve sixteen entries each. vpshufb gives 0 for an index with its top bit set, so the
 * shuffle of part i, indexed by x - 16 i, acts on the bytes whose high half h has h - 7 <= i <= h. Parts are
 * chosen so that the exclusive or of all that act is T[h], the sixteen entries of h. */
#include "kernel.h"

#if defined(__AVX2__) && defined(__FMA__)
#include "vec.h"

enum { SHORT = 64 }; /* below this many bytes preparing the parts costs more than it saves */

/* part[i] = T[i] ^ T[i - 1] ^ part[i - 8] turns the xor T[h - 1] of the parts h - 8 .. h - 1 into that of the
 * parts h - 7 .. h. */
static Q8_NOINLINE void prepare(const uint8_t *table, __m256i part[16]) {
  __m128i before = _mm_setzero_si128();
  for (size_t i = 0; i < 16; i++) {
    __m128i entries = _mm_loadu_si128((const __m128i *)table + i);
    __m256i v = _mm256_broadcastsi128_si256(_mm_xor_si128(entries, before));
    part[i] = i < 8 ? v : _mm256_xor_si256(v, part[i - 8]);
    before = entries;
  }
}

Q8_INLINE __m256i lookup(__m256i x, const __m256i part[16]) {
  __m256i sixteen = _mm256_set1_epi8(16);
  __m256i y = _mm256_shuffle_epi8(part[0], x);
  Q8_UNROLL
  for (size_t i = 1; i < 16; i++) {
    /* Up to part 8 indices wrap, as signed bytes of the right sign; after it they must stay negative. */
    x = i <= 8 ? _mm256_sub_epi8(x, sixteen) : _mm256_subs_epi8(x, sixteen);
    y = _mm256_xor_si256(y, _mm256_shuffle_epi8(part[i], x));
    q8_avx2_keep(&y);
  }
  return y;
}

/* Eight bytes at a time through one 64-bit register. */
static Q8_NOINLINE void lookup_short(size_t n, const uint8_t *x, const uint8_t *table, uint8_t *y) {
  for (; n >= 8; n -= 8, x += 8, y += 8) {
    uint64_t in, out = 0;
    memcpy(&in, x, 8);
    Q8_UNROLL
    for (int shift = 0; shift < 64; shift += 8)
      out |= (uint64_t)table[in >> shift & 255] << shift;
    memcpy(y, &out, 8);
  }
  for (; n; n--)
    *y++ = table[*x++];
}

/* A full vector per step; gives the bytes done. */
Q8_INLINE size_t lookup_vectors(size_t n, const uint8_t *x, const __m256i part[16], uint8_t *y) {
  size_t c = 0;
  for (; c + 32 <= n; c += 32)
    _mm256_storeu_si256((__m256i *)(y + c), lookup(_mm256_loadu_si256((const __m256i *)(x + c)), part));
  return c;
}

void q8_avx2_table(size_t n, const uint8_t *x, const uint8_t *table, uint8_t *y) {
  size_t c = 0;
  if (n >= SHORT) {
    __m256i part[16];
    prepare(table, part);
    c = lookup_vectors(n, x, part, y);
  }
  lookup_short(n - c, x + c, table, y + c);
}
#endif
