#include "ptq/search_internal.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "ptq/calibrate.h"
#include "ptq/decide.h"
#include "ptq/equalise.h"
#include "ptq/mixed.h"
#include "ptq/rounding.h"

/* Samples that biases are corrected on: as many as hold this many input values. */
#define REPAIR_VALUES ((size_t)1 << 22)
/* A mixture is worth its trouble if it takes at most this share of the float graph's time. */
#define WORTHWHILE 0.9

/* Those that cost next to nothing, and never hurt much. */
#define USUAL_REPAIRS (Q8_REPAIR_EQUALISE | Q8_REPAIR_BIAS)

/* In the order in which they are tried. All run at the same speed; each costs more to make than the one before. */
static const struct {
  int32_t config, observer, repairs;
  int32_t builds_on_best; /* observer and repairs are those of the best static one so far, and these repairs */
} static_candidates[] = {
    {QINT8_CONFIG_STATIC_PER_TENSOR, QINT8_OBSERVER_HISTOGRAM_MSE, USUAL_REPAIRS, 0},
    {QINT8_CONFIG_STATIC_PER_CHANNEL, QINT8_OBSERVER_HISTOGRAM_MSE, USUAL_REPAIRS, 0},
    {QINT8_CONFIG_STATIC_PER_CHANNEL, QINT8_OBSERVER_PERCENTILE, USUAL_REPAIRS, 0},
    {QINT8_CONFIG_STATIC_PER_CHANNEL, QINT8_OBSERVER_ENTROPY, USUAL_REPAIRS, 0},
    {QINT8_CONFIG_STATIC_PER_CHANNEL, QINT8_OBSERVER_MINMAX, USUAL_REPAIRS, 0},
    {QINT8_CONFIG_STATIC_PER_CHANNEL, 0, Q8_REPAIR_ROUND, 1},
};
#define STATIC_COUNT (sizeof static_candidates / sizeof *static_candidates)

double q8_search_seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int q8_search_may_go_on(const q8_searcher *s) {
  const q8_search_config *config = s->config;
  return (config->max_evaluations == 0 || s->search->count < config->max_evaluations) &&
         (config->max_seconds <= 0 || q8_search_seconds() - s->start < config->max_seconds);
}

/* ---- Evaluating ---- */

static int is_better(const q8_tried *a, const q8_tried *b) {
  if (a->met != b->met)
    return a->met;
  if (!a->met)
    return a->drop < b->drop || (isnan(b->drop) && !isnan(a->drop));
  return a->us < b->us || (a->us == b->us && a->drop < b->drop);
}

static q8_status replace(const q8_recipe *recipe, q8_recipe **kept, qint8_error *error) {
  q8_recipe_free(*kept);
  *kept = NULL;
  return q8_recipe_copy(recipe, kept, error);
}

static q8_status keep_if_best(q8_searcher *s, const q8_graph *graph, const q8_recipe *recipe, qint8_error *error) {
  q8_search *search = s->search;
  size_t row = search->count - 1;
  const q8_tried *tried = &search->tried[row];
  q8_search_base *base = tried->config == QINT8_CONFIG_DYNAMIC ? &s->dynamic_base : &s->static_base;
  if (!tried->mixed && (!base->recipe || is_better(tried, &search->tried[base->row]))) {
    base->graph = graph;
    base->row = row;
    Q8_TRY(replace(recipe, &base->recipe, error));
  }
  if (search->recipe && !is_better(tried, &search->tried[search->best]))
    return QINT8_OK;
  search->best = row;
  s->best_graph = graph;
  return replace(recipe, &search->recipe, error);
}

static q8_status report(const q8_searcher *s, qint8_error *error) {
  size_t most = s->config->max_evaluations ? s->config->max_evaluations : s->search->count + 1;
  return q8_progress(&s->host, "search", s->search->count, most, error);
}

