/* auto.c - --config auto: the cheapest recipe that keeps metrics within budgets. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "margin.h"

/* ---- Budgets ---- */

/* "METRIC<=DROP" or "METRIC>=VALUE", each with an optional %. */
static int parse_budget(const char *text, budget *b) {
  const char *sign = strpbrk(text, "<>"), *end;
  char name[64];
  if (!sign || sign[1] != '=' || (size_t)(sign - text) >= sizeof name)
    return 0;
  snprintf(name, sizeof name, "%.*s", (int)(sign - text), text);
  char *behind;
  b->metric = metric_find(name);
  b->is_floor = *sign == '>';
  b->limit = strtod(sign + 2, &behind);
  end = behind;
  if (*end == '%') {
    b->limit /= 100;
    end++;
  }
  return b->metric && end > sign + 2 && !*end && isfinite(b->limit) && (!b->is_floor || b->metric->better > 0);
}

/* A budget whose metric cannot be had: of top1, the agreement with the float model bounds the drop. */
static int find_substitute(budget *b, const truth *t) {
  truth with_reference = *t;
  outputs any = {0};
  with_reference.reference = &any;
  if (metric_applies(b->metric, &with_reference))
    return 0;
  if (!strcmp(b->metric->name, "top1") && !b->is_floor) {
    b->metric = metric_find("top1_agreement");
    fprintf(stderr, "qint8: no labels: top1 cannot drop by more than answers differ from the float model's, so that "
                    "top1_agreement is held to the same budget\n");
    return 0;
  }
  fail("--budget %s: the metric needs --labels or --targets that fit it", b->metric->name);
  return EXIT_USAGE;
}

int budgets_parse(const text_list *texts, budget *out) {
  for (int i = 0; i < texts->count; i++) {
    if (parse_budget(texts->v[i], &out[i]))
      continue;
    fail("--budget %s: not METRIC<=DROP, or METRIC>=VALUE of a metric that is better when higher; METRIC is one of",
         texts->v[i]);
    for (int m = 0; metric_at(m); m++)
      fprintf(stderr, "%s %s", m ? "," : "      ", metric_at(m)->name);
    fprintf(stderr, "\n");
    return EXIT_USAGE;
  }
  return 0;
}

/* ---- The metric that the search asks for: the share of the budget that is used, of the worst ----
 *
 * Another sample would give other figures, so that what just meets a budget here would miss it there every other time:
 * the standard error of the loss counts as lost. */

/* Behind the rows of the result. */
typedef struct margins {
  double error[MAX_LIST]; /* standard error of the loss */
  int within;             /* the loss itself is within every budget */
} margins;

typedef struct judge {
  const auto_options *options;
  auto_result *result;
  truth *truth;
  margins *margins; /* [result->count], free() */
  size_t calls; /* call 0 is the float model */
  int failed;   /* exit code of what went wrong */
} judge;

static outputs outputs_of(const qint8_tensor *t) {
  outputs y = {.values = t->data, .rank = t->rank, .count = (size_t)t->shape[0], .width = 1};
  memcpy(y.shape, t->shape, sizeof y.shape);
  for (int d = 1; d < t->rank; d++)
    y.width *= (size_t)t->shape[d];
  return y;
}

static double drop_of(const budget *b, double reference, double value) {
  return b->metric->better > 0 ? reference - value : value - reference;
}

/* How much worse than the float model it may be. */
static double allowance(const budget *b, double reference) {
  return b->is_floor ? reference - b->limit : b->limit;
}

/* `error` may be NULL. */
static double used_share(const auto_options *o, const auto_result *r, const double *values, const double *error) {
  double worst = -INFINITY;
  for (int i = 0; i < o->budget_count; i++) {
    double drop = drop_of(&o->budgets[i], r->reference[i], values[i]), allowed = allowance(&o->budgets[i], r->reference[i]);
    drop += error ? error[i] : 0;
    double share = allowed > 0 ? drop / allowed : drop <= allowed ? 0 : 2 + drop - allowed;
    if (isnan(share))
      return NAN;
    worst = share > worst ? share : worst;
  }
  return worst;
}

/* Enlarges an array by one. */
static void *grow(void *rows, size_t count, size_t size) {
  char *larger = allocate(count + 1, size);
  if (count)
    memcpy(larger, rows, count * size);
  free(rows);
  return larger;
}

static double judge_row(judge *j, const double *values, const double *error) {
  auto_result *r = j->result;
  r->rows = grow(r->rows, r->count, sizeof *r->rows);
  j->margins = grow(j->margins, r->count, sizeof *j->margins);
  memcpy(r->rows[r->count].values, values, sizeof r->rows->values);
  margins *m = &j->margins[r->count++];
  memcpy(m->error, error, sizeof m->error);
  m->within = used_share(j->options, r, values, NULL) <= 1;
  return used_share(j->options, r, values, error);
}

