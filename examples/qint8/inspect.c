/* inspect.c - qint8 inspect: what a model is, and what stands in the way of int8. */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

#define NAMES_SHOWN 3 /* in text; JSON has all */

static const char *dtype_name(int32_t dtype) {
  switch (dtype) {
  case QINT8_DTYPE_F32:
    return "float32";
  case QINT8_DTYPE_F64:
    return "float64";
  case QINT8_DTYPE_U8:
    return "uint8";
  case QINT8_DTYPE_S8:
    return "int8";
  case QINT8_DTYPE_S32:
    return "int32";
  case QINT8_DTYPE_S64:
    return "int64";
  case QINT8_DTYPE_BOOL:
    return "bool";
  default:
    return "unknown";
  }
}

static void json_tensor(json *j, const qint8_tensor_info *info) {
  json_open(j, NULL, '{');
  json_text(j, "name", info->name);
  json_text(j, "dtype", dtype_name(info->dtype));
  json_open(j, "shape", '[');
  for (int d = 0; d < info->rank; d++) {
    if (info->shape[d] < 0)
      json_text(j, NULL, info->dim_name[d] ? info->dim_name[d] : "?");
    else
      json_integer(j, NULL, info->shape[d]);
  }
  json_close(j, ']');
  json_close(j, '}');
}

static void print_tensor(const char *what, const qint8_tensor_info *info) {
  printf("%-8s %s  %s [", what, info->name, dtype_name(info->dtype));
  for (int d = 0; d < info->rank; d++) {
    if (info->shape[d] < 0)
      printf("%s%s", d ? ", " : "", info->dim_name[d] ? info->dim_name[d] : "?");
    else
      printf("%s%lld", d ? ", " : "", (long long)info->shape[d]);
  }
  printf("]\n");
}

/* Nodes of one operator that have an int8 form, or stay float for the same reason. */
typedef struct op_count {
  const char *name, *obstacle;
  int count;
} op_count;

static int same_text(const char *a, const char *b) {
  return a == b || (a && b && !strcmp(a, b));
}

static int more_first(const void *a, const void *b) {
  const op_count *x = a, *y = b;
  return x->count != y->count ? y->count - x->count : strcmp(x->name, y->name);
}

static int count_ops(const qint8_model *model, op_count *ops, long long *parameters) {
  int kinds = 0;
  *parameters = 0;
  for (size_t i = 0; i < qint8_model_node_count(model); i++) {
    qint8_node_info node = QINT8_NODE_INFO_INIT;
    qint8_model_node(model, i, &node);
    *parameters += node.parameter_count;
    int k = 0;
    while (k < kinds && (strcmp(ops[k].name, node.op_type) || !same_text(ops[k].obstacle, node.int8_obstacle)))
      k++;
    if (k == kinds)
      ops[kinds++] = (op_count){node.op_type, node.int8_obstacle, 0};
    ops[k].count++;
  }
  qsort(ops, (size_t)kinds, sizeof *ops, more_first);
  return kinds;
}

/* Multiply-accumulates of one sample, or -1 with the reason on stderr if the model cannot be compiled. */
static long long count_macs(const qint8_model *model, qint8_error *error) {
  qint8_plan *plan;
  if (qint8_plan_create(model, NULL, NULL, NULL, &plan, error) != QINT8_OK)
    return -1;
  long long macs = qint8_plan_macs(plan);
  qint8_plan_destroy(plan);
  return macs;
}

/* Operators by name, whatever their int8 form. */
static void json_ops(json *j, const op_count *ops, int kinds) {
  json_open(j, "ops", '{');
  for (int k = 0; k < kinds; k++) {
    int total = 0, seen = 0;
    for (int i = 0; i < kinds; i++)
      if (!strcmp(ops[i].name, ops[k].name)) {
        total += ops[i].count;
        seen |= i < k;
      }
    if (!seen)
      json_integer(j, ops[k].name, total);
  }
  json_close(j, '}');
}

