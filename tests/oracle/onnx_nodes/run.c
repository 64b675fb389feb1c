/* run.c - one backend test through the public API, as a user would run it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nodes.h"

#define MAX_TENSORS 64

typedef struct tensors {
  qint8_tensor value[MAX_TENSORS];
  const qint8_tensor *pointer[MAX_TENSORS];
  size_t count;
} tensors;

static void tensors_free(tensors *t) {
  for (size_t i = 0; i < t->count; i++)
    free(t->value[i].data);
  t->count = 0;
}

/* In front of the advice. */
static void drop_parentheses(char *text) {
  char *to = text;
  int inside = 0, advice = 0;
  for (const char *c = text; *c; c++) {
    advice |= *c == ';';
    inside |= !advice && *c == ' ' && c[1] == '(';
    if (!inside)
      *to++ = *c;
    inside &= *c != ')';
  }
  *to = 0;
}

static void set(node_result *result, node_outcome outcome, const char *reason) {
  result->outcome = (int32_t)outcome;
  snprintf(result->reason, sizeof result->reason, "%.319s", reason);
  if (!strncmp(reason, "operators that are not supported", 32)) /* names of nodes would make each reason another one */
    drop_parentheses(result->reason);
}

/* UNSUPPORTED is what the library says of itself; every other status on a valid model is a failure. */
static int failed(node_result *result, qint8_status status, const qint8_error *error) {
  if (status == QINT8_OK)
    return 0;
  char text[640];
  if (status == QINT8_ERROR_UNSUPPORTED)
    snprintf(text, sizeof text, "%s", error->message);
  else
    snprintf(text, sizeof text, "%s, %s: %s", qint8_status_name(status), error->where, error->message);
  set(result, status == QINT8_ERROR_UNSUPPORTED ? NODE_UNSUPPORTED : NODE_FAILED, text);
  return 1;
}

static int read_all(const char *set_folder, const char *kind, size_t count, tensors *out, node_result *result) {
  char path[600], reason[200];
  for (size_t i = 0; i < count; i++) {
    snprintf(path, sizeof path, "%s/%s_%zu.pb", set_folder, kind, i);
    if (i >= MAX_TENSORS || !node_read_tensor(path, &out->value[i], reason, sizeof reason))
      return set(result, NODE_UNSUPPORTED, reason), 0;
    out->pointer[i] = &out->value[i];
    out->count = i + 1;
  }
  return 1;
}

/* The files give bfloat16 as uint16, which ONNX's Python code had no type for; some declare another shape than theirs. */
static int match_declaration(qint8_tensor *file, const qint8_tensor_info *info, node_result *result) {
  if (file->dtype == QINT8_DTYPE_U16 && info->dtype == QINT8_DTYPE_BF16)
    file->dtype = QINT8_DTYPE_BF16;
  int fits = info->rank < 0 || file->rank == info->rank;
  for (int d = 0; fits && d < info->rank; d++)
    fits = info->shape[d] < 0 || info->shape[d] == file->shape[d];
  if (!fits)
    set(result, NODE_UNSUPPORTED, "the test's data contradict the shape that its model declares");
  return fits;
}

static int match_inputs(const qint8_model *model, tensors *inputs, node_result *result) {
  for (size_t i = 0; i < inputs->count; i++) {
    qint8_tensor_info info = QINT8_TENSOR_INFO_INIT;
    qint8_model_input(model, i, &info);
    if (!match_declaration(&inputs->value[i], &info, result))
      return 0;
  }
  return 1;
}

/* Compiles; where the operators need values that are inputs here (shapes, axes, indices), binds them: first the integers
 * of rank 0 and 1, then everything. */
