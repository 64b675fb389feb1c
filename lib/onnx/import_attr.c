/* import_attr.c - AttributeProto into the fields of an operator's params struct, through its table. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/element.h"
#include "onnx/importer.h"

const uint8_t q8_onnx_types[] = {
    [Q8_ATTR_INT] = Q8_TYPE_INT,       [Q8_ATTR_FLOAT] = Q8_TYPE_FLOAT,   [Q8_ATTR_INTS] = Q8_TYPE_INTS,
    [Q8_ATTR_STRING] = Q8_TYPE_STRING, [Q8_ATTR_SCALAR] = Q8_TYPE_TENSOR, [Q8_ATTR_FLOATS] = Q8_TYPE_FLOATS,
    [Q8_ATTR_TEXT] = Q8_TYPE_STRING,   [Q8_ATTR_STRINGS] = Q8_TYPE_STRINGS};

typedef struct raw_attribute {
  q8_message fields;
  q8_reader bytes;
  const char *name;
  int64_t type; /* AttributeProto.type; guessed from what is there in files without it */
} raw_attribute;

static q8_status read_attribute(q8_importer *importer, q8_reader bytes, const char *where, raw_attribute *out) {
  const q8_field *f = out->fields;
  Q8_TRY(q8_import_message(importer, bytes, where, out->fields));
  Q8_TRY(q8_import_string(importer, &f[Q8_ATTRIBUTE_NAME], where, &out->name));
  if (f[Q8_ATTRIBUTE_G].number || f[Q8_ATTRIBUTE_GRAPHS].number || f[Q8_ATTRIBUTE_REFERENCE].number)
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, where,
                   "attribute %s is a subgraph or a function parameter", out->name);
  out->bytes = bytes;
  out->type = (int64_t)f[Q8_ATTRIBUTE_TYPE].value;
  for (int64_t type = Q8_TYPE_FLOAT; type <= Q8_TYPE_STRINGS && !f[Q8_ATTRIBUTE_TYPE].value; type++)
    if (f[type - Q8_TYPE_FLOAT + Q8_ATTRIBUTE_F].number) /* fields and types stand in the same order */
      out->type = type;
  return QINT8_OK;
}

/* The elements of the attribute's floats, or ints, as far as there is room; *count is how many there are. */
static q8_status read_numbers(const q8_importer *importer, const raw_attribute *a, uint32_t number, int is_float,
                              const char *where, void *out, size_t room, size_t *count) {
  q8_reader bytes = a->bytes;
  q8_field field;
  uint64_t bits;
  *count = 0;
  while (q8_wire_find(&bytes, number, &field)) {
    q8_wire_result result;
    while ((result = q8_wire_number(&field, is_float ? Q8_WIRE_FIXED32 : Q8_WIRE_VARINT, &bits)) == Q8_WIRE_FIELD) {
      if (*count < room && is_float)
        ((float *)out)[*count] = q8_wire_float(bits);
      else if (*count < room)
        ((int64_t *)out)[*count] = (int64_t)bits;
      ++*count;
    }
    if (result == Q8_WIRE_BAD)
      return q8_bad_wire(importer, field.bytes.at, where);
  }
  return QINT8_OK;
}

/* ---- Into params ---- */

/* An attribute that the table does not have: some change nothing in inference, or nothing if they hold this value. */
static q8_status skip(const q8_importer *importer, const raw_attribute *a, const q8_raw_node *node) {
  static const char ones[] = "stash_type is_test spatial";
  static const char zeros[] = "storage_order input_forget layout allowzero select_last_index training_mode channels_last";
  int64_t value = (int64_t)a->fields[Q8_ATTRIBUTE_I].value, wanted = -1;
  char text[32] = "";
  if (q8_has_word("momentum saturate consumed_inputs", a->name))
    return QINT8_OK;
  if (a->type == Q8_TYPE_INT && !strcmp(a->name, "opset")) /* whose axes a QLinearSoftmax has */
    wanted = (value < 13) == (importer->graph->opset < 13) ? value : !value;
  else if (a->type == Q8_TYPE_INT)
    wanted = q8_has_word(ones, a->name) ? 1 : q8_has_word(zeros, a->name) ? 0 : -1;
  if (wanted >= 0 && value == wanted)
    return QINT8_OK;
  if (wanted >= 0)
    snprintf(text, sizeof text, " = %" PRId64, value);
  return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, node->name, "attribute %.64s%s of %s is not supported",
                 a->name, text, node->op_type);
}

