/* qoperator.h - the QOperator dialect: operators that read and write integers, with scales and zero points as inputs.
 *
 * Each says the same as a float operator between DequantizeLinear and QuantizeLinear, so import first rewrites the node
 * list into QDQ form (qoperator_in.c) and export writes them where QDQ form has all parts (qoperator_out.c).
 */
#ifndef Q8_ONNX_QOPERATOR_H
#define Q8_ONNX_QOPERATOR_H

#include "onnx/importer.h"

#define Q8_MICROSOFT "com.microsoft"

/* Places of the inputs. Data inputs are triples (integers, scale, zero point); the output's scale and zero point stand
 * together. */
typedef struct q8_qoperator {
  char name[25];    /* "Q" or "QLinear" and the name of the standard operator */
  int8_t prefix;    /* the length of that */
  int8_t microsoft; /* of that domain, not of ai.onnx */
  int8_t plain;     /* inputs in front that are no integers of a scale: Where's condition */
  int8_t triples;   /* data inputs; 0: as many as there are */
  int8_t first;     /* place of the first triple; the others follow it */
  int8_t y;         /* place of the output's scale */
  int8_t bias;      /* s32 with the scale of the accumulators, -1: none */
  int8_t read_only; /* ONNX Runtime has no such kernel */
} q8_qoperator;

/* By QOperator name, or NULL; by the name of the standard operator, of those that are written, or NULL. */
const q8_qoperator *q8_qoperator_find(const char *name);
const q8_qoperator *q8_qoperator_of(const char *op);
static inline const char *q8_qoperator_standard(const q8_qoperator *q) {
  return q->name + q->prefix;
}

/* Whether a node of the file is read by qoperator_in.c: one of the table, or MatMulInteger, ConvInteger, ... */
int q8_qoperator_is(const char *op_type, const char *domain);
/* Whether the standard operator moves or selects values, so that it means the same on integers. */
int q8_qoperator_moves(const char *op_type);

/* qoperator_in.c: the node list in QDQ form. */
q8_status q8_import_qoperators(q8_importer *importer);

#endif
