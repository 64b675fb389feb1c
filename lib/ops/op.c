/* op.c - the list of operators and what is done with their attribute tables. */
#include "ops/op.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ops/hooks.h"

#define Q8_OP(name) extern const q8_op q8_op_##name;
#include "ops/ops.def"
#undef Q8_OP

const q8_op *const q8_op_list[] = {
#define Q8_OP(name) &q8_op_##name,
#include "ops/ops.def"
#undef Q8_OP
};
const size_t q8_op_count = sizeof q8_op_list / sizeof q8_op_list[0];

static int is_standard(const char *domain) {
  return !domain || !*domain || !strcmp(domain, "ai.onnx");
}

const q8_op *q8_op_find(const char *name, const char *domain) {
  int pattern = !is_standard(domain);
  if (pattern && strcmp(domain, "qint8") != 0)
    return NULL;
  for (size_t i = 0; i < q8_op_count; i++)
    if (q8_op_list[i]->pattern == pattern && !strcmp(q8_op_list[i]->name, name))
      return q8_op_list[i];
  return NULL;
}

const q8_op_extras *q8_extras(const q8_op *op) {
  static const q8_op_extras none;
  return op->family && op->family->extras ? op->family->extras : &none;
}

int32_t q8_weight_axis(const q8_node *node) {
  return node->op->family->extras->weight_axis(node);
}

size_t q8_op_params_size(const struct q8_op *op) {
  return op->params_size;
}

const char *q8_attribute_text(const q8_attribute *attribute) {
  return attribute->type == Q8_ATTR_STRING ? attribute->name + strlen(attribute->name) + 1 : "";
}

void q8_op_defaults(const q8_op *op, void *params) {
  if (op->params_size)
    memset(params, 0, op->params_size);
  for Q8_EACH_ATTRIBUTE(a, op) {
    char *field = (char *)params + a->offset;
    switch (a->type) {
    case Q8_ATTR_INT:
      *(int64_t *)(void *)field = (int64_t)a->preset;
      break;
    case Q8_ATTR_FLOAT:
      *(float *)(void *)field = (float)a->preset;
      break;
    case Q8_ATTR_INTS:
      ((q8_ints *)(void *)field)->count = -1;
      break;
    case Q8_ATTR_STRING:
      snprintf(field, 32, "%s", q8_attribute_text(a));
      break;
    case Q8_ATTR_SCALAR:
      ((q8_scalar *)(void *)field)->dtype = QINT8_DTYPE_NONE;
      break;
    case Q8_ATTR_FLOATS:
      ((q8_floats *)(void *)field)->count = -1;
      break;
    case Q8_ATTR_TEXT:
    case Q8_ATTR_STRINGS: /* "" */
      break;
    }
  }
}

const q8_attribute *q8_op_attribute(const q8_op *op, const char *name) {
  for Q8_EACH_ATTRIBUTE(a, op)
    if (!strcmp(a->name, name))
      return a;
  return NULL;
}

void *q8_op_field(const q8_op *op, const void *params, const char *name) {
  const q8_attribute *a = q8_op_attribute(op, name);
  return a ? (char *)(uintptr_t)params + a->offset : NULL;
}

int64_t q8_op_int(const q8_op *op, const void *params, const char *name, int64_t otherwise) {
  const int64_t *field = q8_op_field(op, params, name);
  return field ? *field : otherwise;
}

int q8_has_word(const char *words, const char *word) {
  const size_t length = strlen(word);
  for (const char *at = words; length && (at = strstr(at, word)); at += length)
    if ((at == words || at[-1] == ' ') && (at[length] == ' ' || !at[length]))
      return 1;
  return 0;
}

int q8_is_op(const q8_node *node, const char *names) {
  return !node->op->pattern && q8_has_word(names, node->op->name);
}

float q8_op_float(const q8_op *op, const void *params, const char *name, float otherwise) {
  const q8_attribute *a = q8_op_attribute(op, name);
  if (!a || a->type != Q8_ATTR_FLOAT)
    return otherwise;
  return *(const float *)(const void *)((const char *)params + a->offset);
}

int q8_node_clamp(const q8_node *node, float *lo, float *hi) {
  *lo = q8_op_float(node->op, node->params, "activation_lo", -INFINITY);
  *hi = q8_op_float(node->op, node->params, "activation_hi", INFINITY);
  return *lo > -INFINITY || *hi < INFINITY;
}
