/* select.c - picks kernels for a mask of CPU bits: the first row whose needs it covers, newest ISA first. */
#include "kernel.h"
#include <string.h>

#define Q8_ISA(isa, needs) extern const q8_isa q8_isa_##isa;
#include "isa.def"
#undef Q8_ISA

const q8_isa *const q8_isa_list[] = {
#define Q8_ISA(isa, needs) &q8_isa_##isa,
#include "isa.def"
#undef Q8_ISA
};
const size_t q8_isa_count = sizeof q8_isa_list / sizeof *q8_isa_list;

static int covers(q8_cpu_mask mask, const q8_isa *isa, q8_cpu_mask row_needs) {
  return !((isa->needs | row_needs) & ~mask);
}

/* The functions lie in one order in q8_isa and q8_kernels (Q8_FUNCTIONS), at the end of both. */
typedef void any_fn(void);
enum { FUNCTION_COUNT = (sizeof(q8_isa) - offsetof(q8_isa, requant)) / sizeof(any_fn *) };

/* The function of the newest ISA that runs and has one; NULL where every folder was compiled empty. */
static any_fn *pick_function(q8_cpu_mask mask, size_t index) {
  any_fn *found = NULL;
  for (size_t i = 0; i < q8_isa_count && !found; i++)
    if (covers(mask, q8_isa_list[i], 0))
      memcpy(&found, (const char *)q8_isa_list[i] + offsetof(q8_isa, requant) + index * sizeof found, sizeof found);
  return found;
}

static const q8_gemm_kernel *pick_gemm(q8_cpu_mask mask, int b_min, const q8_isa **isa) {
  for (size_t i = 0; i < q8_isa_count; i++)
    for (const q8_gemm_kernel *row = q8_isa_list[i]->gemm; row && row->name; row++)
      if (row->b_min <= b_min && covers(mask, q8_isa_list[i], row->needs)) {
        *isa = q8_isa_list[i];
        return row;
      }
  return NULL;
}

static const q8_sgemm_kernel *pick_sgemm(q8_cpu_mask mask) {
  for (size_t i = 0; i < q8_isa_count; i++)
    for (const q8_sgemm_kernel *row = q8_isa_list[i]->sgemm; row && row->name; row++)
      if (covers(mask, q8_isa_list[i], row->needs))
        return row;
  return NULL;
}

void q8_kernels_select(q8_cpu_mask mask, q8_kernels *out) {
  const q8_isa *full_isa = NULL;
  memset(out, 0, sizeof *out);
  out->mask = mask;
  out->gemm = pick_gemm(mask, -127, &out->gemm_isa);
  out->gemm_full = pick_gemm(mask, -128, &full_isa);
  out->sgemm = pick_sgemm(mask);
  for (size_t f = 0; f < FUNCTION_COUNT; f++) {
    any_fn *picked = pick_function(mask, f);
    memcpy((char *)out + offsetof(q8_kernels, requant) + f * sizeof picked, &picked, sizeof picked);
  }
}

const q8_dwconv_kernel *q8_kernels_dwconv(q8_cpu_mask mask, size_t r, size_t s, int w_min) {
  for (size_t i = 0; i < q8_isa_count; i++)
    for (const q8_dwconv_kernel *row = q8_isa_list[i]->dwconv; row && row->name; row++)
      if ((row->r == 0 || row->r == r) && (row->s == 0 || row->s == s) && row->b_min <= w_min &&
          covers(mask, q8_isa_list[i], row->needs))
        return row;
  return NULL; /* not reached: the scalar table serves every size */
}

static int same_packing(const q8_gemm_kernel *x, const q8_gemm_kernel *y) {
  return x->kr == y->kr && x->a_bytes == y->a_bytes && x->b_bytes == y->b_bytes && x->a_shift == y->a_shift &&
         x->b_min == y->b_min;
}

const q8_gemm_kernel *q8_gemm_for_columns(const q8_gemm_kernel *first, size_t n) {
  const q8_gemm_kernel *best = first;
  for (const q8_gemm_kernel *row = first; row->name; row++)
    if (row->nr >= n && row->nr < best->nr && same_packing(first, row) && !(row->needs & ~first->needs))
      best = row;
  return best;
}

const q8_sgemm_kernel *q8_sgemm_for_columns(const q8_sgemm_kernel *first, size_t n) {
  const q8_sgemm_kernel *best = first;
  for (const q8_sgemm_kernel *row = first; row->name; row++)
    if (row->nr >= n && row->nr < best->nr && !(row->needs & ~first->needs))
      best = row;
  return best;
}

const q8_gemm_kernel *q8_gemm_for_rows(const q8_gemm_kernel *tile, size_t m) {
  const q8_gemm_kernel *best = tile;
  for (const q8_gemm_kernel *row = tile; row->name; row++)
    if (row->nr == tile->nr && row->mr >= m && row->mr < best->mr && same_packing(tile, row) &&
        !(row->needs & ~tile->needs))
      best = row;
  return best;
}

const q8_gemm_kernel *q8_gemm_for_few_rows(const q8_gemm_kernel *first, size_t m) {
  for (const q8_gemm_kernel *row = first; row->name; row++)
    if (2 * row->nr > first->nr && row->mr > first->mr && m % row->mr == 0 && same_packing(first, row) &&
        !(row->needs & ~first->needs))
      return row;
  return first;
}

const q8_sgemm_kernel *q8_sgemm_for_rows(const q8_sgemm_kernel *tile, size_t m) {
  const q8_sgemm_kernel *best = tile;
  for (const q8_sgemm_kernel *row = tile; row->name; row++)
    if (row->nr == tile->nr && row->mr >= m && row->mr < best->mr && !(row->needs & ~tile->needs))
      best = row;
  return best;
}

const q8_isa *q8_isa_find(const char *name) {
  for (size_t i = 0; i < q8_isa_count; i++)
    if (!(q8_isa_list[i]->needs & Q8_CPU_NONE) && strcmp(q8_isa_list[i]->name, name) == 0)
      return q8_isa_list[i];
  return NULL;
}
