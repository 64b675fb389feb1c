#include "ptq/rounding.h"

#include <math.h>
#include <string.h>

#include "base/fpenv.h"
#include "base/parallel.h"
#include "ptq/loops.h"
#include "ptq/moments.h"
#include "ptq/peek.h"

#define MAX_INPUTS 2304          /* per output: 3 x 3 x 256; the work grows with the square */
#define BUDGET ((size_t)1 << 27) /* bytes of moments that are gathered in one run */
#define MAX_SWEEPS 16

typedef struct rounder {
  q8_peek_run run;
  q8_recipe *recipe;
  uint8_t *wanted;     /* [tensor_count] inputs of the nodes below */
  q8_moments *moments; /* of `count` nodes, of one run */
  size_t count, done, total;
  q8_status status;    /* of the callback */
  qint8_error *error;
} rounder;

/* ---- One node ---- */

typedef struct rounding {
  const q8_moments *moments;
  const q8_tensor_quant *quant;
  int32_t *integers;
  float *scratch; /* [tasks][2][stride] */
  size_t tasks;
} rounding;

static int32_t clamp(float q) {
  return (int32_t)(q > 127 ? 127 : q < -127 ? -127 : q);
}

/* `slope` is H e: half the derivative of the error by each weight. */
static void round_output(const rounding *r, size_t output, float *e, float *slope) {
  const q8_moments *m = r->moments;
  const q8_product *p = &m->product;
  const float *w = (const float *)p->w->data + output * p->w_out, *h = m->h + output / p->n * m->stride * m->stride;
  int32_t *q = r->integers + output * p->w_out;
  const int32_t *given = r->quant->integers ? r->quant->integers + output * p->w_out : NULL;
  float scale = r->quant->scale[r->quant->count > 1 ? output : 0];
  memset(slope, 0, m->stride * sizeof *slope);
  for (size_t i = 0; i < p->k; i++) {
    q[i * p->w_in] = given ? given[i * p->w_in] : clamp(rintf(w[i * p->w_in] / scale));
    e[i] = w[i * p->w_in] - (float)q[i * p->w_in] * scale;
    q8_add_scaled(slope, e[i], h + i * m->stride, m->stride);
  }
  for (int sweep = 0, moved = 1; moved && sweep < MAX_SWEEPS; sweep++) {
    moved = 0;
    for (size_t i = 0; i < p->k; i++) {
      float curve = h[i * m->stride + i] * scale;
      int32_t old = q[i * p->w_in], now = curve > 0 ? clamp(rintf((float)old + slope[i] / curve)) : old;
      if (now == old)
        continue;
      q[i * p->w_in] = now;
      q8_add_scaled(slope, (float)(old - now) * scale, h + i * m->stride, m->stride);
      moved = 1;
    }
  }
}

static void round_outputs(void *argument, size_t task) {
  const rounding *r = argument;
  size_t outputs = r->moments->product.groups * r->moments->product.n, stride = r->moments->stride;
  float *scratch = r->scratch + task * 2 * stride;
  q8_fpenv env = q8_fpenv_enter();
  for (size_t o = outputs * task / r->tasks; o < outputs * (task + 1) / r->tasks; o++)
    round_output(r, o, scratch, scratch + stride);
  q8_fpenv_leave(env);
}

static q8_status round_node(rounder *c, q8_moments *m, qint8_error *error) {
  const q8_node *node = m->product.node;
  const q8_host *host = c->run.runner->host;
  size_t count = q8_shape_count(&m->product.w->shape, NULL);
  rounding r = {.moments = m, .quant = &c->recipe->tensors[node->inputs[1]], .tasks = (size_t)host->threads};
  r.integers = q8_alloc(host, count, sizeof *r.integers);
  r.scratch = q8_alloc(host, r.tasks * 2 * m->stride, sizeof *r.scratch);
  q8_status status = QINT8_OK;
  if (r.integers && r.scratch) {
    q8_moments_finish(m, node->input_count > 2 && node->inputs[2] != Q8_NONE);
    q8_parallel(host, r.tasks, round_outputs, &r);
    status = q8_recipe_keep_integers(c->recipe, node->inputs[1], r.integers, count, error);
  } else {
    status = q8_fail_memory(error, node->name, count * sizeof *r.integers);
  }
  q8_free(host, r.integers);
  q8_free(host, r.scratch);
  return status;
}

