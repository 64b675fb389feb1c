/* srows.c - float rows in vectors of 8. */
#if defined(__AVX2__) && defined(__FMA__)
#include "vec.h"

#define Q8_VECTOR 32
#define Q8_MIN(a, b) _mm256_min_ps(a, b)
#define Q8_MAX(a, b) _mm256_max_ps(a, b)
#include "srows.h"

Q8_SROWS(avx2)
#endif
