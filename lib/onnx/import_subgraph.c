/* import_subgraph.c - If and Loop vanish while importing: their bodies become part of the graph.
 *
 *   If    of a constant condition: the nodes of that branch. Else those of both, and a Select per output: all operators
 *         are pure, and binding leaves out the branch that is not taken once it knows the condition.
 *   Loop  of a constant trip count and a condition that stays true: the body as often as it runs.
 * Names inside a body hide those outside: they stand for tensors with fresh names. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/element.h"
#include "graph/names.h"
#include "onnx/importer.h"

#define MAX_DEPTH 8
#define MAX_TRIPS 1024
#define MAX_NODES 100000 /* of the whole graph, once a Loop is part of it */
#define MAX_VALUES 64    /* inputs or outputs of a body */

struct q8_scope {
  struct q8_names *names; /* inside -> tensor */
  struct q8_scope *outer;
  const char *owner; /* node */
  int depth;
};

q8_id q8_scope_find(const q8_scope *scope, const char *name) {
  for (; scope; scope = scope->outer) {
    int32_t id = q8_names_get(scope->names, name);
    if (id >= 0)
      return id;
  }
  return Q8_NONE;
}

/* `name` inside the innermost body stands for `id`. */
static q8_status bind_name(q8_importer *importer, const char *name, q8_id id) {
  q8_scope *scope = importer->scope;
  if (q8_names_get(scope->names, name) >= 0)
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, scope->owner, "two values of a subgraph are called %s", name);
  return q8_names_put(&importer->pool.host, scope->names, name, id)
             ? QINT8_OK
             : q8_fail_memory(importer->error, scope->owner, sizeof id);
}

static q8_status declare(q8_importer *importer, const char *name, q8_id *out) {
  char text[512];
  snprintf(text, sizeof text, "%.240s/%.240s", importer->scope->owner, name);
  Q8_TRY(q8_import_fresh(importer, text, out));
  return bind_name(importer, name, *out);
}

static q8_status declare_initializer(q8_importer *importer, q8_reader bytes) {
  q8_raw_tensor tensor;
  q8_id id;
  Q8_TRY(q8_import_tensor(importer, bytes, importer->scope->owner, &tensor));
  if (!*tensor.name)
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, importer->scope->owner, "an initializer has no name");
  Q8_TRY(declare(importer, tensor.name, &id));
  return q8_import_define(importer, id, &tensor);
}

static q8_status declare_outputs(q8_importer *importer, q8_reader bytes) {
  q8_message m;
  Q8_TRY(q8_import_message(importer, bytes, importer->scope->owner, m));
  for (q8_field field; q8_wire_find(&bytes, Q8_NODE_OUTPUT, &field);) {
    const char *name;
    q8_id id;
    Q8_TRY(q8_import_string(importer, &field, importer->scope->owner, &name));
    if (*name)
      Q8_TRY(declare(importer, name, &id));
  }
  return QINT8_OK;
}

/* The names of the body's inputs or outputs. */
static q8_status read_names(q8_importer *importer, const char *owner, q8_reader bytes, uint32_t number,
                            const char **names, int32_t *count) {
  *count = 0;
  for (q8_field field; q8_wire_find(&bytes, number, &field);) {
    q8_message m;
    if (*count == MAX_VALUES)
      return q8_fail(importer->error, QINT8_ERROR_LIMIT, owner, "a subgraph with more than %d values", MAX_VALUES);
    Q8_TRY(q8_import_message(importer, field.bytes, owner, m));
    Q8_TRY(q8_import_string(importer, &m[Q8_INFO_NAME], owner, &names[(*count)++]));
  }
  return QINT8_OK;
}

