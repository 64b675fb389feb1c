/* quantize.c - qint8 quantize: calibrate, decide, write the int8 model. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quantize.h"

const char *const observer_names[] = {"minmax", "moving_average", "histogram", "percentile", "entropy", NULL};

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
  for (int i = 0; observer_names[i]; i++)
    if (!strcmp(j->observer_name, observer_names[i]))
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

int is_static(const job *j) {
  return j->config == QINT8_CONFIG_STATIC_PER_TENSOR || j->config == QINT8_CONFIG_STATIC_PER_CHANNEL;
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
  if (is_static(j) && repair_recipe(j, host))
    return EXIT_FAILED;
  qint8_save_options save = QINT8_SAVE_OPTIONS_INIT;
  save.format = j->format;
  s = qint8_model_export_file(j->model, j->config == QINT8_CONFIG_FP32 ? NULL : j->recipe, &save, j->out_path, &error);
  return s == QINT8_OK ? 0 : fail_error(j->out_path, s, &error);
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
  if (!own)
    j->data.count = j->samples > 0 && (size_t)j->samples < all ? (size_t)j->samples : all - all / 4;
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
                          .observers = observer_names, .host = host, .options = &j->automatic};
  request.validation = j->automatic.validation ? &validation : &j->data;
  j->tried.float_bytes = file_size(j->model_path);
  if (!status)
    status = auto_quantize(&request, first, count, &j->tried);
  dataset_free(&validation);
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
      {"--all-int8", NULL, "int8 from the first operator on, even where most of the error is born; what --force is for stays float", OPTION_FLAG, &j.all_int8},
      {"--round-weights", NULL, "choose the weights' integers by their effect on the samples", OPTION_FLAG, &j.round_weights},
      {"--force", NULL, "int8 also where float is expected to be faster, or as fast and more exact (a small last product, sums behind MatMul), and --all-int8", OPTION_FLAG, &j.force},
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
      "  static_int8_per_tensor   int8 with ranges from calibration, one scale per weight\n"
      "  static_int8_per_channel  the same with one scale per output channel: the usual choice. Of a static model,\n"
      "                           operators stay float where int8 would be slower, or less exact and no faster (see\n"
      "                           --force), or at the start if most of the error is born there (see --all-int8)\n"
      "  auto                     the cheapest of these that keeps a metric within a --budget\n"
      "  qat_int8                 not supported yet\n"
      "uint8 images [N,H,W] or [N,H,W,C] become (v / 255 - mean) / std; float arrays go in as they are. A model with\n"
      "several inputs takes FILE.npz without a KEY: an array for each input, of its name, samples first.\n\n"
      "--config auto tries candidates, cheapest first, and takes the first that meets every --budget. Cheaper is what is\n"
      "expected to run faster (one model of the time serves all machines), then what takes less work to make: static\n"
      "per-tensor, per-channel, per-channel with other observers and repairs, which all run equally fast; dynamic,\n"
      "earlier if it is expected to be faster; then mixed precision: as few operators as possible return to float. The\n"
      "budget is 'METRIC<=DROP', how much worse than the float model (top1<=0.5%, mpjpe_mm<=2, rel_err<=0.05; METRIC as\n"
      "in `qint8 evaluate`), or 'METRIC>=VALUE', the value itself (sqnr_db>=30). It is measured on --validation, else on\n"
      "the calibration file's samples behind the first --calibration-n, or its last quarter; --labels and --targets\n"
      "belong to that file. So that other samples meet it too, the standard error of the loss counts as lost. Exit code 3:\n"
      "none met the budget, the closest was written.\n\n"
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
