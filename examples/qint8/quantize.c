/* quantize.c - qint8 quantize: calibrate, decide, write QDQ ONNX and a report. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

typedef struct job {
  const char *model_path, *out_path, *config_name, *calibration, *observer_name, *activations, *format_name, *report;
  long samples, batch, threads;
  double mean, std;
  qint8_config config;
  int32_t observer, activation_dtype, format;
  int force, no_correction;
  dataset data; /* what was calibrated on */
  qint8_model *model;
  qint8_recipe *file_recipe, *recipe;
  qint8_ranges *ranges;
  size_t used; /* calibration samples */
  double seconds_calibrate, seconds_total;
} job;

static int parse_names(job *j) {
  static const char *const observers[] = {"minmax", "moving_average", "histogram", "percentile", "entropy"};
  int found = 0;
  for (int c = 0; qint8_config_name((qint8_config)c); c++)
    if (!strcmp(j->config_name, qint8_config_name((qint8_config)c))) {
      j->config = (qint8_config)c;
      found = 1;
    }
  if (!strcmp(j->config_name, "auto") || (found && j->config == QINT8_CONFIG_QAT))
    return fail("--config %s is not supported yet; choose fp32_baseline, dynamic_int8, static_int8_per_tensor or "
                "static_int8_per_channel",
                j->config_name);
  if (!found) {
    fail("--config %s is unknown: fp32_baseline, dynamic_int8, static_int8_per_tensor, static_int8_per_channel",
         j->config_name);
    return EXIT_USAGE;
  }
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
  for (size_t done = 0; done < data->count;) {
    size_t now = data->count - done < (size_t)batch ? data->count - done : (size_t)batch;
    in.shape[0] = (int64_t)now;
    in.data = data->values + done * data->sample;
    qint8_status status = qint8_calibrator_feed(calibrator, inputs, 1, &error);
    if (status != QINT8_OK)
      return fail_error("calibration", status, &error);
    done += now;
    progress("calibrate", done, data->count);
  }
  return 0;
}

static int calibrate(job *j, const qint8_host *host) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_calibrator *calibrator = NULL;
  qint8_calibrator_options options = QINT8_CALIBRATOR_OPTIONS_INIT;
  options.observer = j->observer;
  double start = now_seconds();
  int status = dataset_load(j->calibration, j->model, j->mean, j->std, j->samples, &j->data);
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
  if (!status)
    print_warnings(j->ranges, NULL);
  qint8_calibrator_destroy(calibrator);
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

static int correct_biases(job *j, const qint8_host *quiet) {
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
  size_t batches = (samples + batch - 1) / batch;
  qint8_tensor *views = calloc(batches, sizeof *views);
  const qint8_tensor **inputs = calloc(batches, sizeof *inputs);
  if (!views || !inputs) {
    free(views);
    free(inputs);
    return fail("bias correction: out of memory");
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
  qint8_status s = qint8_recipe_correct_biases(j->model, j->recipe, inputs, batches, &host, &error);
  free(views);
  free(inputs);
  return s == QINT8_OK ? 0 : fail_error("bias correction", s, &error);
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
  if (is_static(j) && !j->no_correction && correct_biases(j, host))
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

static int write_report(const job *j) {
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
  json_integer(&out, "corrected_biases", is_static(j) && !j->no_correction);
  report_tensors(j, &out);
  json_close(&out, '}');
  json_end(&out);
  return fclose(file) ? fail("%s: could not be written whole", j->report) : 0;
}

static int quantize(job *j, const qint8_host *host) {
  double start = now_seconds();
  if (model_open(j->model_path, host, &j->model, &j->file_recipe))
    return EXIT_FAILED;
  if (j->file_recipe)
    return fail("%s is quantized already; quantize the float model", j->model_path);
  if (is_static(j) && !j->calibration) {
    fail("--config %s needs --calibration FILE.npz:KEY", j->config_name);
    return EXIT_USAGE;
  }
  if (is_static(j) && calibrate(j, host))
    return EXIT_FAILED;
  if (decide_and_write(j, host))
    return EXIT_FAILED;
  j->seconds_total = now_seconds() - start;
  if (j->report && write_report(j))
    return EXIT_FAILED;
  printf("%s: %s, %lld bytes (float: %lld), %zu calibration samples, %.2f s\n", j->out_path, j->config_name,
         file_size(j->out_path), file_size(j->model_path), j->used, j->seconds_total);
  if (qint8_recipe_kept_float(j->recipe))
    printf("%zu small operators stay float: int8 would be slower (--force quantizes them)\n",
           qint8_recipe_kept_float(j->recipe));
  return EXIT_DONE;
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
      {"--report-out", "R.json", "ranges, parameters, sizes and seconds", OPTION_TEXT, &j.report},
      {"--batch", "N", "samples per calibration batch (16); does not change the result", OPTION_INT, &j.batch},
      {"--mean", "X", "mean of uint8 images; default: the archive's own", OPTION_FLOAT, &j.mean},
      {"--std", "X", "their standard deviation", OPTION_ABOVE_ZERO, &j.std},
      {"--no-bias-correction", NULL, "leave biases as they are", OPTION_FLAG, &j.no_correction},
      {"--force", NULL, "int8 also where float is expected to be faster", OPTION_FLAG, &j.force},
      {"--threads", "N", "threads (1)", OPTION_INT, &j.threads}};
  const command_line line = {
      "qint8 quantize MODEL -o OUT.onnx --config CONFIG --calibration FILE.npz:KEY",
      "Writes an int8 model as ONNX, in QDQ or QOperator form. CONFIG is one of\n"
      "  fp32_baseline            the float model, folded and fused\n"
      "  dynamic_int8             int8 weights; activations get one scale per sample while running; no calibration\n"
      "  static_int8_per_tensor   everything int8, one scale per weight\n"
      "  static_int8_per_channel  everything int8, one scale per output channel: the usual choice\n"
      "  qat_int8, auto           not supported yet\n"
      "uint8 images [N,H,W] or [N,H,W,C] become (v / 255 - mean) / std; float arrays go in as they are.\n\n"
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
  dataset_free(&j.data);
  qint8_ranges_destroy(j.ranges);
  qint8_recipe_destroy(j.recipe);
  qint8_recipe_destroy(j.file_recipe);
  qint8_model_destroy(j.model);
  host_close(pool);
  return status;
}
