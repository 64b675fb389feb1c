/* repair.c - what mends a quantized model: steps from recipe to recipe that look at samples, and from model to model. */
#include <math.h>

#include "api/api.h"
#include "api/batches.h"
#include "ptq/bias.h"
#include "ptq/equalise.h"
#include "ptq/head.h"
#include "ptq/rounding.h"

/* A recipe -> recipe step of lib/ptq. */
typedef q8_status repair_fn(const q8_graph *graph, q8_recipe *recipe, const q8_runner *runner, qint8_error *error);

static q8_status run_repair(repair_fn *repair, const q8_graph *graph, q8_recipe *recipe,
                            const qint8_tensor *const *inputs, size_t batch_count, const q8_host *host,
                            qint8_error *error) {
  q8_batches batches;
  q8_runner runner = {.batches = &batches, .host = host};
  q8_pool pool;
  Q8_TRY(q8_choose_isa(NULL, &runner.mask, &runner.isa, error));
  q8_pool_init(&pool, host);
  q8_status status = q8_take_batches(graph, inputs, batch_count, &pool, &batches, error);
  if (status == QINT8_OK)
    status = repair(graph, recipe, &runner, error);
  q8_pool_destroy(&pool);
  return status;
}

static q8_status repair_recipe(repair_fn *repair, const qint8_model *model, qint8_recipe *recipe,
                               const qint8_tensor *const *inputs, size_t batch_count, const qint8_host *host,
                               qint8_error *error) {
  Q8_TRY(q8_check_samples(model, recipe, inputs, batch_count, error));
  q8_host inner;
  const q8_graph *graph;
  q8_graph *copy;
  Q8_TRY(q8_host_init(&inner, host, error));
  Q8_TRY(q8_recipe_own(&recipe->recipe, error));
  Q8_TRY(q8_api_float_graph(model, &graph, &copy, error));
  q8_status status = run_repair(repair, graph, recipe->recipe, inputs, batch_count, &inner, error);
  q8_graph_destroy(copy);
  return status;
}

qint8_status qint8_recipe_correct_biases(const qint8_model *model, qint8_recipe *recipe,
                                         const qint8_tensor *const *inputs, size_t batch_count, const qint8_host *host,
                                         qint8_error *error) {
  return repair_recipe(q8_correct_biases, model, recipe, inputs, batch_count, host, error);
}

qint8_status qint8_recipe_keep_head(const qint8_model *model, qint8_recipe *recipe, const qint8_tensor *const *inputs,
                                    size_t batch_count, const qint8_host *host, qint8_error *error) {
  return repair_recipe(q8_keep_head, model, recipe, inputs, batch_count, host, error);
}

qint8_status qint8_recipe_round_weights(const qint8_model *model, qint8_recipe *recipe,
                                        const qint8_tensor *const *inputs, size_t batch_count, const qint8_host *host,
                                        qint8_error *error) {
  return repair_recipe(q8_round_weights, model, recipe, inputs, batch_count, host, error);
}

/* Wraps a new graph; takes it over, also on failure. */
static q8_status wrap_graph(q8_graph *graph, const q8_host *host, qint8_model **out, qint8_error *error) {
  *out = q8_new(host, sizeof **out, "model", error);
  if (!*out) {
    q8_graph_destroy(graph);
    return QINT8_ERROR_MEMORY;
  }
  (*out)->graph = graph;
  return QINT8_OK;
}

qint8_status qint8_model_equalise(const qint8_model *model, const qint8_host *host, qint8_model **out, size_t *changed,
                                  qint8_error *error) {
  Q8_REQUIRE(error, out);
  *out = NULL;
  if (changed)
    *changed = 0;
  Q8_REQUIRE(error, model);
  if (model->recipe)
    return q8_fail(error, QINT8_ERROR_STATE, "model", "the file is quantized: its float model is to be equalised");
  q8_host inner;
  Q8_TRY(q8_host_init(&inner, host, error));
  q8_graph *graph;
  Q8_TRY(q8_equalise(model->graph, &inner, &graph, changed, error));
  return wrap_graph(graph, &inner, out, error);
}

qint8_status qint8_model_scale_input(const qint8_model *model, size_t input, const float *largest, int64_t channels,
                                     const qint8_host *host, qint8_model **out, int32_t *changed, qint8_error *error) {
  Q8_REQUIRE(error, out);
  *out = NULL;
  if (changed)
    *changed = 0;
  Q8_REQUIRE(error, model);
  Q8_REQUIRE(error, largest);
  if (model->recipe)
    return q8_fail(error, QINT8_ERROR_STATE, "model", "the file is quantized: its float model is to be rescaled");
  if (input >= model->graph->input_count)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "input", "input %zu of %zu", input, model->graph->input_count);
  const q8_tensor *x = &model->graph->tensors[model->graph->inputs[input]];
  if (x->shape.rank < 2 || channels < 1 || (x->shape.dim[1] >= 0 && x->shape.dim[1] != channels) ||
      (x->dtype != QINT8_DTYPE_F32 && x->dtype != QINT8_DTYPE_NONE))
    return q8_fail(error, QINT8_ERROR_ARGUMENT, x->name, "not a float input with %lld channels on axis 1",
                   (long long)channels);
  for (int64_t c = 0; c < channels; c++)
    if (!isfinite(largest[c]) || largest[c] < 0)
      return q8_fail(error, QINT8_ERROR_DATA, x->name, "magnitude %g of channel %lld", (double)largest[c], (long long)c);
  q8_host inner;
  q8_graph *graph;
  int scaled;
  Q8_TRY(q8_host_init(&inner, host, error));
  Q8_TRY(q8_scale_input(model->graph, input, largest, (size_t)channels, &inner, &graph, &scaled, error));
  if (changed)
    *changed = scaled;
  return wrap_graph(graph, &inner, out, error);
}
