/* Names of nodes' inputs, and their weights. */
#include <string.h>

#include "models.h"
#include "test.h"

static qint8_error failure = QINT8_ERROR_INIT;

/* Every input of a node is an input of the model, a constant, or the output of an earlier node; weights are among them. */
static void inputs_and_weights(void) {
  qint8_model *model = test_load("demo", NULL);
  qint8_node_info info = QINT8_NODE_INFO_INIT;
  int weighted = 0, linked = 0;
  for (size_t n = 0; n < qint8_model_node_count(model); n++) {
    qint8_tensor w = QINT8_TENSOR_INIT;
    const char *name = NULL;
    int32_t axis = -1;
    CHECK(qint8_model_node(model, n, &info) == QINT8_OK && qint8_model_node_input(model, n, 0) != NULL);
    CHECK(qint8_model_node_input(model, n, 100) == NULL);
    for (size_t m = 0; m < n; m++) {
      qint8_node_info earlier = QINT8_NODE_INFO_INIT;
      CHECK(qint8_model_node(model, m, &earlier) == QINT8_OK);
      linked += !strcmp(earlier.output, qint8_model_node_input(model, n, 0));
    }
    qint8_status status = qint8_model_weights(model, n, &name, &w, &axis, &failure);
    CHECK_EQ(status, strcmp(info.op_type, "Conv") && strcmp(info.op_type, "Gemm") ? QINT8_ERROR_ARGUMENT : QINT8_OK);
    if (status != QINT8_OK)
      continue;
    weighted++;
    CHECK(!strcmp(name, qint8_model_node_input(model, n, 1)) && w.data && w.dtype == QINT8_DTYPE_F32);
    CHECK(w.rank == (strcmp(info.op_type, "Conv") ? 2 : 4) && axis >= 0 && axis < w.rank);
  }
  CHECK(weighted > 30 && linked > 80);
  CHECK(qint8_model_node_input(model, 100000, 0) == NULL);
  qint8_tensor w = QINT8_TENSOR_INIT;
  CHECK_EQ(qint8_model_weights(model, 100000, NULL, &w, NULL, &failure), QINT8_ERROR_ARGUMENT);
  qint8_model_destroy(model);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(inputs_and_weights);
  return TEST_END();
}