static qint8_plan *compile(const qint8_model *model, const tensors *inputs, node_result *result) {
  const qint8_tensor *values[MAX_TENSORS];
  qint8_plan *plan = NULL;
  qint8_error error = QINT8_ERROR_INIT;
  qint8_status status = QINT8_OK;
  for (result->bound = 0; result->bound <= 2; result->bound++) {
    for (size_t i = 0; i < inputs->count; i++) {
      const qint8_tensor *x = &inputs->value[i];
      int integer = x->dtype == QINT8_DTYPE_S64 || x->dtype == QINT8_DTYPE_S32;
      values[i] = result->bound == 2 || (result->bound == 1 && integer && x->rank <= 1) ? x : NULL;
    }
    qint8_plan_options options = QINT8_PLAN_OPTIONS_INIT;
    options.input_shapes = inputs->pointer;
    options.input_values = values;
    options.input_shape_count = options.input_value_count = inputs->count;
    status = qint8_plan_create(model, NULL, &options, NULL, &plan, &error);
    if (status == QINT8_OK)
      return plan;
  }
  failed(result, status, &error);
  return NULL;
}

static int run_plan(const qint8_plan *plan, const tensors *inputs, tensors *outputs, node_result *result) {
  for (size_t i = 0; i < outputs->count; i++) {
    qint8_tensor_info info = QINT8_TENSOR_INFO_INIT;
    qint8_tensor *y = &outputs->value[i];
    size_t size = 1;
    qint8_plan_output(plan, i, &info);
    *y = (qint8_tensor){.struct_size = sizeof *y, .dtype = info.dtype, .rank = info.rank};
    memcpy(y->shape, info.shape, sizeof y->shape);
    for (int d = 0; d < y->rank; d++)
      size *= (size_t)y->shape[d];
    y->data = calloc(size * qint8_dtype_size((qint8_dtype)y->dtype) + 1, 1);
    outputs->pointer[i] = y;
  }
  qint8_session *session;
  qint8_error error = QINT8_ERROR_INIT;
  qint8_status status = qint8_session_create(plan, NULL, 0, NULL, &session, &error);
  if (status == QINT8_OK)
    status = qint8_session_run(session, inputs->pointer, inputs->count, outputs->pointer, outputs->count, &error);
  qint8_session_destroy(session);
  return !failed(result, status, &error);
}

static void run_set(const qint8_model *model, const char *set_folder, node_result *result) {
  static tensors inputs, outputs, expected; /* large; one test per process */
  char reason[250], text[320];
  inputs.count = expected.count = 0;
  if (read_all(set_folder, "input", qint8_model_input_count(model), &inputs, result) &&
      read_all(set_folder, "output", qint8_model_output_count(model), &expected, result) &&
      match_inputs(model, &inputs, result)) {
    qint8_plan *plan = compile(model, &inputs, result);
    outputs = (tensors){.count = plan ? expected.count : 0};
    if (plan && run_plan(plan, &inputs, &outputs, result)) {
      set(result, NODE_PASSED, "");
      for (size_t i = 0; i < outputs.count && result->outcome == NODE_PASSED; i++) {
        if (outputs.value[i].dtype == QINT8_DTYPE_BF16)
          expected.value[i].dtype = QINT8_DTYPE_BF16;
        if (!node_equal(&outputs.value[i], &expected.value[i], reason, sizeof reason)) {
          snprintf(text, sizeof text, "output %zu: %s", i, reason);
          int bf16 = outputs.value[i].dtype == QINT8_DTYPE_BF16;
          set(result, bf16 ? NODE_UNSUPPORTED : NODE_FAILED,
              bf16 ? "the data are cut off to bfloat16; here, as in ONNX since 1.13, they are rounded" : text);
        }
      }
    }
    qint8_plan_destroy(plan);
    tensors_free(&outputs);
  }
  tensors_free(&inputs);
  tensors_free(&expected);
}

void node_run(const char *folder, node_result *result) {
  char path[512], set_folder[512];
  qint8_model *model;
  qint8_error error = QINT8_ERROR_INIT;
  *result = (node_result){.outcome = NODE_FAILED};
  snprintf(path, sizeof path, "%s/model.onnx", folder);
  node_read_op(path, result->op, sizeof result->op);
  if (failed(result, qint8_model_load_file(path, NULL, &model, &error), &error))
    return;
  set(result, NODE_FAILED, "the folder has no data");
  for (int i = 0;; i++) {
    snprintf(set_folder, sizeof set_folder, "%s/test_data_set_%d", folder, i);
    if (access(set_folder, R_OK) != 0)
      break;
    run_set(model, set_folder, result);
    if (result->outcome != NODE_PASSED)
      break;
  }
  qint8_model_destroy(model);
}