q8_status q8_search_evaluate(q8_searcher *s, const q8_graph *graph, const q8_recipe *recipe, q8_tried *row,
                             qint8_error *error) {
  const q8_search_config *config = s->config;
  q8_search *search = s->search;
  q8_outputs *outputs;
  Q8_TRY(q8_run_all(graph, recipe, &s->validation, &outputs, error));
  row->metric = config->metric(config->user, outputs, s->exact);
  q8_outputs_free(outputs);
  row->drop = config->higher_is_better ? search->reference - row->metric : row->metric - search->reference;
  row->met = row->drop <= config->max_drop;
  row->float_nodes = q8_float_nodes(graph, recipe);
  Q8_TRY(q8_estimate_recipe_us(graph, recipe, &s->validation, &row->us, error));
  Q8_TRY(config->size(config->user, graph, recipe, &row->bytes, error));
  row->seconds = q8_search_seconds() - row->seconds;
  void *rows = search->tried;
  if (!q8_grow(&s->host, &rows, &search->capacity, search->count + 1, sizeof *row, search->count))
    return q8_fail_memory(error, "search", (search->count + 1) * sizeof *row);
  search->tried = rows;
  search->tried[search->count++] = *row;
  Q8_TRY(keep_if_best(s, graph, recipe, error));
  return report(s, error);
}

/* A recipe that leaves every node in float is no candidate: it would pass for a quantized model. */
static int has_int8(const q8_recipe *recipe) {
  for (size_t n = 0; n < recipe->node_count; n++)
    if (recipe->modes[n] != Q8_MODE_FLOAT)
      return 1;
  return 0;
}

/* ---- Making candidates ---- */

static q8_status observe(q8_searcher *s, const q8_graph *graph, int32_t observer, q8_ranges **out, qint8_error *error) {
  q8_calibrator_config config = {.observer = observer, .moving_average = 0.01f, .percentile = 99.99f,
                                 .mask = s->calibration.mask, .isa = s->calibration.isa};
  const q8_batches *batches = s->calibration.batches;
  q8_calibrator *calibrator;
  *out = NULL;
  Q8_TRY(q8_calibrator_new(graph, &config, &s->host, &calibrator, error));
  q8_status status = QINT8_OK;
  for (size_t b = 0; b < batches->count && status == QINT8_OK; b++)
    status = q8_calibrator_feed(calibrator, batches->shapes + b * graph->input_count,
                                batches->data + b * graph->input_count, error);
  if (status == QINT8_OK)
    status = q8_calibrator_ranges(calibrator, out, error);
  q8_calibrator_free(calibrator);
  return status;
}

static q8_status decide(q8_searcher *s, const q8_graph *graph, const q8_tried *row, q8_recipe **out,
                        qint8_error *error) {
  q8_ranges *ranges;
  Q8_TRY(observe(s, graph, row->observer, &ranges, error));
  q8_status status = q8_decide(graph, ranges, row->config, s->config->activation_dtype, s->config->force, &s->host, out,
                               error);
  q8_ranges_free(ranges);
  return status;
}

q8_status q8_search_repair(q8_searcher *s, const q8_graph *graph, int32_t repairs, q8_recipe *recipe,
                           qint8_error *error) {
  q8_batches few = q8_first_batches(graph, s->calibration.batches, REPAIR_VALUES);
  q8_host quiet = s->host;
  q8_runner runner = {&few, s->calibration.mask, s->calibration.isa, &quiet};
  quiet.progress = NULL;
  if (repairs & Q8_REPAIR_ROUND)
    Q8_TRY(q8_round_weights(graph, recipe, &runner, error));
  if (repairs & Q8_REPAIR_BIAS)
    Q8_TRY(q8_correct_biases(graph, recipe, &runner, error));
  return QINT8_OK;
}

static q8_tried static_row(const q8_searcher *s, size_t index) {
  q8_tried row = {.config = static_candidates[index].config,
                  .observer = static_candidates[index].observer,
                  .repairs = static_candidates[index].repairs,
                  .seconds = q8_search_seconds()};
  if (static_candidates[index].builds_on_best && s->static_base.recipe) {
    const q8_tried *best = &s->search->tried[s->static_base.row];
    row.observer = best->observer;
    row.repairs |= best->repairs;
  }
  return row;
}

