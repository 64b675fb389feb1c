/* srows.c - float rows in vectors that every compiler can do without, and that SSE2 has. */
#include "scalar.h"

#define Q8_VECTOR 16
#include "srows.h"

Q8_SROWS(scalar)
