/* recurrent_plan.c - the step of RNN, GRU and LSTM with constant weights: the products with x for all times at once,
 * then one small product per time step. Float, or dynamic int8 with one scale per row of x and of h. */
#include <math.h>
#include <string.h>

#include "nn/linear.h"
#include "ops/quantize_rows.h"
#include "ops/recurrent.h"

#define PARTS 2

/* One packed matrix with what its accumulators become. */
typedef struct product {
  q8_linear linear;
  const float *scale, *bias; /* scale NULL: float */
} product;

typedef struct recurrent_step {
  const char *name;
  int8_t place[Q8_RNN_INPUTS]; /* of input i among the step's inputs, -1 if it is left out or packed */
  int packed;
  size_t x_gates, product_scratch, quantized, work; /* bytes of the regions of scratch, in this order */
  q8_recurrent r;
  product x;                /* columns: [direction][gates][hidden] */
  product h[2][PARTS];      /* [direction][part] */
} recurrent_step;

typedef struct recurrent_job {
  const recurrent_step *p;
  const q8_host *host;
  const float *x_gates;
  uint8_t *product_scratch, *quantized;
} recurrent_job;

/* ---- Running ---- */

/* y[m][n] = x[m][k] w', row stride y_stride. */
static void run_product(const recurrent_job *j, const product *p, size_t m, const float *x, size_t y_stride, float *y) {
  q8_epilogue epilogue = {.kind = Q8_EPILOGUE_FLOAT, .bias = p->bias, .lo = -INFINITY, .hi = INFINITY};
  q8_matrix_rows rows = {(const uint8_t *)x, p->linear.k * sizeof(float), 0};
  if (p->scale) {
    q8_quantized_rows q = q8_quantize_rows(j->p->r.kernels, j->host, m, p->linear.k, x, j->quantized);
    epilogue.kind = Q8_EPILOGUE_DEQUANT;
    epilogue.scale = p->scale;
    epilogue.sample_scale = q.scale;
    epilogue.sample_zero = q.zero_point;
    epilogue.rows_per_sample = 1;
    rows = (q8_matrix_rows){q.data, p->linear.k, 0};
  }
  q8_linear_run run = {.linear = &p->linear,
                       .kernels = j->p->r.kernels,
                       .rows = q8_matrix_source,
                       .source = &rows,
                       .m = m,
                       .y_stride = y_stride,
                       .epilogue = &epilogue,
                       .y = y,
                       .scratch = j->product_scratch};
  q8_linear_execute(&run, j->host);
}

static const float *input_gates(void *self, size_t direction, size_t t, size_t b) {
  const recurrent_job *j = self;
  const q8_recurrent *r = &j->p->r;
  return j->x_gates + (q8_time_row(r, t, b) * r->directions + direction) * q8_gates_size(r);
}

static void hidden_gates(void *self, size_t direction, int part, const float *h, float *gates) {
  const recurrent_job *j = self;
  const q8_recurrent *r = &j->p->r;
  size_t first = part ? r->cell->first_gates * r->hidden : 0;
  run_product(j, &j->p->h[direction][part], r->batch, h, q8_gates_size(r), gates + first);
}

static void run_recurrent(const q8_step_run *run) {
  const recurrent_step *p = run->params;
  const q8_recurrent *r = &p->r;
  uint8_t *scratch = run->scratch;
  q8_recurrent_io io = {.outputs = {run->out[0], run->out[1], run->out[2]}, .name = p->name, .error = run->error};
  for (int i = 0; i < Q8_RNN_INPUTS; i++)
    io.data[i] = p->place[i] < 0 ? NULL : run->in[p->place[i]];
  q8_status status;
  if (p->packed) {
    recurrent_job job = {.p = p,
                         .host = run->host,
                         .x_gates = (const float *)(const void *)scratch,
                         .product_scratch = scratch + p->x_gates,
                         .quantized = scratch + p->x_gates + p->product_scratch};
    size_t rows = r->steps * r->batch;
    run_product(&job, &p->x, rows, io.data[Q8_RNN_X], p->x.linear.n, (float *)(void *)scratch);
    q8_recurrent_source source = {input_gates, hidden_gates, &job};
    status = q8_recurrent_run(r, &io, &source, job.quantized + p->quantized);
  } else {
    status = q8_recurrent_run_plain(r, &io, scratch);
  }
  if (status != QINT8_OK)
    *run->status = status;
}

