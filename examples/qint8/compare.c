/* compare.c - qint8 compare: where the error is born, tensor by tensor. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

/* Sums over all samples of one tensor that both models compute. */
typedef struct tensor_error {
  char *name;
  float *values; /* of the float model, this batch */
  size_t count;
  double error, norm, product, other; /* |q-f|^2, |f|^2, f.q, |q|^2 */
  int order;                          /* of execution */
} tensor_error;

typedef struct table {
  tensor_error *rows;
  int count, capacity;
} table;

static tensor_error *row_of(table *t, const char *name, int add) {
  for (int i = 0; i < t->count; i++)
    if (!strcmp(t->rows[i].name, name))
      return &t->rows[i];
  if (!add)
    return NULL;
  if (t->count == t->capacity) {
    int grown = t->capacity ? t->capacity * 2 : 64;
    tensor_error *rows = allocate((size_t)grown, sizeof *rows);
    if (t->count)
      memcpy(rows, t->rows, (size_t)t->count * sizeof *rows);
    free(t->rows);
    t->rows = rows;
    t->capacity = grown;
  }
  tensor_error *row = &t->rows[t->count];
  *row = (tensor_error){.name = allocate(strlen(name) + 1, 1), .order = t->count++};
  strcpy(row->name, name);
  return row;
}

static size_t count_of(const qint8_tensor *t) {
  size_t count = 1;
  for (int d = 0; d < t->rank; d++)
    count *= (size_t)t->shape[d];
  return count;
}

static void keep_float(void *user, const char *name, const qint8_tensor *values) {
  tensor_error *row = row_of(user, name, 1);
  size_t count = count_of(values);
  if (row->count != count) {
    free(row->values);
    row->values = allocate(count + 1, sizeof *row->values);
    row->count = count;
  }
  memcpy(row->values, values->data, count * sizeof *row->values);
}

static void add_error(void *user, const char *name, const qint8_tensor *values) {
  tensor_error *row = row_of(user, name, 0);
  const float *q = values->data;
  if (!row || row->count != count_of(values))
    return; /* fused away in one of the two */
  for (size_t i = 0; i < row->count; i++) {
    double f = (double)row->values[i], d = (double)q[i] - f;
    row->error += d * d;
    row->norm += f * f;
    row->product += f * (double)q[i];
    row->other += (double)q[i] * (double)q[i];
  }
}

static double rel_err_of(const tensor_error *row) {
  return row->error > 0 ? sqrt(row->error / row->norm) : 0;
}

static int worst_first(const void *a, const void *b) {
  const tensor_error *x = a, *y = b;
  double ex = rel_err_of(x), ey = rel_err_of(y);
  return ex != ey ? (ex < ey ? 1 : -1) : x->order - y->order;
}

typedef struct job {
  const char *float_path, *int8_path, *data_spec, *isa;
  long samples, batch, threads, top;
  double mean, std;
  int as_json;
  table table;
  dataset data;
} job;

static int compare_batches(job *j, engine *f, engine *q) {
  float *out = allocate(f->output_count + q->output_count, sizeof *out);
  qint8_error error = QINT8_ERROR_INIT;
  int status = 0;
  if (qint8_session_watch(f->session, keep_float, &j->table, &error) != QINT8_OK ||
      qint8_session_watch(q->session, add_error, &j->table, &error) != QINT8_OK)
    status = fail("%s", error.message);
  size_t batch = (size_t)f->batch;
  for (size_t done = 0; done < j->data.count && !status; done += batch) {
    status = engine_run(f, j->data.values + done * j->data.sample, out);
    if (!status)
      status = engine_run(q, j->data.values + done * j->data.sample, out + f->output_count);
    progress("compare", done + batch, j->data.count);
  }
  free(out);
  return status;
}

static int compare(job *j, const qint8_host *host) {
  qint8_model *fm = NULL, *qm = NULL;
  qint8_recipe *fr = NULL, *qr = NULL;
  engine f = {0}, q = {0};
  int status = model_open(j->float_path, host, &fm, &fr);
  if (!status)
    status = model_open(j->int8_path, host, &qm, &qr);
  if (!status)
    status = dataset_load(j->data_spec, fm, j->mean, j->std, j->samples, &j->data);
  int64_t batch = status ? 1 : batch_for(fm, j->batch);
  int fixed = !status && batch_for(fm, 1) == batch_for(fm, 2);
  if (fixed && j->data.count % (size_t)batch)
    status = fail("%s: its batch is fixed at %lld, which does not divide %zu samples; see --n", j->float_path,
                  (long long)batch, j->data.count);
  while (!status && j->data.count % (size_t)batch) /* so that every sample counts */
    batch--;
  if (!status)
    status = engine_open(j->float_path, fm, NULL, &j->data, batch, j->isa, host, &f);
  if (!status)
    status = engine_open(j->int8_path, qm, qr, &j->data, batch, j->isa, host, &q);
  if (!status)
    status = compare_batches(j, &f, &q);
  engine_close(&f);
  engine_close(&q);
  qint8_recipe_destroy(fr);
  qint8_recipe_destroy(qr);
  qint8_model_destroy(fm);
  qint8_model_destroy(qm);
  return status;
}

static void print_json(const table *t) {
  json out;
  json_begin(&out, stdout);
  json_open(&out, NULL, '{');
  json_open(&out, "tensors", '[');
  for (int i = 0; i < t->count; i++) {
    const tensor_error *row = &t->rows[i];
    if (row->norm + row->other == 0)
      continue;
    json_open(&out, NULL, '{');
    json_text(&out, "name", row->name);
    json_integer(&out, "order", row->order);
    json_number(&out, "sqnr_db", sqnr_of(rel_err_of(row)));
    json_number(&out, "rel_err", rel_err_of(row));
    json_number(&out, "cosine", row->product / sqrt(row->norm * row->other));
    json_close(&out, '}');
  }
  json_close(&out, ']');
  json_close(&out, '}');
  json_end(&out);
}

static void print_text(const table *t, long top) {
  printf("%8s %10s %9s %6s  %s\n", "sqnr_db", "rel_err", "cosine", "order", "tensor");
  long shown = 0;
  for (int i = 0; i < t->count && (top == 0 || shown < top); i++) {
    const tensor_error *row = &t->rows[i];
    if (row->norm + row->other == 0)
      continue;
    printf("%8.2f %10.5f %9.6f %6d  %s\n", sqnr_of(rel_err_of(row)), rel_err_of(row),
           row->product / sqrt(row->norm * row->other), row->order, row->name);
    shown++;
  }
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
      "Runs both models on the same samples and compares every tensor that both compute, worst first. `order`\n"
      "is the place in execution: the first tensor with a bad figure is where the error is born.\n\n"
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
  if (!status && j.table.count) {
    qsort(j.table.rows, (size_t)j.table.count, sizeof *j.table.rows, worst_first);
    if (j.as_json)
      print_json(&j.table);
    else
      print_text(&j.table, j.top);
  }
  for (int i = 0; i < j.table.count; i++) {
    free(j.table.rows[i].name);
    free(j.table.rows[i].values);
  }
  free(j.table.rows);
  dataset_free(&j.data);
  host_close(pool);
  return status;
}