/* Adds the nodes of a body, whose inputs are bound, and gives its outputs. */
static q8_status read_body(q8_importer *importer, q8_reader bytes, q8_id *outputs,
                           int32_t *count) {
  const char *owner = importer->scope->owner, *names[MAX_VALUES];
  q8_reader scan = bytes;
  q8_message m;
  q8_field field;
  Q8_TRY(q8_import_message(importer, bytes, owner, m));
  if (m[Q8_GRAPH_SPARSE].number)
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, owner, "sparse initializers");
  while (q8_wire_next(&scan, &field) == Q8_WIRE_FIELD) {
    if (field.number == Q8_GRAPH_INITIALIZER)
      Q8_TRY(declare_initializer(importer, field.bytes));
    else if (field.number == Q8_GRAPH_NODE)
      Q8_TRY(declare_outputs(importer, field.bytes));
  }
  scan = bytes;
  while (q8_wire_find(&scan, Q8_GRAPH_NODE, &field)) {
    if (importer->node_count > MAX_NODES)
      return q8_fail(importer->error, QINT8_ERROR_LIMIT, owner, "the loops of the model make more than %d nodes",
                     MAX_NODES);
    Q8_TRY(q8_import_node(importer, field.bytes));
  }
  Q8_TRY(read_names(importer, owner, bytes, Q8_GRAPH_OUTPUT, names, count));
  for (int32_t i = 0; i < *count; i++)
    Q8_TRY(q8_import_reference(importer, names[i], &outputs[i]));
  return QINT8_OK;
}

static q8_status enter(q8_importer *importer, const char *owner, q8_scope *scope) {
  *scope = (q8_scope){.outer = importer->scope, .owner = owner, .depth = importer->scope ? importer->scope->depth + 1 : 1};
  if (scope->depth > MAX_DEPTH)
    return q8_fail(importer->error, QINT8_ERROR_LIMIT, owner, "subgraphs more than %d deep", MAX_DEPTH);
  scope->names = q8_names_create(&importer->pool.host);
  if (!scope->names)
    return q8_fail_memory(importer->error, owner, 64);
  importer->scope = scope;
  return QINT8_OK;
}

static void leave(q8_importer *importer) {
  q8_names_destroy(&importer->pool.host, importer->scope->names);
  importer->scope = importer->scope->outer;
}

/* ---- What both need ---- */

/* The graph attribute of that name. */
static q8_status find_body(q8_importer *importer, const q8_raw_node *node, const char *wanted, q8_reader *out) {
  q8_reader bytes = node->bytes;
  q8_field field;
  q8_message m;
  while (q8_wire_find(&bytes, Q8_NODE_ATTRIBUTE, &field)) {
    const char *name;
    Q8_TRY(q8_import_message(importer, field.bytes, node->name, m));
    Q8_TRY(q8_import_string(importer, &m[Q8_ATTRIBUTE_NAME], node->name, &name));
    *out = m[Q8_ATTRIBUTE_G].bytes;
    if (!strcmp(name, wanted) && out->at)
      return QINT8_OK;
  }
  return q8_fail(importer->error, QINT8_ERROR_FORMAT, node->name, "%s has no subgraph %s", node->op_type, wanted);
}

/* The raw node that writes a tensor, or NULL. */
static const q8_raw_node *writer_of(const q8_importer *importer, q8_id id) {
  const q8_raw_node *node = importer->last;
  while (node && node->outputs[0] != id)
    node = node->previous;
  return node;
}

/* The value of a constant of one bool or integer, through Identity; 0 if it is not known while importing. */
static int known_value(q8_importer *importer, q8_id id, int64_t *out) {
  const q8_raw_node *node;
  q8_raw_tensor value;
  for (int hops = 0; hops < 16; hops++) {
    const q8_tensor *t = &importer->graph->tensors[id];
    value = (q8_raw_tensor){.dtype = t->dtype, .shape = t->shape, .data = (void *)(uintptr_t)t->data};
    if (t->data || !(node = writer_of(importer, id)))
      break;
    if (node->kind == Q8_RAW_CONSTANT) {
      if (q8_import_constant_node(importer, node, &value) != QINT8_OK)
        return 0;
      break;
    }
    if (strcmp(node->op_type, "Identity") != 0 || node->inputs[0] == Q8_NONE)
      return 0;
    id = node->inputs[0];
  }
  if (!value.data || q8_shape_count(&value.shape, NULL) != 1 ||
      (value.dtype != QINT8_DTYPE_BOOL && value.dtype != QINT8_DTYPE_S32 && value.dtype != QINT8_DTYPE_S64))
    return 0;
  *out = q8_element_int(value.dtype, value.data, 0);
  return 1;
}

