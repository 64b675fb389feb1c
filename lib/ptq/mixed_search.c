/* mixed_search.c - the fewest nodes in float.
 *
 * Nodes are ranked by the damage that they do to the outputs on calibration samples (sensitivity.h). The first k of the
 * ranking in float are a mixture; the smallest k that meets the budget is found by bisection, so that n nodes take
 * log2(n) evaluations. Two rankings are tried: by damage, which needs the fewest nodes, and by damage per microsecond
 * lost, which may need less time. Of the better mixture, nodes are then returned to int8 one by one, the most expensive
 * first, where the budget allows it. Biases were corrected for the base; for the mixture that is left they are corrected
 * again, which is kept if it is better. */
#include <string.h>

#include "ptq/mixed.h"
#include "ptq/search_internal.h"
#include "ptq/sensitivity.h"

/* Multiply-accumulates that measuring the damage may take: it decides on how many samples. */
#define SENSITIVITY_MACS 4e11
#define SENSITIVITY_VALUES ((size_t)1 << 18) /* input values that suffice */
#define MAX_RETURNS 8                        /* nodes of the final mixture that may try int8 again */
#define LEAST_US 0.1                         /* a node that costs nothing still costs its place in the ranking */

/* A mixture that was evaluated: several choices of nodes can come to the same. */
typedef struct outcome {
  const uint8_t *modes; /* [node_count] */
  int met;
  const struct outcome *next;
} outcome;

typedef struct mixer {
  q8_searcher *s;
  const q8_graph *graph;
  const q8_search_base *base;
  q8_pool pool;
  const outcome *seen;
  q8_sensitivity *damage;
  double limit;      /* microseconds */
  uint8_t *keep;     /* [node_count] the mixture at hand */
  uint8_t *best;     /* [node_count] the cheapest mixture that met the budget */
  double best_us;    /* its time; the limit if there is none */
} mixer;

/* ---- One mixture ---- */

static q8_status mix(const mixer *m, q8_recipe **out, double *us, qint8_error *error) {
  Q8_TRY(q8_mix_recipe(m->graph, m->base->recipe, m->keep, out, error));
  return q8_estimate_recipe_us(m->graph, *out, &m->s->validation, us, error);
}

static const outcome *find_seen(const mixer *m, const q8_recipe *recipe) {
  const outcome *o = m->seen;
  while (o && memcmp(o->modes, recipe->modes, m->graph->node_count))
    o = o->next;
  return o;
}

static q8_status remember(mixer *m, const q8_recipe *recipe, int met, qint8_error *error) {
  outcome *o = q8_pool_alloc(&m->pool, 1, sizeof *o);
  uint8_t *modes = q8_pool_alloc(&m->pool, m->graph->node_count + 1, 1);
  Q8_TRY(q8_pool_check(&m->pool, "search", error));
  memcpy(modes, recipe->modes, m->graph->node_count);
  *o = (outcome){modes, met, m->seen};
  m->seen = o;
  return QINT8_OK;
}

static q8_status evaluate_new(mixer *m, const q8_recipe *recipe, double start, int *met, qint8_error *error) {
  q8_tried row = m->s->search->tried[m->base->row];
  row.mixed = 1;
  row.seconds = start;
  Q8_TRY(q8_search_evaluate(m->s, m->graph, recipe, &row, error));
  *met = row.met;
  if (row.met && row.us < m->best_us) {
    m->best_us = row.us;
    memcpy(m->best, m->keep, m->graph->node_count);
  }
  return remember(m, recipe, row.met, error);
}

/* *met is 0 if the bounds of the search are reached. */
static q8_status evaluate(mixer *m, int *met, qint8_error *error) {
  double us, start = q8_search_seconds();
  q8_recipe *recipe = NULL;
  *met = 0;
  if (!q8_search_may_go_on(m->s))
    return QINT8_OK;
  q8_status status = mix(m, &recipe, &us, error);
  const outcome *known = status == QINT8_OK ? find_seen(m, recipe) : NULL;
  if (known)
    *met = known->met;
  else if (status == QINT8_OK)
    status = evaluate_new(m, recipe, start, met, error);
  q8_recipe_free(recipe);
  return status;
}

/* ---- Rankings ---- */

static double score(const mixer *m, const q8_damage *row, int per_us) {
  double damage = q8_damage_of(m->damage, row);
  if (!per_us)
    return damage;
  return damage / (row->us > LEAST_US ? row->us : LEAST_US);
}

/* Insertion sort: stable, and there are few. */
static void rank(mixer *m, int per_us) {
  q8_damage *rows = m->damage->rows;
  for (size_t i = 1; i < m->damage->count; i++) {
    q8_damage row = rows[i];
    size_t at = i;
    for (; at > 0 && score(m, &row, per_us) > score(m, &rows[at - 1], per_us); at--)
      rows[at] = rows[at - 1];
    rows[at] = row;
  }
}

static void keep_first(mixer *m, size_t k) {
  memset(m->keep, 0, m->graph->node_count);
  for (size_t i = 0; i < k; i++)
    m->keep[m->damage->rows[i].node] = 1;
}

