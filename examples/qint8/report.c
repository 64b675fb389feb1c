/* report.c - collects what a report says, and says it as JSON. */
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

void json_layers(json *out, const char *key, const layer *const *rows, int count) {
  json_open(out, key, '[');
  for (int i = 0; i < count; i++) {
    const layer *row = rows[i];
    json_open(out, NULL, '{');
    json_text(out, "name", row->name);
    json_text(out, "operators", row->op);
    json_integer(out, "order", row->order);
    json_number(out, "sqnr_db", sqnr_of(layer_rel_err(row)));
    json_number(out, "rel_err", layer_rel_err(row));
    json_number(out, "cosine", layer_cosine(row));
    json_number(out, "born_rel_err", layer_born(row));
    json_number(out, "clip_rate", row->is_int8 ? layer_clip_rate(row) : NAN);
    json_number(out, "channel_ratio", row->channel_ratio);
    json_number(out, "weight_sqnr_db", isnan(row->weight_error) ? NAN : sqnr_of(sqrt(row->weight_error)));
    json_text(out, "weights", row->weights);
    json_text(out, "cause", row->cause);
    json_text(out, "advice", row->advice);
    json_close(out, '}');
  }
  json_close(out, ']');
}

static void json_warnings(json *out, const qint8_ranges *ranges) {
  json_open(out, "warnings", '[');
  for (size_t i = 0, count = qint8_ranges_warning_count(ranges, NULL); i < count; i++) {
    qint8_warning w = QINT8_WARNING_INIT;
    if (qint8_ranges_warning(ranges, NULL, i, &w, NULL) != QINT8_OK)
      continue;
    json_open(out, NULL, '{');
    json_text(out, "tensor", w.tensor);
    json_integer(out, "sample", w.sample);
    json_integer(out, "count", w.count);
    json_number(out, "amount", w.amount);
    json_text(out, "message", w.message);
    json_close(out, '}');
  }
  json_close(out, ']');
}

void report_json(const report *r, json *out) {
  json_integer(out, "peak_resident_bytes", r->peak_bytes);
  if (r->is_calibrated)
    json_warnings(out, r->ranges);
  if (r->compared == &r->own) {
    int count;
    const layer **sorted = layers_sorted(&r->compared->layers, worst_first, &count);
    json_layers(out, "layers", sorted, count);
    free(sorted);
  }
}

long long peak_resident_bytes(void) {
  char line[256];
  long long kilobytes = -1;
  FILE *file = fopen("/proc/self/status", "r"); /* of Linux */
  while (file && kilobytes < 0 && fgets(line, sizeof line, file))
    if (sscanf(line, "VmHWM: %lld", &kilobytes) != 1)
      kilobytes = -1;
  if (file)
    fclose(file);
  return kilobytes < 0 ? -1 : kilobytes * 1024;
}

/* ---- Collecting ---- */

#define COMPARED 64    /* samples */
#define CALIBRATED 256 /* for histograms, where there was no calibration */

static long long size_of_file(const char *path) {
  long size;
  FILE *file = open_file(path, &size);
  if (!file)
    return -1;
  fclose(file);
  return size;
}

