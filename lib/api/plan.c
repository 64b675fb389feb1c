#include <string.h>

#include "api/api.h"

struct qint8_plan {
  q8_host host;
  q8_plan *plan;
};

const q8_plan *q8_api_plan(const qint8_plan *plan) {
  return plan->plan;
}

static q8_status take_shapes(const q8_graph *graph, const qint8_plan_options *options, q8_shape *shapes,
                             qint8_error *error) {
  q8_plan_default_shapes(graph, shapes);
  if (!options || !options->input_shapes)
    return QINT8_OK;
  if (options->input_shape_count != graph->input_count)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "input_shapes", "%zu shapes given, the model has %zu inputs",
                   options->input_shape_count, graph->input_count);
  for (size_t i = 0; i < graph->input_count; i++) {
    const qint8_tensor *given = options->input_shapes[i];
    const q8_tensor *input = &graph->tensors[graph->inputs[i]];
    if (!given || given->rank == -1)
      continue;
    Q8_TRY(q8_take_shape(given, input->name, &input->shape, &shapes[i], error));
  }
  return QINT8_OK;
}

/* Inputs given with their values: shape and type must fit too. */
static q8_status take_values(const q8_graph *graph, const qint8_plan_options *options, q8_shape *shapes,
                             const void **values, qint8_error *error) {
  if (!options || !options->input_values)
    return QINT8_OK;
  if (options->input_value_count != graph->input_count)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "input_values", "%zu values given, the model has %zu inputs",
                   options->input_value_count, graph->input_count);
  for (size_t i = 0; i < graph->input_count; i++) {
    const qint8_tensor *given = options->input_values[i];
    const q8_tensor *input = &graph->tensors[graph->inputs[i]];
    if (!given)
      continue;
    Q8_TRY(q8_take_shape(given, input->name, &input->shape, &shapes[i], error));
    Q8_TRY(q8_check_tensor(given, input->name, input->dtype, &shapes[i], error));
    values[i] = given->data;
  }
  return QINT8_OK;
}

static q8_status compile(const qint8_model *model, const qint8_recipe *recipe, const qint8_plan_options *options,
                         q8_pool *pool, q8_plan **out, qint8_error *error) {
  size_t inputs = model->graph->input_count + 1;
  q8_shape *shapes = q8_pool_alloc(pool, inputs, sizeof *shapes);
  const void **values = q8_pool_alloc(pool, inputs, sizeof *values);
  q8_plan_config config = {.inputs = shapes, .values = values};
  Q8_TRY(q8_pool_check(pool, "plan", error));
  Q8_TRY(q8_choose_isa(options ? options->isa : NULL, &config.mask, &config.isa, error));
  Q8_TRY(take_shapes(model->graph, options, shapes, error));
  Q8_TRY(take_values(model->graph, options, shapes, values, error));
  return q8_plan_compile(model->graph, recipe ? recipe->recipe : NULL, &config, &pool->host, out, error);
}

qint8_status qint8_plan_create(const qint8_model *model, const qint8_recipe *recipe, const qint8_plan_options *options,
                               const qint8_host *host, qint8_plan **out, qint8_error *error) {
  Q8_REQUIRE(error, out);
  *out = NULL;
  Q8_REQUIRE(error, model);
  if (options)
    Q8_REQUIRE_SIZE(error, options);
  q8_status status;
  qint8_plan *plan = q8_api_new(host, sizeof *plan, "plan", &status, error);
  if (!plan)
    return status;
  q8_pool pool;
  q8_pool_init(&pool, &plan->host);
  status = compile(model, recipe, options, &pool, &plan->plan, error);
  q8_pool_destroy(&pool);
  if (status != QINT8_OK) {
    qint8_plan_destroy(plan);
    return status;
  }
  *out = plan;
  return QINT8_OK;
}

void qint8_plan_destroy(qint8_plan *plan) {
  if (!plan)
    return;
  q8_plan_free(plan->plan);
  q8_free(&plan->host, plan);
}

size_t qint8_plan_step_count(const qint8_plan *plan) {
  return plan ? q8_plan_step_count(plan->plan) : 0;
}

qint8_status qint8_plan_step(const qint8_plan *plan, size_t index, qint8_step_info *out) {
  if (!plan || !out || out->struct_size < sizeof *out || index >= q8_plan_step_count(plan->plan))
    return QINT8_ERROR_ARGUMENT;
  q8_shape shape;
  const q8_step *step = q8_plan_step_at(plan->plan, index, &shape);
  *out = (qint8_step_info){.struct_size = sizeof *out,
                           .name = step->name,
                           .kind = step->kind,
                           .kernel = step->kernel ? step->kernel : "",
                           .precision = step->precision,
                           .note = step->note,
                           .macs = step->macs,
                           .bytes = step->bytes,
                           .output_rank = shape.rank};
  memcpy(out->output_shape, shape.dim, sizeof out->output_shape);
  return QINT8_OK;
}

const char *qint8_plan_isa(const qint8_plan *plan) {
  return plan ? q8_plan_isa_name(plan->plan) : "";
}
size_t qint8_plan_arena_size(const qint8_plan *plan) {
  return plan ? q8_plan_arena_bytes(plan->plan) : 0;
}
size_t qint8_plan_weight_size(const qint8_plan *plan) {
  return plan ? q8_plan_weight_bytes(plan->plan) : 0;
}

int64_t qint8_plan_macs(const qint8_plan *plan) {
  int64_t macs = 0;
  q8_shape shape;
  for (size_t i = 0; plan && i < q8_plan_step_count(plan->plan); i++)
    macs += q8_plan_step_at(plan->plan, i, &shape)->macs;
  return macs;
}

static qint8_status describe(const q8_plan_io *io, qint8_tensor_info *out) {
  *out = (qint8_tensor_info){
      .struct_size = sizeof *out, .name = io->name, .dtype = io->dtype, .rank = io->shape.rank};
  memcpy(out->shape, io->shape.dim, sizeof out->shape);
  return QINT8_OK;
}

qint8_status qint8_plan_input(const qint8_plan *plan, size_t index, qint8_tensor_info *out) {
  if (!plan || !out || out->struct_size < sizeof *out || index >= q8_plan_input_count(plan->plan))
    return QINT8_ERROR_ARGUMENT;
  return describe(q8_plan_input_info(plan->plan, index), out);
}

qint8_status qint8_plan_output(const qint8_plan *plan, size_t index, qint8_tensor_info *out) {
  if (!plan || !out || out->struct_size < sizeof *out || index >= q8_plan_output_count(plan->plan))
    return QINT8_ERROR_ARGUMENT;
  return describe(q8_plan_output_info(plan->plan, index), out);
}
