/* srows.c - float rows in vectors of 4. */
#include "neon.h"

#if defined(__aarch64__)
#define Q8_VECTOR 16
#include "srows.h"

Q8_SROWS(neon)
#endif
