/* qoperator.c - the table of the dialect. */
#include "onnx/qoperator.h"

#include <string.h>

static const q8_qoperator table[] = {
    {"QLinearConv", 7, 0, 0, 2, 0, 6, 8, 0},
    {"QLinearMatMul", 7, 0, 0, 2, 0, 6, -1, 0},
    {"QGemm", 1, 1, 0, 2, 0, 7, 6, 0},
    {"QLinearAdd", 7, 1, 0, 2, 0, 6, -1, 0},
    {"QLinearMul", 7, 1, 0, 2, 0, 6, -1, 0},
    {"QLinearSigmoid", 7, 1, 0, 1, 0, 3, -1, 0},
    {"QLinearLeakyRelu", 7, 1, 0, 1, 0, 3, -1, 0},
    {"QLinearSoftmax", 7, 1, 0, 1, 0, 3, -1, 1},
    {"QLinearGlobalAveragePool", 7, 1, 0, 1, 0, 3, -1, 0},
    {"QLinearAveragePool", 7, 1, 0, 1, 0, 3, -1, 0},
    {"QLinearReduceMean", 7, 1, 0, 1, 0, 3, -1, 1},
    {"QLinearWhere", 7, 1, 1, 2, 1, 7, -1, 1},
    {"QLinearConcat", 7, 1, 0, 0, 2, 0, -1, 0},
};
#define ROWS (sizeof table / sizeof *table)

const q8_qoperator *q8_qoperator_find(const char *name) {
  for (const q8_qoperator *q = table; q < table + ROWS; q++)
    if (!strcmp(q->name, name))
      return q;
  return NULL;
}

const q8_qoperator *q8_qoperator_of(const char *op) {
  for (const q8_qoperator *q = table; q < table + ROWS; q++)
    if (!q->read_only && !strcmp(q8_qoperator_standard(q), op))
      return q;
  return NULL;
}

int q8_qoperator_is(const char *op_type, const char *domain) {
  const q8_qoperator *q = q8_qoperator_find(op_type);
  int microsoft = !strcmp(domain, Q8_MICROSOFT);
  if (*domain && !microsoft)
    return 0;
  return q ? q->microsoft == microsoft
           : q8_has_word(microsoft ? "MatMulIntegerToFloat DynamicQuantizeMatMul" : "MatMulInteger ConvInteger", op_type);
}

int q8_qoperator_moves(const char *op_type) {
  return q8_has_word("MaxPool GlobalMaxPool Reshape Flatten Squeeze Unsqueeze Transpose Identity Slice Gather Split Concat "
                     "Expand Tile DepthToSpace SpaceToDepth",
                     op_type);
}
