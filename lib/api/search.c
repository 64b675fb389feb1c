#include "ptq/search.h"

#include <math.h>
#include <string.h>

#include "api/api.h"
#include "api/batches.h"
#include "onnx/export.h"

struct qint8_search {
  q8_host host;
  q8_search *search;
  qint8_model equalised;     /* its graph is the search's, if the best has its own */
  const qint8_model *model;  /* of the best */
  qint8_recipe recipe;       /* its recipe is the search's */
};

typedef struct caller {
  const qint8_search_options *options;
  const q8_host *host;
  qint8_tensor *views; /* [2 * output_count]: outputs, reference */
  const qint8_tensor **pointers;
} caller;

/* ---- What the search asks for ---- */

static void view_outputs(const q8_outputs *outputs, qint8_tensor *views, const qint8_tensor **pointers) {
  for (size_t i = 0; i < outputs->count; i++) {
    const q8_output *o = &outputs->v[i];
    views[i] = (qint8_tensor){.struct_size = sizeof *views, .dtype = o->dtype, .rank = o->shape.rank, .data = o->data};
    memcpy(views[i].shape, o->shape.dim, sizeof views[i].shape);
    pointers[i] = &views[i];
  }
}

static double ask_metric(void *user, const q8_outputs *outputs, const q8_outputs *reference) {
  caller *c = user;
  size_t count = outputs->count;
  if (!c->options->metric)
    return q8_outputs_rel_err(outputs, reference);
  view_outputs(outputs, c->views, c->pointers);
  view_outputs(reference, c->views + count, c->pointers + count);
  return c->options->metric(c->options->metric_user, c->pointers, c->pointers + count, count);
}

static q8_status ask_size(void *user, const q8_graph *graph, const q8_recipe *recipe, size_t *size,
                          qint8_error *error) {
  caller *c = user;
  void *bytes;
  Q8_TRY(q8_onnx_export(graph, recipe, c->options->format, c->host, &bytes, size, error));
  q8_free(c->host, bytes);
  return QINT8_OK;
}

static q8_status check_options(const qint8_search_options *o, qint8_error *error) {
  Q8_REQUIRE_SIZE(error, o);
  if (!o->validation || o->validation_batches == 0)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "validation", "no samples given");
  if (!o->calibration && o->calibration_batches > 0)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "calibration", "calibration is NULL");
  Q8_TRY(q8_check_activations(o->activation_dtype, error));
  if (o->format != QINT8_FORMAT_QDQ && o->format != QINT8_FORMAT_QOPERATOR)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "format", "format %d is unknown", (int)o->format);
  if (isnan(o->max_drop) || isnan(o->max_seconds))
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "options", "max_drop or max_seconds is NaN");
  return QINT8_OK;
}

/* ---- The call ---- */

static q8_status run(const q8_graph *graph, const qint8_search_options *options, const q8_host *host, q8_pool *pool,
                     q8_search **out, qint8_error *error) {
  size_t views = 2 * graph->output_count + 1;
  caller c = {.options = options, .host = host};
  q8_search_config config = {.graph = graph, .metric = ask_metric, .size = ask_size, .user = &c};
  c.views = q8_pool_alloc(pool, views, sizeof *c.views);
  c.pointers = q8_pool_alloc(pool, views, sizeof *c.pointers);
  Q8_TRY(q8_pool_check(pool, "search", error));
  config.activation_dtype = options->activation_dtype;
  config.force = options->force;
  config.higher_is_better = options->metric && options->higher_is_better;
  config.max_drop = options->max_drop;
  config.max_evaluations = options->max_evaluations;
  config.max_seconds = options->max_seconds;
  Q8_TRY(q8_choose_isa(NULL, &config.mask, &config.isa, error));
  Q8_TRY(q8_take_batches(graph, options->calibration, options->calibration_batches, pool, &config.calibration, error));
  Q8_TRY(q8_take_batches(graph, options->validation, options->validation_batches, pool, &config.validation, error));
  return q8_search_run(&config, host, out, error);
}

qint8_status qint8_search_create(const qint8_model *model, const qint8_search_options *options, const qint8_host *host,
                                 qint8_search **out, qint8_error *error) {
  Q8_REQUIRE(error, out);
  *out = NULL;
  Q8_REQUIRE(error, model);
  Q8_REQUIRE(error, options);
  Q8_TRY(check_options(options, error));
  if (model->recipe)
    return q8_fail(error, QINT8_ERROR_STATE, "model", "it is quantized already; search on the float model");
  q8_status status;
  qint8_search *search = q8_api_new(host, sizeof *search, "search", &status, error);
  if (!search)
    return status;
  q8_pool pool;
  q8_pool_init(&pool, &search->host);
  status = run(model->graph, options, &search->host, &pool, &search->search, error);
  q8_pool_destroy(&pool);
  if (status != QINT8_OK) {
    qint8_search_destroy(search);
    return status;
  }
  search->recipe.recipe = search->search->recipe;
  search->equalised = (qint8_model){.host = search->host, .graph = search->search->graph};
  search->model = search->search->graph ? &search->equalised : model;
  *out = search;
  return QINT8_OK;
}

void qint8_search_destroy(qint8_search *search) {
  if (!search)
    return;
  q8_search_free(search->search);
  q8_free(&search->host, search);
}

/* ---- What was found ---- */

size_t qint8_search_count(const qint8_search *search) {
  return search ? search->search->count : 0;
}

qint8_status qint8_search_candidate(const qint8_search *search, size_t index, qint8_candidate *out) {
  if (!search || !out || out->struct_size < sizeof *out || index >= search->search->count)
    return QINT8_ERROR_ARGUMENT;
  const q8_tried *t = &search->search->tried[index];
  *out = (qint8_candidate){.struct_size = sizeof *out,
                           .config = t->config,
                           .observer = t->observer,
                           .repairs = t->repairs,
                           .mixed = t->mixed,
                           .met = t->met,
                           .best = index == search->search->best,
                           .float_nodes = t->float_nodes,
                           .metric = t->metric,
                           .drop = t->drop,
                           .bytes = t->bytes,
                           .microseconds = t->us,
                           .seconds = t->seconds};
  return QINT8_OK;
}

double qint8_search_reference(const qint8_search *search) {
  return search ? search->search->reference : 0;
}

double qint8_search_float_microseconds(const qint8_search *search) {
  return search ? search->search->float_us : 0;
}

const qint8_model *qint8_search_model(const qint8_search *search) {
  return search ? search->model : NULL;
}

const qint8_recipe *qint8_search_recipe(const qint8_search *search) {
  return search ? &search->recipe : NULL;
}