static double measure(void *user, const qint8_tensor *const *tensors, const qint8_tensor *const *reference,
                      size_t output_count) {
  judge *j = user;
  auto_result *r = j->result;
  if (output_count == 0 || tensors[0]->dtype != QINT8_DTYPE_F32 || tensors[0]->rank < 1 || j->failed)
    return NAN;
  outputs y = outputs_of(tensors[0]), exact = outputs_of(reference[0]);
  j->truth->reference = &exact;
  if (j->calls == 0 && truth_check(j->truth, &y))
    j->failed = EXIT_FAILED;
  if (j->failed)
    return NAN;
  double values[MAX_LIST] = {0}, error[MAX_LIST] = {0};
  for (int i = 0; i < j->options->budget_count; i++) {
    const metric *m = j->options->budgets[i].metric;
    values[i] = metric_value(m, &y, j->truth);
    error[i] = j->calls == 0 ? 0 : loss_error(m, &y, &exact, j->truth);
  }
  j->truth->reference = NULL;
  if (j->calls++ == 0) {
    memcpy(r->reference, values, sizeof values);
    return 0;
  }
  return judge_row(j, values, error);
}

/* ---- The search ---- */

/* Whole batches only where the model fixes its batch. */
static size_t whole(const qint8_model *model, size_t count) {
  size_t batch = (size_t)batch_for(model, 1);
  return batch == (size_t)batch_for(model, 2) ? count - count % batch : count;
}

static int observe(const auto_request *q, const dataset *data, size_t first, size_t count, qint8_ranges **out) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_calibrator *calibrator = NULL;
  size_t batches;
  const qint8_tensor **inputs = dataset_batches(data, first, whole(q->model, count), batch_for(q->model, q->batch), &batches);
  qint8_status s = qint8_calibrator_create(q->model, NULL, q->host, &calibrator, &error);
  for (size_t b = 0; b < batches && s == QINT8_OK; b++) {
    s = qint8_calibrator_feed(calibrator, &inputs[b * data->parts], data->parts, &error);
    progress("ranges", b + 1, batches);
  }
  if (s == QINT8_OK)
    s = qint8_calibrator_ranges(calibrator, out, &error);
  qint8_calibrator_destroy(calibrator);
  free((void *)(uintptr_t)inputs);
  return s == QINT8_OK ? 0 : fail_error("calibration", s, &error);
}

/* Warnings about the calibration samples, and where as many of those to validate on differ from them. */
static int examine(const auto_request *q, size_t first, size_t count) {
  qint8_ranges *calibration = NULL, *validation = NULL;
  size_t most = q->calibration->count;
  if (!most)
    return 0;
  int status = observe(q, q->calibration, 0, most, &calibration);
  if (!status)
    status = observe(q, q->validation, first, count < most ? count : most, &validation);
  if (!status)
    print_warnings(calibration, validation);
  qint8_ranges_destroy(calibration);
  qint8_ranges_destroy(validation);
  return status;
}

static int search(const auto_request *q, judge *j, size_t first, size_t count, qint8_search **out) {
  const auto_options *o = q->options;
  qint8_error error = QINT8_ERROR_INIT;
  qint8_search_options options = QINT8_SEARCH_OPTIONS_INIT;
  qint8_host host = *q->host;
  int64_t batch = batch_for(q->model, q->batch);
  host.progress = progress_of_host;
  options.calibration =
      dataset_batches(q->calibration, 0, whole(q->model, q->calibration->count), batch, &options.calibration_batches);
  options.validation = dataset_batches(q->validation, first, whole(q->model, count), batch, &options.validation_batches);
  options.metric = measure;
  options.metric_user = j;
  options.max_drop = 1;
  options.max_evaluations = (uint64_t)o->max_evaluations;
  options.max_seconds = o->max_seconds;
  options.activation_dtype = q->activation_dtype;
  options.force = q->force;
  options.format = q->format;
  qint8_status status = qint8_search_create(q->model, &options, &host, out, &error);
  free((void *)(uintptr_t)options.calibration);
  free((void *)(uintptr_t)options.validation);
  if (j->failed) {
    qint8_search_destroy(*out);
    *out = NULL;
    return j->failed;
  }
  return status == QINT8_OK ? 0 : fail_error("search", status, &error);
}

/* ---- What was tried ---- */