/* ---- If ---- */

static q8_status read_branch(q8_importer *importer, const q8_raw_node *node, const char *which, q8_id *outputs) {
  q8_reader body;
  q8_scope scope;
  int32_t count = 0;
  Q8_TRY(find_body(importer, node, which, &body));
  Q8_TRY(enter(importer, node->name, &scope));
  q8_status status = read_body(importer, body, outputs, &count);
  leave(importer);
  if (status == QINT8_OK && count != node->output_count)
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, node->name, "%s gives %d values, the node %d", which,
                   (int)count, (int)node->output_count);
  return status;
}

q8_status q8_import_if(q8_importer *importer, const q8_raw_node *node) {
  q8_id values[2][MAX_VALUES];
  int64_t condition = -1;
  if (node->input_count != 1 || node->inputs[0] == Q8_NONE)
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, node->name, "If has %d inputs, expected 1",
                   (int)node->input_count);
  int known = known_value(importer, node->inputs[0], &condition);
  if (!known || condition)
    Q8_TRY(read_branch(importer, node, "then_branch", values[0]));
  if (!known || !condition)
    Q8_TRY(read_branch(importer, node, "else_branch", values[1]));
  for (int32_t i = 0; i < node->output_count; i++) {
    q8_id inputs[3] = {node->inputs[0], values[0][i], values[1][i]};
    if (node->outputs[i] == Q8_NONE)
      continue;
    if (known)
      Q8_TRY(q8_import_identity(importer, node->name, inputs[condition ? 1 : 2], node->outputs[i]));
    else
      Q8_TRY(q8_import_add(importer, "Select", node->name, inputs, 3, &node->outputs[i], 1, NULL));
  }
  return QINT8_OK;
}

/* ---- Loop ---- */

typedef struct loop {
  const q8_raw_node *node;
  q8_reader body;
  int32_t input_count, carried, scans;
  int64_t trips, done;
  q8_id *scanned;                 /* [trips][scans] */
  q8_id values[MAX_VALUES];       /* of the carried values now */
  const char *inputs[MAX_VALUES]; /* names: iteration, condition, carried values */
} loop;

static q8_status scalar(q8_importer *importer, const char *name, int32_t dtype, int64_t value, q8_id *out) {
  uint8_t flag = value != 0;
  return q8_import_constant(importer, name, dtype, -1, dtype == QINT8_DTYPE_BOOL ? (const void *)&flag : &value, out);
}

static q8_status run_body(q8_importer *importer, loop *l, int *again) {
  const char *name = l->node->name;
  q8_id outputs[MAX_VALUES], iteration, condition;
  int32_t count;
  int64_t next;
  Q8_TRY(scalar(importer, name, QINT8_DTYPE_S64, l->done, &iteration));
  Q8_TRY(scalar(importer, name, QINT8_DTYPE_BOOL, 1, &condition));
  Q8_TRY(bind_name(importer, l->inputs[0], iteration));
  Q8_TRY(bind_name(importer, l->inputs[1], condition));
  for (int32_t i = 0; i < l->carried; i++)
    Q8_TRY(bind_name(importer, l->inputs[2 + i], l->values[i]));
  Q8_TRY(read_body(importer, l->body, outputs, &count));
  if (count != 1 + l->carried + l->scans)
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, name, "the body of the Loop gives %d values, expected %d",
                   (int)count, (int)(1 + l->carried + l->scans));
  if (!known_value(importer, outputs[0], &next))
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, name,
                   "the condition of the Loop is computed: it must be constant; export the loop unrolled, with a fixed "
                   "number of rounds");
  *again = next != 0;
  for (int32_t i = 0; i < l->carried; i++)
    l->values[i] = outputs[1 + i];
  for (int32_t i = 0; i < l->scans; i++)
    l->scanned[l->done * l->scans + i] = outputs[1 + l->carried + i];
  l->done++;
  return QINT8_OK;
}

