/* isa.c - the table lookup with vpermi2b. avx512vnni, and those that it inherits from, serve the other families. Empty where the
 * compiler does not target it. */
#include "kernel.h"

extern const q8_isa q8_isa_avx512vbmi;
#if defined(__AVX512VBMI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) &&    \
    defined(__x86_64__)
q8_table_fn q8_avx512vbmi_table;

const q8_isa q8_isa_avx512vbmi = {
    .name = "avx512vbmi",
    .needs = Q8_CPU_AVX2 | Q8_CPU_AVX512 | Q8_CPU_AVX512VNNI | Q8_CPU_AVX512VBMI,
    .table = q8_avx512vbmi_table,
};
#elif defined(__x86_64__)
const q8_isa q8_isa_avx512vbmi = {.name = "avx512vbmi", .needs = Q8_CPU_NONE};
#endif
