/* quantize_report.c - what `qint8 quantize` says when it is done, and its reports. */
#include <stdlib.h>

#include "quantize.h"

long long file_size(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file)
    return -1;
  long long size = fseek(file, 0, SEEK_END) ? -1 : ftell(file);
  fclose(file);
  return size;
}

static void report_tensors(const job *j, json *out) {
  json_open(out, "tensors", '[');
  for (size_t i = 0; i < qint8_ranges_count(j->ranges); i++) {
    const char *name;
    qint8_range r = QINT8_RANGE_INIT;
    qint8_qparams q = QINT8_QPARAMS_INIT;
    if (qint8_ranges_get(j->ranges, i, &name, &r) != QINT8_OK)
      continue;
    json_open(out, NULL, '{');
    json_text(out, "name", name);
    json_number(out, "min", (double)r.min);
    json_number(out, "max", (double)r.max);
    json_number(out, "low", (double)r.low);
    json_number(out, "high", (double)r.high);
    json_integer(out, "nan", r.nan_count);
    json_integer(out, "inf", r.inf_count);
    if (qint8_recipe_tensor(j->recipe, name, &q, 1, NULL, NULL) == QINT8_OK) {
      json_number(out, "scale", (double)q.scale);
      json_integer(out, "zero_point", q.zero_point);
    }
    json_close(out, '}');
  }
  json_close(out, ']');
}

static void report_tried(const job *j, json *out) {
  const auto_options *o = &j->automatic;
  json_open(out, "candidates", '[');
  for (size_t i = 0; i < j->tried.count; i++) {
    const qint8_candidate *c = &j->tried.rows[i].candidate;
    char how[64];
    candidate_text(c, observer_names, how, sizeof how);
    json_open(out, NULL, '{');
    json_text(out, "config", qint8_config_name((qint8_config)c->config));
    json_text(out, "how", how);
    for (int k = 0; k < o->budget_count; k++)
      json_number(out, o->budgets[k].metric->name, j->tried.rows[i].values[k]);
    json_integer(out, "float_nodes", (long long)c->float_nodes);
    json_integer(out, "bytes", (long long)c->bytes);
    json_number(out, "expected_us", c->microseconds);
    json_number(out, "seconds", c->seconds);
    json_integer(out, "met", c->met);
    json_integer(out, "taken", c->best);
    json_close(out, '}');
  }
  json_close(out, ']');
}

static int write_report(const job *j, const report *r) {
  FILE *file = fopen(j->report, "w");
  if (!file)
    return fail("%s: cannot be opened for writing", j->report);
  json out;
  json_begin(&out, file);
  json_open(&out, NULL, '{');
  json_text(&out, "model", j->model_path);
  json_text(&out, "output", j->out_path);
  json_text(&out, "config", j->config_name);
  json_text(&out, "observer", j->observer_name);
  json_text(&out, "activations", j->activations);
  json_text(&out, "format", j->format_name);
  json_integer(&out, "calibration_samples", (long long)j->used);
  json_integer(&out, "model_bytes", file_size(j->model_path));
  json_integer(&out, "output_bytes", file_size(j->out_path));
  json_number(&out, "seconds_calibrate", j->seconds_calibrate);
  json_number(&out, "seconds_total", j->seconds_total);
  json_integer(&out, "scaled_input", j->scaled_input);
  json_integer(&out, "equalised_groups", (long long)j->equalised);
  json_integer(&out, "corrected_biases", is_static(j) && !j->no_correction);
  if (j->is_auto)
    report_tried(j, &out);
  report_tensors(j, &out);
  report_json(r, &out);
  json_close(&out, '}');
  json_end(&out);
  return fclose(file) ? fail("%s: could not be written whole", j->report) : 0;
}

int write_reports(job *j, const qint8_host *host) {
  report r = {0};
  report_request request = {.title = "quantize", .float_path = j->model_path, .int8_path = j->out_path,
                            .config = j->config_name, .float_model = j->model, .batch = j->batch, .host = host,
                            .ranges = j->ranges, .observers = observer_names, .seconds = j->seconds_total,
                            .peak_bytes = j->peak_bytes ? j->peak_bytes : peak_resident_bytes()};
  if (j->calibration && !j->data.parts &&
      dataset_open(j->calibration, j->model, j->mean, j->std, j->samples, &j->data))
    return EXIT_FAILED;
  if (j->data.parts)
    request.data = &j->data;
  if (j->is_auto) {
    request.options = &j->automatic;
    request.tried = &j->tried;
  }
  int status = report_make(&request, &r);
  if (!status && j->report)
    status = write_report(j, &r);
  if (!status && j->report_page)
    status = report_html(&r, j->report_page);
  report_free(&r);
  return status;
}

void print_summary(const job *j) {
  printf("%s: %s, %lld bytes (float: %lld), %zu calibration samples, %.2f s\n", j->out_path, j->config_name,
         file_size(j->out_path), file_size(j->model_path), j->used, j->seconds_total);
  if (qint8_recipe_head(j->recipe))
    printf("%zu operators at the start stay float: most of the error was born there (--all-int8 quantizes them)\n",
           qint8_recipe_head(j->recipe));
  if (qint8_recipe_kept_float(j->recipe))
    printf("%zu operators stay float: int8 would be slower (--force quantizes them)\n",
           qint8_recipe_kept_float(j->recipe));
}
