/* MatMul of two int8 activations: the accumulators of every zero point, exactly, on every ISA; result in uint8 and in
 * float; operands that repeat over the batch. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "exec/exec.h"
#include "ops/op.h"
#include "reference.h"
#include "test.h"

static q8_host host;

typedef struct product {
  int batch, m, n, k, shared; /* shared: one b for all of the batch */
  float a_scale, b_scale, y_scale;
  int32_t a_zero, b_zero, y_zero;
  int keeps_float; /* no parameters for y */
  uint8_t *a, *b;
} product;

static void fill(uint8_t *x, size_t count, int extreme) {
  for (size_t i = 0; i < count; i++)
    x[i] = (uint8_t)(extreme ? 255 * test_random_int(0, 1) : test_random_int(0, 255));
}

static float *dequantized(const uint8_t *x, size_t count, float scale, int32_t zero) {
  float *y = malloc((count + 1) * sizeof *y);
  for (size_t i = 0; i < count; i++)
    y[i] = (float)(x[i] - zero) * scale;
  return y;
}

static size_t a_count(const product *p) {
  return (size_t)(p->batch * p->m * p->k);
}
static size_t b_count(const product *p) {
  return (size_t)((p->shared ? 1 : p->batch) * p->k * p->n);
}
static size_t y_count(const product *p) {
  return (size_t)(p->batch * p->m * p->n);
}

static float expected_at(const product *p, size_t i) {
  size_t n = i % (size_t)p->n, m = i / (size_t)p->n % (size_t)p->m, batch = i / (size_t)(p->n * p->m);
  const uint8_t *a = p->a + (batch * (size_t)p->m + m) * (size_t)p->k;
  const uint8_t *b = p->b + (p->shared ? 0 : batch) * (size_t)(p->k * p->n) + n;
  int32_t sum = 0;
  for (int k = 0; k < p->k; k++)
    sum += (a[k] - p->a_zero) * (b[k * p->n] - p->b_zero);
  if (p->keeps_float)
    return (float)sum * (p->a_scale * p->b_scale);
  uint8_t q = ref_round_clamp((float)sum * (p->a_scale * p->b_scale / p->y_scale), p->y_zero, 0, 255);
  return (float)(q - p->y_zero) * p->y_scale;
}

static q8_id tensor(q8_graph *g, const char *name, const q8_shape *shape) {
  q8_id id;
  CHECK_EQ(q8_graph_add_tensor(g, name, QINT8_DTYPE_F32, shape, NULL, &id, NULL), QINT8_OK);
  return id;
}

static q8_recipe *make_recipe(const product *p, const q8_graph *g, const q8_id *ids) {
  q8_recipe *recipe = NULL;
  const float scale[3] = {p->a_scale, p->b_scale, p->y_scale};
  const int32_t zero[3] = {p->a_zero, p->b_zero, p->y_zero};
  CHECK_EQ(q8_recipe_new(&host, g->tensor_count, g->node_count, &recipe, NULL), QINT8_OK);
  for (int i = 0; i < (p->keeps_float ? 2 : 3); i++)
    CHECK_EQ(q8_recipe_assign(recipe, ids[i], QINT8_DTYPE_U8, -1, 1, &scale[i], &zero[i], NULL), QINT8_OK);
  memset(recipe->modes, Q8_MODE_STATIC, g->node_count);
  return recipe;
}

/* Values of a and b lie on their grids, so that rounding them at the border changes nothing. */
static void run(const product *p, q8_cpu_mask mask, int32_t threads) {
  q8_graph *g;
  q8_plan *plan = NULL;
  q8_session *session = NULL;
  qint8_error error = QINT8_ERROR_INIT;
  q8_shape shapes[2] = {{3, {p->batch, p->m, p->k}}, {3, {p->shared ? 1 : p->batch, p->k, p->n}}};
  host.threads = threads;
  CHECK_EQ(q8_graph_create(&host, &g, NULL), QINT8_OK);
  q8_id ids[3] = {tensor(g, "a", &shapes[0]), tensor(g, "b", &shapes[1]), tensor(g, "y", NULL)};
  CHECK_EQ(q8_graph_add_node(g, "product", q8_op_find("MatMul", ""), NULL, 0, ids, 2, &ids[2], 1, NULL), QINT8_OK);
  CHECK_EQ(q8_graph_set_inputs(g, ids, 2, NULL), QINT8_OK);
  CHECK_EQ(q8_graph_set_outputs(g, &ids[2], 1, NULL), QINT8_OK);
  CHECK_EQ(q8_graph_freeze(g, NULL), QINT8_OK);
  q8_recipe *recipe = make_recipe(p, g, ids);
  q8_plan_config config = {.mask = mask, .isa = "test", .inputs = shapes};
  CHECK_MSG(q8_plan_compile(g, recipe, &config, &host, &plan, &error) == QINT8_OK, "%s", error.message);
  CHECK_EQ(q8_session_open(plan, NULL, 0, &host, &session, NULL), QINT8_OK);
  int int8 = 0;
  for (size_t i = 0; i < q8_plan_step_count(plan); i++) {
    q8_shape shape;
    const q8_step *step = q8_plan_step_at(plan, i, &shape);
    int8 |= !strcmp(step->kind, "matmul") && !strcmp(step->precision, "int8");
  }
  CHECK(int8);
  float *a = dequantized(p->a, a_count(p), p->a_scale, p->a_zero), *y = malloc(y_count(p) * sizeof *y);
  float *b = dequantized(p->b, b_count(p), p->b_scale, p->b_zero);
  CHECK_EQ(q8_session_execute(session, (const void *[]){a, b}, (void *[]){y}, NULL), QINT8_OK);
  size_t bad = 0;
  for (size_t i = 0; i < y_count(p); i++)
    bad += y[i] != expected_at(p, i);
  CHECK_MSG(bad == 0, "%zu of %zu differ: batch %d, m %d, n %d, k %d, zero points %d and %d", bad, y_count(p), p->batch,
            p->m, p->n, p->k, (int)p->a_zero, (int)p->b_zero);
  free(a);
  free(b);
  free(y);
  q8_session_close(session);
  q8_plan_free(plan);
  q8_recipe_free(recipe);
  q8_graph_destroy(g);
}

static void products_are_exact(void) {
  static const int32_t zeros[4] = {0, 128, 255, 77};
  for (int round = 0; round < 80; round++) {
    product p = {.batch = test_random_int(1, 4), .m = test_random_int(1, 40), .n = test_random_int(1, 80),
                 .k = test_random_int(1, 90), .shared = test_random_int(0, 1), .a_scale = 0.25f, .b_scale = 0.5f,
                 .y_scale = 3.7f, .a_zero = zeros[test_random_int(0, 3)], .b_zero = zeros[test_random_int(0, 3)],
                 .y_zero = test_random_int(0, 255), .keeps_float = round % 3 == 0};
    p.a = malloc(a_count(&p));
    p.b = malloc(b_count(&p));
    fill(p.a, a_count(&p), round & 1);
    fill(p.b, b_count(&p), round & 1);
    run(&p, 0, 1);
    run(&p, q8_cpu_detect(), 1);
    run(&p, q8_cpu_detect(), 3);
    free(p.a);
    free(p.b);
  }
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  q8_host_init(&host, NULL, NULL);
  RUN(products_are_exact);
  return TEST_END();
}
