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
  snprintf(path, sizeof path, "%.*s", (int)(colon ? colon - spec : (long)strlen(spec)), spec);
  if (!is_npz(path) || npz_try(path, key, &a))
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
static int describe_images(const char *spec, const array *a, const qint8_tensor_info *input, dataset_part *out) {
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

static int describe_values(const char *spec, const array *a, const qint8_tensor_info *input, dataset_part *out) {
  if (a->rank < 1)
    return fail("%s: a single value; the first dimension must count the samples", spec);
  if (out->dtype == QINT8_DTYPE_F16 || out->dtype == QINT8_DTYPE_BF16 || out->dtype == QINT8_DTYPE_F64)
    return fail("input \"%s\" of the model is %s: export the model in float32", input->name, dtype_text(out->dtype));
  if (out->dtype != QINT8_DTYPE_F32 && a->dtype != out->dtype && !(is_integer(a->dtype) && is_integer(out->dtype)))
    return fail("%s: %s, but input \"%s\" of the model is %s", spec, dtype_text(a->dtype), input->name,
                dtype_text(out->dtype));
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

static int read_images(const dataset_part *d, size_t first, size_t count, float *out) {
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

static int read_values(const dataset_part *d, size_t first, size_t count, void *out) {
  array piece = d->file.head;
  piece.count = count * d->sample;
  if (piece.dtype == d->dtype)
    return array_read(&d->file, first * d->sample, piece.count, out);
  piece.data = allocate(piece.count + 1, qint8_dtype_size((qint8_dtype)piece.dtype));
  int status = array_read(&d->file, first * d->sample, piece.count, piece.data);
  if (!status && d->dtype == QINT8_DTYPE_F32) {
    float *values = array_floats(&piece);
    memcpy(out, values, piece.count * sizeof *values);
    free(values);
  } else if (!status) {
    array_integers(&piece, d->dtype, out);
  }
  free(piece.data);
  return status;
}

int dataset_read(const dataset_part *part, size_t first, size_t count, void *out) {
  return part->channels ? read_images(part, first, count, out) : read_values(part, first, count, out);
}

int dataset_hold(dataset *d, size_t count) {
  int status = 0;
  for (size_t i = 0; i < d->parts && d->held < count && !status; i++) {
    dataset_part *part = &d->part[i];
    free(part->values);
    part->values = allocate(count * part->size + 8, 1);
    status = dataset_read(part, 0, count, part->values);
  }
  d->held = count > d->held ? count : d->held;
  return status;
}

static int check_fit(const char *spec, const qint8_tensor_info *input, const dataset_part *d) {
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

/* The array of one input. */
static int open_part(const char *spec, int several, const qint8_tensor_info *input, double mean, double std,
                     dataset_part *out) {
  if (several ? npz_open(spec, input->name, &out->file) : array_open(spec, &out->file))
    return EXIT_FAILED;
  out->norm = find_normalisation(spec, mean, std);
  out->dtype = input->dtype ? input->dtype : QINT8_DTYPE_F32;
  const array *head = &out->file.head;
  int is_image = head->dtype == QINT8_DTYPE_U8 && out->dtype == QINT8_DTYPE_F32;
  int status = is_image ? describe_images(spec, head, input, out) : describe_values(spec, head, input, out);
  if (!status)
    status = check_fit(spec, input, out);
  out->sample = 1;
  for (int d = 1; d < out->rank; d++)
    out->sample *= (size_t)out->shape[d];
  out->size = out->sample * qint8_dtype_size((qint8_dtype)out->dtype);
  return status;
}

static int open_parts(const char *spec, const qint8_model *model, double mean, double std, dataset *out) {
  size_t inputs = qint8_model_input_count(model);
  qint8_tensor_info input = QINT8_TENSOR_INFO_INIT;
  qint8_model_input(model, 0, &input);
  if (inputs > MAX_INPUTS)
    return fail("the model has %zu inputs, at most %d are served", inputs, MAX_INPUTS);
  if (inputs != 1 && !is_npz(spec))
    return fail("%s: the model has %zu inputs: give FILE.npz alone, with an array for each, of its name (\"%s\", ...)", spec,
                inputs, inputs ? input.name : "");
  for (out->parts = 0; out->parts < inputs; out->parts++) {
    qint8_model_input(model, out->parts, &input);
    dataset_part *part = &out->part[out->parts];
    if (open_part(spec, inputs > 1, &input, mean, std, part)) {
      out->parts++; /* its file is open, perhaps */
      return EXIT_FAILED;
    }
    if (part->shape[0] != out->part[0].shape[0])
      return fail("%s: %lld samples for input \"%s\", but %lld for the first", spec, (long long)part->shape[0], input.name,
                  (long long)out->part[0].shape[0]);
    out->sample += part->sample;
  }
  return inputs && out->part[0].shape[0] == 0 ? fail("%s: no samples", spec) : 0;
}

int dataset_open(const char *spec, const qint8_model *model, double mean, double std, long limit, dataset *out) {
  *out = (dataset){0};
  int status = open_parts(spec, model, mean, std, out);
  if (status) {
    dataset_free(out);
    return status;
  }
  out->count = out->parts ? (size_t)out->part[0].shape[0] : 0;
  if (limit > 0 && (size_t)limit < out->count)
    out->count = (size_t)limit;
  return 0;
}

int dataset_load(const char *spec, const qint8_model *model, double mean, double std, long limit, dataset *out) {
  int status = dataset_open(spec, model, mean, std, limit, out);
  return status ? status : dataset_hold(out, out->count);
}

static qint8_tensor shaped(const dataset_part *part, size_t samples) {
  qint8_tensor t = QINT8_TENSOR_INIT;
  t.dtype = part->dtype;
  t.rank = part->rank;
  memcpy(t.shape, part->shape, sizeof t.shape);
  t.shape[0] = (int64_t)samples;
  return t;
}

const qint8_tensor **dataset_batches(const dataset *data, size_t first, size_t count, int64_t batch,
                                     size_t *batches) {
  size_t size = (size_t)batch;
  *batches = (count + size - 1) / size;
  size_t total = *batches * data->parts;
  const qint8_tensor **inputs = allocate(total + 1, sizeof *inputs + sizeof **inputs);
  qint8_tensor *views = (qint8_tensor *)(void *)(inputs + total + 1);
  for (size_t i = 0; i < total; i++) {
    size_t b = i / data->parts;
    const dataset_part *part = &data->part[i % data->parts];
    views[i] = shaped(part, count - b * size < size ? count - b * size : size);
    views[i].data = part->values + (first + b * size) * part->size;
    inputs[i] = &views[i];
  }
  return inputs;
}

void dataset_free(dataset *d) {
  for (size_t i = 0; i < d->parts; i++) {
    array_close(&d->part[i].file);
    free(d->part[i].values);
  }
  *d = (dataset){0};
}

/* ---- A batch of them ---- */

sample_tensors *tensors_shaped(const dataset *d, int64_t samples, sample_tensors *out) {
  *out = (sample_tensors){.count = d->parts};
  for (size_t i = 0; i < d->parts; i++) {
    out->tensor[i] = shaped(&d->part[i], (size_t)samples);
    out->inputs[i] = &out->tensor[i];
  }
  return out;
}

void tensors_allocate(sample_tensors *t) {
  for (size_t i = 0; i < t->count; i++) {
    size_t size = qint8_dtype_size((qint8_dtype)t->tensor[i].dtype);
    for (int d = 0; d < t->tensor[i].rank; d++)
      size *= (size_t)t->tensor[i].shape[d];
    t->tensor[i].data = allocate(size + 8, 1);
    memset(t->tensor[i].data, 0, size + 8);
  }
}

int tensors_read(sample_tensors *t, const dataset *d, size_t first, size_t count) {
  int status = 0;
  for (size_t i = 0; i < t->count && !status; i++) {
    t->tensor[i].shape[0] = (int64_t)count;
    status = dataset_read(&d->part[i], first, count, t->tensor[i].data);
  }
  return status;
}

void tensors_free(sample_tensors *t) {
  for (size_t i = 0; i < t->count; i++)
    free(t->tensor[i].data);
  *t = (sample_tensors){0};
}
