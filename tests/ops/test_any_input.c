/* Every operator on random small tensors of random types, empty and scalar ones among them, with random attributes: it
 * either computes or says why not, naming the node; nothing is read or written out of bounds (guard pages). */
#include <stdlib.h>
#include <string.h>

#include "base/element.h"
#include "ops/op.h"
#include "test.h"

#define CASES 400 /* per operator */
#define INPUTS 8
#define OUTPUTS 8
#define MOST_BYTES 4096

static const int32_t types[] = {QINT8_DTYPE_F32, QINT8_DTYPE_F32, QINT8_DTYPE_F32, QINT8_DTYPE_S64, QINT8_DTYPE_S64,
                                QINT8_DTYPE_S32, QINT8_DTYPE_BOOL, QINT8_DTYPE_U8, QINT8_DTYPE_S8, QINT8_DTYPE_F64,
                                QINT8_DTYPE_F16, QINT8_DTYPE_U64};

typedef struct tensor {
  q8_value value; /* as `infer` sees it: data NULL if not constant */
  void *data;
  size_t size;
} tensor;

static size_t bytes_of(const q8_value *v) {
  return v->count * qint8_dtype_size((qint8_dtype)v->dtype);
}

/* Small integers in any type, so that they serve as shapes, axes and indices too. */
static void fill(tensor *t) {
  t->size = bytes_of(&t->value);
  t->data = test_guard_alloc(t->size, 0);
  for (size_t i = 0; i < t->value.count; i++) {
    double v = test_random_int(-2, 3);
    q8_cast(QINT8_DTYPE_F64, &v, 1, t->value.dtype, (char *)t->data + i * qint8_dtype_size((qint8_dtype)t->value.dtype), 1);
  }
}

static tensor random_tensor(const q8_shape *like, int32_t like_type) {
  tensor t = {0};
  if (like && test_random_int(0, 2) == 0) { /* a shape that fits is found seldom by chance */
    t.value.shape = *like;
  } else {
    t.value.shape.rank = test_random_int(0, 4);
    for (int i = 0; i < t.value.shape.rank; i++)
      t.value.shape.dim[i] = test_random_int(test_random_int(0, 7) ? 1 : 0, 3);
  }
  t.value.dtype = like_type && test_random_int(0, 1) ? like_type : types[test_random_int(0, sizeof types / sizeof *types - 1)];
  t.value.count = q8_shape_count(&t.value.shape, NULL);
  fill(&t);
  t.value.data = test_random_int(0, 1) ? t.data : NULL;
  return t;
}

static void random_params(const q8_op *op, void *params) {
  q8_op_defaults(op, params);
  for Q8_EACH_ATTRIBUTE(a, op) {
    void *field = (char *)params + a->offset;
    if (a->place == Q8_INTERNAL || (!a->required && test_random_int(0, 1)))
      continue;
    if (a->type == Q8_ATTR_INT)
      *(int64_t *)field = test_random_int(-2, 4);
    if (a->type == Q8_ATTR_FLOAT)
      *(float *)field = test_random_float(-2, 2);
    if (a->type == Q8_ATTR_INTS) {
      q8_ints *list = field;
      list->count = test_random_int(0, 4);
      for (int i = 0; i < list->count; i++)
        list->v[i] = test_random_int(-2, 3);
    }
  }
}

static void check_failure(const q8_op *op, q8_status status, const qint8_error *error) {
  CHECK_MSG((int32_t)status == error->status && !strcmp(error->where, "node") && *error->message,
            "%s fails with status %d, recorded %d, where \"%s\", message \"%s\"", op->name, (int)status,
            (int)error->status, error->where, error->message);
}

/* 1 if it computed. */
static int run_case(const q8_op *op, const q8_node *node, tensor *in, q8_op_io *io) {
  q8_value outputs[OUTPUTS] = {0};
  void *memory[OUTPUTS] = {NULL};
  int computed = 0;
  io->outputs = outputs;
  q8_status status = q8_infer(io);
  size_t total = 0;
  for (int i = 0; i < node->output_count && status == QINT8_OK; i++)
    total += bytes_of(&outputs[i]);
  if (status != QINT8_OK) {
    check_failure(op, status, io->error);
  } else if (total <= MOST_BYTES) {
    for (int i = 0; i < node->output_count; i++)
      outputs[i].data = memory[i] = test_guard_alloc(bytes_of(&outputs[i]), 0);
    for (int i = 0; i < node->input_count; i++)
      in[i].value.data = in[i].data;
    status = op->family->eval(io);
    computed = status == QINT8_OK;
    if (!computed)
      check_failure(op, status, io->error);
    for (int i = 0; i < node->output_count; i++)
      test_guard_free(memory[i], bytes_of(&outputs[i]), 0);
  }
  return computed;
}

static int32_t between(int32_t lo, int32_t hi, int32_t most) {
  hi = hi < 0 || hi > most ? most : hi;
  return lo >= hi ? lo : test_random_int(lo, hi);
}

static int try_operator(const q8_op *op) {
  int computed = 0;
  void *params = calloc(1, op->params_size + 1);
  for (int c = 0; c < CASES; c++) {
    tensor in[INPUTS];
    const q8_value *inputs[INPUTS];
    q8_id ids[INPUTS + OUTPUTS] = {0};
    qint8_error error = QINT8_ERROR_INIT;
    q8_node node = {.name = "node", .op = op, .params = params, .inputs = ids, .outputs = ids + INPUTS};
    node.input_count = between(op->min_inputs, op->max_inputs, INPUTS);
    node.output_count = between(op->min_outputs, op->max_outputs, 3);
    random_params(op, params);
    for (int i = 0; i < node.input_count; i++) {
      in[i] = random_tensor(i ? &in[0].value.shape : NULL, i ? in[0].value.dtype : 0);
      inputs[i] = i >= op->min_inputs && op->max_inputs >= 0 && test_random_int(0, 3) == 0 ? NULL : &in[i].value;
      ids[i] = inputs[i] ? i : Q8_NONE;
    }
    q8_op_io io = {.node = &node, .inputs = inputs, .error = &error};
    computed += run_case(op, &node, in, &io);
    for (int i = 0; i < node.input_count; i++)
      test_guard_free(in[i].data, in[i].size, 0);
  }
  free(params);
  return computed;
}

static void operators_compute_or_say_why_not(void) {
  size_t computed = 0;
  for (size_t i = 0; i < q8_op_count; i++)
    computed += try_operator(q8_op_list[i]) > 0;
  printf("     %zu of %zu operators computed at least once\n", computed, q8_op_count);
  CHECK(computed * 5 > q8_op_count * 4); /* convolutions and their like need shapes that chance does not find */
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(operators_compute_or_say_why_not);
  return TEST_END();
}