/* ---- Packing ---- */

/* Columns [first, first + n) of every direction's gates, as rows of w [directions * gates * hidden][k]. */
static q8_status pack(q8_planner *planner, const q8_recurrent *r, const q8_tensor_quant *quant,
                      const float *w, size_t first, size_t n, size_t k, product *out) {
  const q8_kernels *kernels = q8_plan_kernels(planner);
  q8_pool *pool = q8_plan_pool(planner);
  q8_linear_desc d = {.groups = 1, .taps = 1, .k = k, .n = n, .w = w + first * k, .w_out = k, .w_in = 1};
  float *scale = q8_plan_alloc(planner, n + 64, sizeof *scale), *bias = q8_plan_alloc(planner, n + 64, sizeof *bias);
  if (!scale || !bias)
    return QINT8_ERROR_MEMORY;
  out->bias = bias; /* zeros: the callers fill in what belongs there */
  if (!quant)
    return q8_linear_pack_float(kernels, &d, pool, &out->linear, q8_plan_error(planner));
  uint8_t *integers = q8_plan_borrow(planner, n, k);
  if (!integers)
    return QINT8_ERROR_MEMORY;
  for (size_t i = 0; i < n; i++) {
    scale[i] = quant->scale[quant->count > 1 ? (first + i) % q8_gates_size(r) : 0];
    kernels->quantize(k, w + (first + i) * k, scale[i], 128, 0x80, integers + i * k);
  }
  out->scale = scale;
  d.w = integers;
  q8_status status = q8_linear_pack(kernels, &d, pool, &out->linear, q8_plan_error(planner));
  q8_plan_return(planner, integers);
  return status;
}

/* As in recurrent_run.c: all biases go with x, but that of the gate that GRU resets after the product. */
static void set_biases(const q8_recurrent *r, const float *b, recurrent_step *p) {
  size_t g = q8_gates_size(r), apart = r->reset_after ? r->cell->first_gates * r->hidden : g;
  float *x_bias = (float *)(uintptr_t)p->x.bias;
  for (size_t d = 0; d < r->directions; d++, b += 2 * g) {
    for (size_t i = 0; i < g; i++)
      x_bias[d * g + i] = b[i] + (i < apart ? b[g + i] : 0);
    for (size_t i = apart; i < g; i++)
      ((float *)(uintptr_t)p->h[d][1].bias)[i - apart] = b[g + i];
  }
}

/* Weights that the int8 kernels can take: s8 without zero point, one scale or one per row of gates. */
static int is_int8(const q8_recurrent *r, const q8_tensor_quant *quant, size_t k) {
  if (!quant || quant->dtype != QINT8_DTYPE_S8 || k > Q8_MAX_DOT ||
      (quant->count != 1 && (quant->axis != 1 || (size_t)quant->count != q8_gates_size(r))))
    return 0;
  for (int32_t i = 0; i < quant->count; i++)
    if (quant->zero_point[i] != 0)
      return 0;
  return 1;
}

static q8_status pack_all(q8_planner *planner, q8_id id, const q8_value *const *in, recurrent_step *p, int *int8) {
  const q8_node *node = q8_plan_node(planner, id);
  const q8_recurrent *r = &p->r;
  const q8_tensor_quant *w = q8_plan_recipe(planner, node->inputs[Q8_RNN_W]);
  const q8_tensor_quant *h = q8_plan_recipe(planner, node->inputs[Q8_RNN_R]);
  size_t g = q8_gates_size(r), middle = r->cell->first_gates * r->hidden;
  *int8 = q8_plan_mode(planner, id) == Q8_MODE_DYNAMIC && is_int8(r, w, r->input) && is_int8(r, h, r->hidden);
  if (!*int8)
    w = h = NULL;
  Q8_TRY(pack(planner, r, w, in[Q8_RNN_W]->data, 0, r->directions * g, r->input, &p->x));
  for (size_t d = 0; d < r->directions; d++)
    for (int part = 0; part < (middle < g ? 2 : 1); part++)
      Q8_TRY(pack(planner, r, h, in[Q8_RNN_R]->data, d * g + (part ? middle : 0), part ? g - middle : middle,
                  r->hidden, &p->h[d][part]));
  if (in[Q8_RNN_B])
    set_biases(r, in[Q8_RNN_B]->data, p);
  return QINT8_OK;
}

