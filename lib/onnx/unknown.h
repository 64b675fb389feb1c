/* unknown.h - the operators of a file that cannot run, collected for one message. */
#ifndef Q8_ONNX_UNKNOWN_H
#define Q8_ONNX_UNKNOWN_H

#include "base/status.h"

#define Q8_UNKNOWN_KINDS 6

typedef struct q8_unknown {
  struct {
    char op[56];    /* "Scan", "com.microsoft.Attention" */
    char nodes[48]; /* the first ones, by name */
    int count, named;
  } kinds[Q8_UNKNOWN_KINDS];
  int kind_count, more; /* more: kinds that found no room */
  const char *first;    /* node */
} q8_unknown;

void q8_unknown_add(q8_unknown *list, const char *op_type, const char *domain, const char *node);
/* OK if there are none; else UNSUPPORTED: which operators, in which nodes, and what to do about it. */
q8_status q8_unknown_report(const q8_unknown *list, qint8_error *error);

#endif
