/* import_attr.c - AttributeProto into the fields of an operator's params struct, through its table. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/element.h"
#include "onnx/importer.h"

typedef struct raw_attribute {
  const char *name;
  int64_t type; /* AttributeProto.type; guessed from what is there in files without it */
  int64_t i;
  float f;
  q8_reader s, t;
  q8_ints ints;    /* count may pass Q8_MAX_INTS: then the rest was not kept */
  q8_floats floats; /* likewise */
  char strings[Q8_TEXT_SIZE]; /* joined by commas; strings_cut if they did not fit */
  int strings_cut, other;
} raw_attribute;

static q8_status read_ints(q8_field *field, const char *where, q8_ints *out, qint8_error *error) {
  uint64_t value;
  q8_wire_result result;
  while ((result = q8_wire_number(field, Q8_WIRE_VARINT, &value)) == Q8_WIRE_FIELD) {
    if (out->count < Q8_MAX_INTS)
      out->v[out->count] = (int64_t)value;
    if (out->count <= Q8_MAX_INTS)
      out->count++;
  }
  return result == Q8_WIRE_BAD ? q8_bad_wire(error, where, "attribute") : QINT8_OK;
}

static q8_status read_floats(q8_field *field, const char *where, q8_floats *out, qint8_error *error) {
  uint64_t value;
  q8_wire_result result;
  while ((result = q8_wire_number(field, Q8_WIRE_FIXED32, &value)) == Q8_WIRE_FIELD) {
    if (out->count < Q8_MAX_INTS)
      out->v[out->count] = q8_wire_float(value);
    if (out->count <= Q8_MAX_INTS)
      out->count++;
  }
  return result == Q8_WIRE_BAD ? q8_bad_wire(error, where, "attribute") : QINT8_OK;
}

static void join(raw_attribute *out, q8_reader text) {
  size_t used = strlen(out->strings), size = q8_reader_size(&text), comma = used > 0;
  if (used + comma + size >= sizeof out->strings) {
    out->strings_cut = 1;
    return;
  }
  if (comma)
    out->strings[used] = ',';
  if (size)
    memcpy(out->strings + used + comma, text.at, size);
  out->strings[used + comma + size] = 0;
}

static q8_status read_field(q8_importer *importer, q8_field *field, const char *where, raw_attribute *out,
                            int64_t *guess, qint8_error *error) {
  switch (field->number) {
  case Q8_ATTRIBUTE_NAME:
    return q8_import_string(importer, field, where, &out->name, error);
  case Q8_ATTRIBUTE_TYPE:
    out->type = (int64_t)field->value;
    return QINT8_OK;
  case Q8_ATTRIBUTE_F:
    out->f = q8_wire_float(field->value);
    *guess = Q8_TYPE_FLOAT;
    return QINT8_OK;
  case Q8_ATTRIBUTE_I:
    out->i = (int64_t)field->value;
    *guess = Q8_TYPE_INT;
    return QINT8_OK;
  case Q8_ATTRIBUTE_S:
    out->s = field->bytes;
    *guess = Q8_TYPE_STRING;
    return QINT8_OK;
  case Q8_ATTRIBUTE_T:
    out->t = field->bytes;
    *guess = Q8_TYPE_TENSOR;
    return QINT8_OK;
  case Q8_ATTRIBUTE_INTS:
    *guess = Q8_TYPE_INTS;
    return read_ints(field, where, &out->ints, error);
  case Q8_ATTRIBUTE_FLOATS:
    *guess = Q8_TYPE_FLOATS;
    return read_floats(field, where, &out->floats, error);
  case Q8_ATTRIBUTE_STRINGS:
    *guess = Q8_TYPE_STRINGS;
    join(out, field->bytes);
    return QINT8_OK;
  case Q8_ATTRIBUTE_G:
  case Q8_ATTRIBUTE_GRAPHS:
  case Q8_ATTRIBUTE_REFERENCE:
    out->other = 1;
    return QINT8_OK;
  default:
    return QINT8_OK;
  }
}

static q8_status read_attribute(q8_importer *importer, q8_reader bytes, const char *where, raw_attribute *out,
                                qint8_error *error) {
  *out = (raw_attribute){.name = ""};
  q8_field field;
  q8_wire_result result;
  int64_t guess = 0;
  while ((result = q8_wire_next(&bytes, &field)) == Q8_WIRE_FIELD)
    Q8_TRY(read_field(importer, &field, where, out, &guess, error));
  if (result == Q8_WIRE_BAD)
    return q8_bad_wire(error, where, "attribute");
  if (out->other)
    return q8_fail(error, QINT8_ERROR_UNSUPPORTED, where, "attribute %s is a subgraph or a function parameter",
                   out->name);
  if (!out->type)
    out->type = guess;
  return QINT8_OK;
}

/* ---- Into params ---- */

