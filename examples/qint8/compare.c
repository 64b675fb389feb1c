/* compare.c - a float model and its int8 form side by side: where the error is born, layer by layer. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"

/* ---- Sums ---- */

layer *layer_find(const layers *t, const char *name) {
  for (int i = 0; i < t->count; i++)
    if (!strcmp(t->rows[i].name, name))
      return &t->rows[i];
  return NULL;
}

static layer *add_layer(layers *t, const char *name, const qint8_recipe *recipe) {
  if (t->count == t->capacity) {
    int grown = t->capacity ? t->capacity * 2 : 64;
    layer *rows = allocate((size_t)grown, sizeof *rows);
    if (t->count)
      memcpy(rows, t->rows, (size_t)t->count * sizeof *rows);
    free(t->rows);
    t->rows = rows;
    t->capacity = grown;
  }
  layer *row = &t->rows[t->count];
  *row = (layer){.name = allocate(strlen(name) + 1, 1), .order = t->count++, .qparams = QINT8_QPARAMS_INIT};
  strcpy(row->name, name);
  size_t count = 0;
  row->is_int8 = recipe && qint8_recipe_tensor(recipe, name, &row->qparams, 1, &count, NULL) == QINT8_OK && count == 1;
  return row;
}

static size_t count_of(const qint8_tensor *t) {
  size_t count = 1;
  for (int d = 0; d < t->rank; d++)
    count *= (size_t)t->shape[d];
  return count;
}

/* What rounding the float values to the tensor's 8 bits costs. */
static void add_rounding(layer *row) {
  double scale = (double)row->qparams.scale;
  double low = row->qparams.dtype == QINT8_DTYPE_S8 ? -128 : 0, high = low + 255, zero = row->qparams.zero_point;
  for (size_t i = 0; i < row->count; i++) {
    double v = (double)row->values[i] / scale + zero, q = nearbyint(v);
    int clips = q < low || q > high;
    double d = ((q < low ? low : q > high ? high : q) - v) * scale;
    row->clipped += clips;
    *(clips ? &row->clipping : &row->rounding) += d * d;
  }
  row->rounded += (int64_t)row->count;
}

static void keep_float(void *user, const char *name, const qint8_tensor *values) {
  comparison *c = user;
  layer *row = layer_find(&c->layers, name);
  size_t count = count_of(values);
  if (!row)
    row = add_layer(&c->layers, name, c->int8_recipe);
  if (row->count != count) {
    free(row->values);
    free(row->shift);
    row->values = allocate(count + 1, sizeof *row->values);
    row->channels = values->rank > 1 ? values->shape[1] : 0;
    row->samples = values->rank > 0 ? values->shape[0] : 1;
    row->shift = allocate((size_t)row->channels + 1, sizeof *row->shift);
    row->count = count;
  }
  memcpy(row->values, values->data, count * sizeof *row->values);
  if (row->is_int8)
    add_rounding(row);
}

static void add_error(void *user, const char *name, const qint8_tensor *values) {
  layer *row = layer_find(&((comparison *)user)->layers, name);
  const float *q = values->data;
  if (!row || row->count != count_of(values))
    return; /* merged away in one of the two */
  for (size_t i = 0; i < row->count; i++) {
    double f = (double)row->values[i], d = (double)q[i] - f;
    row->error += d * d;
    row->norm += f * f;
    row->product += f * (double)q[i];
    row->other += (double)q[i] * (double)q[i];
  }
  row->seen += (int64_t)row->count;
}

/* What the layer made of the float run's values; the next one gets those as well. */
static int32_t add_born(void *user, const char *name, const qint8_tensor *values) {
  layer *row = layer_find(&((comparison *)user)->layers, name);
  float *q = values->data;
  if (!row || row->count != count_of(values))
    return 0;
  size_t inner = row->channels ? row->count / (size_t)(row->samples * row->channels) : 1;
  for (size_t i = 0; i < row->count; i++) {
    double d = (double)q[i] - (double)row->values[i];
    row->born += d * d;
    if (row->channels)
      row->shift[i / inner % (size_t)row->channels] += d;
  }
  row->born_seen += (int64_t)row->count;
  memcpy(q, row->values, row->count * sizeof *q);
  return 1;
}

double layer_rel_err(const layer *row) {
  return row->error > 0 ? sqrt(row->error / row->norm) : 0;
}

double layer_born(const layer *row) {
  return row->born > 0 ? sqrt(row->born / row->norm) : 0;
}

double layer_rounding(const layer *row) {
  return row->rounding + row->clipping > 0 ? sqrt((row->rounding + row->clipping) / row->norm) : 0;
}

double layer_cosine(const layer *row) {
  return row->product / sqrt(row->norm * row->other);
}

double layer_clip_rate(const layer *row) {
  return row->rounded ? (double)row->clipped / (double)row->rounded : 0;
}

int layer_counts(const layer *row) {
  return row->norm + row->other > 0;
}

/* ---- Running both ---- */