static void lay_out_scratch(const q8_planner *planner, recurrent_step *p, int int8) {
  const q8_recurrent *r = &p->r;
  int32_t threads = q8_plan_threads(planner);
  size_t rows = r->steps * r->batch;
  p->x_gates = q8_round_up(rows * p->x.linear.n * sizeof(float), Q8_ALIGN);
  p->product_scratch = q8_linear_scratch(&p->x.linear, rows, threads);
  for (int part = 0; part < PARTS; part++) {
    const q8_linear *l = &p->h[0][part].linear;
    size_t size = l->n ? q8_linear_scratch(l, r->batch, threads) : 0;
    p->product_scratch = size > p->product_scratch ? size : p->product_scratch;
  }
  p->product_scratch = q8_round_up(p->product_scratch, Q8_ALIGN);
  size_t x = q8_quantized_rows_size(rows, r->input), h = q8_quantized_rows_size(r->batch, r->hidden);
  p->quantized = int8 ? (x > h ? x : h) : 0;
  p->work = q8_recurrent_work(r);
}

/* ---- Planning ---- */

/* Which inputs the step reads, a bit each. */
static uint32_t place_inputs(const q8_value *const *in, recurrent_step *p) {
  uint32_t read = p->packed ? ~(1u << Q8_RNN_W | 1u << Q8_RNN_R | 1u << Q8_RNN_B) : ~0u;
  int8_t count = 0;
  for (int32_t i = 0; i < Q8_RNN_INPUTS; i++)
    p->place[i] = in[i] && read >> i & 1 ? count++ : -1;
  return read;
}

q8_status q8_recurrent_plan(q8_planner *planner, q8_id id) {
  const q8_value *in[Q8_RNN_INPUTS] = {NULL};
  q8_op_io io = q8_plan_op_io(planner, id, in);
  const q8_node *node = io.node;
  q8_step *step;
  recurrent_step *p = q8_plan_begin(planner, "recurrent", run_recurrent, sizeof *p, &step);
  if (!p)
    return QINT8_ERROR_MEMORY;
  Q8_TRY(q8_recurrent_of(&io, &p->r));
  const q8_recurrent *r = &p->r;
  int int8 = 0;
  p->r.kernels = q8_plan_kernels(planner);
  p->name = q8_plan_string(planner, node->name);
  if (!p->name)
    return QINT8_ERROR_MEMORY;
  p->packed = in[Q8_RNN_W]->data && in[Q8_RNN_R]->data && (!in[Q8_RNN_B] || in[Q8_RNN_B]->data) && r->steps && r->batch &&
              r->input;
  if (p->packed) {
    Q8_TRY(pack_all(planner, id, in, p, &int8));
    lay_out_scratch(planner, p, int8);
    step->scratch_size = p->x_gates + p->product_scratch + p->quantized + p->work;
    step->kernel = p->x.linear.kernel_name;
    step->bytes = (int64_t)(r->directions * q8_gates_size(r) * (r->input + r->hidden) * (int8 ? 1 : sizeof(float)));
  } else {
    step->scratch_size = q8_recurrent_plain_size(r);
  }
  step->precision = int8 ? "dynamic" : "fp32";
  step->macs = (int64_t)(r->steps * r->batch * r->directions * q8_gates_size(r) * (r->input + r->hidden));
  return q8_plan_finish(planner, step, place_inputs(in, p), Q8_FORM_NATIVE, Q8_FORM_NATIVE, Q8_LINEAR);
}
