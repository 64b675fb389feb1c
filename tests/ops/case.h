/* case.h - one operator run on small tensors, through its record: defaults, infer, eval. */
#ifndef Q8_TEST_OP_CASE_H
#define Q8_TEST_OP_CASE_H

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ops/hooks.h"
#include "ops/op.h"
#include "test.h"

#define CASE_INPUTS 9
#define CASE_OUTPUTS 3

typedef struct op_case {
  const q8_op *op;
  void *params;
  q8_value in[CASE_INPUTS], out[CASE_OUTPUTS];
  int32_t in_count, out_count;
  qint8_error error;
} op_case;

static inline op_case case_new(const char *name, const char *domain) {
  op_case c = {.op = q8_op_find(name, domain), .out_count = 1, .error = QINT8_ERROR_INIT};
  if (!c.op) {
    printf("no operator %s\n", name);
    exit(1);
  }
  c.params = calloc(1, c.op->params_size + 1);
  q8_op_defaults(c.op, c.params);
  return c;
}

static inline void *case_field(op_case *c, const char *name) {
  const q8_attribute *a = q8_op_attribute(c->op, name);
  if (!a) {
    printf("no attribute %s\n", name);
    exit(1);
  }
  return (char *)c->params + a->offset;
}
static inline void case_int(op_case *c, const char *name, int64_t value) {
  *(int64_t *)case_field(c, name) = value;
}
static inline void case_float(op_case *c, const char *name, float value) {
  *(float *)case_field(c, name) = value;
}
static inline void case_text(op_case *c, const char *name, const char *value) {
  strcpy(case_field(c, name), value);
}
static inline void case_ints(op_case *c, const char *name, int count, ...) {
  q8_ints *list = case_field(c, name);
  va_list args;
  va_start(args, count);
  list->count = count;
  for (int i = 0; i < count; i++)
    list->v[i] = va_arg(args, int);
  va_end(args);
}

static inline q8_value case_value(int32_t dtype, const void *data, int rank, const int *dims) {
  q8_value v = {.dtype = dtype, .shape = {.rank = rank}, .count = 1};
  for (int i = 0; i < rank; i++) {
    v.shape.dim[i] = dims[i];
    v.count *= (size_t)dims[i];
  }
  size_t size = v.count * qint8_dtype_size((qint8_dtype)dtype);
  v.data = malloc(size + 1);
  memcpy(v.data, data, size);
  return v;
}
#define DIMS(...) (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)), (int[]){__VA_ARGS__}
#define SCALAR 0, NULL
static inline void case_f32(op_case *c, const float *data, int rank, const int *dims) {
  c->in[c->in_count++] = case_value(QINT8_DTYPE_F32, data, rank, dims);
}
static inline void case_s64(op_case *c, const int64_t *data, int rank, const int *dims) {
  c->in[c->in_count++] = case_value(QINT8_DTYPE_S64, data, rank, dims);
}
static inline void case_bool(op_case *c, const uint8_t *data, int rank, const int *dims) {
  c->in[c->in_count++] = case_value(QINT8_DTYPE_BOOL, data, rank, dims);
}

/* An input that is left out. */
static inline void case_none(op_case *c) {
  c->in[c->in_count++] = (q8_value){.dtype = QINT8_DTYPE_NONE};
}
static inline void case_data(op_case *c, int32_t dtype, const void *data, int rank, const int *dims) {
  c->in[c->in_count++] = case_value(dtype, data, rank, dims);
}

static inline q8_status case_run(op_case *c) {
  const q8_value *inputs[CASE_INPUTS];
  q8_id none[CASE_INPUTS + CASE_OUTPUTS] = {0};
  q8_node node = {.name = "node", .op = c->op, .params = c->params, .input_count = c->in_count,
                  .output_count = c->out_count, .inputs = none, .outputs = none};
  for (int i = 0; i < c->in_count; i++)
    inputs[i] = c->in[i].dtype ? &c->in[i] : NULL;
  q8_op_io io = {&node, inputs, c->out, &c->error};
  q8_status status = q8_infer(&io);
  if (status != QINT8_OK)
    return status;
  for (int i = 0; i < c->out_count; i++)
    c->out[i].data = malloc(c->out[i].count * qint8_dtype_size((qint8_dtype)c->out[i].dtype) + 1);
  return c->op->family->eval(&io);
}

static inline void case_free(op_case *c) {
  free(c->params);
  for (int i = 0; i < c->in_count; i++)
    free(c->in[i].data);
  for (int i = 0; i < c->out_count; i++)
    free(c->out[i].data);
}

static inline void case_shape(const op_case *c, int output, int rank, const int *dims) {
  const q8_shape *s = &c->out[output].shape;
  CHECK_EQ(s->rank, rank);
  for (int i = 0; i < rank && i < s->rank; i++)
    CHECK_EQ(s->dim[i], dims[i]);
}

/* Runs, compares output 0 within `tolerance` relative to 1 + |expected|, frees. */
static inline void case_expect(op_case *c, const float *expected, float tolerance, int rank, const int *dims) {
  q8_status status = case_run(c);
  CHECK_MSG(status == QINT8_OK, "%s: %s", c->op->name, c->error.message);
  if (status == QINT8_OK) {
    case_shape(c, 0, rank, dims);
    for (size_t i = 0; i < c->out[0].count; i++) {
      float y = ((const float *)c->out[0].data)[i];
      CHECK_MSG(fabsf(y - expected[i]) <= tolerance * (1 + fabsf(expected[i])), "%s[%zu] is %.9g, expected %.9g",
                c->op->name, i, (double)y, (double)expected[i]);
    }
  }
  case_free(c);
}
static inline void case_expect_s64(op_case *c, const int64_t *expected, int rank, const int *dims) {
  q8_status status = case_run(c);
  CHECK_MSG(status == QINT8_OK, "%s: %s", c->op->name, c->error.message);
  if (status == QINT8_OK) {
    case_shape(c, 0, rank, dims);
    for (size_t i = 0; i < c->out[0].count; i++)
      CHECK_EQ(((const int64_t *)c->out[0].data)[i], expected[i]);
  }
  case_free(c);
}
/* Runs and expects a SHAPE error whose message holds `text`. */
static inline void case_expect_shape_error(op_case *c, const char *text) {
  CHECK_EQ(case_run(c), QINT8_ERROR_SHAPE);
  CHECK_MSG(strstr(c->error.message, text) != NULL, "%s: message \"%s\" lacks \"%s\"", c->op->name, c->error.message,
            text);
  case_free(c);
}
#define F(...) ((const float[]){__VA_ARGS__})
#define I(...) ((const int64_t[]){__VA_ARGS__})

#endif
