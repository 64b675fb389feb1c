/* gemm_general.c - the float step of Gemm where A is transposed, B is computed, or C is more than one constant row:
 * y = alpha * A' B' + beta * C, the product on the float GEMM. */
#include "ops/gemm.h"
#include "ops/hooks.h"
#include "ops/product.h"

typedef struct gemm_step {
  q8_gemm_shape s;
  q8_product product;
  int trans_a, c_at; /* c_at: index of C among the step's inputs, 0 without */
  float alpha, beta, lo, hi;
  size_t a_size; /* bytes of scratch for A transposed */
} gemm_step;

/* y = clamp(alpha * y + beta * C) */
static void finish(const gemm_step *p, const float *c, float *y) {
  const q8_gemm_shape *s = &p->s;
  for (size_t m = 0; m < s->m; m++, y += s->n)
    for (size_t n = 0; n < s->n; n++) {
      float v = p->alpha * y[n];
      if (c)
        v += p->beta * c[(int64_t)m * s->c_m + (int64_t)n * s->c_n];
      v = v < p->lo ? p->lo : v;
      y[n] = v > p->hi ? p->hi : v;
    }
}

static void run_gemm(const q8_step_run *r) {
  const gemm_step *p = r->params;
  const q8_gemm_shape *s = &p->s;
  uint8_t *scratch = r->scratch;
  const void *a = r->in[0];
  if (p->trans_a) {
    p->product.kernels->transpose32(s->k, s->m, a, s->m, scratch, s->k);
    a = scratch;
  }
  q8_product_run(&p->product, r->host, a, r->in[1], r->out[0], scratch + p->a_size);
  finish(p, p->c_at ? r->in[p->c_at] : NULL, r->out[0]);
}

q8_status q8_plan_gemm_general(q8_planner *planner, q8_id id, const q8_gemm_shape *s) {
  const q8_node *node = q8_plan_node(planner, id);
  const q8_gemm_params *attributes = node->params;
  const float *b;
  Q8_TRY(q8_plan_floats(planner, node->inputs[1], &b));
  q8_step *step;
  gemm_step *p = q8_plan_begin(planner, "gemm", run_gemm, sizeof *p, &step);
  if (!p)
    return QINT8_ERROR_MEMORY;
  p->s = *s;
  p->product.s.m = s->m;
  p->product.s.n = s->n;
  p->product.s.k = s->k;
  p->product.b_k = s->b_k;
  p->product.b_n = s->b_n;
  p->trans_a = attributes->trans_a != 0;
  p->alpha = attributes->alpha;
  p->beta = attributes->beta;
  q8_node_clamp(node, &p->lo, &p->hi);
  if (node->input_count > 2 && node->inputs[2] != Q8_NONE)
    p->c_at = b ? 1 : 2;
  p->a_size = p->trans_a ? q8_round_up(s->m * s->k * sizeof(float), Q8_ALIGN) : 0;
  Q8_TRY(q8_product_prepare(planner, &p->product, b, step));
  step->scratch_size += p->a_size;
  return q8_plan_finish(planner, step, b ? 5 : 7, Q8_FORM_NATIVE, Q8_FORM_NATIVE, Q8_LINEAR);
}