/* A string, or strings joined by commas. */
static q8_status store_text(const q8_importer *importer, const raw_attribute *a, const char *where, char *out,
                            size_t room) {
  q8_reader bytes = a->bytes;
  q8_field field;
  size_t used = 0;
  uint32_t number = a->type == Q8_TYPE_STRINGS ? Q8_ATTRIBUTE_STRINGS : Q8_ATTRIBUTE_S;
  while (q8_wire_find(&bytes, number, &field)) {
    size_t size = q8_reader_size(&field.bytes), comma = used > 0;
    if (number == Q8_ATTRIBUTE_S)
      used = comma = 0; /* the last counts */
    if (used + comma + size >= room || (size && memchr(field.bytes.at, 0, size)))
      return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, where, "attribute %s has %s", a->name,
                     number == Q8_ATTRIBUTE_S ? "an unknown value" : "a long list of strings");
    if (comma)
      out[used] = ',';
    if (size)
      memcpy(out + used + comma, field.bytes.at, size);
    used += comma + size;
  }
  out[used] = 0;
  return QINT8_OK;
}

static q8_status store_scalar(q8_importer *importer, const raw_attribute *a, const char *where, q8_scalar *out) {
  q8_raw_tensor tensor;
  Q8_TRY(q8_import_tensor(importer, a->fields[Q8_ATTRIBUTE_T].bytes, where, &tensor));
  if (q8_shape_count(&tensor.shape, NULL) != 1)
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, where, "attribute %s has more or less than one element",
                   a->name);
  *out = (q8_scalar){.dtype = tensor.dtype};
  out->f = q8_element_double(tensor.dtype, tensor.data, 0);
  out->i = q8_element_int(tensor.dtype, tensor.data, 0);
  return QINT8_OK;
}

static q8_status store_list(const q8_importer *importer, const raw_attribute *a, int is_float, const char *where,
                            void *out) {
  q8_floats *floats = out;
  q8_ints *ints = out;
  size_t count;
  Q8_TRY(read_numbers(importer, a, is_float ? Q8_ATTRIBUTE_FLOATS : Q8_ATTRIBUTE_INTS, is_float, where,
                      is_float ? (void *)floats->v : ints->v, Q8_MAX_INTS, &count));
  if (count > Q8_MAX_INTS)
    return q8_fail(importer->error, QINT8_ERROR_LIMIT, where, "attribute %s has more than %d values", a->name,
                   Q8_MAX_INTS);
  *(is_float ? &floats->count : &ints->count) = (int32_t)count;
  return QINT8_OK;
}

/* An AttributeProto.AttributeType in words. */
static const char *type_name(int64_t type) {
  static const char names[][11] = {"of no type", "float",  "int",  "string", "tensor",
                                   "graph",      "floats", "ints", "strings"};
  return type > 0 && type < (int64_t)(sizeof names / sizeof names[0]) ? names[type] : names[0];
}

static q8_status store(q8_importer *importer, const raw_attribute *a, const q8_attribute *entry, const char *where,
                       void *params) {
  void *field = (char *)params + entry->offset;
  int64_t expected = q8_onnx_types[entry->type];
  if (a->type != expected && !(a->type == Q8_TYPE_STRINGS && entry->type == Q8_ATTR_STRING))
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, where, "attribute %s is %s, expected %s", a->name,
                   type_name(a->type), type_name(expected));
  switch (entry->type) {
  case Q8_ATTR_INT:
    *(int64_t *)field = (int64_t)a->fields[Q8_ATTRIBUTE_I].value;
    return QINT8_OK;
  case Q8_ATTR_FLOAT:
    *(float *)field = q8_wire_float(a->fields[Q8_ATTRIBUTE_F].value);
    return QINT8_OK;
  case Q8_ATTR_INTS:
  case Q8_ATTR_FLOATS:
    return store_list(importer, a, entry->type == Q8_ATTR_FLOATS, where, field);
  case Q8_ATTR_STRING:
    return store_text(importer, a, where, field, 32);
  case Q8_ATTR_TEXT:
  case Q8_ATTR_STRINGS:
    return store_text(importer, a, where, field, Q8_TEXT_SIZE);
  default:
    return store_scalar(importer, a, where, field);
  }
}

