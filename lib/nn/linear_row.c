/* linear_row.c - one row times few panels, without the driver: what perceptrons at batch 1 do, where finding the work
 * takes longer than the work. */
#include "nn/linear.h"

#define MAX_PRODUCTS 16384 /* beyond, the driver's cost vanishes, and its threads help */

int q8_linear_for_row(q8_linear *l, size_t m) {
  if (m != 1 || l->groups != 1 || l->taps != 1 || l->a_bytes == 2 || l->k_padded * l->n > MAX_PRODUCTS)
    return 0;
  for (q8_panel *panel = l->panels; panel < l->panels + l->panel_count; panel++)
    panel->kernel = l->a_bytes == 1 ? (const void *)q8_gemm_for_rows(panel->kernel, 1) : q8_sgemm_for_rows(panel->kernel, 1);
  return 1;
}

static size_t columns_of(const q8_linear *l, const q8_panel *panel) {
  const size_t left = l->n - panel->column;
  return left < panel->nr ? left : panel->nr;
}

static void finish(const q8_linear *l, const q8_kernels *kernels, const q8_panel *panel, const int32_t *acc,
                   const q8_epilogue *e, void *y) {
  const size_t column = panel->column, columns = columns_of(l, panel);
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

/* A taller tile reads the row for each of its own. */
static void repeat(const void *x, size_t mr, const void **rows) {
  for (size_t r = 0; r < mr; r++)
    rows[r] = x;
}

void q8_linear_row(const q8_linear *l, const q8_kernels *kernels, const void *x, const q8_epilogue *e, void *y) {
  _Alignas(64) int32_t acc[Q8_MAX_ACC];
  for (size_t i = 0; i < l->panel_count; i++) {
    const q8_panel *panel = &l->panels[i];
    const uint8_t *b = l->weights + panel->offset;
    const void *rows[Q8_MAX_ACC / 16];
    if (e->kind == Q8_EPILOGUE_FLOAT) {
      const q8_sgemm_kernel *kernel = panel->kernel;
      repeat(x, kernel->mr, rows);
      kernel->run(1, l->k_padded, rows, kernel->mr, (const float *)(const void *)b, e->bias + panel->column, e->lo, e->hi, 1,
                  columns_of(l, panel), (float *)y + panel->column, l->n);
    } else {
      const q8_gemm_kernel *kernel = panel->kernel;
      repeat(x, kernel->mr, rows);
      kernel->run(1, l->k_padded, rows, kernel->mr, b, acc);
      finish(l, kernels, panel, acc, e, y);
    }
  }
  if (e->kind == Q8_EPILOGUE_REQUANT && e->residual)
    kernels->add(1, l->n, y, 0, e->other, 0, e->residual, y, 0);
  if (e->kind == Q8_EPILOGUE_REQUANT && e->table)
    kernels->table(l->n, y, e->table, y);
  if (e->kind != Q8_EPILOGUE_REQUANT && e->function)
    kernels->sunary(l->n, e->function, y, y);
}
