/* compare.c - qint8 compare: where the error is born, layer by layer. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compare.h"

typedef struct job {
  const char *float_path, *int8_path, *data_spec, *isa;
  long samples, batch, threads, top;
  double mean, std;
  int as_json;
  layers layers;
  dataset data;
  qint8_model *float_model, *int8_model;
  qint8_recipe *float_recipe, *int8_recipe;
} job;

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
  job *j = user;
  layer *row = layer_find(&j->layers, name);
  size_t count = count_of(values);
  if (!row)
    row = add_layer(&j->layers, name, j->int8_recipe);
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
  layer *row = layer_find(&((job *)user)->layers, name);
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
  layer *row = layer_find(&((job *)user)->layers, name);
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
static int run_batch(job *j, engine *f, engine *q, const float *x, float *out) {
  qint8_error error = QINT8_ERROR_INIT;
  if (qint8_session_watch(q->session, add_error, j, &error) != QINT8_OK ||
      qint8_session_replace(q->session, NULL, NULL, &error) != QINT8_OK)
    return fail("%s", error.message);
  if (engine_run(f, x, out) || engine_run(q, x, out + f->output_count))
    return EXIT_FAILED;
  if (qint8_session_watch(q->session, NULL, NULL, &error) != QINT8_OK ||
      qint8_session_replace(q->session, add_born, j, &error) != QINT8_OK)
    return fail("%s", error.message);
  return engine_run(q, x, out + f->output_count);
}

static int run_batches(job *j, engine *f, engine *q) {
  float *out = allocate(f->output_count + q->output_count, sizeof *out);
  qint8_error error = QINT8_ERROR_INIT;
  int status = 0;
  if (qint8_session_watch(f->session, keep_float, j, &error) != QINT8_OK)
    status = fail("%s", error.message);
  size_t batch = (size_t)f->batch;
  for (size_t done = 0; done < j->data.count && !status; done += batch) {
    status = run_batch(j, f, q, j->data.values + done * j->data.sample, out);
    progress("compare", done + batch, j->data.count);
  }
  free(out);
  return status;
}

static int compare(job *j, const qint8_host *host) {
  engine f = {0}, q = {0};
  int status = model_open(j->float_path, host, &j->float_model, &j->float_recipe);
  if (!status)
    status = model_open(j->int8_path, host, &j->int8_model, &j->int8_recipe);
  if (!status)
    status = dataset_load(j->data_spec, j->float_model, j->mean, j->std, j->samples, &j->data);
  int64_t batch = status ? 1 : batch_for(j->float_model, j->batch);
  int fixed = !status && batch_for(j->float_model, 1) == batch_for(j->float_model, 2);
  if (fixed && j->data.count % (size_t)batch)
    status = fail("%s: its batch is fixed at %lld, which does not divide %zu samples; see --n", j->float_path,
                  (long long)batch, j->data.count);
  while (!status && j->data.count % (size_t)batch) /* so that every sample counts */
    batch--;
  if (!status)
    status = engine_open(j->float_path, j->float_model, NULL, &j->data, batch, j->isa, host, &f);
  if (!status)
    status = engine_open(j->int8_path, j->int8_model, j->int8_recipe, &j->data, batch, j->isa, host, &q);
  if (!status)
    status = run_batches(j, &f, &q);
  engine_close(&f);
  engine_close(&q);
  return status;
}

/* ---- Results ---- */

static int worst_first(const void *a, const void *b) {
  const layer *x = *(const layer *const *)a, *y = *(const layer *const *)b;
  double ex = layer_rel_err(x), ey = layer_rel_err(y);
  return ex != ey ? (ex < ey ? 1 : -1) : x->order - y->order;
}

static int most_born_first(const void *a, const void *b) {
  const layer *x = *(const layer *const *)a, *y = *(const layer *const *)b;
  double ex = layer_born(x), ey = layer_born(y);
  return ex != ey ? (ex < ey ? 1 : -1) : x->order - y->order;
}

/* Those that count, in that order; free(). */
static const layer **sort_layers(const layers *t, int (*order)(const void *, const void *), int *count) {
  const layer **sorted = allocate((size_t)t->count + 1, sizeof *sorted);
  *count = 0;
  for (int i = 0; i < t->count; i++)
    if (layer_counts(&t->rows[i]))
      sorted[(*count)++] = &t->rows[i];
  qsort(sorted, (size_t)*count, sizeof *sorted, order);
  return sorted;
}

static void print_json(const layers *t) {
  json out;
  int count;
  const layer **sorted = sort_layers(t, worst_first, &count);
  json_begin(&out, stdout);
  json_open(&out, NULL, '{');
  json_layers(&out, sorted, count);
  json_close(&out, '}');
  json_end(&out);
  free(sorted);
}

