/* quantize.c - qint8 quantize: calibrate, decide, write QDQ ONNX and a report. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

typedef struct job {
  const char *model_path, *out_path, *config_name, *calibration, *observer_name, *activations, *format_name, *report, *report_page;
  long samples, batch, threads;
  double mean, std;
  qint8_config config;
  int32_t observer, activation_dtype, format;
  int force, no_correction, round_weights, no_equalise, all_int8;
  dataset data; /* what was calibrated on */
  qint8_model *model;
  qint8_recipe *file_recipe, *recipe;
  qint8_ranges *ranges;
  size_t used; /* calibration samples */
  size_t equalised; /* groups of channels */
  int32_t scaled_input;
  double seconds_calibrate, seconds_total;
  long long peak_bytes; /* resident, when calibration had ended */
  int is_auto;
  auto_options automatic;
  auto_result tried;
} job;

/* By qint8_observer_kind. */
static const char *const observers[] = {"minmax", "moving_average", "histogram", "percentile", "entropy"};

static int parse_config(job *j) {
  int found = j->is_auto = !strcmp(j->config_name, "auto");
  for (int c = 0; qint8_config_name((qint8_config)c); c++)
    if (!strcmp(j->config_name, qint8_config_name((qint8_config)c))) {
      j->config = (qint8_config)c;
      found = 1;
    }
  if (found && j->config == QINT8_CONFIG_QAT)
    return fail("--config qat_int8 is not supported yet");
  if (!found)
    fail("--config %s is unknown: fp32_baseline, dynamic_int8, static_int8_per_tensor, static_int8_per_channel, auto",
         j->config_name);
  else if (j->is_auto && j->automatic.texts.count == 0)
    fail("--config auto needs a budget, such as --budget 'top1<=0.5%%'");
  else if (!j->is_auto && j->automatic.texts.count > 0)
    fail("--budget serves --config auto");
  else
    return 0;
  return EXIT_USAGE;
}

static int parse_names(job *j) {
  int status = parse_config(j);
  if (!status && (status = budgets_parse(&j->automatic.texts, j->automatic.budgets)) == 0)
    j->automatic.budget_count = j->automatic.texts.count;
  if (status)
    return status;
  j->observer = -1;
  for (int i = 0; i < COUNT(observers); i++)
    if (!strcmp(j->observer_name, observers[i]))
      j->observer = i;
  if (j->observer < 0) {
    fail("--observer %s is unknown: minmax, moving_average, histogram, percentile, entropy", j->observer_name);
    return EXIT_USAGE;
  }
  if (strcmp(j->activations, "u8") && strcmp(j->activations, "s8")) {
    fail("--activations %s is unknown: u8 or s8", j->activations);
    return EXIT_USAGE;
  }
  if (strcmp(j->format_name, "qdq") && strcmp(j->format_name, "qoperator")) {
    fail("--format %s is unknown: qdq or qoperator", j->format_name);
    return EXIT_USAGE;
  }
  j->format = !strcmp(j->format_name, "qdq") ? QINT8_FORMAT_QDQ : QINT8_FORMAT_QOPERATOR;
  j->activation_dtype = !strcmp(j->activations, "s8") ? QINT8_DTYPE_S8 : QINT8_DTYPE_U8;
  return 0;
}

static int is_static(const job *j) {
  return j->config == QINT8_CONFIG_STATIC_PER_TENSOR || j->config == QINT8_CONFIG_STATIC_PER_CHANNEL;
}

static int feed_all(qint8_calibrator *calibrator, const dataset *data, int64_t batch) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_tensor in = QINT8_TENSOR_INIT;
  in.dtype = QINT8_DTYPE_F32;
  in.rank = data->rank;
  memcpy(in.shape, data->shape, sizeof in.shape);
  const qint8_tensor *inputs[] = {&in};
  float *values = allocate((size_t)batch * data->sample + 1, sizeof *values);
  int failed = 0;
  for (size_t done = 0; done < data->count && !failed;) {
    size_t now = data->count - done < (size_t)batch ? data->count - done : (size_t)batch;
    in.shape[0] = (int64_t)now;
    in.data = values;
    failed = dataset_read(data, done, now, values);
    qint8_status status = failed ? QINT8_OK : qint8_calibrator_feed(calibrator, inputs, 1, &error);
    if (status != QINT8_OK)
      failed = fail_error("calibration", status, &error);
    done += now;
    progress("calibrate", done, data->count);
  }
  free(values);
  return failed;
}

