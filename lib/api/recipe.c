#include <string.h>

#include "api/api.h"
#include "ptq/decide.h"

/* Wraps a new inner recipe; takes it over, also on failure. */
static q8_status wrap(q8_recipe *inner, const q8_host *host, qint8_recipe **out, qint8_error *error) {
  qint8_recipe *recipe = q8_calloc(host, 1, sizeof *recipe);
  if (!recipe) {
    q8_recipe_free(inner);
    return q8_fail_memory(error, "recipe", sizeof *recipe);
  }
  recipe->recipe = inner;
  *out = recipe;
  return QINT8_OK;
}

qint8_status qint8_recipe_create(const qint8_model *model, const qint8_ranges *ranges,
                                 const qint8_recipe_options *options, const qint8_host *host, qint8_recipe **out,
                                 qint8_error *error) {
  Q8_REQUIRE(error, out);
  *out = NULL;
  Q8_REQUIRE(error, model);
  qint8_recipe_options preset = QINT8_RECIPE_OPTIONS_INIT;
  if (!options)
    options = &preset;
  Q8_REQUIRE_SIZE(error, options);
  Q8_TRY(q8_check_activations(options->activation_dtype, error));
  if (options->config == QINT8_CONFIG_QAT)
    return q8_fail(error, QINT8_ERROR_UNSUPPORTED, "config", "qat_int8 is not supported yet");
  if (!qint8_config_name((qint8_config)options->config))
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "config", "%d is not a qint8_config", (int)options->config);
  int is_static =
      options->config == QINT8_CONFIG_STATIC_PER_TENSOR || options->config == QINT8_CONFIG_STATIC_PER_CHANNEL;
  if (is_static && !ranges)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "ranges", "%s needs the ranges of a calibration",
                   qint8_config_name((qint8_config)options->config));
  q8_host inner_host;
  Q8_TRY(q8_host_init(&inner_host, host, error));
  q8_recipe *inner;
  const q8_graph *graph;
  q8_graph *copy;
  Q8_TRY(q8_api_float_graph(model, &graph, &copy, error));
  q8_status status = q8_decide(graph, ranges ? q8_api_ranges(ranges) : NULL, options->config,
                               options->activation_dtype, options->force, &inner_host, &inner, error);
  q8_graph_destroy(copy);
  return status == QINT8_OK ? wrap(inner, &inner_host, out, error) : status;
}

size_t qint8_recipe_kept_float(const qint8_recipe *recipe) {
  return recipe ? (size_t)recipe->recipe->kept_float : 0;
}

size_t qint8_recipe_head(const qint8_recipe *recipe) {
  return recipe ? (size_t)recipe->recipe->head : 0;
}

qint8_status qint8_model_recipe(const qint8_model *model, qint8_recipe **out, qint8_error *error) {
  Q8_REQUIRE(error, out);
  *out = NULL;
  Q8_REQUIRE(error, model);
  if (!model->recipe)
    return q8_fail(error, QINT8_ERROR_STATE, "model", "the file carried no quantization");
  return wrap(q8_recipe_share(model->recipe), &model->host, out, error);
}

void qint8_recipe_destroy(qint8_recipe *recipe) {
  if (!recipe)
    return;
  q8_recipe *inner = recipe->recipe;
  q8_free(&inner->pool.host, recipe);
  q8_recipe_free(inner);
}

qint8_status qint8_recipe_tensor(const qint8_recipe *recipe, const char *tensor, qint8_qparams *out, size_t capacity,
                                 size_t *count, qint8_error *error) {
  if (count)
    *count = 0;
  Q8_REQUIRE(error, recipe);
  Q8_REQUIRE(error, tensor);
  if (capacity)
    Q8_REQUIRE(error, out);
  int32_t id = q8_recipe_find(recipe->recipe, tensor);
  if (id < 0)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, tensor, "the model has no tensor of this name");
  const q8_tensor_quant *quant = &recipe->recipe->tensors[id];
  if (!q8_is_quantized(quant))
    return q8_fail(error, QINT8_ERROR_ARGUMENT, tensor, "this tensor stays float");
  for (size_t i = 0; i < (size_t)quant->count && i < capacity; i++)
    out[i] = (qint8_qparams){sizeof *out, quant->dtype, quant->scale[i], quant->zero_point[i]};
  if (count)
    *count = (size_t)quant->count;
  return QINT8_OK;
}

qint8_status qint8_recipe_set_tensor(qint8_recipe *recipe, const char *tensor, const qint8_qparams *qparams,
                                     qint8_error *error) {
  Q8_REQUIRE(error, recipe);
  Q8_REQUIRE(error, tensor);
  Q8_TRY(q8_check_qparams(qparams, 0, error));
  int32_t id = q8_recipe_find(recipe->recipe, tensor);
  if (id < 0)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, tensor, "the model has no tensor of this name");
  Q8_TRY(q8_recipe_own(&recipe->recipe, error));
  return q8_recipe_assign(recipe->recipe, id, qparams->dtype, -1, 1, &qparams->scale, &qparams->zero_point, error);
}

qint8_status qint8_recipe_set_float(qint8_recipe *recipe, const char *tensor, int32_t keep_float,
                                    qint8_error *error) {
  Q8_REQUIRE(error, recipe);
  Q8_REQUIRE(error, tensor);
  Q8_TRY(q8_recipe_own(&recipe->recipe, error));
  q8_recipe *inner = recipe->recipe;
  int32_t id = q8_recipe_find(inner, tensor);
  for (size_t i = 0; i < inner->node_count && id >= 0; i++) {
    if (inner->node_output[i] != id)
      continue;
    q8_mode mode = inner->config == QINT8_CONFIG_DYNAMIC ? Q8_MODE_DYNAMIC : Q8_MODE_STATIC;
    inner->modes[i] = (uint8_t)(keep_float ? Q8_MODE_FLOAT : mode);
    return QINT8_OK;
  }
  return q8_fail(error, QINT8_ERROR_ARGUMENT, tensor, "no node of the model produces this tensor first");
}