static void print_row(const layer *row) {
  printf("%8.2f %10.5f %9.6f %10.5f ", sqnr_of(layer_rel_err(row)), layer_rel_err(row), layer_cosine(row),
         layer_born(row));
  if (row->is_int8)
    printf("%8.4f ", 100 * layer_clip_rate(row));
  else
    printf("%8s ", "");
  if (isnan(row->channel_ratio))
    printf("%6s ", "");
  else
    printf("%6.1f ", row->channel_ratio);
  printf("%5d  %s%s%s%s\n", row->order, row->name, row->op ? " (" : "", row->op ? row->op : "", row->op ? ")" : "");
}

#define BORN_SHOWN 10

static void print_text(const layers *t, long top) {
  int count;
  const layer **sorted = sort_layers(t, worst_first, &count);
  printf("%8s %10s %9s %10s %8s %6s %5s  %s\n", "sqnr_db", "rel_err", "cosine", "born", "clip_%", "ratio", "order",
         "tensor (operators)");
  for (int i = 0; i < count && (top == 0 || i < top); i++)
    print_row(sorted[i]);
  qsort(sorted, (size_t)count, sizeof *sorted, most_born_first);
  printf("\nWhere the error is born, most first (on exact inputs):\n");
  for (int i = 0, shown = 0; i < count && shown < BORN_SHOWN; i++)
    if (sorted[i]->cause[0] && ++shown)
      printf("%10.5f  %s: %s\n", layer_born(sorted[i]), sorted[i]->name, sorted[i]->advice);
  free(sorted);
}

static void free_job(job *j) {
  for (int i = 0; i < j->layers.count; i++) {
    layer *row = &j->layers.rows[i];
    free(row->name);
    free((void *)(uintptr_t)row->op);
    free(row->values);
    free(row->shift);
    free(row->weights);
  }
  free(j->layers.rows);
  dataset_free(&j->data);
  qint8_recipe_destroy(j->float_recipe);
  qint8_recipe_destroy(j->int8_recipe);
  qint8_model_destroy(j->float_model);
  qint8_model_destroy(j->int8_model);
}

int command_compare(int argc, char **argv) {
  job j = {.samples = 64, .batch = 8, .threads = 1, .mean = NAN, .std = NAN};
  const char *words[2];
  const option options[] = {
      {"--data", "FILE.npz:KEY", "inputs", OPTION_TEXT, &j.data_spec},
      {"--n", "N", "the first N samples (64; 0: all)", OPTION_INT, &j.samples},
      {"--batch", "N", "samples per run (8)", OPTION_INT, &j.batch},
      {"--top", "N", "only the N worst tensors (0: all)", OPTION_INT, &j.top},
      {"--mean", "X", "mean of uint8 images; default: the archive's own", OPTION_FLOAT, &j.mean},
      {"--std", "X", "their standard deviation", OPTION_ABOVE_ZERO, &j.std},
      {"--isa", "NAME", "scalar, avx2, avxvnni, avx512vnni, neon, ...", OPTION_TEXT, &j.isa},
      {"--threads", "N", "threads (1)", OPTION_INT, &j.threads},
      {"--json", NULL, "one JSON object on stdout", OPTION_FLAG, &j.as_json}};
  const command_line line = {
      "qint8 compare FP32.onnx INT8.onnx --data FILE.npz:KEY [--json]",
      "Runs both models on the same samples and compares every tensor that both compute, worst first.\n"
      "  sqnr_db, rel_err, cosine  of the int8 model's tensor against the float model's\n"
      "  born    rel_err of the layer alone: its int8 form on the float model's inputs; the rest is inherited\n"
      "  clip_%  float values beyond the tensor's range\n"
      "  ratio   widest range of a channel of the layer's weights over the median\n"
      "  order   place in execution\n"
      "Then the layers that the error is born in, each with its cause and a remedy.\n\n"
      "example: qint8 compare net.onnx net8.onnx --data test.npz:x --top 10",
      options, COUNT(options), 2, 2};
  int stop = parse_options(&line, argc, argv, words);
  if (stop)
    return stop - 1;
  j.float_path = words[0];
  j.int8_path = words[1];
  if (!j.data_spec) {
    fail("--data FILE.npz:KEY is missing");
    return EXIT_USAGE;
  }
  qint8_host host;
  thread_pool *pool;
  host_open(&host, j.threads, &pool);
  int status = compare(&j, &host);
  if (!status) {
    explain_layers(&j.layers, j.float_model, j.int8_recipe);
    if (j.as_json)
      print_json(&j.layers);
    else
      print_text(&j.layers, j.top);
  }
  free_job(&j);
  host_close(pool);
  return status;
}