/* Where the data to validate on differs from what was calibrated on. */
static int check_validation(job *j, const qint8_host *host) {
  dataset validation = {0};
  qint8_ranges *ranges = NULL;
  int status = dataset_open(j->automatic.validation, j->model, j->mean, j->std, j->samples, &validation);
  if (!status)
    status = dataset_ranges(j->model, &validation, validation.count, j->batch, host, &ranges);
  if (!status)
    print_warnings(j->ranges, ranges);
  qint8_ranges_destroy(ranges);
  dataset_free(&validation);
  return status;
}

static int calibrate(job *j, const qint8_host *host) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_calibrator *calibrator = NULL;
  qint8_calibrator_options options = QINT8_CALIBRATOR_OPTIONS_INIT;
  options.observer = j->observer;
  double start = now_seconds();
  int status = dataset_open(j->calibration, j->model, j->mean, j->std, j->samples, &j->data);
  if (!status) {
    if (j->samples > 0 && j->data.count < (size_t)j->samples)
      warn("%s holds %zu samples, %ld were asked for", j->calibration, j->data.count, j->samples);
    j->used = j->data.count;
    qint8_status s = qint8_calibrator_create(j->model, &options, host, &calibrator, &error);
    status = s == QINT8_OK ? feed_all(calibrator, &j->data, batch_for(j->model, j->batch))
                           : fail_error("calibration", s, &error);
    if (!status && (s = qint8_calibrator_ranges(calibrator, &j->ranges, &error)) != QINT8_OK)
      status = fail_error("calibration", s, &error);
  }
  if (!status && j->automatic.validation)
    status = check_validation(j, host);
  else if (!status)
    print_warnings(j->ranges, NULL);
  qint8_calibrator_destroy(calibrator);
  j->peak_bytes = peak_resident_bytes();
  j->seconds_calibrate = now_seconds() - start;
  return status;
}

/* Samples that biases are corrected on: the first ones, as many as CORRECTION_VALUES values hold, whatever the batch. Of a
 * model with a fixed batch, whole batches, at least one. */
#define CORRECTION_VALUES ((size_t)1 << 22)

static int32_t show_progress(void *user, const char *what, size_t done, size_t total) {
  (void)user;
  progress(what, done, total);
  return 0;
}

typedef qint8_status repair_fn(const qint8_model *model, qint8_recipe *recipe, const qint8_tensor *const *inputs,
                               size_t batch_count, const qint8_host *host, qint8_error *error);

static int repair(job *j, repair_fn *step, const char *what, const qint8_host *quiet) {
  qint8_host host = *quiet;
  host.progress = show_progress;
  qint8_error error = QINT8_ERROR_INIT;
  size_t batch = (size_t)batch_for(j->model, j->batch), samples = j->data.count;
  size_t most = j->data.sample ? CORRECTION_VALUES / j->data.sample : samples;
  int fixed = batch_for(j->model, 1) == batch_for(j->model, 2);
  samples = samples > most ? most : samples;
  if (fixed)
    samples -= samples % batch;
  if (samples == 0)
    samples = fixed && j->data.count >= batch ? batch : 1;
  if (dataset_hold(&j->data, samples))
    return EXIT_FAILED;
  size_t batches = (samples + batch - 1) / batch;
  qint8_tensor *views = calloc(batches, sizeof *views);
  const qint8_tensor **inputs = calloc(batches, sizeof *inputs);
  if (!views || !inputs) {
    free(views);
    free(inputs);
    return fail("%s: out of memory", what);
  }
  for (size_t b = 0; b < batches; b++) {
    views[b] = (qint8_tensor)QINT8_TENSOR_INIT;
    views[b].dtype = QINT8_DTYPE_F32;
    views[b].rank = j->data.rank;
    memcpy(views[b].shape, j->data.shape, sizeof views[b].shape);
    views[b].shape[0] = (int64_t)(samples - b * batch < batch ? samples - b * batch : batch);
    views[b].data = j->data.values + b * batch * j->data.sample;
    inputs[b] = &views[b];
  }
  qint8_status s = step(j->model, j->recipe, inputs, batches, &host, &error);
  free(views);
  free(inputs);
  return s == QINT8_OK ? 0 : fail_error(what, s, &error);
}

