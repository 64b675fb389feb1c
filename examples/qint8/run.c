/* run.c - qint8 run: one run on arrays given by name. */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

#define MAX_TENSORS 16

static int view_of(array *a, const qint8_tensor_info *info, qint8_tensor *out) {
  *out = (qint8_tensor)QINT8_TENSOR_INIT;
  if (a->dtype != info->dtype && info->dtype == QINT8_DTYPE_F32) { /* integers for a float input */
    float *values = array_floats(a);
    free(a->data);
    a->data = values;
    a->dtype = QINT8_DTYPE_F32;
  }
  out->dtype = a->dtype;
  out->rank = a->rank;
  memcpy(out->shape, a->shape, sizeof a->shape);
  out->data = a->data;
  return 0;
}

/* The array given as NAME=FILE for an input, or as FILE alone if there is one input. */
static const char *spec_for(const text_list *given, const char *name, size_t inputs) {
  size_t length = strlen(name);
  for (int i = 0; i < given->count; i++)
    if (!strncmp(given->v[i], name, length) && given->v[i][length] == '=')
      return given->v[i] + length + 1;
  return inputs == 1 && given->count == 1 && !strchr(given->v[0], '=') ? given->v[0] : NULL;
}

typedef struct run_state {
  qint8_model *model;
  qint8_recipe *recipe;
  qint8_plan *plan;
  qint8_session *session;
  array in[MAX_TENSORS], out[MAX_TENSORS];
  qint8_tensor in_views[MAX_TENSORS], out_views[MAX_TENSORS];
  const qint8_tensor *ins[MAX_TENSORS], *outs[MAX_TENSORS];
  const char *names[MAX_TENSORS];
  size_t in_count, out_count;
} run_state;

/* Every NAME= is an input of the model. */
static int check_names(const run_state *s, const text_list *given) {
  for (int i = 0; i < given->count; i++) {
    const char *equals = strchr(given->v[i], '=');
    int known = equals == NULL;
    for (size_t j = 0; j < s->in_count && !known; j++) {
      qint8_tensor_info info = QINT8_TENSOR_INFO_INIT;
      qint8_model_input(s->model, j, &info);
      known = strlen(info.name) == (size_t)(equals - given->v[i]) &&
              !strncmp(info.name, given->v[i], (size_t)(equals - given->v[i]));
    }
    if (!known)
      return fail("--input %s: the model has no input \"%.*s\"", given->v[i], (int)(equals - given->v[i]), given->v[i]);
  }
  return 0;
}

static int load_inputs(run_state *s, const text_list *given) {
  s->in_count = qint8_model_input_count(s->model);
  if (s->in_count > MAX_TENSORS)
    return fail("the model has %zu inputs, at most %d are served", s->in_count, MAX_TENSORS);
  if (check_names(s, given))
    return EXIT_FAILED;
  for (size_t i = 0; i < s->in_count; i++) {
    qint8_tensor_info info = QINT8_TENSOR_INFO_INIT;
    qint8_model_input(s->model, i, &info);
    const char *spec = spec_for(given, info.name, s->in_count);
    if (!spec)
      return fail("input \"%s\" is missing: give --input %s=FILE.npy", info.name, info.name);
    if (array_load(spec, &s->in[i]))
      return EXIT_FAILED;
    view_of(&s->in[i], &info, &s->in_views[i]);
    s->ins[i] = &s->in_views[i];
  }
  return 0;
}

/* A shape, axes, indices: what operators may need to know before the run. */
static int says_how(const qint8_tensor *t) {
  return (t->dtype == QINT8_DTYPE_S64 || t->dtype == QINT8_DTYPE_S32) && t->rank <= 1;
}