static const q8_attribute *find_entry(const q8_op *op, const char *name) {
  for Q8_EACH_ATTRIBUTE(a, op)
    if (a->place != Q8_INTERNAL && !strcmp(a->name, name))
      return a;
  return NULL;
}

static q8_status check_required(const q8_importer *importer, const q8_op *op, uint64_t seen, const char *where) {
  for Q8_EACH_ATTRIBUTE(a, op)
    if (a->required && a->place != Q8_INTERNAL && !(seen >> (a - op->attributes) & 1))
      return q8_fail(importer->error, QINT8_ERROR_FORMAT, where, "attribute %s of %s is missing", a->name, op->name);
  return QINT8_OK;
}

q8_status q8_import_attributes(q8_importer *importer, const q8_raw_node *node, const q8_op *op, void *params) {
  q8_reader bytes = node->bytes;
  q8_field field;
  uint64_t seen = 0; /* a bit for each of the table, at most 63 */
  q8_op_defaults(op, params);
  while (q8_wire_find(&bytes, Q8_NODE_ATTRIBUTE, &field)) {
    raw_attribute a;
    Q8_TRY(read_attribute(importer, field.bytes, node->name, &a));
    const q8_attribute *entry = find_entry(op, a.name);
    if (!entry) {
      Q8_TRY(skip(importer, &a, node));
      continue;
    }
    const uint64_t bit = (uint64_t)1 << (entry - op->attributes);
    if (seen & bit)
      return q8_fail(importer->error, QINT8_ERROR_FORMAT, node->name, "attribute %s is given twice", a.name);
    seen |= bit;
    Q8_TRY(store(importer, &a, entry, node->name, params));
  }
  return check_required(importer, op, seen, node->name);
}

/* ---- Constant nodes ---- */

/* value_float(s), value_int(s): a scalar or a 1-D tensor. */
static q8_status number_tensor(q8_importer *importer, const raw_attribute *a, int is_float, const char *where,
                               q8_raw_tensor *out) {
  int is_list = a->name[strlen(a->name) - 1] == 's';
  uint32_t number = is_list ? (is_float ? Q8_ATTRIBUTE_FLOATS : Q8_ATTRIBUTE_INTS)
                            : (is_float ? Q8_ATTRIBUTE_F : Q8_ATTRIBUTE_I);
  size_t room, count;
  Q8_TRY(read_numbers(importer, a, number, is_float, where, NULL, 0, &room));
  *out = (q8_raw_tensor){.name = "", .dtype = is_float ? QINT8_DTYPE_F32 : QINT8_DTYPE_S64};
  out->data = q8_pool_alloc(&importer->graph->pool, room + 1, is_float ? 4 : 8);
  if (!out->data)
    return q8_fail_memory(importer->error, where, room * 8);
  out->shape.rank = is_list;
  out->shape.dim[0] = is_list ? (int64_t)room : 0;
  return read_numbers(importer, a, number, is_float, where, out->data, room, &count);
}

q8_status q8_import_constant_node(q8_importer *importer, const q8_raw_node *node, q8_raw_tensor *out) {
  q8_reader bytes = node->bytes;
  q8_field field;
  while (q8_wire_find(&bytes, Q8_NODE_ATTRIBUTE, &field)) {
    raw_attribute a;
    Q8_TRY(read_attribute(importer, field.bytes, node->name, &a));
    if (!strcmp(a.name, "value") && a.type == Q8_TYPE_TENSOR)
      return q8_import_tensor(importer, a.fields[Q8_ATTRIBUTE_T].bytes, node->name, out);
    int is_float = !strncmp(a.name, "value_float", 11), is_int = !strncmp(a.name, "value_int", 9);
    if (is_float || is_int)
      return number_tensor(importer, &a, is_float, node->name, out);
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, node->name, "attribute %.64s of Constant is not supported",
                   a.name);
  }
  return q8_fail(importer->error, QINT8_ERROR_FORMAT, node->name, "Constant has no value");
}
