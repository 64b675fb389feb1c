/* 2_run_a_model.c - load an ONNX model, compile it, run it. Usage: 2_run_a_model [MODEL.onnx] */
#include <qint8.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t count_of(const qint8_tensor *t) {
  size_t count = 1;
  for (int d = 0; d < t->rank; d++)
    count *= (size_t)t->shape[d];
  return count;
}

/* Memory for a tensor of the plan. */
static qint8_tensor tensor_for(const qint8_tensor_info *info) {
  qint8_tensor t = QINT8_TENSOR_INIT;
  t.dtype = info->dtype;
  t.rank = info->rank;
  memcpy(t.shape, info->shape, sizeof t.shape);
  t.data = calloc(count_of(&t) + 1, qint8_dtype_size((qint8_dtype)t.dtype));
  return t;
}

int main(int argc, char **argv) {
  const char *path = argc > 1 ? argv[1] : "examples/data/fmnist_mnv3s.onnx";
  qint8_error error = QINT8_ERROR_INIT;
  qint8_model *model = NULL;
  qint8_recipe *recipe = NULL; /* how a QDQ file says to quantize; stays NULL for a float file */
  qint8_plan *plan = NULL;
  qint8_session *session = NULL;
  qint8_status status = qint8_model_load_file(path, NULL, &model, &error);
  if (status == QINT8_OK)
    qint8_model_recipe(model, &recipe, NULL);
  if (status == QINT8_OK)
    status = qint8_plan_create(model, recipe, NULL, NULL, &plan, &error);
  if (status == QINT8_OK)
    status = qint8_session_create(plan, NULL, 0, NULL, &session, &error);
  if (status == QINT8_OK) {
    qint8_tensor_info in = QINT8_TENSOR_INFO_INIT, out = QINT8_TENSOR_INFO_INIT;
    qint8_plan_input(plan, 0, &in);
    qint8_plan_output(plan, 0, &out);
    qint8_tensor x = tensor_for(&in), y = tensor_for(&out); /* x: all zeros, an average image */
    const qint8_tensor *inputs[] = {&x}, *outputs[] = {&y};
    status = qint8_session_run(session, inputs, 1, outputs, 1, &error);
    for (size_t i = 0; status == QINT8_OK && i < count_of(&y); i++)
      printf("%s[%zu] = %.6f\n", out.name, i, (double)((float *)y.data)[i]);
    free(x.data);
    free(y.data);
  }
  if (status != QINT8_OK)
    fprintf(stderr, "%s: %s: %s\n", qint8_status_name(status), error.where, error.message);
  qint8_session_destroy(session);
  qint8_plan_destroy(plan);
  qint8_recipe_destroy(recipe);
  qint8_model_destroy(model);
  return status != QINT8_OK;
}
