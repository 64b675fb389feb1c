/* qoperator.c - the table of the dialect. */
#include "onnx/qoperator.h"

#include <string.h>

const q8_qoperator q8_qoperators[] = {
    {"QLinearConv", "", "Conv", 0, 2, 0, 6, 8, 0},
    {"QLinearMatMul", "", "MatMul", 0, 2, 0, 6, -1, 0},
    {"QGemm", Q8_MICROSOFT, "Gemm", 0, 2, 0, 7, 6, 0},
    {"QLinearAdd", Q8_MICROSOFT, "Add", 0, 2, 0, 6, -1, 0},
    {"QLinearMul", Q8_MICROSOFT, "Mul", 0, 2, 0, 6, -1, 0},
    {"QLinearSigmoid", Q8_MICROSOFT, "Sigmoid", 0, 1, 0, 3, -1, 0},
    {"QLinearLeakyRelu", Q8_MICROSOFT, "LeakyRelu", 0, 1, 0, 3, -1, 0},
    {"QLinearSoftmax", Q8_MICROSOFT, "Softmax", 0, 1, 0, 3, -1, 1},
    {"QLinearGlobalAveragePool", Q8_MICROSOFT, "GlobalAveragePool", 0, 1, 0, 3, -1, 0},
    {"QLinearAveragePool", Q8_MICROSOFT, "AveragePool", 0, 1, 0, 3, -1, 0},
    {"QLinearReduceMean", Q8_MICROSOFT, "ReduceMean", 0, 1, 0, 3, -1, 1},
    {"QLinearWhere", Q8_MICROSOFT, "Where", 1, 2, 1, 7, -1, 1},
    {"QLinearConcat", Q8_MICROSOFT, "Concat", 0, 0, 2, 0, -1, 0},
    {.name = NULL},
};

const q8_qoperator *q8_qoperator_find(const char *name, const char *domain) {
  if (!strcmp(domain, "ai.onnx"))
    domain = "";
  for (const q8_qoperator *q = q8_qoperators; q->name; q++)
    if (!strcmp(q->name, name) && !strcmp(q->domain, domain))
      return q;
  return NULL;
}

const q8_qoperator *q8_qoperator_of(const char *op) {
  for (const q8_qoperator *q = q8_qoperators; q->name; q++)
    if (!q->read_only && !strcmp(q->op, op))
      return q;
  return NULL;
}

int q8_qoperator_is(const char *op_type, const char *domain) {
  if (q8_qoperator_find(op_type, domain))
    return 1;
  if (!*domain || !strcmp(domain, "ai.onnx"))
    return !strcmp(op_type, "MatMulInteger") || !strcmp(op_type, "ConvInteger");
  return !strcmp(domain, Q8_MICROSOFT) &&
         (!strcmp(op_type, "MatMulIntegerToFloat") || !strcmp(op_type, "DynamicQuantizeMatMul"));
}

int q8_qoperator_moves(const char *op_type) {
  static const char *const names[] = {"MaxPool", "GlobalMaxPool", "Reshape", "Flatten", "Squeeze", "Unsqueeze",
                                      "Transpose", "Identity", "Slice", "Gather", "Split", "Concat", "Expand", "Tile",
                                      "DepthToSpace", "SpaceToDepth"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    if (!strcmp(op_type, names[i]))
      return 1;
  return 0;
}