/* Three runs of every batch: float, int8, and int8 layer by layer on the float values. */
static int run_batch(comparison *c, engine *f, engine *q, const sample_tensors *x, float *out) {
  qint8_error error = QINT8_ERROR_INIT;
  if (qint8_session_watch(q->session, add_error, c, &error) != QINT8_OK ||
      qint8_session_replace(q->session, NULL, NULL, &error) != QINT8_OK)
    return fail("%s", error.message);
  if (engine_run(f, x->inputs, x->count, out) || engine_run(q, x->inputs, x->count, out + f->output_count))
    return EXIT_FAILED;
  if (qint8_session_watch(q->session, NULL, NULL, &error) != QINT8_OK ||
      qint8_session_replace(q->session, add_born, c, &error) != QINT8_OK)
    return fail("%s", error.message);
  return engine_run(q, x->inputs, x->count, out + f->output_count);
}

#define TIMED_RUNS 3

/* Alternating, so that both see the same machine. */
static int time_both(comparison *c, engine *f, engine *q, const sample_tensors *x, float *out) {
  c->float_us = c->int8_us = INFINITY;
  for (int i = 0; i < TIMED_RUNS; i++) {
    double start = now_seconds();
    if (engine_run(f, x->inputs, x->count, out))
      return EXIT_FAILED;
    double middle = now_seconds();
    if (engine_run(q, x->inputs, x->count, out + f->output_count))
      return EXIT_FAILED;
    c->float_us = fmin(c->float_us, (middle - start) * 1e6 / (double)f->batch);
    c->int8_us = fmin(c->int8_us, (now_seconds() - middle) * 1e6 / (double)f->batch);
  }
  return 0;
}

static int run_batches(comparison *c, engine *f, engine *q) {
  size_t batch = (size_t)f->batch;
  float *out = allocate(f->output_count + q->output_count, sizeof *out);
  sample_tensors x;
  qint8_error error = QINT8_ERROR_INIT;
  tensors_allocate(tensors_shaped(c->data, f->batch, &x));
  int status = tensors_read(&x, c->data, 0, batch);
  if (!status)
    status = time_both(c, f, q, &x, out);
  if (!status && qint8_session_watch(f->session, keep_float, c, &error) != QINT8_OK)
    status = fail("%s", error.message);
  for (size_t done = 0; done < c->samples && !status; done += batch) {
    status = tensors_read(&x, c->data, done, batch);
    if (!status)
      status = run_batch(c, f, q, &x, out);
    progress("compare", done + batch, c->samples);
  }
  tensors_free(&x);
  free(out);
  return status;
}

int compare_models(comparison *c) {
  engine f = {0}, q = {0};
  int64_t batch = batch_for(c->float_model, c->batch);
  int fixed = batch_for(c->float_model, 1) == batch_for(c->float_model, 2);
  if (fixed && c->samples % (size_t)batch)
    return fail("%s: its batch is fixed at %lld, which does not divide %zu samples; see --n", c->float_path,
                (long long)batch, c->samples);
  while (c->samples % (size_t)batch) /* so that every sample counts */
    batch--;
  sample_tensors shapes;
  tensors_shaped(c->data, batch, &shapes);
  int status = engine_open(c->float_path, c->float_model, NULL, &shapes, batch, c->isa, c->host, &f);
  if (!status)
    status = engine_open(c->int8_path, c->int8_model, c->int8_recipe, &shapes, batch, c->isa, c->host, &q);
  if (!status)
    status = run_batches(c, &f, &q);
  engine_close(&f);
  engine_close(&q);
  if (!status)
    explain_layers(&c->layers, c->float_model, c->int8_recipe);
  return status;
}

void layers_free(layers *t) {
  for (int i = 0; i < t->count; i++) {
    layer *row = &t->rows[i];
    free(row->name);
    free((void *)(uintptr_t)row->op);
    free(row->values);
    free(row->shift);
    free(row->weights);
  }
  free(t->rows);
  *t = (layers){0};
}

/* ---- Order ---- */

int worst_first(const void *a, const void *b) {
  const layer *x = *(const layer *const *)a, *y = *(const layer *const *)b;
  double ex = layer_rel_err(x), ey = layer_rel_err(y);
  return ex != ey ? (ex < ey ? 1 : -1) : x->order - y->order;
}

int most_born_first(const void *a, const void *b) {
  const layer *x = *(const layer *const *)a, *y = *(const layer *const *)b;
  double ex = layer_born(x), ey = layer_born(y);
  return ex != ey ? (ex < ey ? 1 : -1) : x->order - y->order;
}

const layer **layers_sorted(const layers *t, layer_order *order, int *count) {
  const layer **sorted = allocate((size_t)t->count + 1, sizeof *sorted);
  *count = 0;
  for (int i = 0; i < t->count; i++)
    if (layer_counts(&t->rows[i]))
      sorted[(*count)++] = &t->rows[i];
  qsort(sorted, (size_t)*count, sizeof *sorted, order);
  return sorted;
}