static void write_json(const qint8_model *model, const op_count *ops, int kinds, long long parameters, long long macs,
                       int quantized, const qint8_error *error) {
  json j;
  qint8_tensor_info info = QINT8_TENSOR_INFO_INIT;
  json_begin(&j, stdout);
  json_open(&j, NULL, '{');
  json_open(&j, "inputs", '[');
  for (size_t i = 0; qint8_model_input(model, i, &info) == QINT8_OK; i++)
    json_tensor(&j, &info);
  json_close(&j, ']');
  json_open(&j, "outputs", '[');
  for (size_t i = 0; qint8_model_output(model, i, &info) == QINT8_OK; i++)
    json_tensor(&j, &info);
  json_close(&j, ']');
  json_integer(&j, "opset", qint8_model_opset(model));
  json_text(&j, "quantized", quantized ? "yes" : "no");
  json_integer(&j, "nodes", (long long)qint8_model_node_count(model));
  json_integer(&j, "parameters", parameters);
  json_integer(&j, "macs", macs);
  if (macs < 0) {
    json_open(&j, "cannot_run", '{');
    json_text(&j, "name", error->where);
    json_text(&j, "why", error->message);
    json_close(&j, '}');
  }
  json_ops(&j, ops, kinds);
  json_open(&j, "not_int8", '[');
  for (size_t i = 0; i < qint8_model_node_count(model); i++) {
    qint8_node_info node = QINT8_NODE_INFO_INIT;
    qint8_model_node(model, i, &node);
    if (!node.int8_obstacle)
      continue;
    json_open(&j, NULL, '{');
    json_text(&j, "name", node.name);
    json_text(&j, "op", node.op_type);
    json_text(&j, "why", node.int8_obstacle);
    json_close(&j, '}');
  }
  json_close(&j, ']');
  json_close(&j, '}');
  json_end(&j);
}

/* The first nodes of a row, by name. */
static void print_names(const qint8_model *model, const op_count *row) {
  int shown = 0;
  printf("%-22s %6s  ", "", "");
  for (size_t i = 0; i < qint8_model_node_count(model) && shown < NAMES_SHOWN; i++) {
    qint8_node_info node = QINT8_NODE_INFO_INIT;
    qint8_model_node(model, i, &node);
    if (!strcmp(node.op_type, row->name) && same_text(node.int8_obstacle, row->obstacle))
      printf("%s%s", shown++ ? ", " : "", node.name);
  }
  if (row->count > shown)
    printf(" and %d more", row->count - shown);
  printf("\n");
}

static void write_text(const qint8_model *model, const op_count *ops, int kinds, long long parameters, long long macs,
                       int quantized, const qint8_error *error) {
  qint8_tensor_info info = QINT8_TENSOR_INFO_INIT;
  for (size_t i = 0; qint8_model_input(model, i, &info) == QINT8_OK; i++)
    print_tensor("input", &info);
  for (size_t i = 0; qint8_model_output(model, i, &info) == QINT8_OK; i++)
    print_tensor("output", &info);
  printf("opset %lld, %zu operators after folding, %lld parameters, %s\n", (long long)qint8_model_opset(model),
         qint8_model_node_count(model), parameters, quantized ? "quantized (QDQ)" : "float");
  if (macs >= 0)
    printf("%lld multiply-accumulates per sample\n", macs);
  else
    printf("cannot run: %s: %s\n", error->where, error->message);
  printf("\n%-22s %6s  %s\n", "operator", "count", "int8");
  for (int k = 0; k < kinds; k++) {
    printf("%-22s %6d  %s%s\n", ops[k].name, ops[k].count, ops[k].obstacle ? "stays float: " : "yes",
           ops[k].obstacle ? ops[k].obstacle : "");
    if (ops[k].obstacle)
      print_names(model, &ops[k]);
  }
}

int command_inspect(int argc, char **argv) {
  int as_json = 0;
  const char *words[1];
  const option options[] = {{"--json", NULL, "one JSON object on stdout", OPTION_FLAG, &as_json}};
  const command_line line = {
      "qint8 inspect MODEL [--json]",
      "Shows inputs and outputs, the operators after folding and pattern recognition, parameters and\n"
      "multiply-accumulates, and for each operator whether it has an int8 form or why it stays float, and in which\n"
      "nodes; --json lists them all. A model that cannot run is refused with the nodes and a remedy.\n\n"
      "example: qint8 inspect mobilenet.onnx",
      options,
      COUNT(options),
      1,
      1};
  int stop = parse_options(&line, argc, argv, words);
  if (stop)
    return stop - 1;
  qint8_model *model;
  qint8_recipe *recipe;
  if (model_open(words[0], NULL, &model, &recipe))
    return EXIT_FAILED;
  op_count *ops = allocate(qint8_model_node_count(model) + 1, sizeof *ops);
  long long parameters;
  int kinds = count_ops(model, ops, &parameters);
  qint8_error error = QINT8_ERROR_INIT;
  long long macs = count_macs(model, &error);
  (as_json ? write_json : write_text)(model, ops, kinds, parameters, macs, recipe != NULL, &error);
  free(ops);
  qint8_recipe_destroy(recipe);
  qint8_model_destroy(model);
  return EXIT_DONE;
}
