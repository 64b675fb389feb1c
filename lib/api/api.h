/* api.h - what the files of lib/api share: argument checks, and the objects behind the opaque types. */
#ifndef Q8_API_H
#define Q8_API_H

#include "exec/exec.h"
#include "graph/graph.h"
#include "onnx/import.h"
#include "quant/recipe.h"

struct qint8_model {
  q8_host host;
  q8_graph *graph;
  q8_recipe *recipe; /* what a QDQ file carried, or NULL */
};

struct qint8_recipe {
  q8_recipe *recipe;
};

/* The model's graph for those who read weights as floats: the graph itself, or, of a quantized file, a copy with all
 * constants as `data` that the caller destroys (*copy, else NULL). Tensors and nodes have the same numbers. */
q8_status q8_api_float_graph(const qint8_model *model, const q8_graph **graph, q8_graph **copy, qint8_error *error);

const struct q8_ranges *q8_api_ranges(const qint8_ranges *ranges);
const q8_plan *q8_api_plan(const qint8_plan *plan);

/* Fails with ARGUMENT if a required pointer is NULL: Q8_REQUIRE(error, model); */
#define Q8_REQUIRE(error, pointer)                                                                           \
  do {                                                                                                       \
    if (!(pointer))                                                                                          \
      return q8_fail_null(error, #pointer);                                                                  \
  } while (0)
/* Fails with ARGUMENT if a struct's struct_size is smaller than this version's. */
#define Q8_REQUIRE_SIZE(error, pointer)                                                                      \
  do {                                                                                                       \
    if ((pointer)->struct_size < sizeof *(pointer))                                                          \
      return q8_fail_size(error, #pointer, (pointer)->struct_size, sizeof *(pointer));                       \
  } while (0)

q8_status q8_fail_null(qint8_error *error, const char *name);
q8_status q8_fail_size(qint8_error *error, const char *name, size_t size, size_t expected);

/* A zeroed object whose first member is its q8_host or q8_pool, made of the caller's; NULL: *status tells why. */
void *q8_api_new(const qint8_host *host, size_t size, const char *what, q8_status *status, qint8_error *error);
/* What measures or mends a recipe on samples needs: neither is missing, and the recipe belongs to the model. */
q8_status q8_check_samples(const qint8_model *model, const qint8_recipe *recipe, const qint8_tensor *const *inputs,
                           size_t batch_count, qint8_error *error);
/* U8 or S8. */
q8_status q8_check_activations(int32_t dtype, qint8_error *error);

/* Inside (0, 100]. */
q8_status q8_check_percentile(float percentile, qint8_error *error);
/* scale finite and > 0, zero point inside u8, s8 or (s32 allowed if `allow_s32`) s32. */
q8_status q8_check_qparams(const qint8_qparams *qparams, int allow_s32, qint8_error *error);
/* dtype and shape against what is expected; `where` names the tensor; data must not be NULL unless it is empty. */
q8_status q8_check_tensor(const qint8_tensor *tensor, const char *where, int32_t dtype, const q8_shape *shape,
                          qint8_error *error);
/* The shape of a tensor given for an input declared as `declared`: SHAPE if it does not fit. */
q8_status q8_take_shape(const qint8_tensor *tensor, const char *where, const q8_shape *declared, q8_shape *out,
                        qint8_error *error);
/* The CPU bits and static name of an ISA: NULL for QINT8_ISA or the best of this CPU. UNSUPPORTED if build or CPU lack
 * it. */
q8_status q8_choose_isa(const char *isa, q8_cpu_mask *mask, const char **name, qint8_error *error);
/* The kernels of q8_choose_isa(NULL): for calls without an `isa` option. */
q8_status q8_default_kernels(q8_kernels *out, qint8_error *error);

#endif