static int compile(run_state *s, const char *isa, const qint8_host *host) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_plan_options options = QINT8_PLAN_OPTIONS_INIT;
  options.isa = isa;
  options.input_shapes = s->ins;
  options.input_shape_count = s->in_count;
  qint8_status status = qint8_plan_create(s->model, s->recipe, &options, host, &s->plan, &error);
  const qint8_tensor *values[MAX_TENSORS];
  for (size_t i = 0; i < s->in_count; i++)
    values[i] = says_how(&s->in_views[i]) ? &s->in_views[i] : NULL;
  if (status == QINT8_ERROR_SHAPE) { /* perhaps for want of their values */
    options.input_values = values;
    options.input_value_count = s->in_count;
    status = qint8_plan_create(s->model, s->recipe, &options, host, &s->plan, &error);
  }
  if (status == QINT8_OK)
    status = qint8_session_create(s->plan, NULL, 0, host, &s->session, &error);
  if (status != QINT8_OK)
    return fail_error("plan", status, &error);
  qint8_tensor_info info = QINT8_TENSOR_INFO_INIT;
  for (; s->out_count < MAX_TENSORS && qint8_plan_output(s->plan, s->out_count, &info) == QINT8_OK; s->out_count++) {
    array *a = &s->out[s->out_count];
    *a = (array){.dtype = info.dtype, .rank = info.rank, .count = 1};
    memcpy(a->shape, info.shape, sizeof a->shape);
    for (int d = 0; d < a->rank; d++)
      a->count *= (size_t)a->shape[d];
    a->data = allocate(a->count + 1, qint8_dtype_size((qint8_dtype)a->dtype));
    view_of(a, &info, &s->out_views[s->out_count]);
    s->outs[s->out_count] = &s->out_views[s->out_count];
    s->names[s->out_count] = info.name;
  }
  return 0;
}

static int execute(run_state *s, const char *path) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_status status = qint8_session_run(s->session, s->ins, s->in_count, s->outs, s->out_count, &error);
  if (status != QINT8_OK)
    return fail_error("run", status, &error);
  size_t length = strlen(path);
  if (length > 4 && !strcmp(path + length - 4, ".npy"))
    return npy_save(path, &s->out[0]);
  return npz_save(path, s->names, s->out, (int)s->out_count);
}

int command_run(int argc, char **argv) {
  text_list given = {{NULL}, 0};
  const char *output = NULL, *isa = NULL, *words[1];
  long threads = 1;
  const option options[] = {
      {"--input", "NAME=FILE.npy", "array for an input; NAME= may be left out if there is one", OPTION_LIST, &given},
      {"--output", "FILE.npz", "where the outputs go (.npy: the first one alone)", OPTION_TEXT, &output},
      {"--isa", "NAME", "scalar, avx2, avxvnni, avx512vnni, neon, ...", OPTION_TEXT, &isa},
      {"--threads", "N", "threads (1)", OPTION_INT, &threads}};
  const command_line line = {"qint8 run MODEL --input NAME=FILE.npy ... --output FILE.npz",
                             "Runs the model once. Arrays go in as they are: no normalisation.\n\n"
                             "example: qint8 run int8.onnx --input input=x.npy --output y.npz",
                             options, COUNT(options), 1, 1};
  int stop = parse_options(&line, argc, argv, words);
  if (stop)
    return stop - 1;
  if (!output) {
    fail("--output FILE.npz is missing");
    return EXIT_USAGE;
  }
  qint8_host host;
  thread_pool *pool;
  host_open(&host, threads, &pool);
  run_state s = {0};
  int status = model_map(words[0], &host, &s.model, &s.recipe);
  if (!status)
    status = load_inputs(&s, &given);
  if (!status)
    status = compile(&s, isa, &host);
  if (!status)
    status = execute(&s, output);
  for (int i = 0; i < MAX_TENSORS; i++) {
    array_free(&s.in[i]);
    array_free(&s.out[i]);
  }
  qint8_session_destroy(s.session);
  qint8_plan_destroy(s.plan);
  qint8_recipe_destroy(s.recipe);
  qint8_model_destroy(s.model);
  host_close(pool);
  return status;
}
