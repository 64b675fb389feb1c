/* run_models.c - runs models on inputs from files, for the comparison with ONNX Runtime (compare.js).
 *
 *   run_models BASE...
 * reads BASE.onnx and BASE.in (the values of all inputs, one behind the other), writes BASE.out (the values of all
 * outputs) and prints one line per model: "BASE int8 dynamic fp32", the steps of each precision that
 * multiply, add or pool. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qint8.h"

#define MAX_TENSORS 256

typedef struct tensors {
  qint8_tensor views[MAX_TENSORS];
  const qint8_tensor *list[MAX_TENSORS];
  size_t count;
} tensors;

static int failed(const char *base, const qint8_error *error) {
  fprintf(stderr, "%s: %s: %s\n", base, error->where, error->message);
  return 1;
}

static size_t size_of(const qint8_tensor *t) {
  size_t size = qint8_dtype_size((qint8_dtype)t->dtype);
  for (int32_t d = 0; d < t->rank; d++)
    size *= (size_t)t->shape[d];
  return size;
}

/* Views of all inputs or outputs of the plan, with memory; 0 if there are too many. */
static int open_tensors(const qint8_plan *plan, qint8_status (*info_of)(const qint8_plan *, size_t, qint8_tensor_info *),
                        tensors *t) {
  qint8_tensor_info info = QINT8_TENSOR_INFO_INIT;
  for (; info_of(plan, t->count, &info) == QINT8_OK; t->count++) {
    qint8_tensor *view = &t->views[t->count];
    if (t->count == MAX_TENSORS - 1)
      return 0;
    *view = (qint8_tensor)QINT8_TENSOR_INIT;
    view->dtype = info.dtype;
    view->rank = info.rank;
    memcpy(view->shape, info.shape, sizeof info.shape);
    view->data = calloc(size_of(view) + 1, 1);
    t->list[t->count] = view;
  }
  return 1;
}

static void close_tensors(tensors *t) {
  for (size_t i = 0; i < t->count; i++)
    free(t->views[i].data);
}

static int transfer(const char *base, const char *suffix, const char *mode, tensors *t) {
  char path[1024];
  int fine = 1;
  snprintf(path, sizeof path, "%s%s", base, suffix);
  FILE *file = fopen(path, mode);
  for (size_t i = 0; file && i < t->count; i++) {
    size_t size = size_of(&t->views[i]);
    fine &= (*mode == 'r' ? fread(t->views[i].data, 1, size, file) : fwrite(t->views[i].data, 1, size, file)) == size;
  }
  if (!file || fclose(file) || !fine)
    return fprintf(stderr, "%s: cannot be read or written whole\n", path), 1;
  return 0;
}

static void print_steps(const char *base, const qint8_plan *plan) {
  static const char *const aside[] = {"quantize", "dequantize", "transpose", "copy", "convert"};
  int int8 = 0, dynamic = 0, fp32 = 0;
  for (size_t i = 0; i < qint8_plan_step_count(plan); i++) {
    qint8_step_info step = QINT8_STEP_INFO_INIT;
    int counts = qint8_plan_step(plan, i, &step) == QINT8_OK;
    for (size_t j = 0; j < sizeof aside / sizeof aside[0]; j++)
      counts &= strcmp(step.kind, aside[j]) != 0;
    int8 += counts && !strcmp(step.precision, "int8");
    dynamic += counts && !strcmp(step.precision, "dynamic");
    fp32 += counts && !strcmp(step.precision, "fp32");
    if (counts && !strcmp(step.precision, "fp32") && getenv("SHOW_FP32"))
      fprintf(stderr, "%s: %s %s %s\n", base, step.name, step.kind, step.note);
  }
  printf("%s %d %d %d\n", base, int8, dynamic, fp32);
}

static int run_model(const char *base) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_model *model = NULL;
  qint8_recipe *recipe = NULL;
  qint8_plan *plan = NULL;
  qint8_session *session = NULL;
  tensors in = {0}, out = {0};
  char path[1024];
  snprintf(path, sizeof path, "%s.onnx", base);
  int status = qint8_model_load_file(path, NULL, &model, &error) != QINT8_OK;
  if (!status)
    qint8_model_recipe(model, &recipe, NULL);
  status = status || qint8_plan_create(model, recipe, NULL, NULL, &plan, &error) != QINT8_OK ||
           qint8_session_create(plan, NULL, 0, NULL, &session, &error) != QINT8_OK;
  if (status)
    failed(base, &error);
  else if (!open_tensors(plan, qint8_plan_input, &in) || !open_tensors(plan, qint8_plan_output, &out))
    status = (fprintf(stderr, "%s: more than %d inputs or outputs\n", base, MAX_TENSORS - 1), 1);
  else
    status = transfer(base, ".in", "rb", &in);
  if (!status && qint8_session_run(session, in.list, in.count, out.list, out.count, &error) != QINT8_OK)
    status = failed(base, &error);
  status = status || transfer(base, ".out", "wb", &out);
  if (!status)
    print_steps(base, plan);
  close_tensors(&in);
  close_tensors(&out);
  qint8_session_destroy(session);
  qint8_plan_destroy(plan);
  qint8_recipe_destroy(recipe);
  qint8_model_destroy(model);
  return status;
}

int main(int argc, char **argv) {
  int status = 0;
  for (int i = 1; i < argc; i++)
    status |= run_model(argv[i]);
  return status;
}
