#include "ptq/sensitivity.h"

#include "api/api.h"
#include "api/batches.h"

struct qint8_sensitivity {
  q8_host host;
  const q8_graph *graph;
  q8_sensitivity *measured;
};

static q8_status measure(qint8_sensitivity *s, const qint8_recipe *recipe, const qint8_tensor *const *inputs,
                         size_t batch_count, q8_pool *pool, qint8_error *error) {
  q8_batches batches;
  q8_runner runner = {.batches = &batches, .host = &s->host};
  Q8_TRY(q8_choose_isa(NULL, &runner.mask, &runner.isa, error));
  Q8_TRY(q8_take_batches(s->graph, inputs, batch_count, pool, &batches, error));
  return q8_measure_sensitivity(s->graph, recipe->recipe, &runner, &s->measured, error);
}

qint8_status qint8_sensitivity_create(const qint8_model *model, const qint8_recipe *recipe,
                                      const qint8_tensor *const *inputs, size_t batch_count, const qint8_host *host,
                                      qint8_sensitivity **out, qint8_error *error) {
  Q8_REQUIRE(error, out);
  *out = NULL;
  Q8_TRY(q8_check_samples(model, recipe, inputs, batch_count, error));
  q8_status status;
  qint8_sensitivity *s = q8_api_new(host, sizeof *s, "sensitivity", &status, error);
  if (!s)
    return status;
  s->graph = model->graph;
  q8_pool pool;
  q8_pool_init(&pool, &s->host);
  status = measure(s, recipe, inputs, batch_count, &pool, error);
  q8_pool_destroy(&pool);
  if (status == QINT8_OK)
    *out = s;
  else
    qint8_sensitivity_destroy(s);
  return status;
}

void qint8_sensitivity_destroy(qint8_sensitivity *sensitivity) {
  if (!sensitivity)
    return;
  q8_sensitivity_free(sensitivity->measured);
  q8_free(&sensitivity->host, sensitivity);
}

size_t qint8_sensitivity_count(const qint8_sensitivity *sensitivity) {
  return sensitivity ? sensitivity->measured->count : 0;
}

qint8_status qint8_sensitivity_node(const qint8_sensitivity *sensitivity, size_t index, qint8_node_damage *out) {
  if (!sensitivity || !out || out->struct_size < sizeof *out || index >= sensitivity->measured->count)
    return QINT8_ERROR_ARGUMENT;
  const q8_damage *row = &sensitivity->measured->rows[index];
  const q8_node *node = &sensitivity->graph->nodes[row->node];
  *out = (qint8_node_damage){.struct_size = sizeof *out,
                             .name = node->name,
                             .op_type = node->op->name,
                             .output = sensitivity->graph->tensors[node->outputs[0]].name,
                             .error_alone = row->alone,
                             .error_without = row->without,
                             .microseconds = row->us};
  return QINT8_OK;
}

double qint8_sensitivity_error(const qint8_sensitivity *sensitivity) {
  return sensitivity ? sensitivity->measured->error : 0;
}
