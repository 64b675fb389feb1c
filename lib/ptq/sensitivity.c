#include "ptq/sensitivity.h"

#include <string.h>

typedef struct meter {
  const q8_graph *graph;
  const q8_recipe *recipe;
  const q8_runner *runner;
  q8_outputs *exact;
  uint8_t *keep; /* [node_count] */
  size_t done, total;
} meter;

static q8_status error_of(meter *m, const q8_recipe *recipe, double *rel_err, qint8_error *error) {
  Q8_TRY(q8_run_error(m->graph, recipe, m->runner, m->exact, rel_err, error));
  return q8_progress(m->runner->host, "sensitivity", ++m->done, m->total, error);
}

/* The recipe with the nodes marked in `keep` in float; `us` may be NULL. */
static q8_status error_of_mix(meter *m, double *rel_err, double *us, qint8_error *error) {
  q8_recipe *mixed;
  Q8_TRY(q8_mix_recipe(m->graph, m->recipe, m->keep, &mixed, error));
  q8_status status = error_of(m, mixed, rel_err, error);
  if (status == QINT8_OK && us)
    status = q8_estimate_recipe_us(m->graph, mixed, m->runner, us, error);
  q8_recipe_free(mixed);
  return status;
}

static q8_status measure_node(meter *m, q8_damage *row, double us, qint8_error *error) {
  size_t nodes = m->graph->node_count;
  memset(m->keep, 1, nodes);
  m->keep[row->node] = 0;
  Q8_TRY(error_of_mix(m, &row->alone, NULL, error));
  memset(m->keep, 0, nodes);
  m->keep[row->node] = 1;
  Q8_TRY(error_of_mix(m, &row->without, &row->us, error));
  row->us -= us;
  return QINT8_OK;
}

static q8_status measure(meter *m, q8_sensitivity *s, qint8_error *error) {
  size_t nodes = m->graph->node_count;
  m->keep = q8_calloc(&s->host, nodes + 1, 1);
  s->rows = q8_calloc(&s->host, nodes + 1, sizeof *s->rows);
  if (!m->keep || !s->rows)
    return q8_fail_memory(error, "sensitivity", nodes * sizeof *s->rows);
  for (size_t n = 0; n < nodes; n++)
    if (q8_is_mixable(m->graph, m->recipe, n))
      s->rows[s->count++].node = (q8_id)n;
  m->total = 2 * s->count + 1;
  Q8_TRY(q8_run_all(m->graph, NULL, m->runner, &m->exact, error));
  Q8_TRY(error_of(m, m->recipe, &s->error, error));
  Q8_TRY(q8_estimate_recipe_us(m->graph, m->recipe, m->runner, &s->us, error));
  for (size_t i = 0; i < s->count; i++)
    Q8_TRY(measure_node(m, &s->rows[i], s->us, error));
  return QINT8_OK;
}

q8_status q8_measure_sensitivity(const q8_graph *graph, const q8_recipe *recipe, const q8_runner *runner,
                                 q8_sensitivity **out, qint8_error *error) {
  *out = NULL;
  q8_sensitivity *s = q8_calloc(runner->host, 1, sizeof *s);
  if (!s)
    return q8_fail_memory(error, "sensitivity", sizeof *s);
  s->host = *runner->host;
  meter m = {.graph = graph, .recipe = recipe, .runner = runner};
  q8_status status = measure(&m, s, error);
  q8_outputs_free(m.exact);
  q8_free(&s->host, m.keep);
  if (status != QINT8_OK) {
    q8_sensitivity_free(s);
    return status;
  }
  *out = s;
  return QINT8_OK;
}

void q8_sensitivity_free(q8_sensitivity *sensitivity) {
  if (!sensitivity)
    return;
  q8_free(&sensitivity->host, sensitivity->rows);
  q8_free(&sensitivity->host, sensitivity);
}

double q8_damage_of(const q8_sensitivity *sensitivity, const q8_damage *row) {
  double alone = row->alone * row->alone;
  double won = sensitivity->error * sensitivity->error - row->without * row->without;
  return alone > won ? alone : won;
}
