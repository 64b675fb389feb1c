/* dataset.c - arrays as samples for a model: images become normalised NCHW floats, floats go in as they are. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

/* One value, or one per channel, of the archive that `spec` names. */
static void from_archive(const char *spec, const char *key, float *out) {
  const char *colon = strrchr(spec, ':');
  array a;
  char path[1024];
  if (!colon)
    return;
  snprintf(path, sizeof path, "%.*s", (int)(colon - spec), spec);
  if (npz_try(path, key, &a))
    return;
  float *values = array_floats(&a);
  for (int c = 0; c < 4 && a.count; c++)
    out[c] = values[(size_t)c < a.count ? (size_t)c : a.count - 1];
  free(values);
  array_free(&a);
}

static normalisation find_normalisation(const char *spec, double mean, double std) {
  normalisation n;
  for (int c = 0; c < 4; c++) {
    n.mean[c] = 0;
    n.std[c] = 1;
  }
  from_archive(spec, "mean", n.mean);
  from_archive(spec, "std", n.std);
  for (int c = 0; c < 4; c++) {
    if (!isnan(mean))
      n.mean[c] = (float)mean;
    if (!isnan(std))
      n.std[c] = (float)std;
  }
  return n;
}

/* uint8 [N, H, W] or [N, H, W, C] to float, NCHW with the model's channels if it has rank 4. */
static int describe_images(const char *spec, const array *a, const qint8_tensor_info *input, dataset *out) {
  if (a->rank != 3 && a->rank != 4)
    return fail("%s: uint8 of rank %d; images are [N,H,W] or [N,H,W,C]", spec, a->rank);
  int64_t channels = a->rank == 4 ? a->shape[3] : 1, wanted = channels;
  if (input->rank == 4 && input->shape[1] > 0)
    wanted = input->shape[1];
  if (channels < 1 || channels > 4 || wanted > 4 || (wanted != channels && channels != 1))
    return fail("%s: %lld channels, the model wants %lld", spec, (long long)channels, (long long)wanted);
  out->channels = channels;
  out->rank = input->rank == 3 && wanted == 1 ? 3 : 4;
  int64_t shape4[] = {a->shape[0], wanted, a->shape[1], a->shape[2]};
  int64_t shape3[] = {a->shape[0], a->shape[1], a->shape[2]};
  memcpy(out->shape, out->rank == 4 ? shape4 : shape3, (size_t)out->rank * sizeof *out->shape);
  return 0;
}

static int describe_floats(const char *spec, const array *a, const qint8_tensor_info *input, dataset *out) {
  if (a->rank < 1)
    return fail("%s: a single value; the first dimension must count the samples", spec);
  out->rank = a->rank;
  memcpy(out->shape, a->shape, sizeof out->shape);
  if (input->rank == a->rank + 1 && input->shape[1] == 1) { /* [N, H, W] for [N, 1, H, W] */
    out->rank = input->rank;
    for (int d = input->rank - 1; d > 1; d--)
      out->shape[d] = out->shape[d - 1];
    out->shape[1] = 1;
  }
  return 0;
}

static int read_images(const dataset *d, size_t first, size_t count, float *out) {
  size_t have = (size_t)d->channels, wanted = d->rank == 4 ? (size_t)d->shape[1] : 1, plane = d->sample / wanted;
  uint8_t *pixels = allocate(count * plane * have + 1, 1);
  int status = array_read(&d->file, first * plane * have, count * plane * have, pixels);
  for (size_t n = 0; n < count && !status; n++)
    for (size_t c = 0; c < wanted; c++)
      for (size_t i = 0; i < plane; i++) {
        uint8_t pixel = pixels[(n * plane + i) * have + (have == 1 ? 0 : c)];
        out[(n * wanted + c) * plane + i] = ((float)pixel / 255.0f - d->norm.mean[c]) / d->norm.std[c];
      }
  free(pixels);
  return status;
}