/* Attributes that change nothing in inference, or nothing if they hold this value. */
static int is_harmless(const raw_attribute *a) {
  static const struct {
    const char *name;
    int64_t value; /* -1: any */
  } list[] = {{"momentum", -1}, {"saturate", -1},      {"consumed_inputs", -1}, {"stash_type", 1},
              {"is_test", 1},   {"storage_order", 0}, {"spatial", 1},          {"input_forget", 0},
              {"layout", 0},    {"allowzero", 0},     {"select_last_index", 0}, {"training_mode", 0}};
  for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
    if (!strcmp(a->name, list[i].name))
      return list[i].value == -1 || (a->type == Q8_TYPE_INT && a->i == list[i].value);
  return 0;
}

static int64_t file_type(q8_attribute_type type) {
  switch (type) {
  case Q8_ATTR_INT:
    return Q8_TYPE_INT;
  case Q8_ATTR_FLOAT:
    return Q8_TYPE_FLOAT;
  case Q8_ATTR_INTS:
    return Q8_TYPE_INTS;
  case Q8_ATTR_STRING:
  case Q8_ATTR_TEXT:
    return Q8_TYPE_STRING;
  case Q8_ATTR_STRINGS:
    return Q8_TYPE_STRINGS;
  case Q8_ATTR_FLOATS:
    return Q8_TYPE_FLOATS;
  default:
    return Q8_TYPE_TENSOR;
  }
}

static q8_status store_text(const raw_attribute *a, const char *where, char *out, size_t room, qint8_error *error) {
  size_t size = q8_reader_size(&a->s);
  if (a->type == Q8_TYPE_STRINGS) {
    size_t length = strlen(a->strings);
    if (a->strings_cut || length >= room)
      return q8_fail(error, QINT8_ERROR_UNSUPPORTED, where, "attribute %s has a long list of strings", a->name);
    memcpy(out, a->strings, length + 1);
    return QINT8_OK;
  }
  if (size >= room || (size && memchr(a->s.at, 0, size)))
    return q8_fail(error, QINT8_ERROR_UNSUPPORTED, where, "attribute %s has an unknown value", a->name);
  if (size)
    memcpy(out, a->s.at, size);
  out[size] = 0;
  return QINT8_OK;
}

static q8_status store_scalar(q8_importer *importer, const raw_attribute *a, const char *where, q8_scalar *out,
                              qint8_error *error) {
  q8_raw_tensor tensor;
  Q8_TRY(q8_import_tensor(importer, a->t, where, &tensor, error));
  if (q8_shape_count(&tensor.shape, NULL) != 1)
    return q8_fail(error, QINT8_ERROR_UNSUPPORTED, where, "attribute %s has more or less than one element", a->name);
  *out = (q8_scalar){.dtype = tensor.dtype};
  out->f = q8_element_double(tensor.dtype, tensor.data, 0);
  out->i = q8_element_int(tensor.dtype, tensor.data, 0);
  return QINT8_OK;
}

/* An AttributeProto.AttributeType in words. */
static const char *type_name(int64_t type) {
  static const char *const names[] = {"of no type", "float", "int", "string", "tensor", "graph",
                                      "floats",     "ints",  "strings"};
  return type > 0 && type < (int64_t)(sizeof names / sizeof names[0]) ? names[type] : names[0];
}

static q8_status store(q8_importer *importer, const raw_attribute *a, const q8_attribute *entry, const char *where,
                       void *params, qint8_error *error) {
  void *field = (char *)params + entry->offset;
  if (a->type != file_type(entry->type) && !(a->type == Q8_TYPE_STRINGS && entry->type == Q8_ATTR_STRING))
    return q8_fail(error, QINT8_ERROR_FORMAT, where, "attribute %s is %s, expected %s", a->name, type_name(a->type),
                   type_name(file_type(entry->type)));
  switch (entry->type) {
  case Q8_ATTR_INT:
    *(int64_t *)field = a->i;
    return QINT8_OK;
  case Q8_ATTR_FLOAT:
    *(float *)field = a->f;
    return QINT8_OK;
  case Q8_ATTR_INTS:
    if (a->ints.count > Q8_MAX_INTS)
      return q8_fail(error, QINT8_ERROR_LIMIT, where, "attribute %s has more than %d values", a->name, Q8_MAX_INTS);
    *(q8_ints *)field = a->ints;
    return QINT8_OK;
  case Q8_ATTR_FLOATS:
    if (a->floats.count > Q8_MAX_INTS)
      return q8_fail(error, QINT8_ERROR_LIMIT, where, "attribute %s has more than %d values", a->name, Q8_MAX_INTS);
    *(q8_floats *)field = a->floats;
    return QINT8_OK;
  case Q8_ATTR_STRING:
    return store_text(a, where, field, 32, error);
  case Q8_ATTR_TEXT:
  case Q8_ATTR_STRINGS:
    return store_text(a, where, field, Q8_TEXT_SIZE, error);
  default:
    return store_scalar(importer, a, where, field, error);
  }
}

static const q8_attribute *find_entry(const q8_op *op, const char *name) {
  for Q8_EACH_ATTRIBUTE(a, op)
    if (!a->internal && !strcmp(a->name, name))
      return a;
  return NULL;
}

