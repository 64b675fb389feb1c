/* linear_fill_float.c - float weights into panels. */
#include <string.h>

#include "nn/linear.h"

/* Blocks of a constant count are vectorized: products of two activations pack one of them in every run. */
static void flush_row(size_t n, const float *w, size_t step, float *to) {
  size_t j = 0;
  for (; step == 1 && j + 16 <= n; j += 16) {
    float block[16];
    for (size_t i = 0; i < 16; i++)
      block[i] = q8_flush(w[j + i]);
    memcpy(to + j, block, sizeof block);
  }
  for (; j < n; j++)
    to[j] = q8_flush(w[j * step]);
}

/* 16 inputs of each column, which lie side by side: [columns][16] becomes [16][nr], so that a line is read once. */
static void flush_block(size_t columns, const float *w, size_t step, size_t nr, float *to) {
  for (size_t j = 0; j < columns; j++, w += step) {
    float block[16];
    for (size_t i = 0; i < 16; i++)
      block[i] = q8_flush(w[i]);
    for (size_t i = 0; i < 16; i++)
      to[i * nr + j] = block[i];
  }
}

/* All inputs of a tap. */
static void fill_tap(const q8_linear_desc *d, size_t columns, size_t nr, const float *w, float *to) {
  size_t c = 0;
  for (; d->w_in == 1 && c + 16 <= d->k; c += 16)
    flush_block(columns, w + c, d->w_out, nr, to + c * nr);
  for (; c < d->k; c++)
    flush_row(columns, w + c * d->w_in, d->w_out, to + c * nr);
  for (c = 0; columns < nr && c < d->k; c++)
    for (size_t j = columns; j < nr; j++)
      to[c * nr + j] = 0.0f;
}

void q8_linear_fill_float(const q8_linear *l, const q8_linear_desc *d, void *weights) {
  for (size_t g = 0; g < d->groups; g++)
    for (size_t p = 0; p < l->panel_count; p++) {
      const q8_panel *panel = &l->panels[p];
      float *to = (float *)(void *)((uint8_t *)weights + g * l->group_size + panel->offset);
      const float *w = (const float *)d->w + g * d->w_group + panel->column * d->w_out;
      size_t columns = d->n - panel->column < panel->nr ? d->n - panel->column : panel->nr;
      for (size_t t = 0; t < d->taps; t++, to += d->k * panel->nr)
        fill_tap(d, columns, panel->nr, w + t * d->w_tap, to);
    }
}
