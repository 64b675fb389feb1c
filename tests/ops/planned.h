/* planned.h - an operator's case (case.h) run through a plan of one node, to compare with its evaluation. */
#ifndef Q8_TEST_OP_PLANNED_H
#define Q8_TEST_OP_PLANNED_H

#include "base/cpu.h"
#include "case.h"
#include "exec/exec.h"
#include "ptq/decide.h"

typedef struct planned {
  q8_graph *graph;
  q8_recipe *recipe;
  q8_plan *plan;
  q8_session *session;
} planned;

static inline q8_status planned_graph(op_case *c, unsigned constants, const q8_host *host, planned *p, q8_shape *shapes) {
  char name[16];
  q8_id ids[CASE_INPUTS], inputs[CASE_INPUTS], outputs[CASE_OUTPUTS];
  size_t count = 0;
  q8_status status = q8_graph_create(host, &p->graph, &c->error);
  for (int i = 0; i < c->in_count && status == QINT8_OK; i++) {
    const q8_value *v = &c->in[i];
    ids[i] = Q8_NONE;
    if (!v->dtype)
      continue;
    snprintf(name, sizeof name, "in%d", i);
    size_t size = v->count * qint8_dtype_size((qint8_dtype)v->dtype);
    void *copy = constants >> i & 1 ? q8_pool_alloc(&p->graph->pool, size + 1, 1) : NULL;
    if (copy)
      memcpy(copy, v->data, size);
    status = q8_graph_add_tensor(p->graph, q8_graph_fresh_name(p->graph, name), v->dtype, &v->shape, copy, &ids[i],
                                 &c->error);
    if (!copy) {
      shapes[count] = v->shape;
      inputs[count++] = ids[i];
    }
  }
  for (int i = 0; i < c->out_count && status == QINT8_OK; i++)
    status = q8_graph_add_tensor(p->graph, q8_graph_fresh_name(p->graph, "y"), QINT8_DTYPE_NONE, NULL, NULL,
                                 &outputs[i], &c->error);
  if (status == QINT8_OK)
    status = q8_graph_add_node(p->graph, "node", c->op, c->params, c->op->params_size, ids, c->in_count, outputs,
                               c->out_count, &c->error);
  if (status == QINT8_OK)
    status = q8_graph_set_inputs(p->graph, inputs, count, &c->error);
  if (status == QINT8_OK)
    status = q8_graph_set_outputs(p->graph, outputs, (size_t)c->out_count, &c->error);
  return status == QINT8_OK ? q8_graph_freeze(p->graph, &c->error) : status;
}

static inline q8_status planned_run(op_case *c, unsigned constants, const planned *p) {
  const void *in[CASE_INPUTS];
  void *out[CASE_OUTPUTS];
  int count = 0;
  for (int i = 0; i < c->in_count; i++)
    if (c->in[i].dtype && !(constants >> i & 1))
      in[count++] = c->in[i].data;
  for (int i = 0; i < c->out_count; i++) {
    const q8_plan_io *io = q8_plan_output_info(p->plan, (size_t)i);
    c->out[i] = (q8_value){.dtype = io->dtype, .shape = io->shape, .count = q8_shape_count(&io->shape, NULL)};
    out[i] = c->out[i].data = malloc(c->out[i].count * qint8_dtype_size((qint8_dtype)io->dtype) + 1);
  }
  return q8_session_execute(p->session, in, out, &c->error);
}

/* Bit i of `constants`: input i is a constant. The outputs replace those of an earlier run, which are not freed. */
static inline q8_status case_plan(op_case *c, unsigned constants, int32_t config, q8_cpu_mask mask) {
  q8_host host;
  planned p = {NULL, NULL, NULL, NULL};
  q8_shape shapes[CASE_INPUTS];
  q8_host_init(&host, NULL, NULL);
  q8_plan_config options = {.mask = mask, .isa = "test", .inputs = shapes};
  q8_status status = planned_graph(c, constants, &host, &p, shapes);
  if (status == QINT8_OK && config != QINT8_CONFIG_FP32)
    status = q8_decide(p.graph, NULL, config, QINT8_DTYPE_U8, 1, &host, &p.recipe, &c->error);
  if (status == QINT8_OK)
    status = q8_plan_compile(p.graph, p.recipe, &options, &host, &p.plan, &c->error);
  if (status == QINT8_OK)
    status = q8_session_open(p.plan, NULL, 0, &host, &p.session, &c->error);
  if (status == QINT8_OK)
    status = planned_run(c, constants, &p);
  q8_session_close(p.session);
  q8_plan_free(p.plan);
  q8_recipe_free(p.recipe);
  q8_graph_destroy(p.graph);
  return status;
}

/* ||a - b|| / ||b|| over all elements. */
static inline double case_distance(const q8_value *a, const q8_value *b) {
  double difference = 0, norm = 1e-30;
  for (size_t i = 0; i < a->count && i < b->count; i++) {
    double x = ((const float *)a->data)[i], y = ((const float *)b->data)[i];
    difference += (x - y) * (x - y);
    norm += y * y;
  }
  return a->count == b->count ? sqrt(difference / norm) : INFINITY;
}

/* Evaluated and planned in float with the given constants: equal up to rounding. Frees the case. */
static inline void case_compare(op_case *c, unsigned constants, double tolerance, const char *what) {
  q8_status status = case_run(c);
  q8_value expected[CASE_OUTPUTS];
  CHECK_MSG(status == QINT8_OK, "%s: %s", what, c->error.message);
  memcpy(expected, c->out, sizeof expected);
  if (status == QINT8_OK) {
    memset(c->out, 0, sizeof c->out);
    status = case_plan(c, constants, QINT8_CONFIG_FP32, q8_cpu_detect());
    CHECK_MSG(status == QINT8_OK, "%s: %s", what, c->error.message);
    for (int i = 0; status == QINT8_OK && i < c->out_count; i++) {
      double distance = case_distance(&c->out[i], &expected[i]);
      CHECK_MSG(distance <= tolerance, "%s: output %d differs by %g", what, i, distance);
      free(expected[i].data);
    }
  }
  case_free(c);
}

#endif