/* The longest mixture of the ranking that is cheaper than the limit; times grow nearly monotonically with k. */
static q8_status longest(mixer *m, size_t *k, qint8_error *error) {
  size_t low = 0, high = m->damage->count;
  while (low + 1 < high) {
    size_t middle = (low + high) / 2;
    q8_recipe *recipe = NULL;
    double us = 0;
    keep_first(m, middle);
    q8_status status = mix(m, &recipe, &us, error);
    q8_recipe_free(recipe);
    if (status != QINT8_OK)
      return status;
    if (us < m->best_us)
      low = middle;
    else
      high = middle;
  }
  *k = low;
  return QINT8_OK;
}

/* Invariant: `high` met the budget, `low` did not. */
static q8_status bisect(mixer *m, int per_us, qint8_error *error) {
  size_t low = 0, high = 0;
  int met;
  rank(m, per_us);
  Q8_TRY(longest(m, &high, error));
  if (high == 0)
    return QINT8_OK;
  keep_first(m, high);
  Q8_TRY(evaluate(m, &met, error));
  while (met && low + 1 < high && q8_search_may_go_on(m->s)) {
    size_t middle = (low + high) / 2;
    int enough;
    keep_first(m, middle);
    Q8_TRY(evaluate(m, &enough, error));
    if (enough)
      high = middle;
    else
      low = middle;
  }
  return QINT8_OK;
}

/* ---- Nodes that need not be there after all ---- */

/* The most expensive kept node that was not `tried` to be returned yet, or NULL. */
static const q8_damage *most_expensive(const mixer *m, const uint8_t *tried) {
  const q8_damage *found = NULL;
  for (size_t i = 0; i < m->damage->count; i++) {
    const q8_damage *row = &m->damage->rows[i];
    if (m->best[row->node] && !tried[row->node] && row->us > LEAST_US && (!found || row->us > found->us))
      found = row;
  }
  return found;
}

static q8_status return_nodes(mixer *m, uint8_t *tried, qint8_error *error) {
  const q8_damage *row;
  for (int i = 0; i < MAX_RETURNS && (row = most_expensive(m, tried)) && q8_search_may_go_on(m->s); i++) {
    int met;
    tried[row->node] = 1;
    memcpy(m->keep, m->best, m->graph->node_count);
    m->keep[row->node] = 0;
    Q8_TRY(evaluate(m, &met, error));
  }
  return QINT8_OK;
}

static q8_status correct_again(mixer *m, qint8_error *error) {
  double us, start = q8_search_seconds();
  q8_recipe *recipe = NULL;
  int met;
  if (!(m->s->search->tried[m->base->row].repairs & Q8_REPAIR_BIAS) || !q8_search_may_go_on(m->s))
    return QINT8_OK;
  memcpy(m->keep, m->best, m->graph->node_count);
  q8_status status = mix(m, &recipe, &us, error);
  if (status == QINT8_OK)
    status = q8_search_repair(m->s, m->graph, Q8_REPAIR_BIAS, recipe, error);
  if (status == QINT8_OK)
    status = evaluate_new(m, recipe, start, &met, error);
  q8_recipe_free(recipe);
  return status;
}

/* ---- All of it ---- */

static q8_status measure(mixer *m, qint8_error *error) {
  q8_searcher *s = m->s;
  q8_runner runner = s->calibration;
  q8_plan_config config = {.mask = runner.mask, .isa = runner.isa, .inputs = runner.batches->shapes};
  q8_plan *plan;
  double macs = 0;
  Q8_TRY(q8_plan_compile(m->graph, NULL, &config, &s->host, &plan, error));
  for (size_t i = 0; i < q8_plan_step_count(plan); i++) {
    q8_shape shape;
    macs += (double)q8_plan_step_at(plan, i, &shape)->macs;
  }
  q8_plan_free(plan);
  q8_batches few = q8_first_batches(m->graph, runner.batches, SENSITIVITY_VALUES);
  double runs = 2.0 * (double)m->graph->node_count * macs;
  while (few.count > 1 && runs * (double)few.count > SENSITIVITY_MACS)
    few.count--;
  runner.batches = &few;
  return q8_measure_sensitivity(m->graph, m->base->recipe, &runner, &m->damage, error);
}

static q8_status search(mixer *m, uint8_t *tried, qint8_error *error) {
  Q8_TRY(measure(m, error));
  Q8_TRY(bisect(m, 0, error));
  Q8_TRY(bisect(m, 1, error));
  if (m->best_us >= m->limit)
    return QINT8_OK;
  Q8_TRY(return_nodes(m, tried, error));
  return correct_again(m, error);
}

q8_status q8_search_mixed(q8_searcher *s, const q8_search_base *base, double us, qint8_error *error) {
  const q8_graph *graph = base->graph;
  mixer m = {.s = s, .graph = graph, .base = base, .limit = us, .best_us = us};
  q8_pool_init(&m.pool, &s->host);
  m.keep = q8_pool_alloc(&m.pool, graph->node_count + 1, 1);
  m.best = q8_pool_alloc(&m.pool, graph->node_count + 1, 1);
  uint8_t *tried = q8_pool_alloc(&m.pool, graph->node_count + 1, 1);
  q8_status status = q8_pool_check(&m.pool, "search", error);
  if (status == QINT8_OK)
    status = search(&m, tried, error);
  q8_sensitivity_free(m.damage);
  q8_pool_destroy(&m.pool);
  return status;
}
