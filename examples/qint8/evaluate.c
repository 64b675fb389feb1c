/* evaluate.c - qint8 evaluate: metrics of a model on data. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

typedef struct job {
  const char *model_path, *data_spec, *reference_path, *isa, *save_path;
  truth_options truth_options;
  long batch, samples, threads;
  double mean, std;
  int as_json;
  outputs y, reference;
  dataset data;
  truth truth;
  long long model_bytes;
} job;

/* The outputs of one model on the job's data. */
static int run_model(const job *j, const char *path, const char *what, const qint8_host *host, outputs *out) {
  qint8_model *model;
  qint8_recipe *recipe;
  if (model_map(path, host, &model, &recipe))
    return EXIT_FAILED;
  int status = run_dataset(path, model, recipe, &j->data, j->batch, j->isa, host, what, out);
  qint8_recipe_destroy(recipe);
  qint8_model_destroy(model);
  return status;
}

static int load_data(job *j, const qint8_host *host) {
  qint8_model *model;
  qint8_recipe *recipe;
  size_t size;
  if (model_map(j->model_path, host, &model, &recipe))
    return EXIT_FAILED;
  int status = dataset_load(j->data_spec, model, j->mean, j->std, j->samples, &j->data);
  qint8_recipe_destroy(recipe);
  qint8_model_destroy(model);
  uint8_t *bytes = read_whole_file(j->model_path, &size);
  j->model_bytes = bytes ? (long long)size : -1;
  free(bytes);
  return status ? status : truth_load(&j->truth_options, 0, j->data.count, &j->truth);
}

static void print_result(const job *j) {
  const metric *m;
  double ms = j->y.seconds * 1e3 / (double)j->y.count;
  char hash[20];
  snprintf(hash, sizeof hash, "%016llx",
           (unsigned long long)hash_bytes(j->y.values, j->y.count * j->y.width * sizeof(float)));
  if (!j->as_json) {
    printf("%zu samples, %lld bytes, %.4f ms per sample\n", j->y.count, j->model_bytes, ms);
    for (int i = 0; (m = metric_at(i)); i++)
      if (metric_applies(m, &j->truth))
        printf("%-18s %.6g\n", m->name, metric_value(m, &j->y, &j->truth));
    return;
  }
  json out;
  json_begin(&out, stdout);
  json_open(&out, NULL, '{');
  json_integer(&out, "samples", (long long)j->y.count);
  json_open(&out, "metrics", '{');
  for (int i = 0; (m = metric_at(i)); i++)
    if (metric_applies(m, &j->truth))
      json_number(&out, m->name, metric_value(m, &j->y, &j->truth));
  json_close(&out, '}');
  json_integer(&out, "model_bytes", j->model_bytes);
  json_number(&out, "ms_per_sample", ms);
  json_text(&out, "output_hash", hash);
  json_close(&out, '}');
  json_end(&out);
}

static int save_outputs(const job *j) {
  array a = {.dtype = QINT8_DTYPE_F32, .rank = j->y.rank, .count = j->y.count * j->y.width, .data = j->y.values};
  memcpy(a.shape, j->y.shape, sizeof a.shape);
  return npy_save(j->save_path, &a);
}

static int evaluate(job *j, const qint8_host *host) {
  int status = load_data(j, host);
  if (status || run_model(j, j->model_path, "evaluate", host, &j->y))
    return status ? status : EXIT_FAILED;
  if (j->reference_path) {
    if (run_model(j, j->reference_path, "reference", host, &j->reference))
      return EXIT_FAILED;
    j->truth.reference = &j->reference;
    j->truth.reference_path = j->reference_path;
  }
  if (truth_check(&j->truth, &j->y) || (j->save_path && save_outputs(j)))
    return EXIT_FAILED;
  print_result(j);
  return EXIT_DONE;
}

int command_evaluate(int argc, char **argv) {
  job j = {.batch = 1, .threads = 1, .mean = NAN, .std = NAN};
  const char *words[1];
  const option options[] = {
      {"--data", "FILE.npz:KEY", "inputs", OPTION_TEXT, &j.data_spec},
      TRUTH_OPTIONS(j.truth_options),
      {"--reference", "FP32.onnx", "gives rel_err, plcc_ref, top1_agreement, sqnr_db", OPTION_TEXT, &j.reference_path},
      {"--n", "N", "the first N samples (0: all)", OPTION_INT, &j.samples},
      {"--batch", "N", "samples per run (1); int8 results do not depend on it", OPTION_INT, &j.batch},
      {"--mean", "X", "mean of uint8 images; default: the archive's own", OPTION_FLOAT, &j.mean},
      {"--std", "X", "their standard deviation", OPTION_ABOVE_ZERO, &j.std},
      {"--isa", "NAME", "scalar, avx2, avxvnni, avx512vnni, neon, ...", OPTION_TEXT, &j.isa},
      {"--threads", "N", "threads (1)", OPTION_INT, &j.threads},
      {"--output", "FILE.npy", "also save the outputs", OPTION_TEXT, &j.save_path},
      {"--json", NULL, "one JSON object on stdout", OPTION_FLAG, &j.as_json}};
  const command_line line = {
      "qint8 evaluate MODEL --data FILE.npz:KEY [--labels ...] [--targets ...] [--reference FP32.onnx] [--json]",
      "Runs the model on every sample and prints metrics. rel_err is ||q - f|| / ||f|| over all samples of the\n"
      "first output. ms_per_sample counts the runs alone. output_hash is FNV-1a over the output bytes: equal on\n"
      "every CPU for an int8 model.\n\n"
      "Lines of text are read greedily: the best class of each column, repeats merged, class 0 is no character;\n"
      "spaces do not count. character_accuracy is 1 - edit distance / length over all lines. pck@K is the share\n"
      "of joints nearer to their target than K % of that sample's torso, mpjpe_mm the mean distance.\n\n"
      "example: qint8 evaluate net8.onnx --data test.npz:x --labels test.npz:y --reference net.onnx --json",
      options, COUNT(options), 1, 1};
  int stop = parse_options(&line, argc, argv, words);
  if (stop)
    return stop - 1;
  j.model_path = words[0];
  if (!j.data_spec) {
    fail("--data FILE.npz:KEY is missing");
    return EXIT_USAGE;
  }
  qint8_host host;
  thread_pool *pool;
  host_open(&host, j.threads, &pool);
  int status = evaluate(&j, &host);
  free(j.y.values);
  free(j.reference.values);
  truth_free(&j.truth);
  dataset_free(&j.data);
  host_close(pool);
  return status;
}