static void print_table(const auto_options *o, const auto_result *r, const margins *m, const char *const *observers) {
  printf("%-24s %-26s", "config", "observer, repairs");
  for (int i = 0; i < o->budget_count; i++)
    printf(" %16s %9s %8s", o->budgets[i].metric->name, "drop", "+-");
  printf(" %6s %9s %9s %8s  verdict\n%-24s %-26s", "float", "KB", "us (exp.)", "seconds", "fp32_baseline", "");
  for (int i = 0; i < o->budget_count; i++)
    printf(" %16.5g %9s %8s", r->reference[i], "", "");
  printf(" %6s %9.1f %9.1f %8s\n", "all", (double)r->float_bytes / 1024, r->float_us, "");
  for (size_t k = 0; k < r->count; k++) {
    const qint8_candidate *c = &r->rows[k].candidate;
    char how[64];
    candidate_text(c, observers, how, sizeof how);
    printf("%-24s %-26s", qint8_config_name((qint8_config)c->config), how);
    for (int i = 0; i < o->budget_count; i++)
      printf(" %16.5g %9.3g %8.2g", r->rows[k].values[i],
             drop_of(&o->budgets[i], r->reference[i], r->rows[k].values[i]), m[k].error[i]);
    const char *verdict = c->met ? "meets the budget" : m[k].within ? "may meet the budget" : "misses it";
    printf(" %6llu %9.1f %9.1f %8.2f  %s%s\n", (unsigned long long)c->float_nodes, (double)c->bytes / 1024,
           c->microseconds, c->seconds, verdict, c->best ? ", taken" : "");
  }
}

void candidate_text(const qint8_candidate *c, const char *const *observers, char *text, size_t size) {
  static const struct {
    int32_t bit;
    const char *name;
  } repairs[] = {{QINT8_REPAIR_EQUALISE, " equalise"}, {QINT8_REPAIR_ROUND, " round"}, {QINT8_REPAIR_BIAS, " bias"}};
  snprintf(text, size, "%s", c->config == QINT8_CONFIG_DYNAMIC ? "-" : observers[c->observer]);
  for (int i = 0; i < COUNT(repairs); i++)
    if (c->repairs & repairs[i].bit)
      snprintf(text + strlen(text), size - strlen(text), "%s", repairs[i].name);
  if (c->mixed)
    snprintf(text + strlen(text), size - strlen(text), " mixed");
}

/* A budget of a few samples is met or missed by chance. */
static void warn_if_coarse(const auto_options *o, const auto_result *r) {
  for (int i = 0; i < o->budget_count; i++) {
    const budget *b = &o->budgets[i];
    double step = 1.0 / (double)r->validation_samples;
    if ((!strcmp(b->metric->name, "top1") || !strcmp(b->metric->name, "top1_agreement")) &&
        allowance(b, r->reference[i]) < 2 * step)
      warn("--budget %s: %zu validation samples resolve %.2g points; give more with --validation", b->metric->name,
           r->validation_samples, 100 * step);
  }
}

static void collect(const qint8_search *found, auto_result *r) {
  r->float_us = qint8_search_float_microseconds(found);
  for (size_t k = 0; k < r->count; k++) {
    r->rows[k].candidate = (qint8_candidate)QINT8_CANDIDATE_INIT;
    qint8_search_candidate(found, k, &r->rows[k].candidate);
    if (r->rows[k].candidate.best)
      r->best = k;
  }
}

static int save(const auto_request *q, const qint8_search *found) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_save_options options = QINT8_SAVE_OPTIONS_INIT;
  options.format = q->format;
  qint8_status status = qint8_model_export_file(qint8_search_model(found), qint8_search_recipe(found), &options,
                                                q->out_path, &error);
  return status == QINT8_OK ? 0 : fail_error(q->out_path, status, &error);
}

/* What meets the budget on these samples has met it, if not surely on others. */
static int exit_code(const auto_result *r, const margins *m) {
  if (r->rows[r->best].candidate.met)
    return EXIT_DONE;
  if (!m[r->best].within)
    return EXIT_GATE;
  warn("the budget is met on %zu validation samples, but by less than the standard error of the loss", r->validation_samples);
  return EXIT_DONE;
}

int auto_quantize(const auto_request *q, size_t first, size_t count, auto_result *result) {
  truth answers = {0};
  judge j = {.options = q->options, .result = result, .truth = &answers};
  qint8_search *found = NULL;
  result->validation_samples = count;
  int status = truth_load(&q->options->truth, first, count, &answers);
  for (int i = 0; i < q->options->budget_count && !status; i++)
    status = find_substitute(&q->options->budgets[i], &answers);
  if (!status)
    status = examine(q, first, count);
  if (!status)
    status = search(q, &j, first, count, &found);
  if (!status) {
    collect(found, result);
    status = save(q, found);
  }
  if (!status) {
    warn_if_coarse(q->options, result);
    print_table(q->options, result, j.margins, q->observers);
    status = exit_code(result, j.margins);
  }
  qint8_search_destroy(found);
  truth_free(&answers);
  free(j.margins);
  return status;
}
