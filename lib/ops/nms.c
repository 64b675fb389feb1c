/* nms.c - NonMaxSuppression: indices [selected][batch, class, box] of boxes by descending score, each overlapping those
 * taken before it by no more than a threshold. How many there are depends on values, which must be known when the plan
 * is compiled. */
#include <math.h>
#include <stddef.h>

#include "ops/common.h"

#define MAX_PICKED 4096 /* of one class: they are kept on the stack */

typedef struct nms_params {
  int64_t center_point_box;
} nms_params;

static const q8_attribute attributes[] = {
    {"center_point_box", Q8_ATTR_INT, offsetof(nms_params, center_point_box), 0, 0, 0}};

typedef struct nms {
  const float *boxes, *scores; /* [batches][count][4], [batches][classes][count] */
  size_t batches, classes, count;
  int64_t limit; /* of a class */
  float overlap, least;
  int center;
} nms;

/* Corners, lower ones first. */
static void corners(const nms *n, const float *box, float out[4]) {
  if (n->center) { /* x, y, width, height */
    out[0] = box[0] - box[2] / 2;
    out[1] = box[1] - box[3] / 2;
    out[2] = box[0] + box[2] / 2;
    out[3] = box[1] + box[3] / 2;
    return;
  }
  for (int i = 0; i < 2; i++) {
    out[i] = fminf(box[i], box[i + 2]);
    out[i + 2] = fmaxf(box[i], box[i + 2]);
  }
}

/* Intersection over union is above the threshold. */
static int overlaps(const nms *n, const float *one, const float *other) {
  float a[4], b[4];
  corners(n, one, a);
  corners(n, other, b);
  float width = fminf(a[2], b[2]) - fmaxf(a[0], b[0]), height = fminf(a[3], b[3]) - fmaxf(a[1], b[1]);
  float both = width > 0 && height > 0 ? width * height : 0;
  float all = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both;
  return both > 0 && all > 0 && both / all > n->overlap;
}

/* The box with the highest score below that of `last`, the first of equals; count if there is none. */
static size_t next_best(const nms *n, const float *scores, size_t last) {
  size_t best = n->count;
  for (size_t i = 0; i < n->count; i++) {
    int left = last == n->count || scores[i] < scores[last] || (scores[i] == scores[last] && i > last);
    if (left && scores[i] > n->least && (best == n->count || scores[i] > scores[best]))
      best = i;
  }
  return best;
}

/* The boxes of one class, in the order in which they are taken. */
static size_t pick(const nms *n, size_t batch, size_t class, int32_t *picked) {
  const float *boxes = n->boxes + batch * n->count * 4, *scores = n->scores + (batch * n->classes + class) * n->count;
  size_t taken = 0;
  for (size_t i = next_best(n, scores, n->count); i < n->count && (int64_t)taken < n->limit;
       i = next_best(n, scores, i)) {
    int free = 1;
    for (size_t j = 0; free && j < taken; j++)
      free = !overlaps(n, boxes + i * 4, boxes + (size_t)picked[j] * 4);
    if (free)
      picked[taken++] = (int32_t)i;
  }
  return taken;
}

static q8_status scalar_of(const q8_op_io *io, int32_t i, float *out) {
  const q8_value *value = q8_input(io, i);
  if (!value)
    return QINT8_OK;
  if (value->count != 1)
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "input %d has %zu values, expected 1", (int)i, value->count);
  *out = *(const float *)value->data;
  return QINT8_OK;
}

static q8_status read_inputs(const q8_op_io *io, nms *n) {
  const q8_value *boxes = io->inputs[0], *scores = io->inputs[1];
  q8_ints limit = {.count = 1};
  for (int32_t i = 0; i < io->node->input_count; i++)
    if (io->inputs[i] && !io->inputs[i]->data)
      return q8_fail(
          io->error, QINT8_ERROR_UNSUPPORTED, io->node->name,
          "how many boxes remain depends on the values of input %d, which must be constant or bound when the "
          "plan is compiled; end the exported model before NonMaxSuppression",
          (int)i);
  const q8_shape *x = &boxes->shape, *s = &scores->shape;
  if (x->rank != 3 || s->rank != 3 || x->dim[2] != 4 || x->dim[0] != s->dim[0] || x->dim[1] != s->dim[2])
    return q8_op_fail(io, QINT8_ERROR_SHAPE, "boxes of shape %p with scores of shape %p", x, s);
  if (q8_input(io, 2))
    Q8_TRY(q8_infer_ints(io, 2, &limit));
  *n = (nms){.boxes = boxes->data,
             .scores = scores->data,
             .batches = (size_t)x->dim[0],
             .count = (size_t)x->dim[1],
             .classes = (size_t)s->dim[1],
             .limit = limit.v[0],
             .least = -INFINITY,
             .center = ((const nms_params *)io->node->params)->center_point_box != 0};
  Q8_TRY(scalar_of(io, 3, &n->overlap));
  Q8_TRY(scalar_of(io, 4, &n->least));
  if (limit.count != 1 || (n->limit > MAX_PICKED && n->count > MAX_PICKED))
    return q8_op_fail(io, QINT8_ERROR_LIMIT, "more than %d boxes of a class", MAX_PICKED);
  return QINT8_OK;
}

/* Rows of the result, how many there are; y NULL: they are only counted. */
static q8_status select_boxes(const q8_op_io *io, int64_t *y, int64_t *count) {
  nms n;
  int32_t picked[MAX_PICKED];
  Q8_TRY(read_inputs(io, &n));
  *count = 0;
  for (size_t i = 0; i < n.batches * n.classes; i++) {
    size_t taken = pick(&n, i / n.classes, i % n.classes, picked);
    *count += (int64_t)taken;
    for (size_t j = 0; y && j < taken; j++, y += 3) {
      y[0] = (int64_t)(i / n.classes);
      y[1] = (int64_t)(i % n.classes);
      y[2] = picked[j];
    }
  }
  return QINT8_OK;
}

static q8_status infer(const q8_op_io *io) {
  q8_shape y = {.rank = 2, .dim = {0, 3}};
  Q8_TRY(select_boxes(io, NULL, &y.dim[0]));
  return q8_infer_set(io, 0, QINT8_DTYPE_S64, &y);
}

static q8_status eval(const q8_op_io *io) {
  int64_t count;
  return select_boxes(io, io->outputs[0].data, &count);
}

const q8_op q8_op_nms = {
    .name = "NonMaxSuppression", Q8_OPSETS(10, 21), Q8_INPUTS(2, 5), Q8_OUTPUTS(1, 1),
    Q8_ATTRIBUTES(attributes), .params_size = sizeof(nms_params), .quant = Q8_QUANT_FLOAT,
    .float_inputs = 27,
    .family = &(const q8_op_family){.int8_obstacle = "no int8 form: the shape of the result depends on values",
                                    .infer = infer, .eval = eval}};
