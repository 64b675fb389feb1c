/* linear_row.c - one row times few panels, without the driver: what perceptrons at batch 1 do, where finding the work
 * takes longer than the work. */
#include "nn/linear.h"

#define MAX_PRODUCTS 16384 /* beyond, the driver's cost vanishes, and its threads help */

int q8_linear_is_row(const q8_linear *l, size_t m) {
  return m == 1 && l->groups == 1 && l->taps == 1 && l->a_bytes == 1 && l->k_padded * l->n <= MAX_PRODUCTS;
}

static void finish(const q8_linear *l, const q8_kernels *kernels, const q8_panel *panel, const int32_t *acc,
                   const q8_epilogue *e, void *y) {
  size_t column = panel->column, columns = l->n - column < panel->nr ? l->n - column : panel->nr;
  if (e->kind == Q8_EPILOGUE_REQUANT) {
    q8_requant rq = e->requant;
    rq.bias += column;
    rq.scale += column;
    kernels->requant(1, columns, acc, panel->nr, &rq, (uint8_t *)y + column, l->n);
  } else {
    q8_dequant dq = {e->offset + column, e->scale + column, e->bias + column, e->lo, e->hi, NULL, 0, NULL, 0};
    kernels->dequant_acc(1, columns, acc, panel->nr, &dq, (float *)y + column, l->n);
  }
}

void q8_linear_row(const q8_linear *l, const q8_kernels *kernels, const void *x, const q8_epilogue *e, void *y) {
  _Alignas(64) int32_t acc[Q8_MAX_ACC];
  for (size_t i = 0; i < l->panel_count; i++) {
    const q8_panel *panel = &l->panels[i];
    const q8_gemm_kernel *kernel = q8_gemm_for_rows(panel->kernel, 1);
    const void *rows[Q8_MAX_ACC / 16]; /* a taller tile reads the row for each of its own */
    for (size_t r = 0; r < kernel->mr; r++)
      rows[r] = x;
    kernel->run(1, l->k_padded, rows, kernel->mr, l->weights + panel->offset, acc);
    finish(l, kernels, panel, acc, e, y);
  }
  if (e->kind == Q8_EPILOGUE_REQUANT && e->residual)
    kernels->add(1, l->n, y, 0, e->other, 0, e->residual, y, 0);
  if (e->kind == Q8_EPILOGUE_REQUANT && e->table)
    kernels->table(l->n, y, e->table, y);
  if (e->kind == Q8_EPILOGUE_DEQUANT && e->function)
    kernels->sunary(l->n, e->function, y, y);
}