/* Channels of the inputs, then those between the layers. */
static q8_status equalise(q8_searcher *s, qint8_error *error) {
  const q8_graph *graph = s->config->graph;
  q8_graph *scaled;
  size_t inputs, groups = 0;
  Q8_TRY(q8_scale_inputs(graph, s->calibration.batches, &s->host, &scaled, &inputs, error));
  q8_status status = q8_equalise(scaled ? scaled : graph, &s->host, &s->equalised, &groups, error);
  q8_graph_destroy(scaled);
  s->equalised_groups = inputs + groups;
  return status;
}

/* Where channels are alike already there is nothing to equalise: then the row does not claim it. */
static q8_status graph_for(q8_searcher *s, q8_tried *row, const q8_graph **graph, qint8_error *error) {
  *graph = s->config->graph;
  if (!(row->repairs & Q8_REPAIR_EQUALISE))
    return QINT8_OK;
  if (!s->equalised)
    Q8_TRY(equalise(s, error));
  if (s->equalised_groups > 0)
    *graph = s->equalised;
  else
    row->repairs &= ~Q8_REPAIR_EQUALISE;
  return QINT8_OK;
}

static q8_status try_static(q8_searcher *s, size_t index, qint8_error *error) {
  q8_tried row = static_row(s, index);
  const q8_graph *graph;
  q8_recipe *recipe;
  Q8_TRY(graph_for(s, &row, &graph, error));
  Q8_TRY(decide(s, graph, &row, &recipe, error));
  int some = has_int8(recipe);
  q8_status status = some ? q8_search_repair(s, graph, row.repairs, recipe, error) : QINT8_OK;
  if (status == QINT8_OK && some)
    status = q8_search_evaluate(s, graph, recipe, &row, error);
  q8_recipe_free(recipe);
  return status;
}

static q8_status try_dynamic(q8_searcher *s, const q8_recipe *recipe, double start, qint8_error *error) {
  q8_tried row = {.config = QINT8_CONFIG_DYNAMIC, .seconds = start};
  return has_int8(recipe) ? q8_search_evaluate(s, s->config->graph, recipe, &row, error) : QINT8_OK;
}

/* Of a graph that has nothing to gain from int8. */
static q8_status try_float(q8_searcher *s, qint8_error *error) {
  q8_tried row = {.config = QINT8_CONFIG_FP32, .seconds = q8_search_seconds()};
  q8_recipe *recipe;
  Q8_TRY(q8_decide(s->config->graph, NULL, QINT8_CONFIG_FP32, s->config->activation_dtype, 0, &s->host, &recipe, error));
  q8_status status = q8_search_evaluate(s, s->config->graph, recipe, &row, error);
  q8_recipe_free(recipe);
  return status;
}

/* ---- The order ---- */

static int has_met(const q8_searcher *s) {
  return s->search->recipe && s->search->tried[s->search->best].met;
}

/* Static before dynamic only if it is expected to be faster; decided before anything is evaluated. */
static q8_status is_dynamic_faster(q8_searcher *s, const q8_recipe *dynamic, int *faster, qint8_error *error) {
  q8_tried row = {.config = QINT8_CONFIG_STATIC_PER_TENSOR, .observer = QINT8_OBSERVER_MINMAX};
  q8_recipe *recipe;
  double static_us = 0, dynamic_us = 0;
  *faster = 1;
  if (s->calibration.batches->count == 0)
    return QINT8_OK;
  Q8_TRY(decide(s, s->config->graph, &row, &recipe, error));
  q8_status status = q8_estimate_recipe_us(s->config->graph, recipe, &s->validation, &static_us, error);
  q8_recipe_free(recipe);
  if (status == QINT8_OK)
    status = q8_estimate_recipe_us(s->config->graph, dynamic, &s->validation, &dynamic_us, error);
  *faster = dynamic_us < static_us;
  return status;
}

static q8_status try_all_static(q8_searcher *s, qint8_error *error) {
  if (s->calibration.batches->count == 0)
    return QINT8_OK;
  for (size_t i = 0; i < STATIC_COUNT && !has_met(s) && q8_search_may_go_on(s); i++)
    Q8_TRY(try_static(s, i, error));
  return QINT8_OK;
}

