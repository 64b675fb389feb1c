#include "ptq/head.h"

#include <math.h>
#include <string.h>

#include "ops/op.h"
#include "ptq/mixed.h"
#include "ptq/runs.h"

typedef struct head {
  const q8_graph *graph;
  q8_recipe *recipe;
  const q8_runner *runner;
  uint8_t *keep;     /* [node_count] */
  q8_id *multiplies; /* the static nodes that multiply, in execution order */
  size_t count;
} head;

/* The recipe with the first k multiplying nodes, and all before the next one, in float. */
static q8_status mix(const head *h, size_t k, q8_recipe **out, qint8_error *error) {
  size_t end = k < h->count ? (size_t)h->multiplies[k] : h->graph->node_count;
  memset(h->keep, 0, h->graph->node_count);
  memset(h->keep, 1, k ? end : 0);
  return q8_mix_recipe(h->graph, h->recipe, h->keep, out, error);
}

static q8_status time_of(const head *h, size_t k, double *us, qint8_error *error) {
  q8_recipe *mixed;
  Q8_TRY(mix(h, k, &mixed, error));
  q8_status status = q8_estimate_recipe_us(h->graph, mixed, h->runner, us, error);
  q8_recipe_free(mixed);
  return status;
}

/* The most nodes that fit into what `rel_err` may cost; times grow nearly monotonically with k. */
static q8_status fit(const head *h, double rel_err, size_t *k, qint8_error *error) {
  double all_int8, us, slowdown = 1 + Q8_HEAD_COST * rel_err;
  if (!(slowdown < Q8_HEAD_SLOWDOWN))
    slowdown = Q8_HEAD_SLOWDOWN;
  size_t low = 0, high = h->count;
  Q8_TRY(time_of(h, 0, &all_int8, error));
  while (low + 1 < high) {
    size_t middle = (low + high) / 2;
    Q8_TRY(time_of(h, middle, &us, error));
    if (us <= slowdown * all_int8 + Q8_HEAD_FREE_US)
      low = middle;
    else
      high = middle;
  }
  *k = low;
  return QINT8_OK;
}

/* rel_err of the recipe if its biases were corrected. */
static q8_status corrected_error(const head *h, const q8_recipe *recipe, const q8_outputs *want, double *rel_err,
                                 qint8_error *error) {
  q8_recipe *corrected;
  Q8_TRY(q8_recipe_copy(recipe, &corrected, error));
  q8_status status = q8_correct_biases(h->graph, corrected, h->runner, error);
  if (status == QINT8_OK)
    status = q8_run_error(h->graph, corrected, h->runner, want, rel_err, error);
  q8_recipe_free(corrected);
  return status;
}

/* Is `mixed` enough better? `before` is the error of the given recipe. What both lose alike in shifted means can hide it:
 * before it is declined, biases are corrected. */
static q8_status is_better(const head *h, const q8_recipe *mixed, const q8_outputs *want, double before, int *better,
                           qint8_error *error) {
  double after;
  Q8_TRY(q8_run_error(h->graph, mixed, h->runner, want, &after, error));
  *better = after <= Q8_HEAD_GAIN * before;
  if (*better)
    return QINT8_OK;
  Q8_TRY(corrected_error(h, h->recipe, want, &before, error));
  if (before < Q8_HEAD_TOLERATED)
    return QINT8_OK;
  Q8_TRY(corrected_error(h, mixed, want, &after, error));
  *better = after <= Q8_HEAD_GAIN * before;
  return QINT8_OK;
}

/* *out is NULL if the head is not worth its time. */
static q8_status choose(const head *h, const q8_outputs *want, q8_recipe **out, qint8_error *error) {
  double before;
  size_t k = 0;
  int better = 0;
  *out = NULL;
  Q8_TRY(q8_run_error(h->graph, h->recipe, h->runner, want, &before, error));
  if (before < Q8_HEAD_TOLERATED)
    return QINT8_OK;
  Q8_TRY(fit(h, before, &k, error));
  if (k == 0)
    return QINT8_OK;
  Q8_TRY(mix(h, k, out, error));
  (*out)->head = (int32_t)k;
  q8_status status = is_better(h, *out, want, before, &better, error);
  if (!better) {
    q8_recipe_free(*out);
    *out = NULL;
  }
  return status;
}

static q8_status find_multiplies(head *h, qint8_error *error) {
  size_t nodes = h->graph->node_count + 1;
  h->keep = q8_calloc(h->runner->host, nodes, sizeof *h->keep);
  h->multiplies = q8_calloc(h->runner->host, nodes, sizeof *h->multiplies);
  if (!h->keep || !h->multiplies)
    return q8_fail_memory(error, "recipe", nodes * sizeof *h->multiplies);
  for (size_t n = 0; n < h->graph->node_count; n++)
    if (h->recipe->modes[n] == Q8_MODE_STATIC && h->graph->nodes[n].op->quant == Q8_QUANT_WEIGHTED)
      h->multiplies[h->count++] = (q8_id)n;
  return QINT8_OK;
}

q8_status q8_keep_head(const q8_graph *graph, q8_recipe *recipe, const q8_runner *runner, qint8_error *error) {
  head h = {.graph = graph, .recipe = recipe, .runner = runner};
  q8_outputs *want = NULL;
  q8_recipe *mixed = NULL;
  q8_status status = find_multiplies(&h, error);
  if (status == QINT8_OK && h.count > 1)
    status = q8_run_all(graph, NULL, runner, &want, error);
  if (want)
    status = choose(&h, want, &mixed, error);
  q8_outputs_free(want);
  q8_free(runner->host, h.keep);
  q8_free(runner->host, h.multiplies);
  if (mixed) {
    q8_recipe given = *recipe;
    *recipe = *mixed;
    *mixed = given;
    q8_recipe_free(mixed);
  }
  return status;
}
