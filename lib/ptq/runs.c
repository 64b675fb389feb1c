#include "ptq/runs.h"

#include <math.h>
#include <string.h>

/* ---- Outputs of all batches ---- */

typedef struct collector {
  const q8_graph *graph;
  const q8_recipe *recipe;
  const q8_runner *runner;
  q8_outputs *outputs;
  size_t *filled; /* [output_count] bytes */
  size_t *room;   /* [output_count] elements that fit */
  void **at;      /* [output_count] where this batch's results go */
} collector;

/* Batches [first, end) give output `index` the shape that `info` tells. */
static q8_status make_room(collector *c, size_t index, const q8_plan_io *info, size_t first, size_t end,
                           qint8_error *error) {
  q8_output *o = &c->outputs->v[index];
  q8_shape shape = info->shape;
  size_t batches = end - first, count = q8_shape_count(&shape, NULL), size = qint8_dtype_size((qint8_dtype)info->dtype);
  if (shape.rank == 0)
    shape = (q8_shape){.rank = 1, .dim = {1}};
  int64_t samples = shape.dim[0] * (int64_t)batches;
  if (o->data) {
    shape.dim[0] = o->shape.dim[0];
    if (!q8_shape_equal(&shape, &o->shape) || o->dtype != info->dtype)
      return q8_fail(error, QINT8_ERROR_SHAPE, info->name, "its shape depends on the sample: samples of one shape are needed");
  }
  c->filled[index] = o->count * size;
  if (o->count + count * batches > c->room[index]) { /* all batches at once, as most often they are alike */
    size_t room = o->count + count * (c->runner->batches->count - first);
    void *grown = q8_pool_reserve(&c->outputs->pool, room + 1, size);
    if (!grown)
      return q8_fail_memory(error, info->name, room * size);
    if (o->data)
      memcpy(grown, o->data, o->count * size);
    o->data = grown;
    c->room[index] = room;
  }
  *o = (q8_output){info->dtype, shape, o->count + count * batches, o->data};
  o->shape.dim[0] = samples + (c->filled[index] ? shape.dim[0] : 0);
  return QINT8_OK;
}

static q8_status run_batches(collector *c, const q8_plan *plan, size_t first, size_t end, qint8_error *error) {
  const q8_batches *batches = c->runner->batches;
  q8_session *session;
  Q8_TRY(q8_session_open(plan, NULL, 0, c->runner->host, &session, error));
  q8_status status = QINT8_OK;
  for (size_t b = first; b < end && status == QINT8_OK; b++) {
    for (size_t i = 0; i < c->graph->output_count; i++) {
      const q8_plan_io *info = q8_plan_output_info(plan, i);
      c->at[i] = (char *)c->outputs->v[i].data + c->filled[i];
      c->filled[i] += q8_shape_count(&info->shape, NULL) * qint8_dtype_size((qint8_dtype)info->dtype);
    }
    status = q8_session_execute(session, batches->data + b * c->graph->input_count, c->at, error);
  }
  q8_session_close(session);
  return status;
}

static q8_status run_alike(collector *c, size_t first, size_t end, qint8_error *error) {
  const q8_runner *r = c->runner;
  q8_plan_config config = {.mask = r->mask, .isa = r->isa};
  q8_plan *plan;
  config.inputs = r->batches->shapes + first * c->graph->input_count;
  Q8_TRY(q8_plan_compile(c->graph, c->recipe, &config, r->host, &plan, error));
  q8_status status = QINT8_OK;
  for (size_t i = 0; i < c->graph->output_count && status == QINT8_OK; i++)
    status = make_room(c, i, q8_plan_output_info(plan, i), first, end, error);
  if (status == QINT8_OK)
    status = run_batches(c, plan, first, end, error);
  q8_plan_free(plan);
  return status;
}

static q8_status collect(collector *c, qint8_error *error) {
  size_t outputs = c->graph->output_count + 1;
  c->outputs->count = c->graph->output_count;
  c->outputs->v = q8_pool_alloc(&c->outputs->pool, outputs, sizeof *c->outputs->v);
  c->filled = q8_pool_alloc(&c->outputs->pool, outputs, sizeof *c->filled);
  c->room = q8_pool_alloc(&c->outputs->pool, outputs, sizeof *c->room);
  c->at = q8_pool_alloc(&c->outputs->pool, outputs, sizeof *c->at);
  Q8_TRY(q8_pool_check(&c->outputs->pool, "outputs", error));
  for (size_t first = 0, end; first < c->runner->batches->count; first = end) {
    end = q8_batches_alike(c->graph, c->runner->batches, first);
    Q8_TRY(run_alike(c, first, end, error));
  }
  return QINT8_OK;
}

q8_status q8_run_all(const q8_graph *graph, const q8_recipe *recipe, const q8_runner *runner, q8_outputs **out,
                     qint8_error *error) {
  *out = NULL;
  q8_outputs *outputs = q8_new(runner->host, sizeof *outputs, "outputs", error);
  if (!outputs)
    return QINT8_ERROR_MEMORY;
  collector c = {.graph = graph, .recipe = recipe, .runner = runner, .outputs = outputs};
  q8_status status = collect(&c, error);
  if (status != QINT8_OK) {
    q8_outputs_free(outputs);
    return status;
  }
  *out = outputs;
  return QINT8_OK;
}