/* The values of all rounds along a new first axis. */
static q8_status stack(q8_importer *importer, const loop *l, int32_t scan, q8_id out) {
  const int64_t first = 0;
  q8_id axes, *parts = q8_import_alloc(importer, (size_t)l->done, sizeof *parts, l->node->name);
  if (!parts)
    return QINT8_ERROR_MEMORY;
  Q8_TRY(q8_import_constant(importer, l->node->name, QINT8_DTYPE_S64, 1, &first, &axes));
  for (int64_t i = 0; i < l->done; i++) {
    q8_id inputs[2] = {l->scanned[i * l->scans + scan], axes};
    Q8_TRY(q8_import_new_node(importer, "Unsqueeze", l->node->name, inputs, 2, &parts[i]));
  }
  q8_id joined;
  Q8_TRY(q8_import_new_node(importer, "Concat", l->node->name, parts, (int32_t)l->done, &joined));
  return q8_import_identity(importer, l->node->name, joined, out);
}

static q8_status unroll(q8_importer *importer, loop *l) {
  int again = 1;
  while (again && l->done < l->trips) {
    q8_scope scope;
    Q8_TRY(enter(importer, l->node->name, &scope));
    q8_status status = run_body(importer, l, &again);
    leave(importer);
    Q8_TRY(status);
  }
  for (int32_t i = 0; i < l->node->output_count; i++) {
    q8_id out = l->node->outputs[i];
    if (out == Q8_NONE)
      continue;
    if (i < l->carried)
      Q8_TRY(q8_import_identity(importer, l->node->name, l->values[i], out));
    else if (l->done == 0)
      return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, l->node->name,
                     "a Loop that never runs gives values of each round");
    else
      Q8_TRY(stack(importer, l, i - l->carried, out));
  }
  return QINT8_OK;
}

q8_status q8_import_loop(q8_importer *importer, const q8_raw_node *node) {
  loop *l = q8_import_alloc(importer, 1, sizeof *l, node->name);
  int64_t condition = 1;
  q8_id count = node->inputs[0], start = node->inputs[1];
  if (!l)
    return QINT8_ERROR_MEMORY;
  l->node = node;
  l->trips = INT64_MAX;
  if ((count != Q8_NONE && !known_value(importer, count, &l->trips)) ||
      (start != Q8_NONE && !known_value(importer, start, &condition)))
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, node->name,
                   "the trip count and the condition of a Loop must be constants; export the loop unrolled, with a fixed "
                   "number of rounds");
  l->trips = condition ? l->trips : 0;
  if (l->trips > MAX_TRIPS)
    return q8_fail(importer->error, QINT8_ERROR_UNSUPPORTED, node->name, "a Loop of more than %d rounds", MAX_TRIPS);
  Q8_TRY(find_body(importer, node, "body", &l->body));
  Q8_TRY(read_names(importer, node->name, l->body, Q8_GRAPH_INPUT, l->inputs, &l->input_count));
  l->carried = node->input_count > 2 ? node->input_count - 2 : 0;
  l->scans = node->output_count - l->carried;
  if (l->input_count != 2 + l->carried || l->scans < 0)
    return q8_fail(importer->error, QINT8_ERROR_FORMAT, node->name, "a Loop of %d values whose body has %d inputs",
                   (int)l->carried, (int)l->input_count);
  for (int32_t i = 0; i < l->carried; i++)
    if ((l->values[i] = node->inputs[2 + i]) == Q8_NONE)
      return q8_fail(importer->error, QINT8_ERROR_FORMAT, node->name, "input %d of Loop is left out", (int)(2 + i));
  l->scanned = q8_import_alloc(importer, (size_t)(l->trips > 0 ? l->trips : 1) * (size_t)(l->scans + 1),
                              sizeof *l->scanned, node->name);
  if (!l->scanned)
    return QINT8_ERROR_MEMORY;
  return unroll(importer, l);
}
