/* srows.c - float rows in vectors of 16. */
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#include "vec.h"

#define Q8_VECTOR 64
#define Q8_MIN(a, b) _mm512_min_ps(a, b)
#define Q8_MAX(a, b) _mm512_max_ps(a, b)
#include "srows.h"

Q8_SROWS(avx512bw)
#endif