void q8_outputs_free(q8_outputs *outputs) {
  q8_pool_delete(outputs);
}

double q8_outputs_rel_err(const q8_outputs *got, const q8_outputs *want) {
  double sum = 0;
  int counted = 0;
  for (size_t i = 0; i < want->count; i++) {
    const float *a = got->v[i].data, *b = want->v[i].data;
    double error = 0, norm = 0;
    if (want->v[i].dtype != QINT8_DTYPE_F32)
      continue;
    for (size_t k = 0; k < want->v[i].count; k++) {
      error += ((double)a[k] - (double)b[k]) * ((double)a[k] - (double)b[k]);
      norm += (double)b[k] * (double)b[k];
    }
    sum += error == 0 ? 0 : error / norm;
    counted++;
  }
  return counted ? sqrt(sum / counted) : 0;
}

q8_status q8_run_error(const q8_graph *graph, const q8_recipe *recipe, const q8_runner *runner, const q8_outputs *want,
                       double *rel_err, qint8_error *error) {
  q8_outputs *got;
  Q8_TRY(q8_run_all(graph, recipe, runner, &got, error));
  *rel_err = q8_outputs_rel_err(got, want);
  q8_outputs_free(got);
  return QINT8_OK;
}

/* ---- Expected time ---- */

/* Fitted to profiles of the convolutional, recurrent and attention networks of the test set; the first row that fits. */
static const struct {
  const char *kind, *precision; /* NULL: any */
  double per_product, per_byte, per_row; /* microseconds; a row of a matrix is quantized by itself in dynamic mode */
} rates[] = {
    {"dwconv", "int8", 40e-6, 30e-6, 0},
    {"dwconv", NULL, 80e-6, 0, 0},
    {"recurrent", NULL, 92e-6, 0, 0},
    {"matmul", "dynamic", 6e-6, 40e-6, 0.1},
    {"gemm", "dynamic", 6e-6, 40e-6, 0.1},
    {"conv", "dynamic", 6e-6, 40e-6, 0},
    {"softmax", "fp32", 0, 1e-3, 0},
    {"Gelu", "fp32", 0, 1.8e-3, 0},
    {"Silu", "fp32", 0, 0.5e-3, 0},
    {"Sigmoid", "fp32", 0, 0.5e-3, 0},
    {"Tanh", "fp32", 0, 0.5e-3, 0},
    {"HardSwish", "fp32", 0, 0.13e-3, 0},
    {"LayerNormalization", "fp32", 0, 0.28e-3, 0},
    {NULL, "fp32", 17.5e-6, 35e-6, 0},
    {NULL, NULL, 6e-6, 50e-6, 0},
};
#define US_PER_STEP 0.1

static double step_us(const q8_step *step, const q8_shape *out) {
  size_t i = 0, rows = 1;
  while ((rates[i].kind && strcmp(rates[i].kind, step->kind)) ||
         (rates[i].precision && strcmp(rates[i].precision, step->precision)))
    i++;
  for (int32_t d = 0; d < out->rank - 1; d++)
    rows *= (size_t)out->dim[d];
  return US_PER_STEP + rates[i].per_product * (double)step->macs + rates[i].per_byte * (double)step->bytes +
         rates[i].per_row * (double)rows;
}

double q8_estimate_us(const q8_plan *plan) {
  double us = 0;
  q8_shape shape;
  for (size_t i = 0; i < q8_plan_step_count(plan); i++) {
    const q8_step *step = q8_plan_step_at(plan, i, &shape);
    for (int32_t j = 0; j < step->part_count; j++)
      us += step_us(&step->parts[j], &shape);
    us += step->part_count ? 0 : step_us(step, &shape);
  }
  return us;
}

/* Of a batch: the first sample, unless the model fixes its first dimension. */
static q8_status one_sample(const q8_graph *graph, const q8_shape *batch, const q8_host *host, q8_shape **out,
                            qint8_error *error) {
  *out = q8_calloc(host, graph->input_count + 1, sizeof **out);
  if (!*out)
    return q8_fail_memory(error, "plan", graph->input_count * sizeof **out);
  for (size_t i = 0; i < graph->input_count; i++) {
    const q8_shape *declared = &graph->tensors[graph->inputs[i]].shape;
    (*out)[i] = batch[i];
    if (batch[i].rank > 1 && declared->rank > 0 && declared->dim[0] < 0)
      (*out)[i].dim[0] = 1;
  }
  return QINT8_OK;
}

q8_status q8_estimate_recipe_us(const q8_graph *graph, const q8_recipe *recipe, const q8_runner *runner, double *us,
                                qint8_error *error) {
  q8_shape *shapes;
  q8_plan *plan = NULL;
  Q8_TRY(one_sample(graph, runner->batches->shapes, runner->host, &shapes, error));
  q8_plan_config config = {.mask = runner->mask, .isa = runner->isa, .inputs = shapes};
  q8_status status = q8_plan_compile(graph, recipe, &config, runner->host, &plan, error);
  if (status == QINT8_OK)
    *us = q8_estimate_us(plan);
  q8_plan_free(plan);
  q8_free(runner->host, shapes);
  return status;
}