static int decide_and_write(job *j, const qint8_host *host) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_recipe_options options = QINT8_RECIPE_OPTIONS_INIT;
  options.force = j->force;
  options.config = j->config;
  options.activation_dtype = j->activation_dtype;
  qint8_status s = qint8_recipe_create(j->model, j->ranges, &options, host, &j->recipe, &error);
  if (s != QINT8_OK)
    return fail_error("recipe", s, &error);
  if (is_static(j) && !j->all_int8 && !j->force && repair(j, qint8_recipe_keep_head, "float head", host))
    return EXIT_FAILED;
  if (is_static(j) && j->round_weights && repair(j, qint8_recipe_round_weights, "adaptive rounding", host))
    return EXIT_FAILED;
  if (is_static(j) && !j->no_correction && repair(j, qint8_recipe_correct_biases, "bias correction", host))
    return EXIT_FAILED;
  qint8_save_options save = QINT8_SAVE_OPTIONS_INIT;
  save.format = j->format;
  s = qint8_model_export_file(j->model, j->config == QINT8_CONFIG_FP32 ? NULL : j->recipe, &save, j->out_path, &error);
  return s == QINT8_OK ? 0 : fail_error(j->out_path, s, &error);
}

static long long file_size(const char *path) {
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
    candidate_text(c, observers, how, sizeof how);
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

static int write_reports(job *j, const qint8_host *host) {
  report r = {0};
  report_request request = {.title = "quantize", .float_path = j->model_path, .int8_path = j->out_path,
                            .config = j->config_name, .float_model = j->model, .batch = j->batch, .host = host,
                            .ranges = j->ranges, .observers = observers, .seconds = j->seconds_total,
                            .peak_bytes = j->peak_bytes ? j->peak_bytes : peak_resident_bytes()};
  if (j->calibration && !j->data.file.file &&
      dataset_open(j->calibration, j->model, j->mean, j->std, j->samples, &j->data))
    return EXIT_FAILED;
  if (j->data.file.file)
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

/* ---- --config auto ---- */

/* Validation samples: those of the file given; else the rows of the calibration file that calibration leaves over, or its
 * last quarter if there are none. */
static int load_for_auto(job *j, dataset *validation, size_t *first, size_t *count) {
  const char *own = j->automatic.validation;
  int status = own ? dataset_load(own, j->model, j->mean, j->std, 0, validation) : 0;
  if (!status && j->calibration)
    status = dataset_load(j->calibration, j->model, j->mean, j->std, own ? j->samples : 0, &j->data);
  if (status)
    return status;
  size_t all = j->data.count;
  if (!own) {
    j->data.count = j->samples > 0 && (size_t)j->samples < all ? (size_t)j->samples : all - all / 4;
    j->data.shape[0] = (int64_t)j->data.count;
  }
  *first = own ? 0 : j->data.count;
  *count = own ? validation->count : all - j->data.count;
  j->used = j->data.count;
  return *count ? 0 : fail("%s: %zu samples leave none to validate on; see --validation", j->calibration, all);
}

static int quantize_auto(job *j, const qint8_host *host) {
  dataset validation = {0};
  size_t first = 0, count = 0;
  if (!j->calibration && !j->automatic.validation) {
    fail("--config auto needs --calibration FILE.npz:KEY; of its samples, some serve to validate");
    return EXIT_USAGE;
  }
  int status = load_for_auto(j, &validation, &first, &count);
  auto_request request = {.model = j->model, .out_path = j->out_path, .calibration = &j->data, .batch = j->batch,
                          .activation_dtype = j->activation_dtype, .force = j->force, .format = j->format,
                          .observers = observers, .host = host, .options = &j->automatic};
  request.validation = j->automatic.validation ? &validation : &j->data;
  j->tried.float_bytes = file_size(j->model_path);
  if (!status)
    status = auto_quantize(&request, first, count, &j->tried);
  dataset_free(&validation);
  return status;
}

static void print_summary(const job *j) {
  printf("%s: %s, %lld bytes (float: %lld), %zu calibration samples, %.2f s\n", j->out_path, j->config_name,
         file_size(j->out_path), file_size(j->model_path), j->used, j->seconds_total);
  if (qint8_recipe_head(j->recipe))
    printf("%zu operators at the start stay float: most of the error was born there (--all-int8 quantizes them)\n",
           qint8_recipe_head(j->recipe));
  if (qint8_recipe_kept_float(j->recipe))
    printf("%zu small operators stay float: int8 would be slower (--force quantizes them)\n",
           qint8_recipe_kept_float(j->recipe));
}

/* Largest magnitude of each channel (axis 1) of the data. */
static int measure_channels(const dataset *data, size_t channels, float *largest) {
  float *values = allocate(data->sample + 1, sizeof *values);
  size_t inner = data->sample / channels;
  int failed = 0;
  for (size_t n = 0; n < data->count && !failed; n++) {
    failed = dataset_read(data, n, 1, values);
    for (size_t i = 0; i < data->sample && !failed; i++)
      largest[i / inner] = fmaxf(largest[i / inner], fabsf(values[i]));
  }
  free(values);
  return failed;
}

/* The rescaled model takes the place of the given one. Data that is not finite is left for calibration to complain about. */
static int scale_input(job *j, const qint8_host *host) {
  dataset data = {0};
  qint8_model *scaled = NULL;
  int status = dataset_open(j->calibration, j->model, j->mean, j->std, j->samples, &data);
  size_t channels = !status && data.rank > 1 ? (size_t)data.shape[1] : 0;
  float *largest = allocate(channels + 1, sizeof *largest);
  memset(largest, 0, (channels + 1) * sizeof *largest);
  if (!status && channels > 1 && data.sample > 0)
    status = measure_channels(&data, channels, largest);
  if (!status && channels > 1 && data.sample > 0 &&
      qint8_model_scale_input(j->model, 0, largest, (int64_t)channels, host, &scaled, &j->scaled_input, NULL) == QINT8_OK) {
    qint8_model_destroy(j->model);
    j->model = scaled;
  }
  free(largest);
  dataset_free(&data);
  return status;
}

static int quantize_as_told(job *j, const qint8_host *host) {
  if (is_static(j) && !j->calibration) {
    fail("--config %s needs --calibration FILE.npz:KEY", j->config_name);
    return EXIT_USAGE;
  }
  if (is_static(j) && !j->no_equalise && scale_input(j, host))
    return EXIT_FAILED;
  if (is_static(j) && calibrate(j, host))
    return EXIT_FAILED;
  return decide_and_write(j, host);
}

/* The equalised model takes the place of the given one. */
static int equalise(job *j, const qint8_host *host) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_model *equal;
  qint8_status s = qint8_model_equalise(j->model, host, &equal, &j->equalised, &error);
  if (s != QINT8_OK)
    return fail_error("equalisation", s, &error);
  qint8_model_destroy(j->model);
  j->model = equal;
  return 0;
}

static int quantize(job *j, const qint8_host *host) {
  double start = now_seconds();
  if (model_open(j->model_path, host, &j->model, &j->file_recipe))
    return EXIT_FAILED;
  if (j->file_recipe)
    return fail("%s is quantized already; quantize the float model", j->model_path);
  if (!j->no_equalise && is_static(j) && equalise(j, host))
    return EXIT_FAILED;
  int status = j->is_auto ? quantize_auto(j, host) : quantize_as_told(j, host);
  if (status != EXIT_DONE && status != EXIT_GATE)
    return status;
  j->seconds_total = now_seconds() - start;
  if ((j->report || j->report_page) && write_reports(j, host))
    return EXIT_FAILED;
  print_summary(j);
  if (status == EXIT_GATE)
    fail("no candidate meets the budget; %s is the one that comes closest", j->out_path);
  return status;
}

int command_quantize(int argc, char **argv) {
  job j = {.samples = 256, .batch = 16, .threads = 1, .mean = NAN, .std = NAN, .observer_name = "histogram",
           .activations = "u8", .format_name = "qdq"};
  const char *words[1];
  const option options[] = {
      {"-o", "OUT.onnx", "the model to write", OPTION_TEXT, &j.out_path},
      {"--config", "CONFIG", "see above", OPTION_TEXT, &j.config_name},
      {"--calibration", "FILE.npz:KEY", "representative inputs, from the training split", OPTION_TEXT, &j.calibration},
      {"--calibration-n", "N", "how many of them (256; 0: all)", OPTION_INT, &j.samples},
      {"--observer", "KIND", "minmax, moving_average, histogram (default), percentile (99.99), entropy", OPTION_TEXT, &j.observer_name},
      {"--activations", "TYPE", "u8 (default) or s8", OPTION_TEXT, &j.activations},
      {"--format", "FORM", "qdq (default) or qoperator: QLinearConv and its like", OPTION_TEXT, &j.format_name},
      {"--report-out", "R.json", "ranges, parameters, layers, warnings, sizes and seconds", OPTION_TEXT, &j.report},
      {"--report-html", "R.html", "the same as a page with charts", OPTION_TEXT, &j.report_page},
      {"--batch", "N", "samples per calibration batch (16); does not change the result", OPTION_INT, &j.batch},
      {"--mean", "X", "mean of uint8 images; default: the archive's own", OPTION_FLOAT, &j.mean},
      {"--std", "X", "their standard deviation", OPTION_ABOVE_ZERO, &j.std},
      {"--no-bias-correction", NULL, "leave biases as they are", OPTION_FLAG, &j.no_correction},
      {"--no-equalise", NULL, "do not bring channels of unlike sizes to like sizes first", OPTION_FLAG, &j.no_equalise},
      {"--all-int8", NULL, "int8 from the first operator on, even where most of the error is born", OPTION_FLAG, &j.all_int8},
      {"--round-weights", NULL, "choose the weights' integers by their effect on the samples", OPTION_FLAG, &j.round_weights},
      {"--force", NULL, "int8 also where float is expected to be faster", OPTION_FLAG, &j.force},
      {"--budget", "METRIC<=DROP", "auto: see above; may be given more than once", OPTION_LIST, &j.automatic.texts},
      {"--validation", "FILE.npz:KEY", "auto: samples to measure the budget on, not among those of calibration; static: to compare those with",
       OPTION_TEXT, &j.automatic.validation},
      TRUTH_OPTIONS(j.automatic.truth),
      {"--max-evaluations", "N", "auto: stop after N candidates", OPTION_INT, &j.automatic.max_evaluations},
      {"--max-seconds", "S", "auto: start no candidate after S seconds", OPTION_ABOVE_ZERO, &j.automatic.max_seconds},
      {"--threads", "N", "threads (1)", OPTION_INT, &j.threads}};
  const command_line line = {
      "qint8 quantize MODEL -o OUT.onnx --config CONFIG --calibration FILE.npz:KEY",
      "Writes an int8 model as ONNX, in QDQ or QOperator form. CONFIG is one of\n"
      "  fp32_baseline            the float model, folded and fused\n"
      "  dynamic_int8             int8 weights; activations get one scale per sample while running; no calibration\n"
      "  static_int8_per_tensor   everything int8, one scale per weight\n"
      "  static_int8_per_channel  everything int8, one scale per output channel: the usual choice\n"
      "  auto                     the cheapest of these that keeps a metric within a --budget\n"
      "  qat_int8                 not supported yet\n"
      "uint8 images [N,H,W] or [N,H,W,C] become (v / 255 - mean) / std; float arrays go in as they are.\n\n"
      "--config auto tries candidates, cheapest first, and takes the first that meets every --budget. Cheaper is what is\n"
      "expected to run faster (one model of the time serves all machines), then what takes less work to make: static\n"
      "per-tensor, per-channel, per-channel with other observers and repairs, which all run equally fast; dynamic,\n"
      "earlier if it is expected to be faster; then mixed precision: as few operators as possible return to float. The\n"
      "budget is 'METRIC<=DROP', how much worse than the float model (top1<=0.5%, mpjpe_mm<=2, rel_err<=0.05; METRIC as\n"
      "in `qint8 evaluate`), or 'METRIC>=VALUE', the value itself (sqnr_db>=30). It is measured on --validation, else on\n"
      "the calibration file's samples behind the first --calibration-n, or its last quarter; --labels and --targets\n"
      "belong to that file. Exit code 3: none met the budget, the closest was written.\n\n"
      "example: qint8 quantize net.onnx -o net8.onnx --config static_int8_per_channel --calibration train.npz:x",
      options, COUNT(options), 1, 1};
  int stop = parse_options(&line, argc, argv, words);
  if (stop)
    return stop - 1;
  j.model_path = words[0];
  if (!j.out_path || !j.config_name) {
    fail("%s is missing", j.out_path ? "--config CONFIG" : "-o OUT.onnx");
    return EXIT_USAGE;
  }
  int status = parse_names(&j);
  if (status)
    return status;
  qint8_host host;
  thread_pool *pool;
  host_open(&host, j.threads, &pool);
  status = quantize(&j, &host);
  free(j.tried.rows);
  dataset_free(&j.data);
  qint8_ranges_destroy(j.ranges);
  qint8_recipe_destroy(j.recipe);
  qint8_recipe_destroy(j.file_recipe);
  qint8_model_destroy(j.model);
  host_close(pool);
  return status;
}