#define MAX_TABLE 64 /* attributes of one operator: a bit each for "was there" */

static q8_status check_required(const q8_op *op, uint64_t seen, const char *where, qint8_error *error) {
  for Q8_EACH_ATTRIBUTE(a, op)
    if (a->required && !a->internal && !(seen >> (a - op->attributes) & 1))
      return q8_fail(error, QINT8_ERROR_FORMAT, where, "attribute %s of %s is missing", a->name, op->name);
  return QINT8_OK;
}

q8_status q8_import_attributes(q8_importer *importer, const q8_raw_node *node, const q8_op *op, void *params,
                               qint8_error *error) {
  q8_reader bytes = node->bytes;
  q8_field field;
  uint64_t seen = 0;
  q8_op_defaults(op, params);
  while (q8_wire_next(&bytes, &field) == Q8_WIRE_FIELD) {
    if (field.number != Q8_NODE_ATTRIBUTE)
      continue;
    raw_attribute a;
    Q8_TRY(read_attribute(importer, field.bytes, node->name, &a, error));
    const q8_attribute *entry = find_entry(op, a.name);
    if (!entry && is_harmless(&a))
      continue;
    if (!entry)
      return q8_fail(error, QINT8_ERROR_UNSUPPORTED, node->name, "attribute %.64s of %s is not supported", a.name,
                     node->op_type);
    size_t index = (size_t)(entry - op->attributes);
    if (index < MAX_TABLE && seen >> index & 1)
      return q8_fail(error, QINT8_ERROR_FORMAT, node->name, "attribute %s is given twice", a.name);
    seen |= index < MAX_TABLE ? (uint64_t)1 << index : 0;
    Q8_TRY(store(importer, &a, entry, node->name, params, error));
  }
  return check_required(op, seen, node->name, error);
}

/* ---- Constant nodes ---- */

/* value_float(s), value_int(s): a scalar or a 1-D tensor of the numbers in `bytes`, an AttributeProto. */
static q8_status number_tensor(q8_importer *importer, q8_reader bytes, int is_float, int is_list, const char *where,
                               q8_raw_tensor *out, qint8_error *error) {
  uint32_t number = is_list ? (is_float ? Q8_ATTRIBUTE_FLOATS : Q8_ATTRIBUTE_INTS)
                            : (is_float ? Q8_ATTRIBUTE_F : Q8_ATTRIBUTE_I);
  q8_wire_type wire = is_float ? Q8_WIRE_FIXED32 : Q8_WIRE_VARINT;
  q8_reader scan = bytes;
  q8_field field;
  size_t room = 1, count = 0;
  uint64_t bits;
  while (q8_wire_next(&scan, &field) == Q8_WIRE_FIELD)
    room += field.number == number ? q8_wire_count(&field, wire) : 0;
  *out = (q8_raw_tensor){.name = "", .dtype = is_float ? QINT8_DTYPE_F32 : QINT8_DTYPE_S64};
  out->data = q8_pool_alloc(&importer->graph->pool, room, is_float ? 4 : 8);
  if (!out->data)
    return q8_fail_memory(error, where, room * 8);
  while (q8_wire_next(&bytes, &field) == Q8_WIRE_FIELD) {
    q8_wire_result result = Q8_WIRE_END;
    while (field.number == number && (result = q8_wire_number(&field, wire, &bits)) == Q8_WIRE_FIELD && count < room) {
      if (is_float)
        ((float *)out->data)[count++] = q8_wire_float(bits);
      else
        ((int64_t *)out->data)[count++] = (int64_t)bits;
    }
    if (result == Q8_WIRE_BAD)
      return q8_bad_wire(error, where, "attribute");
  }
  out->shape.rank = is_list ? 1 : 0;
  out->shape.dim[0] = is_list ? (int64_t)count : 0;
  return QINT8_OK;
}

q8_status q8_import_constant_node(q8_importer *importer, const q8_raw_node *node, q8_raw_tensor *out,
                                  qint8_error *error) {
  q8_reader bytes = node->bytes;
  q8_field field;
  while (q8_wire_next(&bytes, &field) == Q8_WIRE_FIELD) {
    if (field.number != Q8_NODE_ATTRIBUTE)
      continue;
    raw_attribute a;
    Q8_TRY(read_attribute(importer, field.bytes, node->name, &a, error));
    if (!strcmp(a.name, "value") && a.type == Q8_TYPE_TENSOR)
      return q8_import_tensor(importer, a.t, node->name, out, error);
    int is_float = !strncmp(a.name, "value_float", 11), is_int = !strncmp(a.name, "value_int", 9);
    if (is_float || is_int)
      return number_tensor(importer, field.bytes, is_float, a.name[strlen(a.name) - 1] == 's', node->name, out, error);
    return q8_fail(error, QINT8_ERROR_UNSUPPORTED, node->name, "attribute %.64s of Constant is not supported", a.name);
  }
  return q8_fail(error, QINT8_ERROR_FORMAT, node->name, "Constant has no value");
}
