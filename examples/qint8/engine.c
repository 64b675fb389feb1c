/* engine.c - models, plans and sessions, and a data set run through them. */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

typedef qint8_status load_fn(const char *path, const qint8_host *host, qint8_model **model, qint8_error *error);

static int open_by(load_fn *load, const char *path, const qint8_host *host, qint8_model **model,
                   qint8_recipe **recipe) {
  qint8_error error = QINT8_ERROR_INIT;
  *recipe = NULL;
  qint8_status status = load(path, host, model, &error);
  if (status != QINT8_OK)
    return fail_error(path, status, &error);
  status = qint8_model_recipe(*model, recipe, &error);
  if (status != QINT8_OK && status != QINT8_ERROR_STATE) {
    qint8_model_destroy(*model);
    *model = NULL;
    return fail_error(path, status, &error);
  }
  return 0;
}

int model_open(const char *path, const qint8_host *host, qint8_model **model, qint8_recipe **recipe) {
  return open_by(qint8_model_load_file, path, host, model, recipe);
}

int model_map(const char *path, const qint8_host *host, qint8_model **model, qint8_recipe **recipe) {
  return open_by(qint8_model_map_file, path, host, model, recipe);
}

int64_t batch_for(const qint8_model *model, long wanted) {
  qint8_tensor_info info = QINT8_TENSOR_INFO_INIT;
  if (qint8_model_input(model, 0, &info) == QINT8_OK && info.rank > 0 && info.shape[0] > 0)
    return info.shape[0];
  return wanted > 0 ? wanted : 1;
}

static size_t count_of(const qint8_tensor *t) {
  size_t count = 1;
  for (int d = 0; d < t->rank; d++)
    count *= (size_t)t->shape[d];
  return count;
}

int engine_open(const char *path, const qint8_model *model, const qint8_recipe *recipe, const sample_tensors *shapes,
                int64_t batch, const char *isa, const qint8_host *host, engine *out) {
  *out = (engine){.batch = batch, .output = QINT8_TENSOR_INIT};
  qint8_error error = QINT8_ERROR_INIT;
  qint8_plan_options options = QINT8_PLAN_OPTIONS_INIT;
  options.isa = isa;
  options.input_shapes = shapes->inputs;
  options.input_shape_count = shapes->count;
  qint8_status status = qint8_plan_create(model, recipe, &options, host, &out->plan, &error);
  if (status == QINT8_OK)
    status = qint8_session_create(out->plan, NULL, 0, host, &out->session, &error);
  if (status != QINT8_OK) {
    engine_close(out);
    return fail_error(path, status, &error);
  }
  qint8_tensor_info info = QINT8_TENSOR_INFO_INIT;
  qint8_plan_output(out->plan, 0, &info);
  if (info.dtype != QINT8_DTYPE_F32 || qint8_model_output_count(model) < 1) {
    engine_close(out);
    return fail("%s: output \"%s\" is not float32", path, info.name);
  }
  out->output.dtype = info.dtype;
  out->output.rank = info.rank;
  memcpy(out->output.shape, info.shape, sizeof info.shape);
  out->output_count = count_of(&out->output);
  return 0;
}

void engine_close(engine *e) {
  qint8_session_destroy(e->session);
  qint8_plan_destroy(e->plan);
  *e = (engine){0};
}

int engine_run(engine *e, const qint8_tensor *const *inputs, size_t input_count, float *output) {
  qint8_error error = QINT8_ERROR_INIT;
  size_t count = 1;
  e->output.data = output;
  const qint8_tensor *out[8] = {&e->output};
  qint8_tensor rest[8];
  qint8_tensor_info info = QINT8_TENSOR_INFO_INIT;
  for (; count < 8 && qint8_plan_output(e->plan, count, &info) == QINT8_OK; count++) {
    rest[count] = (qint8_tensor){.struct_size = sizeof(qint8_tensor), .dtype = info.dtype, .rank = info.rank};
    memcpy(rest[count].shape, info.shape, sizeof info.shape);
    rest[count].data = allocate(count_of(&rest[count]), 8);
    out[count] = &rest[count];
  }
  qint8_status status = qint8_session_run(e->session, inputs, input_count, out, count, &error);
  for (size_t i = 1; i < count; i++)
    free(rest[i].data);
  return status == QINT8_OK ? 0 : fail_error("run", status, &error);
}

/* Runs samples [from, from + engine's batch). */
static int run_batch(engine *e, const dataset *data, size_t from, outputs *out) {
  if (!out->values) {
    out->width = e->output_count / (size_t)e->batch;
    out->values = allocate(out->count * out->width + e->output_count, sizeof *out->values);
    out->rank = e->output.rank;
    memcpy(out->shape, e->output.shape, sizeof out->shape);
    out->shape[0] = (int64_t)out->count;
  }
  size_t batches;
  const qint8_tensor **inputs = dataset_batches(data, from, (size_t)e->batch, e->batch, &batches);
  double start = now_seconds();
  int status = engine_run(e, inputs, data->parts, out->values + from * out->width);
  out->seconds += now_seconds() - start;
  free((void *)(uintptr_t)inputs);
  return status;
}

int run_dataset(const char *path, const qint8_model *model, const qint8_recipe *recipe, const dataset *data,
                long batch, const char *isa, const qint8_host *host, const char *what, outputs *out) {
  *out = (outputs){.count = data->count};
  int64_t size = batch_for(model, batch);
  int fixed = batch_for(model, 1) == batch_for(model, 2);
  if (fixed && data->count % (size_t)size)
    return fail("%s: its batch is fixed at %lld, which does not divide %zu samples; see --n", path, (long long)size,
                data->count);
  engine e = {0};
  int status = 0;
  for (size_t done = 0; done < data->count && !status;) {
    int64_t now = data->count - done < (size_t)size ? (int64_t)(data->count - done) : size;
    if (e.batch != now) {
      sample_tensors shapes;
      engine_close(&e);
      status = engine_open(path, model, recipe, tensors_shaped(data, now, &shapes), now, isa, host, &e);
    }
    if (!status)
      status = run_batch(&e, data, done, out);
    done += (size_t)now;
    progress(what, done, data->count);
  }
  engine_close(&e);
  return status;
}