static int read_floats(const dataset *d, size_t first, size_t count, float *out) {
  array piece = d->file.head;
  piece.count = count * d->sample;
  if (piece.dtype == QINT8_DTYPE_F32)
    return array_read(&d->file, first * d->sample, piece.count, out);
  piece.data = allocate(piece.count + 1, qint8_dtype_size((qint8_dtype)piece.dtype));
  int status = array_read(&d->file, first * d->sample, piece.count, piece.data);
  float *values = array_floats(&piece);
  memcpy(out, values, piece.count * sizeof *out);
  free(values);
  free(piece.data);
  return status;
}

int dataset_read(const dataset *d, size_t first, size_t count, float *out) {
  return d->channels ? read_images(d, first, count, out) : read_floats(d, first, count, out);
}

int dataset_hold(dataset *d, size_t count) {
  if (d->held >= count)
    return 0;
  free(d->values);
  d->values = allocate(count * d->sample + 1, sizeof *d->values);
  d->held = count;
  return dataset_read(d, 0, count, d->values);
}

static int check_fit(const char *spec, const qint8_tensor_info *input, const dataset *d) {
  int fits = input->rank < 0 || input->rank == d->rank;
  for (int i = 1; fits && input->rank >= 0 && i < d->rank; i++)
    fits = input->shape[i] < 0 || input->shape[i] == d->shape[i];
  if (fits)
    return 0;
  char have[160] = "", want[160] = "";
  for (int i = 0; i < d->rank; i++)
    snprintf(have + strlen(have), sizeof have - strlen(have), "%s%lld", i ? "," : "", (long long)d->shape[i]);
  for (int i = 0; i < input->rank; i++)
    snprintf(want + strlen(want), sizeof want - strlen(want), "%s%lld", i ? "," : "", (long long)input->shape[i]);
  return fail("%s: shape [%s], but input \"%s\" of the model is [%s] (-1 is free)", spec, have, input->name, want);
}

int dataset_open(const char *spec, const qint8_model *model, double mean, double std, long limit, dataset *out) {
  *out = (dataset){0};
  qint8_tensor_info input = QINT8_TENSOR_INFO_INIT;
  if (qint8_model_input_count(model) != 1)
    return fail("the model has %zu inputs; data files serve models with one (see `qint8 run`)",
                qint8_model_input_count(model));
  qint8_model_input(model, 0, &input);
  if (array_open(spec, &out->file))
    return EXIT_FAILED;
  out->norm = find_normalisation(spec, mean, std);
  const array *head = &out->file.head;
  int status = head->dtype == QINT8_DTYPE_U8 ? describe_images(spec, head, &input, out)
                                             : describe_floats(spec, head, &input, out);
  if (!status)
    status = check_fit(spec, &input, out);
  if (!status && out->shape[0] == 0)
    status = fail("%s: no samples", spec);
  if (status) {
    dataset_free(out);
    return status;
  }
  if (limit > 0 && limit < out->shape[0])
    out->shape[0] = limit;
  out->count = (size_t)out->shape[0];
  out->sample = 1;
  for (int d = 1; d < out->rank; d++)
    out->sample *= (size_t)out->shape[d];
  return 0;
}

int dataset_load(const char *spec, const qint8_model *model, double mean, double std, long limit, dataset *out) {
  int status = dataset_open(spec, model, mean, std, limit, out);
  return status ? status : dataset_hold(out, out->count);
}

const qint8_tensor **dataset_batches(const dataset *data, size_t first, size_t count, int64_t batch,
                                     size_t *batches) {
  size_t size = (size_t)batch;
  *batches = (count + size - 1) / size;
  const qint8_tensor **inputs = allocate(*batches + 1, sizeof *inputs + sizeof **inputs);
  qint8_tensor *views = (qint8_tensor *)(void *)(inputs + *batches + 1);
  for (size_t b = 0; b < *batches; b++) {
    views[b] = (qint8_tensor)QINT8_TENSOR_INIT;
    views[b].dtype = QINT8_DTYPE_F32;
    views[b].rank = data->rank;
    memcpy(views[b].shape, data->shape, sizeof views[b].shape);
    views[b].shape[0] = (int64_t)(count - b * size < size ? count - b * size : size);
    views[b].data = data->values + (first + b * size) * data->sample;
    inputs[b] = &views[b];
  }
  return inputs;
}

void dataset_free(dataset *d) {
  array_close(&d->file);
  free(d->values);
  *d = (dataset){0};
}
