/* Inputs bound when the plan is compiled: what follows from their values is computed then, and runs hold to them. Also
 * plans of steps with many outputs, and files of opset 6. */
#include "qint8.h"

#include "../onnx/builder.h"
#include "test.h"

static qint8_model *load(builder *b) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_model *model = NULL;
  build_end(b);
  qint8_status status = qint8_model_load_memory(b->w.bytes, b->w.size, NULL, &model, &error);
  CHECK_MSG(status == QINT8_OK, "%s: %s", error.where, error.message);
  q8_writer_free(&b->w);
  return model;
}

/* y = Reshape(x [2, 3], shape + one), both inputs of the graph. */
static qint8_model *reshape_model(void) {
  const int64_t one[2] = {1, 1};
  builder b;
  build_begin(&b, 13);
  build_value(&b, Q8_GRAPH_INPUT, "x", DIMS(2, 3));
  build_typed_value(&b, Q8_GRAPH_INPUT, "shape", QINT8_DTYPE_S64, DIMS(2));
  build_value(&b, Q8_GRAPH_OUTPUT, "y", DIMS(-1, -1));
  build_constant(&b, "one", QINT8_DTYPE_S64, DIMS(2), one, sizeof one);
  build_node(&b, "Add", "add", "shape one", "larger");
  build_node(&b, "Reshape", "reshape", "x larger", "y");
  return load(&b);
}

static qint8_tensor tensor(int32_t dtype, int32_t rank, int64_t d0, int64_t d1, void *data) {
  return (qint8_tensor){sizeof(qint8_tensor), dtype, rank, {d0, d1}, data};
}

static qint8_status compile(const qint8_model *model, const qint8_tensor *shape, size_t count, qint8_plan **plan,
                            qint8_error *error) {
  const qint8_tensor *values[2] = {NULL, shape};
  qint8_plan_options options = QINT8_PLAN_OPTIONS_INIT;
  options.input_values = values;
  options.input_value_count = count;
  return qint8_plan_create(model, NULL, &options, NULL, plan, error);
}

static void shapes_follow_from_bound_inputs(void) {
  float x[6] = {1, 2, 3, 4, 5, 6}, y[6] = {0};
  int64_t shape[2] = {2, 1}, other[2] = {1, 2};
  qint8_model *model = reshape_model();
  qint8_error error = QINT8_ERROR_INIT;
  qint8_plan *plan;
  CHECK_EQ(qint8_plan_create(model, NULL, NULL, NULL, &plan, &error), QINT8_ERROR_SHAPE);
  CHECK_MSG(!strcmp(error.where, "reshape") && strstr(error.message, "input 1"), "%s: %s", error.where, error.message);

  qint8_tensor value = tensor(QINT8_DTYPE_S64, 1, 2, 0, shape);
  CHECK_EQ(compile(model, &value, 2, &plan, &error), QINT8_OK);
  qint8_tensor_info info = QINT8_TENSOR_INFO_INIT;
  CHECK_EQ(qint8_plan_output(plan, 0, &info), QINT8_OK);
  CHECK(info.rank == 2 && info.shape[0] == 3 && info.shape[1] == 2);

  qint8_session *session;
  CHECK_EQ(qint8_session_create(plan, NULL, 0, NULL, &session, &error), QINT8_OK);
  qint8_tensor in = tensor(QINT8_DTYPE_F32, 2, 2, 3, x), out = tensor(QINT8_DTYPE_F32, 2, 3, 2, y);
  const qint8_tensor *ins[2] = {&in, &value}, *outs[1] = {&out};
  CHECK_EQ(qint8_session_run(session, ins, 2, outs, 1, &error), QINT8_OK);
  CHECK(!memcmp(x, y, sizeof x));
  qint8_tensor changed = tensor(QINT8_DTYPE_S64, 1, 2, 0, other);
  ins[1] = &changed;
  CHECK_EQ(qint8_session_run(session, ins, 2, outs, 1, &error), QINT8_ERROR_ARGUMENT);
  CHECK_MSG(!strcmp(error.where, "shape") && strstr(error.message, "other values"), "%s: %s", error.where, error.message);
  qint8_session_destroy(session);
  qint8_plan_destroy(plan);
  qint8_model_destroy(model);
}

