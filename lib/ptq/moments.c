#include "ptq/moments.h"

#include <string.h>

#include "ops/gemm.h"
#include "ops/hooks.h"
#include "ptq/loops.h"

#define MIN_ROWS 1024
#define ROWS_PER_INPUT 4

static int matrix_of(const q8_node *node, q8_product *p) {
  size_t rows = (size_t)p->w->shape.dim[0], columns = (size_t)p->w->shape.dim[1];
  int transposed = 0;
  if (p->w->shape.rank != 2)
    return 0;
  if (q8_is_op(node, "Gemm")) {
    const q8_gemm_params *params = node->params;
    if (params->trans_a)
      return 0;
    transposed = params->trans_b != 0;
  }
  p->groups = 1;
  p->n = transposed ? rows : columns;
  p->k = transposed ? columns : rows;
  p->w_out = transposed ? columns : 1;
  p->w_in = transposed ? 1 : columns;
  return 1;
}

int q8_product_of(const q8_graph *graph, const q8_node *node, q8_product *out) {
  *out = (q8_product){.node = node, .is_conv = q8_is_op(node, "Conv")};
  if (node->input_count < 2 || node->inputs[1] == Q8_NONE || !q8_graph_is_constant(graph, node->inputs[1]))
    return 0;
  out->w = &graph->tensors[node->inputs[1]];
  if (!out->w->data || out->w->dtype != QINT8_DTYPE_F32 || q8_shape_count(&out->w->shape, NULL) == 0)
    return 0;
  if (q8_is_op(node, "Gemm MatMul"))
    return matrix_of(node, out);
  if (!out->is_conv || out->w->shape.rank < 3)
    return 0;
  size_t outputs = (size_t)out->w->shape.dim[0];
  out->groups = (size_t)((const q8_conv_params *)node->params)->group;
  out->n = outputs / out->groups;
  out->k = out->w_out = q8_shape_count(&out->w->shape, NULL) / outputs;
  out->w_in = 1;
  return 1;
}

static size_t stride_of(const q8_product *p) {
  return q8_round_up(p->k, Q8_CHUNK_FLOATS);
}

size_t q8_moments_size(const q8_product *p) {
  return p->groups * (stride_of(p) * stride_of(p) * sizeof(float) + p->k * sizeof(double));
}

q8_status q8_moments_new(const q8_product *product, const q8_host *host, q8_moments *out, qint8_error *error) {
  *out = (q8_moments){.product = *product, .stride = stride_of(product)};
  out->h = q8_calloc(host, product->groups * out->stride, out->stride * sizeof(float));
  out->mean = q8_calloc(host, product->groups * product->k, sizeof(double));
  if (out->h && out->mean)
    return QINT8_OK;
  q8_moments_free(out, host);
  return q8_fail_memory(error, product->node->name, q8_moments_size(product));
}

void q8_moments_free(q8_moments *moments, const q8_host *host) {
  q8_free(host, moments->h);
  q8_free(host, moments->mean);
  moments->h = NULL;
  moments->mean = NULL;
}

/* ---- Input rows ---- */

/* One input of the node, as rows. */
typedef struct source {
  const q8_product *product;
  q8_conv_nd conv;
  const float *x;
  size_t rows; /* of each group */
} source;

static q8_status open_source(const q8_product *p, const q8_shape *shape, const float *x, source *out,
                             qint8_error *error) {
  *out = (source){.product = p, .x = x};
  if (!p->is_conv) {
    out->rows = q8_shape_count(shape, NULL) / p->k;
    return QINT8_OK;
  }
  q8_op_io io = {.node = p->node, .error = error};
  Q8_TRY(q8_conv_nd_of(&io, p->node->params, shape, &p->w->shape, &out->conv));
  out->rows = out->conv.n * q8_conv_positions(&out->conv, 1);
  return QINT8_OK;
}

/* The k inputs of row `row` of a group, in the order of the weights. */
static void read_row(const source *s, size_t group, size_t row, float *out) {
  if (s->product->is_conv)
    q8_read_taps(&s->conv, s->x, group, row, out);
  else
    memcpy(out, s->x + row * s->product->k, s->product->k * sizeof *out);
}

static void add_rows(q8_moments *m, const source *s, size_t group, const size_t *picked, size_t count, float *rows) {
  const q8_product *p = &m->product;
  memset(rows, 0, Q8_ROWS * m->stride * sizeof *rows);
  for (size_t i = 0; i < count; i++) {
    read_row(s, group, picked[i], rows + i * m->stride);
    q8_add_to_sums(m->mean + group * p->k, rows + i * m->stride, p->k);
  }
  q8_add_products(rows, m->stride, m->h + group * m->stride * m->stride);
}

/* Multiples of the golden ratio modulo 1 fill [0, 1) evenly: which rows are taken does not follow the image's width. */
static int takes(const q8_moments *m, uint64_t row) {
  return (double)(row * 0x9E3779B97F4A7C15u >> 11) * 0x1p-53 < m->share;
}

q8_status q8_moments_add(q8_moments *m, const q8_shape *shape, const float *x, size_t batches, const q8_host *host,
                         qint8_error *error) {
  source s;
  Q8_TRY(open_source(&m->product, shape, x, &s, error));
  if (m->seen == 0) {
    size_t wanted = ROWS_PER_INPUT * m->product.k > MIN_ROWS ? ROWS_PER_INPUT * m->product.k : MIN_ROWS;
    m->share = (double)wanted / ((double)s.rows * (double)batches);
  }
  float *rows = q8_alloc(host, Q8_ROWS * m->stride, sizeof *rows);
  if (!rows)
    return q8_fail_memory(error, m->product.node->name, Q8_ROWS * m->stride * sizeof *rows);
  size_t picked[Q8_ROWS], count = 0;
  for (size_t row = 0; row < s.rows; row++) {
    if (takes(m, m->seen + row))
      picked[count++] = row;
    if (count < Q8_ROWS && row + 1 < s.rows)
      continue;
    for (size_t g = 0; g < m->product.groups && count > 0; g++)
      add_rows(m, &s, g, picked, count, rows);
    m->rows += count;
    count = 0;
  }
  m->seen += s.rows;
  q8_free(host, rows);
  return QINT8_OK;
}

void q8_moments_finish(q8_moments *m, int centred) {
  size_t k = m->product.k, n = m->stride;
  double scale = m->rows ? 1 / (double)m->rows : 0;
  for (size_t g = 0; g < m->product.groups; g++) {
    float *h = m->h + g * n * n;
    double *mean = m->mean + g * k, trace = 0;
    for (size_t i = 0; i < k; i++)
      mean[i] *= scale;
    for (size_t i = 0; i < k; i++)
      for (size_t j = i; j < k; j++)
        h[i * n + j] = h[j * n + i] = (float)((double)h[i * n + j] * scale - (centred ? mean[i] * mean[j] : 0));
    for (size_t i = 0; i < k; i++)
      trace += (double)h[i * n + i];
    for (size_t i = 0; i < k; i++)
      h[i * n + i] += (float)(0.01 * trace / (double)k);
  }
}
