/* Selection: for every mask, the first record that the mask covers, newest ISA first. */
#include <string.h>

#include "walk.h"

static q8_cpu_mask all_bits(void) {
  q8_cpu_mask mask = 0;
  for (size_t i = 0; i < q8_isa_count; i++)
    mask |= q8_isa_list[i]->needs;
  return mask;
}

static int covered(q8_cpu_mask mask, const q8_isa *isa, q8_cpu_mask needs) {
  return ((isa->needs | needs) & ~mask) == 0;
}

#define CHECK_FIRST(family)                                                                                  \
  do {                                                                                                       \
    size_t first = 0;                                                                                        \
    while (!covered(mask, q8_isa_list[first], 0) || !q8_isa_list[first]->family)                             \
      first++;                                                                                               \
    CHECK_MSG(chosen.family == q8_isa_list[first]->family, "mask %x: %s is not the first that runs", mask,   \
              #family);                                                                                      \
  } while (0)

static void check_gemm(const q8_kernels *chosen, q8_cpu_mask mask) {
  const q8_isa *isa = chosen->gemm_isa;
  int in_table = 0;
  CHECK(isa && chosen->gemm && chosen->gemm_full && chosen->sgemm);
  if (!isa || !chosen->gemm || !chosen->gemm_full || !chosen->sgemm)
    return;
  for (const q8_gemm_kernel *g = isa->gemm; g && g->name; g++)
    in_table |= g == chosen->gemm;
  CHECK(in_table);
  CHECK(covered(mask, isa, chosen->gemm->needs));
  CHECK(chosen->gemm->b_min == -127 || chosen->gemm->b_min == -128);
  CHECK((chosen->gemm_full->needs & ~mask) == 0);
  CHECK(chosen->gemm_full->b_min == -128);
  CHECK((chosen->sgemm->needs & ~mask) == 0);
}

/* Every subset of the bits that some ISA of this build wants; the records are compared, never run. */
static void masks(void) {
  q8_cpu_mask all = all_bits(), mask = 0;
  do {
    q8_kernels chosen;
    memset(&chosen, 0xA5, sizeof chosen);
    q8_kernels_select(mask, &chosen);
    CHECK_EQ(chosen.mask, mask);
    CHECK_FIRST(requant);
    CHECK_FIRST(dequant_acc);
    CHECK_FIRST(quantize);
    CHECK_FIRST(dequantize);
    CHECK_FIRST(minmax);
    CHECK_FIRST(minmax_rows);
    CHECK_FIRST(slots);
    CHECK_FIRST(table);
    CHECK_FIRST(add);
    CHECK_FIRST(mul);
    CHECK_FIRST(max_rows);
    CHECK_FIRST(sum_rows);
    CHECK_FIRST(transpose8);
    CHECK_FIRST(transpose32);
    CHECK_FIRST(pack_pairs);
    CHECK_FIRST(widen);
    CHECK_FIRST(sdwconv);
    CHECK_FIRST(sunary);
    CHECK_FIRST(sadd);
    CHECK_FIRST(smul);
    CHECK_FIRST(ssum_rows);
    check_gemm(&chosen, mask);
    mask = (mask - all) & all; /* the next subset; 0 again after the last */
  } while (mask);
}

/* The sums of tiles lie one behind the other, each begins at a multiple of 64 bytes: those of the tallest tile of a width,
 * which comes first, as shorter ones are run one at a time. */
static void sums(void) {
  for (size_t i = 0; i < q8_isa_count; i++) {
    const q8_isa *isa = q8_isa_list[i];
    for (const q8_gemm_kernel *g = isa->gemm; g && g->name; g++)
      if (g == isa->gemm || g->nr != g[-1].nr)
        CHECK_MSG(g->mr * g->nr % 16 == 0, "%s: %d sums", g->name, (int)(g->mr * g->nr));
    for (const q8_sgemm_kernel *g = isa->sgemm; g && g->name; g++)
      if (g == isa->sgemm || g->nr != g[-1].nr)
        CHECK_MSG(g->mr * g->nr % 16 == 0, "%s: %d sums", g->name, (int)(g->mr * g->nr));
  }
}

/* The narrowest tile of the same packing that still covers the columns, or the widest. */
static void columns(void) {
  for (size_t i = 0; i < q8_isa_count; i++)
    for (const q8_gemm_kernel *first = q8_isa_list[i]->gemm; first && first->name; first++)
      for (size_t n = 1; n <= 130; n++) {
        const q8_gemm_kernel *g = q8_gemm_for_columns(first, n);
        CHECK(g >= first && g->nr <= first->nr);
        CHECK(g->nr >= n || g->nr == first->nr);
        CHECK(g->b_min == first->b_min && g->kr == first->kr && g->a_bytes == first->a_bytes &&
              g->b_bytes == first->b_bytes && g->a_shift == first->a_shift && g->needs == first->needs);
        for (const q8_gemm_kernel *h = first; h->name; h++)
          CHECK(h->b_min != g->b_min || h->needs != g->needs || h->nr < n || h->nr >= g->nr);
      }
  for (size_t i = 0; i < q8_isa_count; i++)
    for (const q8_sgemm_kernel *first = q8_isa_list[i]->sgemm; first && first->name; first++)
      for (size_t n = 1; n <= 130; n++) {
        const q8_sgemm_kernel *g = q8_sgemm_for_columns(first, n);
        CHECK(g >= first && (g->nr >= n || g->nr == first->nr));
        for (const q8_sgemm_kernel *h = first; h->name; h++)
          CHECK(h->needs != g->needs || h->nr < n || h->nr >= g->nr);
      }
}

/* A taller tile of the same packing that rows fill, or the widest. */
static void few_rows(void) {
  for (size_t i = 0; i < q8_isa_count; i++)
    for (const q8_gemm_kernel *first = q8_isa_list[i]->gemm; first && first->name; first++)
      for (size_t m = 1; m <= 40; m++) {
        const q8_gemm_kernel *g = q8_gemm_for_few_rows(first, m);
        CHECK(g == first || (g > first && m % g->mr == 0 && g->mr > first->mr && 2 * g->nr > first->nr));
        CHECK(g->b_min == first->b_min && g->kr == first->kr && g->a_bytes == first->a_bytes &&
              g->b_bytes == first->b_bytes && g->a_shift == first->a_shift && g->needs == first->needs);
      }
  CHECK(q8_gemm_for_few_rows(q8_isa_find("scalar")->gemm, 16) == q8_isa_find("scalar")->gemm);
}

/* A folder that was compiled empty is not found. */
static void names(void) {
  CHECK(q8_isa_count > 0 && strcmp(q8_isa_list[q8_isa_count - 1]->name, "scalar") == 0);
  CHECK(q8_isa_list[q8_isa_count - 1]->needs == 0);
  for (size_t i = 0; i < q8_isa_count; i++)
    CHECK(q8_isa_find(q8_isa_list[i]->name) == (q8_isa_list[i]->needs & Q8_CPU_NONE ? NULL : q8_isa_list[i]));
  CHECK(q8_isa_find("none") == NULL);
  CHECK(q8_isa_find("") == NULL);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(masks);
  RUN(sums);
  RUN(columns);
  RUN(few_rows);
  RUN(names);
  return TEST_END();
}
