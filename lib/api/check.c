#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "base/cpu.h"

q8_status q8_fail_null(qint8_error *error, const char *name) {
  return q8_fail(error, QINT8_ERROR_ARGUMENT, name, "%s is NULL", name);
}

q8_status q8_fail_size(qint8_error *error, const char *name, size_t size, size_t expected) {
  return q8_fail(error, QINT8_ERROR_ARGUMENT, name, "%s->struct_size is %zu, expected at least %zu", name, size,
                 expected);
}

void *q8_api_new(const qint8_host *host, size_t size, const char *what, q8_status *status, qint8_error *error) {
  q8_host inner;
  *status = q8_host_init(&inner, host, error);
  void *object = *status == QINT8_OK ? q8_new(&inner, size, what, error) : NULL;
  if (!object && *status == QINT8_OK)
    *status = QINT8_ERROR_MEMORY;
  return object;
}

q8_status q8_check_samples(const qint8_model *model, const qint8_recipe *recipe, const qint8_tensor *const *inputs,
                           size_t batch_count, qint8_error *error) {
  Q8_REQUIRE(error, model);
  Q8_REQUIRE(error, recipe);
  Q8_REQUIRE(error, inputs);
  if (batch_count == 0)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "batch_count", "no samples given");
  if (recipe->recipe->tensor_count != model->graph->tensor_count ||
      recipe->recipe->node_count != model->graph->node_count)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "recipe", "it belongs to another model");
  return QINT8_OK;
}

q8_status q8_check_activations(int32_t dtype, qint8_error *error) {
  if (dtype != QINT8_DTYPE_U8 && dtype != QINT8_DTYPE_S8)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "activation_dtype", "type %d is not U8 or S8", (int)dtype);
  return QINT8_OK;
}

q8_status q8_check_percentile(float percentile, qint8_error *error) {
  if (!(percentile > 0.0f && percentile <= 100.0f))
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "percentile", "%g is outside (0, 100]", (double)percentile);
  return QINT8_OK;
}

q8_status q8_check_qparams(const qint8_qparams *qparams, int allow_s32, qint8_error *error) {
  Q8_REQUIRE(error, qparams);
  Q8_REQUIRE_SIZE(error, qparams);
  if (!(qparams->scale > 0.0f) || !isfinite(qparams->scale))
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "scale", "scale is %g, expected finite and > 0", (double)qparams->scale);
  int32_t low, high;
  if (qparams->dtype == QINT8_DTYPE_U8) {
    low = 0;
    high = 255;
  } else if (qparams->dtype == QINT8_DTYPE_S8) {
    low = -128;
    high = 127;
  } else if (qparams->dtype == QINT8_DTYPE_S32 && allow_s32) {
    return QINT8_OK;
  } else {
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "dtype", "type %d is not %s", (int)qparams->dtype,
                   allow_s32 ? "U8, S8 or S32" : "U8 or S8");
  }
  if (qparams->zero_point < low || qparams->zero_point > high)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, "zero_point", "zero point %d is outside [%d, %d]",
                   (int)qparams->zero_point, (int)low, (int)high);
  return QINT8_OK;
}

static q8_shape shape_of(const qint8_tensor *tensor) {
  q8_shape shape = {.rank = tensor->rank};
  memcpy(shape.dim, tensor->shape, sizeof shape.dim);
  return shape;
}