static void fact(report *r, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void fact(report *r, const char *name, const char *format, ...) {
  if (r->fact_count == REPORT_FACTS)
    return;
  report_fact *f = &r->facts[r->fact_count++];
  f->name = name;
  va_list ap;
  va_start(ap, format);
  vsnprintf(f->text, sizeof f->text, format, ap);
  va_end(ap);
}

static int compare_again(const report_request *q, report *r) {
  size_t samples = q->data->count < COMPARED ? q->data->count : COMPARED;
  size_t batch = (size_t)batch_for(q->float_model, 1);
  samples -= samples % batch; /* a fixed batch */
  if (samples == 0)
    return 0;
  r->own = (comparison){.float_path = q->float_path, .int8_path = q->int8_path, .isa = q->isa,
                        .float_model = q->float_model, .int8_model = r->int8_model, .int8_recipe = r->int8_recipe,
                        .data = q->data, .samples = samples, .batch = q->batch, .host = q->host};
  r->compared = &r->own;
  return compare_models(&r->own);
}

/* ---- Rows ---- */

static void rows_of_search(const report_request *q, report *r) {
  const budget *b = &q->options->budgets[0];
  r->metric = b->metric->name;
  r->better = b->metric->better;
  r->limit = b->is_floor ? b->limit : q->tried->reference[0] - r->better * b->limit;
  r->time_name = "expected µs per sample";
  r->row_count = (int)q->tried->count + 1;
  r->rows = allocate((size_t)r->row_count, sizeof *r->rows);
  r->rows[0] = (report_row){.name = "fp32_baseline", .value = q->tried->reference[0],
                            .bytes = (double)q->tried->float_bytes, .us = q->tried->float_us, .seconds = NAN,
                            .float_nodes = -1, .met = -1};
  for (int i = 1; i < r->row_count; i++) {
    const auto_row *from = &q->tried->rows[i - 1];
    const qint8_candidate *c = &from->candidate;
    report_row *row = &r->rows[i];
    *row = (report_row){.value = from->values[0], .bytes = (double)c->bytes, .us = c->microseconds,
                        .seconds = c->seconds, .float_nodes = (int)c->float_nodes, .met = c->met, .taken = c->best};
    snprintf(row->name, sizeof row->name, "%s", qint8_config_name((qint8_config)c->config));
    candidate_text(c, q->observers, row->how, sizeof row->how);
  }
}

/* rel_err of the first output, as far as both compute it. */
static double output_error(const report_request *q, const report *r) {
  qint8_tensor_info info = QINT8_TENSOR_INFO_INIT;
  const layer *row = NULL;
  if (r->compared && qint8_model_output(q->float_model, 0, &info) == QINT8_OK)
    row = layer_find(&r->compared->layers, info.name);
  return row && row->seen ? layer_rel_err(row) : NAN;
}

static void rows_of_comparison(const report_request *q, report *r) {
  r->metric = "rel_err";
  r->better = -1;
  r->limit = NAN;
  r->time_name = "measured µs per sample";
  r->row_count = 2;
  r->rows = allocate(2, sizeof *r->rows);
  r->rows[0] = (report_row){.name = "fp32_baseline", .value = 0, .bytes = (double)size_of_file(q->float_path),
                            .us = r->compared ? r->compared->float_us : NAN, .seconds = NAN, .float_nodes = -1,
                            .met = -1};
  r->rows[1] = (report_row){.value = output_error(q, r), .bytes = (double)size_of_file(q->int8_path),
                            .us = r->compared ? r->compared->int8_us : NAN, .seconds = q->seconds,
                            .float_nodes = -1, .met = -1, .taken = 1};
  snprintf(r->rows[1].name, sizeof r->rows[1].name, "%s", q->config);
}

static void collect_facts(const report_request *q, report *r) {
  const report_row *taken = &r->rows[0];
  for (int i = 1; i < r->row_count; i++)
    taken = r->rows[i].taken ? &r->rows[i] : taken;
  fact(r, "Float model", "%s, %.1f KB", q->float_path, r->rows[0].bytes / 1024);
  fact(r, "Int8 model", "%s, %.1f KB (%.2f of it)", q->int8_path, taken->bytes / 1024,
       taken->bytes / r->rows[0].bytes);
  fact(r, "Configuration", "%s %s", taken->name, taken->how);
  if (!isnan(taken->value))
    fact(r, "Result", "%s %.5g, float %.5g", r->metric, taken->value, r->rows[0].value);
  if (taken->us > 0)
    fact(r, "Time", "%.0f %s, float %.0f: %.2f times as fast", taken->us, r->time_name, r->rows[0].us,
         r->rows[0].us / taken->us);
  if (r->is_calibrated)
    fact(r, "Calibration", "%lld samples", (long long)qint8_ranges_samples(r->ranges));
  if (r->compared)
    fact(r, "Layers", "compared on %zu samples", r->compared->samples);
  if (!isnan(q->seconds))
    fact(r, "Made in", "%.2f s by qint8 %s", q->seconds, qint8_version_string());
}

int report_make(const report_request *q, report *r) {
  *r = (report){.title = q->title, .limit = NAN, .ranges = q->ranges, .compared = q->compared,
                .peak_bytes = q->peak_bytes};
  int status = model_open(q->int8_path, q->host, &r->int8_model, &r->int8_recipe);
  if (!status && !r->compared && q->data)
    status = compare_again(q, r);
  qint8_histogram h = QINT8_HISTOGRAM_INIT;
  int has_histograms = r->ranges && qint8_ranges_histogram(r->ranges, 0, &h, NULL, 0, NULL) == QINT8_OK;
  if (!status && !has_histograms && q->data)
    status = dataset_ranges(q->float_model, q->data, CALIBRATED, q->batch, q->host, &r->own_ranges);
  if (r->own_ranges)
    r->ranges = r->own_ranges;
  if (status)
    return status;
  r->is_calibrated = r->ranges && !q->compared;
  if (q->tried && q->options->budget_count && q->tried->count)
    rows_of_search(q, r);
  else
    rows_of_comparison(q, r);
  collect_facts(q, r);
  return 0;
}

void report_free(report *r) {
  layers_free(&r->own.layers);
  qint8_ranges_destroy(r->own_ranges);
  qint8_recipe_destroy(r->int8_recipe);
  qint8_model_destroy(r->int8_model);
  free(r->rows);
}