/* ---- All nodes, as many at once as the budget holds ---- */

static int is_roundable(const rounder *c, size_t n, q8_product *product) {
  const q8_node *node = &c->run.graph->nodes[n];
  if (c->recipe->modes[n] == Q8_MODE_FLOAT || !q8_product_of(c->run.graph, node, product))
    return 0;
  const q8_tensor_quant *quant = &c->recipe->tensors[node->inputs[1]];
  size_t outputs = product->groups * product->n;
  return quant->dtype == QINT8_DTYPE_S8 && quant->zero_point[0] == 0 && product->w->uses == 1 &&
         (quant->count == 1 || (size_t)quant->count == outputs) && product->k > 1 && product->k <= MAX_INPUTS &&
         !q8_graph_is_constant(c->run.graph, node->inputs[0]);
}

static void add_moments(void *user, q8_id tensor, const char *name, const q8_shape *shape, const float *values,
                        size_t count) {
  rounder *c = user;
  (void)name;
  (void)count;
  for (size_t i = 0; i < c->count && c->status == QINT8_OK; i++)
    if (c->moments[i].product.node->inputs[0] == tensor)
      c->status = q8_moments_add(&c->moments[i], shape, values, c->run.runner->batches->count, c->run.runner->host, c->error);
}

static q8_status round_gathered(rounder *c, size_t tensors, qint8_error *error) {
  Q8_TRY(q8_peek_batches(&c->run, c->wanted, tensors, add_moments, c, error));
  Q8_TRY(c->status);
  for (size_t i = 0; i < c->count; i++) {
    Q8_TRY(round_node(c, &c->moments[i], error));
    Q8_TRY(q8_progress(c->run.runner->host, "round weights", ++c->done, c->total, error));
  }
  return QINT8_OK;
}

/* Rounds nodes from *next on, and moves it behind them. */
static q8_status round_some(rounder *c, size_t *next, qint8_error *error) {
  const q8_graph *graph = c->run.graph;
  size_t size = 0, tensors = 0;
  q8_product product;
  c->count = 0;
  memset(c->wanted, 0, graph->tensor_count);
  for (; *next < graph->node_count; ++*next) {
    if (!is_roundable(c, *next, &product))
      continue;
    if (c->count > 0 && size + q8_moments_size(&product) > BUDGET)
      break;
    Q8_TRY(q8_moments_new(&product, c->run.runner->host, &c->moments[c->count++], error));
    size += q8_moments_size(&product);
    tensors += !c->wanted[product.node->inputs[0]];
    c->wanted[product.node->inputs[0]] = 1;
  }
  return c->count > 0 ? round_gathered(c, tensors, error) : QINT8_OK;
}

q8_status q8_round_weights(const q8_graph *graph, q8_recipe *recipe, const q8_runner *runner,
                                   qint8_error *error) {
  rounder c = {.run = {.graph = graph, .runner = runner}, .recipe = recipe, .error = error};
  const q8_host *host = runner->host;
  q8_product product;
  c.wanted = q8_calloc(host, graph->tensor_count + 1, 1);
  c.moments = q8_calloc(host, graph->node_count + 1, sizeof *c.moments);
  q8_status status = c.wanted && c.moments ? QINT8_OK : q8_fail_memory(error, "adaptive rounding", graph->node_count);
  for (size_t n = 0; n < graph->node_count && status == QINT8_OK; n++)
    c.total += (size_t)is_roundable(&c, n, &product);
  for (size_t next = 0; next < graph->node_count && status == QINT8_OK;) {
    status = round_some(&c, &next, error);
    for (size_t i = 0; i < c.count; i++)
      q8_moments_free(&c.moments[i], host);
  }
  q8_free(host, c.wanted);
  q8_free(host, c.moments);
  return status;
}