q8_status q8_check_tensor(const qint8_tensor *tensor, const char *where, int32_t dtype, const q8_shape *shape,
                          qint8_error *error) {
  if (!tensor)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, where, "the tensor is NULL");
  if (tensor->struct_size < sizeof *tensor)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, where, "struct_size is %zu, expected at least %zu", tensor->struct_size,
                   sizeof *tensor);
  if (tensor->dtype != dtype)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, where, "element type is %d, expected %d", (int)tensor->dtype,
                   (int)dtype);
  if (tensor->rank < 0 || tensor->rank > Q8_MAX_RANK)
    return q8_fail(error, QINT8_ERROR_SHAPE, where, "rank %d is outside 0 to %d", (int)tensor->rank, Q8_MAX_RANK);
  int fits = tensor->rank == shape->rank;
  for (int d = 0; d < shape->rank && fits; d++)
    fits = tensor->shape[d] == shape->dim[d];
  if (!fits) {
    const q8_shape got = shape_of(tensor);
    char a[160], b[160];
    return q8_fail(error, QINT8_ERROR_SHAPE, where, "shape is %s, expected %s", q8_shape_text(&got, a, sizeof a),
                   q8_shape_text(shape, b, sizeof b));
  }
  if (!tensor->data && q8_shape_count(shape, NULL))
    return q8_fail(error, QINT8_ERROR_ARGUMENT, where, "data is NULL");
  return QINT8_OK;
}

q8_status q8_take_shape(const qint8_tensor *tensor, const char *where, const q8_shape *declared, q8_shape *out,
                        qint8_error *error) {
  if (!tensor)
    return q8_fail(error, QINT8_ERROR_ARGUMENT, where, "the tensor is NULL");
  if (tensor->rank < 0 || tensor->rank > Q8_MAX_RANK)
    return q8_fail(error, QINT8_ERROR_SHAPE, where, "rank %d is outside 0 to %d", (int)tensor->rank, Q8_MAX_RANK);
  *out = shape_of(tensor);
  int fits = declared->rank < 0 || declared->rank == out->rank;
  for (int d = 0; d < out->rank && fits; d++)
    fits = out->dim[d] >= 0 && (declared->rank < 0 || declared->dim[d] < 0 || declared->dim[d] == out->dim[d]);
  if (!fits) {
    char a[160], b[160];
    return q8_fail(error, QINT8_ERROR_SHAPE, where, "shape %s does not fit the model's %s (-1 is free)",
                   q8_shape_text(out, a, sizeof a), q8_shape_text(declared, b, sizeof b));
  }
  return QINT8_OK;
}

/* The newest ISA of the build that the CPU has; scalar is always there. */
static const q8_isa *best_isa(q8_cpu_mask cpu) {
  for (size_t i = 0; i < q8_isa_count; i++)
    if ((q8_isa_list[i]->needs & ~cpu) == 0)
      return q8_isa_list[i];
  return q8_isa_find("scalar");
}

/* What the host's user asks for where the host leaves the choice open; NULL if nothing. */
static const char *isa_of_environment(void) {
  const char *isa = getenv("QINT8_ISA");
  return isa && *isa ? isa : NULL;
}

q8_status q8_choose_isa(const char *isa, q8_cpu_mask *mask, const char **name, qint8_error *error) {
  q8_cpu_mask cpu = q8_cpu_detect();
  const char *where = isa ? "isa" : "QINT8_ISA";
  if (!isa)
    isa = isa_of_environment();
  if (!isa) {
    *mask = cpu;
    *name = best_isa(cpu)->name;
    return QINT8_OK;
  }
  const q8_isa *found = q8_isa_find(isa);
  if (!found)
    return q8_fail(error, QINT8_ERROR_UNSUPPORTED, where, "this build has no kernels for \"%s\"", isa);
  if (found->needs & ~cpu)
    return q8_fail(error, QINT8_ERROR_UNSUPPORTED, where, "this CPU cannot run \"%s\"", isa);
  *mask = found->needs;
  *name = found->name;
  return QINT8_OK;
}

q8_status q8_default_kernels(q8_kernels *out, qint8_error *error) {
  q8_cpu_mask mask;
  const char *name;
  Q8_TRY(q8_choose_isa(NULL, &mask, &name, error));
  q8_kernels_select(mask, out);
  return QINT8_OK;
}

const char *qint8_isa_name(size_t index) {
  q8_cpu_mask cpu = q8_cpu_detect();
  for (size_t i = 0; i < q8_isa_count; i++)
    if ((q8_isa_list[i]->needs & ~cpu) == 0 && index-- == 0)
      return q8_isa_list[i]->name;
  return NULL;
}