/* What a mixture may cost to be worth having. */
static double mixture_limit(const q8_searcher *s) {
  double limit = WORTHWHILE * s->search->float_us;
  const q8_tried *best = &s->search->tried[s->search->best];
  return best->met && best->us < limit ? best->us : limit;
}

/* From the base that is nearer to the budget first: what it finds leaves less to look for from the other. If dynamic met
 * the budget itself, nothing is gained by its mixtures. */
static q8_status try_mixtures(q8_searcher *s, qint8_error *error) {
  const q8_search_base *order[2] = {&s->static_base, &s->dynamic_base};
  const q8_tried *rows = s->search->tried;
  if (s->static_base.recipe && s->dynamic_base.recipe &&
      is_better(&rows[s->dynamic_base.row], &rows[s->static_base.row])) {
    order[0] = &s->dynamic_base;
    order[1] = &s->static_base;
  }
  for (int i = 0; i < 2; i++)
    if (order[i]->recipe && !s->search->tried[order[i]->row].met && q8_search_may_go_on(s))
      Q8_TRY(q8_search_mixed(s, order[i], mixture_limit(s), error));
  return QINT8_OK;
}

static q8_status try_in_order(q8_searcher *s, const q8_recipe *dynamic, double start, qint8_error *error) {
  int dynamic_first;
  Q8_TRY(is_dynamic_faster(s, dynamic, &dynamic_first, error));
  if (dynamic_first && q8_search_may_go_on(s))
    Q8_TRY(try_dynamic(s, dynamic, start, error));
  if (!has_met(s))
    Q8_TRY(try_all_static(s, error));
  if (has_met(s))
    return QINT8_OK;
  if (!dynamic_first && q8_search_may_go_on(s))
    Q8_TRY(try_dynamic(s, dynamic, q8_search_seconds(), error));
  return try_mixtures(s, error);
}

static q8_status search(q8_searcher *s, qint8_error *error) {
  const q8_search_config *config = s->config;
  q8_recipe *dynamic;
  double start = q8_search_seconds();
  Q8_TRY(q8_run_all(config->graph, NULL, &s->validation, &s->exact, error));
  s->search->reference = config->metric(config->user, s->exact, s->exact);
  Q8_TRY(q8_estimate_recipe_us(config->graph, NULL, &s->validation, &s->search->float_us, error));
  Q8_TRY(q8_decide(config->graph, NULL, QINT8_CONFIG_DYNAMIC, config->activation_dtype, config->force, &s->host,
                   &dynamic, error));
  q8_status status = try_in_order(s, dynamic, start, error);
  q8_recipe_free(dynamic);
  if (status == QINT8_OK && !s->search->recipe && q8_search_may_go_on(s))
    status = try_float(s, error);
  if (status == QINT8_OK && !s->search->recipe)
    return q8_fail(error, QINT8_ERROR_LIMIT, "search", "the bounds leave no room for a single candidate");
  return status;
}

q8_status q8_search_run(const q8_search_config *config, const q8_host *host, q8_search **out, qint8_error *error) {
  *out = NULL;
  q8_search *found = q8_calloc(host, 1, sizeof *found);
  if (!found)
    return q8_fail_memory(error, "search", sizeof *found);
  found->host = *host;
  q8_searcher s = {.config = config, .host = *host, .search = found, .start = q8_search_seconds()};
  s.calibration = (q8_runner){&config->calibration, config->mask, config->isa, &s.host};
  s.validation = (q8_runner){&config->validation, config->mask, config->isa, &s.host};
  q8_status status = search(&s, error);
  q8_outputs_free(s.exact);
  if (s.best_graph == s.equalised)
    found->graph = s.equalised;
  else
    q8_graph_destroy(s.equalised);
  q8_recipe_free(s.static_base.recipe);
  q8_recipe_free(s.dynamic_base.recipe);
  if (status != QINT8_OK) {
    q8_search_free(found);
    return status;
  }
  *out = found;
  return QINT8_OK;
}

void q8_search_free(q8_search *search) {
  if (!search)
    return;
  q8_graph_destroy(search->graph);
  q8_recipe_free(search->recipe);
  q8_free(&search->host, search->tried);
  q8_free(&search->host, search);
}
