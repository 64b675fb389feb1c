/* command_compare.c - qint8 compare. */
#include <math.h>
#include <stdlib.h>

#include "report.h"

typedef struct job {
  const char *float_path, *int8_path, *data_spec, *isa, *json_path, *html_path;
  long samples, batch, threads, top;
  double mean, std;
  int as_json;
  dataset data;
  qint8_model *float_model, *int8_model;
  qint8_recipe *float_recipe, *int8_recipe;
  comparison compared;
} job;

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
  const layer **sorted = layers_sorted(t, worst_first, &count);
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

static void write_json(const layers *t, const report *r, FILE *file) {
  json out;
  int count;
  const layer **sorted = layers_sorted(t, worst_first, &count);
  json_begin(&out, file);
  json_open(&out, NULL, '{');
  json_layers(&out, "tensors", sorted, count);
  if (r)
    report_json(r, &out);
  json_close(&out, '}');
  json_end(&out);
  free(sorted);
}

static int compare(job *j, const qint8_host *host) {
  int status = model_open(j->float_path, host, &j->float_model, &j->float_recipe);
  if (!status)
    status = model_open(j->int8_path, host, &j->int8_model, &j->int8_recipe);
  if (!status)
    status = dataset_open(j->data_spec, j->float_model, j->mean, j->std, j->samples, &j->data);
  if (status)
    return status;
  j->compared = (comparison){.float_path = j->float_path, .int8_path = j->int8_path, .isa = j->isa,
                             .float_model = j->float_model, .int8_model = j->int8_model,
                             .int8_recipe = j->int8_recipe, .data = &j->data, .samples = j->data.count,
                             .batch = j->batch, .host = host};
  return compare_models(&j->compared);
}

static int write_reports(const job *j, const qint8_host *host) {
  report r = {0};
  report_request request = {.title = "compare", .float_path = j->float_path, .int8_path = j->int8_path,
                            .config = "int8", .float_model = j->float_model, .data = &j->data, .batch = j->batch,
                            .isa = j->isa, .host = host, .seconds = NAN, .compared = &j->compared,
                            .peak_bytes = peak_resident_bytes()};
  int status = report_make(&request, &r);
  FILE *file = !status && j->json_path ? fopen(j->json_path, "w") : NULL;
  if (file) {
    write_json(&j->compared.layers, &r, file);
    status = fclose(file) ? fail("%s: could not be written whole", j->json_path) : 0;
  } else if (!status && j->json_path) {
    status = fail("%s: cannot be opened for writing", j->json_path);
  }
  if (!status && j->html_path)
    status = report_html(&r, j->html_path);
  report_free(&r);
  return status;
}

static void free_job(job *j) {
  layers_free(&j->compared.layers);
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
      {"--report-out", "R.json", "the same with warnings about the data, in a file", OPTION_TEXT, &j.json_path},
      {"--report-html", "R.html", "a page with charts", OPTION_TEXT, &j.html_path},
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
  if (!status && (j.json_path || j.html_path))
    status = write_reports(&j, &host);
  if (!status && j.as_json)
    write_json(&j.compared.layers, NULL, stdout);
  else if (!status)
    print_text(&j.compared.layers, j.top);
  free_job(&j);
  host_close(pool);
  return status;
}
