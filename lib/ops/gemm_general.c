/* gemm_general.c - the float step of Gemm where A is transposed, B is computed, or C is more than one constant row:
 * y = alpha * A' B' + beta * C, the product on the float GEMM. */
#include <math.h>
#include <string.h>

#include "nn/linear.h"
#include "ops/gemm.h"
#include "ops/hooks.h"

typedef struct gemm_step {
  q8_gemm_shape s;
  const q8_kernels *kernels;
  q8_linear linear;
  int packed, trans_a, c_at; /* c_at: index of C among the step's inputs, 0 without */
  float alpha, beta, lo, hi;
  const float *zeros;
  size_t a_size, weights_size; /* bytes of scratch for A transposed and for packed weights */
} gemm_step;

static q8_linear_desc describe(const q8_gemm_shape *s, const float *b) {
  return (q8_linear_desc){.groups = 1, .taps = 1, .k = s->k, .n = s->n, .w = b, .w_out = s->b_n, .w_in = s->b_k};
}

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
  const float *a = r->in[0];
  q8_linear linear = p->linear;
  if (p->trans_a) {
    p->kernels->transpose32(s->k, s->m, a, s->m, scratch, s->k);
    a = (const float *)(const void *)scratch;
  }
  if (!p->packed) {
    q8_linear_desc d = describe(s, r->in[1]);
    linear.weights = scratch + p->a_size;
    q8_linear_fill_float(&linear, &d, linear.weights);
  }
  q8_epilogue epilogue = {.kind = Q8_EPILOGUE_FLOAT, .bias = p->zeros, .lo = -INFINITY, .hi = INFINITY};
  q8_matrix_rows rows = {(const uint8_t *)a, s->k * sizeof(float), 0};
  q8_linear_run run = {.linear = &linear,
                       .kernels = p->kernels,
                       .rows = q8_matrix_source,
                       .source = &rows,
                       .m = s->m,
                       .y_stride = s->n,
                       .epilogue = &epilogue,
                       .y = r->out[0],
                       .scratch = scratch + p->a_size + p->weights_size};
  q8_linear_execute(&run, r->host);
  finish(p, p->c_at ? r->in[p->c_at] : NULL, r->out[0]);
}

q8_status q8_plan_gemm_general(q8_planner *planner, q8_id id, const q8_gemm_shape *s, qint8_error *error) {
  const q8_node *node = q8_plan_node(planner, id);
  const q8_gemm_params *attributes = node->params;
  const float *b;
  Q8_TRY(q8_plan_floats(planner, node->inputs[1], &b, error));
  gemm_step *p = q8_plan_alloc(planner, 1, sizeof *p);
  float *zeros = q8_plan_alloc(planner, s->n + 64, sizeof *zeros);
  if (!p || !zeros)
    return q8_fail_memory(error, node->name, s->n * sizeof *zeros);
  *p = (gemm_step){.s = *s, .kernels = q8_plan_kernels(planner), .packed = b != NULL, .zeros = zeros,
                   .trans_a = attributes->trans_a != 0, .alpha = attributes->alpha, .beta = attributes->beta};
  q8_node_clamp(node, &p->lo, &p->hi);
  q8_linear_desc d = describe(s, b);
  if (b)
    Q8_TRY(q8_linear_pack_float(p->kernels, &d, q8_plan_pool(planner), &p->linear, error));
  else
    Q8_TRY(q8_linear_layout_float(p->kernels, &d, q8_plan_pool(planner), &p->linear, error));
  p->a_size = p->trans_a ? q8_round_up(s->m * s->k * sizeof(float), Q8_ALIGN) : 0;
  p->weights_size = b ? 0 : q8_round_up(p->linear.group_size, Q8_ALIGN);
  q8_step step;
  q8_plan_step(planner, id, "gemm", run_gemm, &step);
  for (int32_t i = 0; i < node->input_count; i++) {
    if (node->inputs[i] == Q8_NONE || (i == 1 && b))
      continue;
    if (i == 2)
      p->c_at = step.in_count;
    Q8_TRY(q8_plan_input(planner, node->inputs[i], Q8_FORM_NATIVE, Q8_LINEAR, &step.in[step.in_count++], error));
  }
  Q8_TRY(q8_plan_output(planner, node->outputs[0], Q8_FORM_NATIVE, Q8_LINEAR, &step.out[step.out_count++], error));
  step.params = p;
  step.kernel = p->linear.kernel_name;
  step.scratch_size = p->a_size + p->weights_size + q8_linear_scratch(&p->linear, s->m, q8_plan_threads(planner));
  step.macs = (int64_t)(s->m * s->n * s->k);
  return q8_plan_add(planner, &step, error);
}