static void bound_values_are_checked(void) {
  int64_t shape[3] = {2, 1, 1};
  int32_t narrow[2] = {2, 1};
  qint8_model *model = reshape_model();
  qint8_error error = QINT8_ERROR_INIT;
  qint8_plan *plan;
  qint8_tensor value = tensor(QINT8_DTYPE_S64, 1, 2, 0, shape);
  CHECK_EQ(compile(model, &value, 1, &plan, &error), QINT8_ERROR_ARGUMENT);
  CHECK(!strcmp(error.where, "input_values") && plan == NULL);
  value.shape[0] = 3;
  CHECK_EQ(compile(model, &value, 2, &plan, &error), QINT8_ERROR_SHAPE);
  CHECK(!strcmp(error.where, "shape"));
  value = tensor(QINT8_DTYPE_S32, 1, 2, 0, narrow);
  CHECK_EQ(compile(model, &value, 2, &plan, &error), QINT8_ERROR_ARGUMENT);
  value = tensor(QINT8_DTYPE_S64, 1, 2, 0, NULL);
  CHECK_EQ(compile(model, &value, 2, &plan, &error), QINT8_ERROR_ARGUMENT);
  CHECK(!strcmp(error.where, "shape"));
  qint8_model_destroy(model);
}

static void run(const qint8_model *model, const qint8_tensor *const *ins, size_t in_count,
                const qint8_tensor *const *outs, size_t out_count) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_plan *plan;
  qint8_session *session;
  CHECK_MSG(qint8_plan_create(model, NULL, NULL, NULL, &plan, &error) == QINT8_OK, "%s: %s", error.where, error.message);
  CHECK_EQ(qint8_session_create(plan, NULL, 0, NULL, &session, &error), QINT8_OK);
  CHECK_MSG(qint8_session_run(session, ins, in_count, outs, out_count, &error) == QINT8_OK, "%s: %s", error.where,
            error.message);
  qint8_session_destroy(session);
  qint8_plan_destroy(plan);
}

static void a_node_of_many_outputs(void) {
  float x[9] = {0, 1, 2, 3, 4, 5, 6, 7, 8}, y[9] = {0};
  builder b;
  build_begin(&b, 13);
  build_value(&b, Q8_GRAPH_INPUT, "x", DIMS(9));
  for (int i = 0; i < 9; i++)
    build_value(&b, Q8_GRAPH_OUTPUT, (char[]){'y', (char)('0' + i), 0}, DIMS(1));
  build_node(&b, "Split", "split", "x", "y0 y1 y2 y3 y4 y5 y6 y7 y8");
  qint8_model *model = load(&b);
  qint8_tensor in = tensor(QINT8_DTYPE_F32, 1, 9, 0, x), out[9];
  const qint8_tensor *ins[1] = {&in}, *outs[9];
  for (int i = 0; i < 9; i++) {
    out[i] = tensor(QINT8_DTYPE_F32, 1, 1, 0, y + i);
    outs[i] = &out[i];
  }
  run(model, ins, 1, outs, 9);
  CHECK(!memcmp(x, y, sizeof x));
  qint8_model_destroy(model);
}

/* Before opset 7 the second input began at `axis`. */
static void opset_6_broadcasts_at_an_axis(void) {
  float x[6] = {1, 2, 3, 4, 5, 6}, z[2] = {10, 20}, y[6] = {0};
  const float expected[6] = {11, 12, 13, 24, 25, 26};
  builder b;
  build_begin(&b, 6);
  build_value(&b, Q8_GRAPH_INPUT, "x", DIMS(2, 3));
  build_value(&b, Q8_GRAPH_INPUT, "z", DIMS(2));
  build_value(&b, Q8_GRAPH_OUTPUT, "y", DIMS(2, 3));
  size_t node = build_open_node(&b, "Add", "add", "x z", "y");
  build_int(&b, "broadcast", 1);
  build_int(&b, "axis", 0);
  q8_write_end(&b.w, node);
  qint8_model *model = load(&b);
  qint8_tensor in[2] = {tensor(QINT8_DTYPE_F32, 2, 2, 3, x), tensor(QINT8_DTYPE_F32, 1, 2, 0, z)};
  qint8_tensor out = tensor(QINT8_DTYPE_F32, 2, 2, 3, y);
  const qint8_tensor *ins[2] = {&in[0], &in[1]}, *outs[1] = {&out};
  run(model, ins, 2, outs, 1);
  CHECK(!memcmp(y, expected, sizeof y));
  qint8_model_destroy(model);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(shapes_follow_from_bound_inputs);
  RUN(bound_values_are_checked);
  RUN(a_node_of_many_outputs);
  RUN(opset_6_broadcasts_at_an_axis);
  return TEST_END();
}
