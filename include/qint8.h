/* qint8.h - libqint8: float models in, calibrated int8 models out, and run.
 *
 * The header follows the data, in one direction:
 *
 *   bytes --load--> MODEL --calibrate--> RANGES --decide--> RECIPE --compile--> PLAN --open--> SESSION --run--> tensors
 *
 * Each stage takes const pointers to earlier ones and returns a new object; no stage changes an earlier one.
 *
 * Rules for every function:
 *   Errors     Calls that can fail return qint8_status; the optional `error` (may be NULL) then says where and why.
 *              On failure every out-pointer is set to NULL. Nothing aborts, exits or prints. One variable of the
 *              environment is read, QINT8_ISA (section 14).
 *   Ownership  The caller owns what it passes in and may free it after the call, unless said otherwise.
 *              Objects made by `..._create` or `..._load_...` are freed by `..._destroy`, which accepts NULL.
 *   Threads    Const objects (model, ranges, recipe, plan) may be used from many threads at once.
 *              A calibrator, an observer and a session belong to one thread at a time. There is no global state.
 *   Units      *count* is elements, *size* bytes, *stride* elements. Shapes are as in ONNX: NCHW for images.
 *   Structs    begin with `struct_size`, to be set by the caller to sizeof the struct (the QINT8_..._INIT macros do).
 *
 * Since version 0.1.0 unless a function says otherwise.
 */
#ifndef QINT8_H
#define QINT8_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define QINT8_API __attribute__((visibility("default")))
#else
#define QINT8_API
#endif

/* ==== 1. Version ==================================================================================================== */

#define QINT8_VERSION_MAJOR 0
#define QINT8_VERSION_MINOR 1
#define QINT8_VERSION_PATCH 0
#define QINT8_VERSION_STRING "0.1.0"

/* The version of the library that runs, "MAJOR.MINOR.PATCH". Static storage. */
QINT8_API const char *qint8_version_string(void);

/* ==== 2. Status and error =========================================================================================== */

/* Values are never reused or changed. */
typedef enum qint8_status {
  QINT8_OK = 0,
  QINT8_ERROR_ARGUMENT = 1,    /* an argument is NULL, out of range, or does not fit another */
  QINT8_ERROR_MEMORY = 2,      /* an allocation failed */
  QINT8_ERROR_FILE = 3,        /* a file cannot be opened, read or written */
  QINT8_ERROR_FORMAT = 4,      /* bytes are truncated or malformed */
  QINT8_ERROR_UNSUPPORTED = 5, /* well formed, but this version cannot do it: operator, attribute, type, opset */
  QINT8_ERROR_SHAPE = 6,       /* shapes do not fit together */
  QINT8_ERROR_LIMIT = 7,       /* a size is beyond a documented limit */
  QINT8_ERROR_DATA = 8,        /* values cannot be used: NaN where a range is needed, nothing observed */
  QINT8_ERROR_STATE = 9,       /* the call does not fit the object's state */
  QINT8_ERROR_CANCELLED = 10,  /* a progress callback asked to stop */
  QINT8_ERROR_INTERNAL = 11    /* a bug in libqint8: please report */
} qint8_status;

/* The constant's name, such as "QINT8_ERROR_SHAPE"; "unknown status" for any other value. Static storage. */
QINT8_API const char *qint8_status_name(qint8_status status);

/* What went wrong; filled only when a call fails. Strings are always terminated, long ones are cut. */
typedef struct qint8_error {
  size_t struct_size;
  int32_t status;   /* a qint8_status */
  char where[128];  /* node, tensor, parameter or file, "" if none applies */
  char message[384]; /* one sentence: what, and the limit or shape it ran into */
} qint8_error;
#define QINT8_ERROR_INIT {sizeof(qint8_error), 0, {0}, {0}}

/* ==== 3. The host: memory, threads, progress ======================================================================== */

/* Callbacks the host may supply. A NULL host, or NULL members, mean malloc/free, one thread, silence.
 * The struct is copied; what `user` points to must outlive every object created with it. */
typedef struct qint8_host {
  size_t struct_size;
  void *user;
  /* `size` bytes aligned to `alignment` (a power of two, at most 64), or NULL. Both or neither must be given. */
  void *(*allocate)(void *user, size_t size, size_t alignment);
  void (*release)(void *user, void *memory);
  /* Calls task(argument, i) for every i in [0, count), in any order, on any threads; returns when all have ended.
   * `threads` says into how many parts work is split. Results do not depend on it. */
  void (*parallel_for)(void *user, size_t count, void (*task)(void *argument, size_t i), void *argument);
  int32_t threads; /* >= 1; 0 means 1 */
  /* Long work reports `done` of `total` steps; a non-zero return stops it with QINT8_ERROR_CANCELLED. */
  int32_t (*progress)(void *user, const char *what, size_t done, size_t total);
} qint8_host;
#define QINT8_HOST_INIT {sizeof(qint8_host), NULL, NULL, NULL, NULL, 1, NULL}

/* ==== 4. Tensors ==================================================================================================== */

#define QINT8_MAX_RANK 8

/* Element types; values are those of ONNX TensorProto.DataType. Networks compute in F32; the other types serve data
 * that is moved, selected, compared, cast or computed element by element. */
typedef enum qint8_dtype {
  QINT8_DTYPE_NONE = 0,
  QINT8_DTYPE_F32 = 1,
  QINT8_DTYPE_U8 = 2,
  QINT8_DTYPE_S8 = 3,
  QINT8_DTYPE_U16 = 4,
  QINT8_DTYPE_S16 = 5,
  QINT8_DTYPE_S32 = 6,
  QINT8_DTYPE_S64 = 7,
  QINT8_DTYPE_BOOL = 9, /* one byte, 0 or 1 */
  QINT8_DTYPE_F16 = 10, /* IEEE 754 binary16 */
  QINT8_DTYPE_F64 = 11,
  QINT8_DTYPE_U32 = 12,
  QINT8_DTYPE_U64 = 13,
  QINT8_DTYPE_BF16 = 16 /* the upper half of an F32 */
} qint8_dtype;

/* Bytes per element, 0 for an unknown type. */
QINT8_API size_t qint8_dtype_size(qint8_dtype dtype);

/* A view on the caller's memory: dense, row-major, `data` aligned to its element. */
typedef struct qint8_tensor {
  size_t struct_size;
  int32_t dtype;                 /* a qint8_dtype */
  int32_t rank;                  /* 0 (a scalar) to QINT8_MAX_RANK */
  int64_t shape[QINT8_MAX_RANK]; /* each >= 0 */
  void *data;
} qint8_tensor;
#define QINT8_TENSOR_INIT {sizeof(qint8_tensor), 0, 0, {0}, NULL}

/* Name and type of a tensor of a model. Strings belong to the model. */
typedef struct qint8_tensor_info {
  size_t struct_size;
  const char *name;
  int32_t dtype;
  int32_t rank;                               /* -1: unknown until shapes are bound */
  int64_t shape[QINT8_MAX_RANK];              /* -1: a symbolic dimension */
  const char *dim_name[QINT8_MAX_RANK];       /* the symbol, or NULL */
  int32_t is_constant;
} qint8_tensor_info;
#define QINT8_TENSOR_INFO_INIT {sizeof(qint8_tensor_info), NULL, 0, 0, {0}, {NULL}, 0}

/* ==== 5. Quantization parameters ==================================================================================== */

/* real = (quantized - zero_point) * scale, for u8 (0..255), s8 (-128..127; symmetric: -127..127) and s32 (bias). */
typedef struct qint8_qparams {
  size_t struct_size;
  int32_t dtype; /* QINT8_DTYPE_U8, QINT8_DTYPE_S8 or QINT8_DTYPE_S32 */
  float scale;   /* finite, > 0 */
  int32_t zero_point;
} qint8_qparams;
#define QINT8_QPARAMS_INIT {sizeof(qint8_qparams), 0, 1.0f, 0}

/* The affine parameters of a range: it is widened to include 0, and 0 is represented exactly.
 *   scale = (max - min) / 255, zero_point = rne(qmin - min / scale) clamped to the type; an all-zero range has scale 1.
 * `symmetric` (s8 only): scale = max(|min|, |max|) / 127, zero_point 0.
 * Status: ARGUMENT (min > max, unknown type), DATA (NaN or infinite bound, named in `error`). */
QINT8_API qint8_status qint8_qparams_from_range(float min, float max, qint8_dtype dtype, int32_t symmetric,
                                                qint8_qparams *out, qint8_error *error);

/* ==== 6. Observers ================================================================================================== */

/* What is remembered of the values of one tensor, in constant memory. */
typedef enum qint8_observer_kind {
  QINT8_OBSERVER_MINMAX = 0,         /* smallest and largest value seen */
  QINT8_OBSERVER_MOVING_AVERAGE = 1, /* of each batch's minimum and maximum; the one that depends on batch order */
  QINT8_OBSERVER_HISTOGRAM_MSE = 2,  /* 2,048 bins; the range with the least mean square quantization error */
  QINT8_OBSERVER_PERCENTILE = 3,     /* the same bins; the range that holds `percentile` per cent of the values */
  /* The same bins; the range with the least Kullback-Leibler divergence. It weighs how often values occur, not how large
   * they are, so it cuts off the rare large ones that later layers live on. Of eight networks measured with both (static
   * per-channel), rel_err was higher than with HISTOGRAM_MSE on each: a small transformer 0.008 (0.007), a text classifier
   * 0.053 (0.031), a small CNN 0.047 (0.005), coordinates by convolutions 0.040 (0.008), MobileNetV3 0.27 and 0.29 (0.03).
   * For comparison with tools that use it; those with as few bins as levels get the range of all values under its name. */
  QINT8_OBSERVER_ENTROPY = 4
} qint8_observer_kind;

typedef struct qint8_observer_options {
  size_t struct_size;
  int32_t kind;         /* a qint8_observer_kind */
  int64_t channels;     /* 0: one range for the tensor; else one per channel */
  float moving_average; /* weight of the newest batch, in (0, 1]; PyTorch's averaging_constant */
  float percentile;     /* of values inside the range, in (0, 100]; half of the others lie beyond each end */
} qint8_observer_options;
#define QINT8_OBSERVER_OPTIONS_INIT {sizeof(qint8_observer_options), QINT8_OBSERVER_HISTOGRAM_MSE, 0, 0.01f, 99.99f}

typedef struct qint8_observer qint8_observer;

/* What an observer concluded for the tensor or for one channel. */
typedef struct qint8_range {
  size_t struct_size;
  float min, max;         /* smallest and largest finite value seen */
  float low, high;        /* the range to quantize, low <= high, inside [min, max] */
  int64_t count;          /* finite values seen */
  int64_t nan_count, inf_count; /* values left out */
} qint8_range;
#define QINT8_RANGE_INIT {sizeof(qint8_range), 0.0f, 0.0f, 0.0f, 0.0f, 0, 0, 0}

/* Status: ARGUMENT, MEMORY. */
QINT8_API qint8_status qint8_observer_create(const qint8_observer_options *options, const qint8_host *host,
                                             qint8_observer **out, qint8_error *error);
QINT8_API void qint8_observer_destroy(qint8_observer *observer);

/* Observes `outer * channels * inner` floats laid out [outer][channels][inner]; with channels == 0 in the options
 * they are simply all of them (pass channels = 1). The result does not depend on how samples are split into calls
 * (moving average excepted). NaN and infinities are counted and left out.
 * Status: ARGUMENT (NULL values, other number of channels than at creation). */
QINT8_API qint8_status qint8_observer_observe(qint8_observer *observer, const float *values, size_t outer,
                                              size_t channels, size_t inner, qint8_error *error);

/* Adds to `observer` all that `other` saw, as if it had seen both. Same options needed. Associative and commutative
 * (moving average: refused). Status: ARGUMENT. */
QINT8_API qint8_status qint8_observer_merge(qint8_observer *observer, const qint8_observer *other, qint8_error *error);

/* The range of a channel (0 for a per-tensor observer). Status: ARGUMENT, DATA (nothing finite was seen). */
QINT8_API qint8_status qint8_observer_range(const qint8_observer *observer, int64_t channel, qint8_range *out,
                                            qint8_error *error);

/* ==== 7. Quantize, dequantize, requantize =========================================================================== */

/* q = clamp(rne(x / scale) + zero_point): true division, half to even, NaN to the lowest value. Convention of ONNX
 * QuantizeLinear and ONNX Runtime, to the bit. `out` holds `count` elements of qparams->dtype (u8, s8 or s32).
 * Status: ARGUMENT (NULL, scale not finite or not > 0, zero point outside the type). */
QINT8_API qint8_status qint8_quantize(const float *x, size_t count, const qint8_qparams *qparams, void *out,
                                      qint8_error *error);
/* x = f32(q - zero_point) * scale (ONNX DequantizeLinear). Status: as qint8_quantize. */
QINT8_API qint8_status qint8_dequantize(const void *q, size_t count, const qint8_qparams *qparams, float *out,
                                        qint8_error *error);
/* y = clamp(rne(f32(accumulator) * multiplier) + zero_point), multiplier = (x_scale * w_scale) / y_scale in f32, in
 * that order (ONNX QLinearConv). `out` holds `count` elements of out_qparams->dtype (u8 or s8).
 * Status: ARGUMENT. */
QINT8_API qint8_status qint8_requantize(const int32_t *accumulators, size_t count, float x_scale, float w_scale,
                                        const qint8_qparams *out_qparams, void *out, qint8_error *error);
/* out = dequantize(quantize(x)), through the same integer routine. `out` may be `x`. Status: as qint8_quantize. */
QINT8_API qint8_status qint8_fake_quantize(const float *x, size_t count, const qint8_qparams *qparams, float *out,
                                           qint8_error *error);

/* ==== 8. Operators: GEMM and convolution with packed weights ======================================================== */

/* y = requantize(x * w^T + bias): weights are packed once for the CPU, then run many times from any thread. */
typedef struct qint8_operator qint8_operator;

/* Weights are s8 symmetric; -128 is allowed and stays exact. Output channel k has scale w_scale[k], or w_scale[0] for
 * all. bias has scale x.scale * w_scale[k], zero point 0; NULL means none. The result is clamped to
 * [clamp_low, clamp_high] in the output's quantized type (its whole range by default: set both to 0 for that). */
typedef struct qint8_gemm_desc {
  size_t struct_size;
  int64_t n, k;            /* output and input features, n >= 1, 1 <= k <= 65793 (the int32 accumulator's bound) */
  const int8_t *weights;   /* [n][k] */
  const float *w_scale;    /* [w_scale_count] */
  int64_t w_scale_count;   /* 1 or n */
  const int32_t *bias;     /* [n] or NULL */
  qint8_qparams x, y;      /* u8 or s8 each */
  int32_t clamp_low, clamp_high;
  const char *isa;         /* NULL: the best this CPU has; else "scalar", "avx2", ... */
} qint8_gemm_desc;

/* Convolution over NHWC memory; weights [k][r][s][c / groups] (ONNX's OIHW must be transposed by the caller). */
typedef struct qint8_conv_desc {
  size_t struct_size;
  int64_t c, k, groups;         /* channels in and out, both divisible by groups */
  int64_t r, s;                 /* kernel height, width */
  int64_t stride_h, stride_w, dilation_h, dilation_w;
  int64_t pad_top, pad_left, pad_bottom, pad_right; /* padding holds the real value 0 */
  const int8_t *weights;
  const float *w_scale;
  int64_t w_scale_count;        /* 1 or k */
  const int32_t *bias;          /* [k] or NULL */
  qint8_qparams x, y;
  int32_t clamp_low, clamp_high;
  const char *isa;
} qint8_conv_desc;

/* Status: ARGUMENT, MEMORY, LIMIT, UNSUPPORTED (an ISA that this CPU or build lacks). */
QINT8_API qint8_status qint8_gemm_create(const qint8_gemm_desc *desc, const qint8_host *host, qint8_operator **out,
                                         qint8_error *error);
QINT8_API qint8_status qint8_conv_create(const qint8_conv_desc *desc, const qint8_host *host, qint8_operator **out,
                                         qint8_error *error);
QINT8_API void qint8_operator_destroy(qint8_operator *op);

/* Bytes of scratch that a run on this input needs. gemm: batch is m, height and width are ignored. */
QINT8_API qint8_status qint8_operator_scratch_size(const qint8_operator *op, int64_t batch, int64_t height,
                                                   int64_t width, size_t *size, qint8_error *error);
/* gemm: x [batch][k], y [batch][n]. conv: x [batch][height][width][c], y [batch][p][q][k] with
 * p = (height + pad_top + pad_bottom - dilation_h * (r - 1) - 1) / stride_h + 1, q likewise.
 * scratch: 64-byte aligned, of at least the size above; scratch_size is checked. Allocates nothing.
 * Status: ARGUMENT, SHAPE (an empty output), LIMIT. Thread rule: many threads at once, each with its own scratch. */
QINT8_API qint8_status qint8_operator_run(const qint8_operator *op, int64_t batch, int64_t height, int64_t width,
                                          const void *x, void *y, void *scratch, size_t scratch_size,
                                          qint8_error *error);

/* ==== 9. Model ====================================================================================================== */

/* A float graph, frozen, with constants folded, BatchNormalization folded and patterns such as HardSwish recognised.
 * A file in QDQ form gives the float graph plus the recipe that its QuantizeLinear/DequantizeLinear pairs describe. */
typedef struct qint8_model qint8_model;

/* Loads ONNX (opset 7 to 21; 1 to 6 as far as operators kept their form). The file is read whole; the memory of
 * qint8_model_load_memory is copied. Tensors of a file may lie in others ("external data"), in its folder or below: no
 * absolute path, no "..", regular files only. From memory they are UNSUPPORTED: there is no folder.
 * Status: FILE (`where` names the file, or the tensor whose file it is), FORMAT (truncated or malformed: `where` names
 * the part), UNSUPPORTED (`where` names the node), SHAPE, LIMIT, MEMORY. */
QINT8_API qint8_status qint8_model_load_file(const char *path, const qint8_host *host, qint8_model **out,
                                             qint8_error *error);
QINT8_API qint8_status qint8_model_load_memory(const void *bytes, size_t size, const qint8_host *host,
                                               qint8_model **out, qint8_error *error);
/* As qint8_model_load_file, but the file and those of its external data are mapped where the system can (Linux), so that
 * int8 weights take no memory beside those that a plan packed from them: compiling reads each once. The files must not be
 * written to or shortened while the model exists; to replace one by renaming another, or to delete it, does no harm. */
QINT8_API qint8_status qint8_model_map_file(const char *path, const qint8_host *host, qint8_model **out,
                                            qint8_error *error);
QINT8_API void qint8_model_destroy(qint8_model *model);

QINT8_API int64_t qint8_model_opset(const qint8_model *model);
QINT8_API size_t qint8_model_input_count(const qint8_model *model);
QINT8_API size_t qint8_model_output_count(const qint8_model *model);
/* Status: ARGUMENT (index). */
QINT8_API qint8_status qint8_model_input(const qint8_model *model, size_t index, qint8_tensor_info *out);
QINT8_API qint8_status qint8_model_output(const qint8_model *model, size_t index, qint8_tensor_info *out);

/* One operator of the graph. Strings belong to the model. */
typedef struct qint8_node_info {
  size_t struct_size;
  const char *name;
  const char *op_type;      /* ONNX name; a recognised pattern shows as "HardSwish", "Silu", ... */
  const char *output;       /* name of the first output tensor */
  int64_t parameter_count;  /* elements of its constant float inputs */
  const char *int8_obstacle; /* NULL if the operator has an int8 form, else the reason why it stays float */
} qint8_node_info;
#define QINT8_NODE_INFO_INIT {sizeof(qint8_node_info), NULL, NULL, NULL, 0, NULL}
/* Nodes in execution order. */
QINT8_API size_t qint8_model_node_count(const qint8_model *model);
QINT8_API qint8_status qint8_model_node(const qint8_model *model, size_t index, qint8_node_info *out);
/* The name of a node's input, numbered from 0 as in ONNX; NULL past the last and where one is left out. */
QINT8_API const char *qint8_model_node_input(const qint8_model *model, size_t index, size_t input);
/* The constant float32 weights of a node that multiplies by some (Conv, Gemm, MatMul, ...). *name (may be NULL) and
 * out->data, which is not to be written, belong to the model; *channel_axis (may be NULL) is the dimension of the weights
 * that counts output channels. Status: ARGUMENT (no such node, no constant weights), STATE (a quantized file: the model
 * keeps integers only). */
QINT8_API qint8_status qint8_model_weights(const qint8_model *model, size_t index, const char **name, qint8_tensor *out,
                                           int32_t *channel_axis, qint8_error *error);

/* A new model that computes the same, to the bit, but whose channels are of like size, so that they share one scale with
 * less loss (cross-layer equalisation: Nagel et al. 2019, section 4.1): channels of a layer are divided by powers of two,
 * and the weights that read them multiplied, where all between commutes with that (Relu, LeakyRelu, PRelu, pooling, sums,
 * ...). Groups of channels that are alike already stay. To be done before calibration; twice is as good as once.
 * `changed` (may be NULL) receives how many groups were rescaled. The caller owns *out. `model` and `out` have the same
 * tensors and nodes. Status: ARGUMENT, STATE (a quantized file), MEMORY. */
QINT8_API qint8_status qint8_model_equalise(const qint8_model *model, const qint8_host *host, qint8_model **out,
                                            size_t *changed, qint8_error *error);

/* A new model that computes the same, to the bit, in which channel c (axis 1) of an input is divided by the power of two
 * that brings it to the size of the median channel, and the weights that read it multiplied: for inputs of several
 * quantities in raw units, which one scale would serve badly. largest[c] >= 0, finite, is the largest magnitude of
 * channel c on representative data, [channels]. `changed` (may be NULL) receives 1, or 0 if the channels are of like size
 * already (no more than 4 times from the median) or not only constant weights read the input: then *out is a plain copy.
 * The caller owns *out. To be done before calibration. Status: ARGUMENT (index, channels), DATA (a magnitude that is not
 * finite or negative), STATE (a quantized file), MEMORY. */
QINT8_API qint8_status qint8_model_scale_input(const qint8_model *model, size_t input, const float *largest,
                                               int64_t channels, const qint8_host *host, qint8_model **out,
                                               int32_t *changed, qint8_error *error);

/* ==== 10. Calibration: model + samples -> ranges ==================================================================== */

typedef struct qint8_calibrator qint8_calibrator;
typedef struct qint8_ranges qint8_ranges;

typedef struct qint8_calibrator_options {
  size_t struct_size;
  int32_t observer;     /* a qint8_observer_kind, for activations */
  float moving_average; /* as in qint8_observer_options */
  float percentile;     /* likewise */
} qint8_calibrator_options;
#define QINT8_CALIBRATOR_OPTIONS_INIT {sizeof(qint8_calibrator_options), QINT8_OBSERVER_HISTOGRAM_MSE, 0.01f, 99.99f}

/* `model` must outlive the calibrator. options may be NULL. Status: ARGUMENT, MEMORY. */
QINT8_API qint8_status qint8_calibrator_create(const qint8_model *model, const qint8_calibrator_options *options,
                                               const qint8_host *host, qint8_calibrator **out, qint8_error *error);
QINT8_API void qint8_calibrator_destroy(qint8_calibrator *calibrator);
/* Runs one batch in float and observes every tensor that may be quantized. Inputs in the model's order, float32.
 * Smallest and largest values are those of all values; histograms count of a tensor and sample all values up to 512 of
 * them, and of larger ones a part, 256 to 512 spread evenly, each for as many as were left out, and both ends. Which part
 * follows from the values alone: the result depends neither on how samples are batched nor on the number of threads or
 * the instruction set.
 * Memory does not grow with the number of calls. Status: ARGUMENT, SHAPE, MEMORY, DATA (NaN or Inf in an input). */
QINT8_API qint8_status qint8_calibrator_feed(qint8_calibrator *calibrator, const qint8_tensor *const *inputs,
                                             size_t input_count, qint8_error *error);
/* What was seen so far; the calibrator may be fed further. Status: STATE (nothing fed), MEMORY. */
QINT8_API qint8_status qint8_calibrator_ranges(const qint8_calibrator *calibrator, qint8_ranges **out,
                                               qint8_error *error);

QINT8_API void qint8_ranges_destroy(qint8_ranges *ranges);
QINT8_API size_t qint8_ranges_count(const qint8_ranges *ranges);
/* `name` belongs to the ranges. Status: ARGUMENT. */
QINT8_API qint8_status qint8_ranges_get(const qint8_ranges *ranges, size_t index, const char **name, qint8_range *out);

/* The tensor of range `index`, without the search that a range costs; NULL past the last. Belongs to the ranges. */
QINT8_API const char *qint8_ranges_name(const qint8_ranges *ranges, size_t index);

/* How often values of a tensor fell where: bin i holds those in [left + i * width, left + (i + 1) * width), zeros apart.
 * Widths are powers of two, so bins of several histograms can be joined exactly. Of large tensors a part stands for all,
 * see qint8_calibrator_feed. */
typedef struct qint8_histogram {
  size_t struct_size;
  size_t bin_count; /* 1 to 2,048 */
  double left, width;
  int64_t zeros;    /* values equal to 0, in no bin */
} qint8_histogram;
#define QINT8_HISTOGRAM_INIT {sizeof(qint8_histogram), 0, 0.0, 0.0, 0}
/* The histogram of range `index` (as in qint8_ranges_get). At most `capacity` counts are written, from bin 0 on; counts
 * may be NULL if capacity is 0. Status: ARGUMENT, STATE (an observer without histogram). */
QINT8_API qint8_status qint8_ranges_histogram(const qint8_ranges *ranges, size_t index, qint8_histogram *out,
                                              int64_t *counts, size_t capacity, qint8_error *error);

/* What a person should know about the samples before trusting the ranges. Values are never reused or changed. */
typedef enum qint8_warning_code {
  QINT8_WARNING_FEW_SAMPLES = 1,       /* count: how many there were */
  QINT8_WARNING_OUTLIER = 2,           /* sample reaches `amount` times as far as all others; count: tensors */
  QINT8_WARNING_GROWING = 3,           /* the last quarter of the samples widened the range by amount; count: tensors */
  QINT8_WARNING_CONSTANT_TENSOR = 4,   /* always `amount` */
  QINT8_WARNING_CONSTANT_CHANNELS = 5, /* count: channels that never change; amount: their share */
  QINT8_WARNING_DEAD_CHANNELS = 6,     /* count: channels always 0 behind an activation function; amount: their share */
  QINT8_WARNING_NONFINITE = 7,         /* count: values that were NaN or infinite */
  QINT8_WARNING_SHIFTED = 8            /* validation data differs; amount: common share of values; count: tensors */
} qint8_warning_code;

typedef struct qint8_warning {
  size_t struct_size;
  int32_t code;       /* a qint8_warning_code */
  const char *tensor; /* where, "" for all of the calibration; belongs to the ranges */
  int64_t sample;     /* which, from 0 in the order fed; -1 if none */
  int64_t count;      /* see the codes */
  double amount;
  char message[256];  /* one sentence: what was seen and what to do */
} qint8_warning;
#define QINT8_WARNING_INIT {sizeof(qint8_warning), 0, NULL, -1, 0, 0.0, {0}}

/* Samples fed: the first dimension of the first input, summed over batches. */
QINT8_API int64_t qint8_ranges_samples(const qint8_ranges *ranges);
/* Warnings, those about all of the calibration first. They do not depend on how samples were batched. `validation`:
 * NULL, or ranges of the same model on other data, to be told where that differs. The count is 0 for ranges of another
 * model. Status: ARGUMENT. */
QINT8_API size_t qint8_ranges_warning_count(const qint8_ranges *ranges, const qint8_ranges *validation);
QINT8_API qint8_status qint8_ranges_warning(const qint8_ranges *ranges, const qint8_ranges *validation, size_t index,
                                            qint8_warning *out, qint8_error *error);

/* ==== 11. Recipe: how each tensor is quantized, and which nodes stay float ========================================== */

typedef struct qint8_recipe qint8_recipe;

typedef enum qint8_config {
  QINT8_CONFIG_FP32 = 0,               /* "fp32_baseline" */
  QINT8_CONFIG_DYNAMIC = 1,            /* "dynamic_int8": weights int8, activations by one scale per sample at run time */
  QINT8_CONFIG_STATIC_PER_TENSOR = 2,  /* "static_int8_per_tensor" */
  QINT8_CONFIG_STATIC_PER_CHANNEL = 3, /* "static_int8_per_channel": one weight scale per output channel */
  QINT8_CONFIG_QAT = 4                 /* "qat_int8"; reserved, not yet supported */
} qint8_config;

/* The name as the tool spells it; NULL for an unknown value. */
QINT8_API const char *qint8_config_name(qint8_config config);

typedef struct qint8_recipe_options {
  size_t struct_size;
  int32_t config;           /* a qint8_config */
  int32_t activation_dtype; /* QINT8_DTYPE_U8 (default) or QINT8_DTYPE_S8 */
  int32_t force;            /* 1: int8 also where a model of the time says that float is faster (very small nodes), or
                               more exact and no slower (a small last product, sums behind MatMul) */
} qint8_recipe_options;
#define QINT8_RECIPE_OPTIONS_INIT                                                                                    \
  {sizeof(qint8_recipe_options), QINT8_CONFIG_STATIC_PER_CHANNEL, QINT8_DTYPE_U8, 0}

/* Decides a recipe. `ranges` may be NULL for FP32 and DYNAMIC. Status: ARGUMENT (static without ranges, ranges of
 * another model), DATA (a tensor with no finite value: named), MEMORY, UNSUPPORTED. */
QINT8_API qint8_status qint8_recipe_create(const qint8_model *model, const qint8_ranges *ranges,
                                           const qint8_recipe_options *options, const qint8_host *host,
                                           qint8_recipe **out, qint8_error *error);
/* How many multiplying nodes stay float because int8 would make them slower; `force` in the options prevents it. */
QINT8_API size_t qint8_recipe_kept_float(const qint8_recipe *recipe);
/* A copy of the recipe that the model's file carried. Status: STATE (a float file), MEMORY. */
QINT8_API qint8_status qint8_model_recipe(const qint8_model *model, qint8_recipe **out, qint8_error *error);
QINT8_API void qint8_recipe_destroy(qint8_recipe *recipe);

/* The parameters of a tensor, by name. For a per-channel tensor `count` > 1 and out[i] is channel i; at most
 * `capacity` are written, `count` (may be NULL) receives how many there are. Status: ARGUMENT (unknown tensor, or one
 * that stays float: count 0). */
QINT8_API qint8_status qint8_recipe_tensor(const qint8_recipe *recipe, const char *tensor, qint8_qparams *out,
                                           size_t capacity, size_t *count, qint8_error *error);
/* Overrides a tensor's per-tensor parameters. Status: ARGUMENT, MEMORY. */
QINT8_API qint8_status qint8_recipe_set_tensor(qint8_recipe *recipe, const char *tensor, const qint8_qparams *qparams,
                                               qint8_error *error);
/* Returns the first nodes of a static recipe to float where that pays. In networks whose first blocks have few channels of
 * very different ranges (MobileNetV3, EfficientNet) most of the error is born there, and int8 gains least there: if the
 * outputs of the samples are off by 0.4 per cent or more (rel_err against float), as many nodes from the start as add
 * 16 times rel_err to the model's expected time, two fifths at most, become float (of the smallest models, what adds 0.2
 * microseconds), provided that the error falls by a fifth or more, as it is or after bias correction of both; else the
 * recipe stays as it is. `inputs` and `host` as for qint8_recipe_correct_biases, which is
 * to be called afterwards; a few dozen samples serve. Costs a float run and two int8 runs of them, and two bias corrections
 * where the error does not fall without. Deterministic: expected times come from a fixed model of a core. Result bytes
 * remain the same on every ISA. Status: as qint8_recipe_correct_biases. */
QINT8_API qint8_status qint8_recipe_keep_head(const qint8_model *model, qint8_recipe *recipe,
                                              const qint8_tensor *const *inputs, size_t batch_count,
                                              const qint8_host *host, qint8_error *error);
/* How many multiplying nodes qint8_recipe_keep_head returned to float. */
QINT8_API size_t qint8_recipe_head(const qint8_recipe *recipe);
/* Corrects the biases of static int8 nodes, so that the mean of each output channel over the samples is that of the float
 * model (bias correction: Nagel et al. 2019, section 4.2): rounding no longer shifts a channel. `inputs` holds
 * batch_count batches, input i of the model for batch b at [b * (number of inputs) + i], float32 and finite; a few dozen
 * samples serve, the calibration's are right. Costs an int8 run of all batches for every node, up to that node. Calling
 * it again starts from the model's biases. `host` gives memory, threads and progress.
 * Status: ARGUMENT, SHAPE, DATA (a NaN or Inf in an input), CANCELLED, MEMORY: the recipe stays usable. */
QINT8_API qint8_status qint8_recipe_correct_biases(const qint8_model *model, qint8_recipe *recipe,
                                                   const qint8_tensor *const *inputs, size_t batch_count,
                                                   const qint8_host *host, qint8_error *error);
/* Chooses the integers of int8 weights by the error they cause in each node's result on the samples, instead of rounding
 * each weight to the nearest (adaptive rounding, as AdaRound, Nagel et al. 2020, by coordinate descent): scales stay, and
 * so do size and speed. `inputs` and `host` as for qint8_recipe_correct_biases, which is to be called afterwards; a few
 * hundred samples serve, the calibration's are right. Costs one float run of all samples and, for each node, time that
 * grows with the square of its inputs per output. Static and dynamic recipes; deterministic. Nodes that several nodes
 * share weights with keep the nearest integers.
 * Status: ARGUMENT, SHAPE, DATA (a NaN or Inf in an input), CANCELLED, MEMORY: the recipe stays usable. */
QINT8_API qint8_status qint8_recipe_round_weights(const qint8_model *model, qint8_recipe *recipe,
                                                  const qint8_tensor *const *inputs, size_t batch_count,
                                                  const qint8_host *host, qint8_error *error);
/* Keeps the node whose first output is `tensor` in float (non-zero) or lets it be int8 again (0).
 * Status: ARGUMENT (no such node). */
QINT8_API qint8_status qint8_recipe_set_float(qint8_recipe *recipe, const char *tensor, int32_t keep_float,
                                              qint8_error *error);

/* Writes model and recipe as ONNX (opset 17), which this library and ONNX Runtime load, in QDQ form. A NULL recipe
 * writes the float model. Status: FILE, MEMORY, UNSUPPORTED. qint8_model_save_memory allocates *bytes through the
 * host (or malloc); free it with the host's release (or free). */
QINT8_API qint8_status qint8_model_save_file(const qint8_model *model, const qint8_recipe *recipe, const char *path,
                                             qint8_error *error);
QINT8_API qint8_status qint8_model_save_memory(const qint8_model *model, const qint8_recipe *recipe,
                                               const qint8_host *host, void **bytes, size_t *size, qint8_error *error);

/* How a quantized model is written. Both forms give the same graph and recipe when they are loaded. */
typedef enum qint8_format {
  QINT8_FORMAT_QDQ = 0,      /* float operators between QuantizeLinear and DequantizeLinear: what most tools read */
  QINT8_FORMAT_QOPERATOR = 1 /* operators on integers where there are some: QLinearConv, ..., com.microsoft.QLinearAdd */
} qint8_format;

typedef struct qint8_save_options {
  size_t struct_size;
  int32_t format; /* a qint8_format */
} qint8_save_options;
#define QINT8_SAVE_OPTIONS_INIT {sizeof(qint8_save_options), QINT8_FORMAT_QDQ}

/* As qint8_model_save_file and qint8_model_save_memory, with options, which may be NULL. Status: also ARGUMENT. */
QINT8_API qint8_status qint8_model_export_file(const qint8_model *model, const qint8_recipe *recipe,
                                               const qint8_save_options *options, const char *path,
                                               qint8_error *error);
QINT8_API qint8_status qint8_model_export_memory(const qint8_model *model, const qint8_recipe *recipe,
                                                 const qint8_save_options *options, const qint8_host *host,
                                                 void **bytes, size_t *size, qint8_error *error);

/* ==== 12. Plan: model + recipe, compiled for shapes and CPU ========================================================= */

typedef struct qint8_plan qint8_plan;

typedef struct qint8_plan_options {
  size_t struct_size;
  const char *isa; /* NULL: the best of this CPU; else "scalar", "avx2", "avxvnni", "avx512vnni", "neon", ... */
  /* Shapes of the inputs, in the model's order; NULL, or an entry of rank -1, means the model's own, with symbolic
   * dimensions set to 1. Only rank and shape are read. */
  const qint8_tensor *const *input_shapes;
  size_t input_shape_count;
  /* Inputs whose values are known now, in the model's order, NULL for the others: a shape, axes, indices. All of the
   * tensor is read. They are constants of this plan, so that what follows from them is computed while compiling; a run
   * still takes the input and fails with ARGUMENT if its bytes are others. */
  const qint8_tensor *const *input_values;
  size_t input_value_count;
} qint8_plan_options;
#define QINT8_PLAN_OPTIONS_INIT {sizeof(qint8_plan_options), NULL, NULL, 0, NULL, 0}

/* Compiles. A NULL recipe means float. `model` and `recipe` may be destroyed afterwards. options may be NULL.
 * Status: ARGUMENT, SHAPE, UNSUPPORTED, LIMIT, MEMORY. */
QINT8_API qint8_status qint8_plan_create(const qint8_model *model, const qint8_recipe *recipe,
                                         const qint8_plan_options *options, const qint8_host *host, qint8_plan **out,
                                         qint8_error *error);
QINT8_API void qint8_plan_destroy(qint8_plan *plan);

/* One step of the plan. Strings belong to the plan. */
typedef struct qint8_step_info {
  size_t struct_size;
  const char *name;      /* the node or tensor it serves */
  const char *kind;      /* "conv", "dwconv", "quantize", "transpose", ... */
  const char *kernel;    /* the micro-kernel, or "" */
  const char *precision; /* "int8", "dynamic", "fp32" */
  const char *note;      /* why it is not int8, what was fused into it; "" if nothing */
  int64_t macs;          /* multiply-accumulates per run */
  int64_t bytes;         /* activations read and written plus weights, per run */
  int32_t output_rank;
  int64_t output_shape[QINT8_MAX_RANK];
} qint8_step_info;
#define QINT8_STEP_INFO_INIT {sizeof(qint8_step_info), NULL, NULL, NULL, NULL, NULL, 0, 0, 0, {0}}
QINT8_API size_t qint8_plan_step_count(const qint8_plan *plan);
QINT8_API qint8_status qint8_plan_step(const qint8_plan *plan, size_t index, qint8_step_info *out);

/* The ISA whose kernels were chosen. */
QINT8_API const char *qint8_plan_isa(const qint8_plan *plan);
/* Bytes of the arena one session needs (exact), and of packed weights held by the plan. */
QINT8_API size_t qint8_plan_arena_size(const qint8_plan *plan);
QINT8_API size_t qint8_plan_weight_size(const qint8_plan *plan);
/* Multiply-accumulates of one run. */
QINT8_API int64_t qint8_plan_macs(const qint8_plan *plan);
QINT8_API qint8_status qint8_plan_input(const qint8_plan *plan, size_t index, qint8_tensor_info *out);
QINT8_API qint8_status qint8_plan_output(const qint8_plan *plan, size_t index, qint8_tensor_info *out);

/* ==== 13. Session: run it =========================================================================================== */

typedef struct qint8_session qint8_session;

/* Opens a session. `plan` must outlive it. It runs on at most as many threads as the plan was compiled for. `arena` may be NULL (allocated) or the caller's memory of at least
 * qint8_plan_arena_size bytes, 64-byte aligned, which must outlive the session. Status: ARGUMENT (a smaller or
 * misaligned arena), MEMORY. */
QINT8_API qint8_status qint8_session_create(const qint8_plan *plan, void *arena, size_t arena_size,
                                            const qint8_host *host, qint8_session **out, qint8_error *error);
QINT8_API void qint8_session_destroy(qint8_session *session);

/* Runs once. Tensors in the model's order, with the plan's types and shapes; outputs point at memory for the result,
 * which must not overlap an input. Allocates nothing. Status: ARGUMENT (count, type, NULL data), SHAPE. */
QINT8_API qint8_status qint8_session_run(qint8_session *session, const qint8_tensor *const *inputs, size_t input_count,
                                         const qint8_tensor *const *outputs, size_t output_count, qint8_error *error);

/* Calls `watch` during runs, after each step that produced a tensor of the graph, with its values as float32 in the
 * model's layout (valid during the call only). NULL stops it. Status: MEMORY. */
typedef void (*qint8_watch_fn)(void *user, const char *tensor, const qint8_tensor *values);
QINT8_API qint8_status qint8_session_watch(qint8_session *session, qint8_watch_fn watch, void *user,
                                           qint8_error *error);

/* Calls `replace` during runs, after each step that produced a tensor of the graph and after its watcher, with the
 * values as float32 in the model's layout (valid during the call only). It may write other values to values->data and
 * return non-zero: the following steps then see those, quantized where the tensor is int8. So a layer can be run on the
 * exact inputs of another run, and the error it adds be told from what it inherits. NULL stops it. Status: ARGUMENT,
 * MEMORY. */
typedef int32_t (*qint8_replace_fn)(void *user, const char *tensor, const qint8_tensor *values);
QINT8_API qint8_status qint8_session_replace(qint8_session *session, qint8_replace_fn replace, void *user,
                                             qint8_error *error);

/* Measures every step of later runs (non-zero) or none (0), and the microseconds of step `index` in the last run. */
QINT8_API qint8_status qint8_session_profile(qint8_session *session, int32_t enable, qint8_error *error);
QINT8_API double qint8_session_step_microseconds(const qint8_session *session, size_t index);

/* ==== 14. This CPU ================================================================================================== */

/* The ISAs that this build contains and this CPU runs, best first: names for the `isa` options. NULL past the last.
 *
 * Where an `isa` option is NULL, and in calls that have none, the environment variable QINT8_ISA names the ISA to use,
 * so that a deployed program can be measured or debugged on another one; unset or empty means the best. A name that
 * the build does not contain or the CPU cannot run makes those calls fail with UNSUPPORTED, where = "QINT8_ISA". */
QINT8_API const char *qint8_isa_name(size_t index);

/* ==== 15. Search: the cheapest recipe within a budget ================================================================ */

/* The figure of merit of a model's outputs for all validation samples: a tensor per output, dimension 0 counts samples in
 * the order given. `reference` are the float model's (the same pointers while that is measured itself, which is the
 * first call). Valid during the call only; NaN counts as missing the budget. */
typedef double (*qint8_metric_fn)(void *user, const qint8_tensor *const *outputs, const qint8_tensor *const *reference,
                                  size_t output_count);

typedef struct qint8_search_options {
  size_t struct_size;
  /* Batches as for qint8_recipe_correct_biases. Calibration may be left out: then only dynamic_int8 is tried. Validation
   * samples should not be among those of calibration; their outputs must have one shape, and are held in memory. */
  const qint8_tensor *const *calibration, *const *validation;
  size_t calibration_batches, validation_batches;
  qint8_metric_fn metric; /* NULL: rel_err, ||q - f|| / ||f|| over the values of float outputs */
  void *metric_user;
  int32_t higher_is_better; /* of the metric; 0 for errors */
  double max_drop;          /* the budget: how much worse than the float model's metric, in its units */
  uint64_t max_evaluations; /* stop after so many candidates; 0: no limit */
  double max_seconds;       /* start no candidate after so many; 0: no limit. Makes the result depend on the machine */
  int32_t activation_dtype; /* QINT8_DTYPE_U8 or QINT8_DTYPE_S8 */
  int32_t force;            /* as in qint8_recipe_options */
  int32_t format;           /* a qint8_format, for the size of candidates */
} qint8_search_options;
#define QINT8_SEARCH_OPTIONS_INIT                                                                                    \
  {sizeof(qint8_search_options), NULL, NULL, 0, 0, NULL, NULL, 0, 0.0, 0, 0.0, QINT8_DTYPE_U8, 0, QINT8_FORMAT_QDQ}

typedef struct qint8_search qint8_search;

/* Tries candidates, cheapest first, and stops at the first that meets the budget. Cheaper is what is expected to run
 * faster; of what runs equally fast, what takes less work to make:
 *   static_int8_per_tensor, static_int8_per_channel, the latter with other observers and with repairs; dynamic_int8,
 *   before those if it is expected to be faster; mixed precision: as few multiplying nodes as possible return to float,
 *   chosen by the damage that they do to the outputs on calibration samples. A mixture must be expected to run in at
 *   most 0.9 of the float model's time.
 * The result does not depend on threads, nor on the machine but for rounding in float (see max_seconds). Whether the
 * budget is met is told by qint8_candidate.met of the best. `model` must outlive the search.
 * Status: ARGUMENT, SHAPE, STATE (a model that carries a recipe), DATA (a NaN or Inf in an input), LIMIT (the bounds
 * leave no room for a candidate), CANCELLED, MEMORY, UNSUPPORTED. */
QINT8_API qint8_status qint8_search_create(const qint8_model *model, const qint8_search_options *options,
                                           const qint8_host *host, qint8_search **out, qint8_error *error);
QINT8_API void qint8_search_destroy(qint8_search *search);

/* Bits of qint8_candidate.repairs. */
typedef enum qint8_repair {
  QINT8_REPAIR_EQUALISE = 1, /* cross-layer equalisation, and channels of inputs brought to like sizes */
  QINT8_REPAIR_ROUND = 2,    /* adaptive rounding */
  QINT8_REPAIR_BIAS = 4      /* bias correction */
} qint8_repair;

/* One that was tried. */
typedef struct qint8_candidate {
  size_t struct_size;
  int32_t config;      /* a qint8_config */
  int32_t observer;    /* a qint8_observer_kind, for static configs */
  int32_t repairs;     /* qint8_repair bits */
  int32_t mixed;       /* 1: nodes were returned to float to meet the budget */
  int32_t met;         /* 1: within the budget */
  int32_t best;        /* 1: this is what the search gives: the fastest within the budget, else the smallest drop */
  uint64_t float_nodes; /* multiplying nodes with constant weights that run in float */
  double metric, drop; /* on the validation samples; drop against the float model, above 0 is worse */
  uint64_t bytes;      /* of the exported file */
  double microseconds; /* expected for one sample, by a model of the time that is the same on every machine */
  double seconds;      /* to make and to evaluate it */
} qint8_candidate;
#define QINT8_CANDIDATE_INIT {sizeof(qint8_candidate), 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, 0, 0.0, 0.0}

/* In the order tried. Status: ARGUMENT. */
QINT8_API size_t qint8_search_count(const qint8_search *search);
QINT8_API qint8_status qint8_search_candidate(const qint8_search *search, size_t index, qint8_candidate *out);
/* The float model's metric, and the microseconds expected for it. */
QINT8_API double qint8_search_reference(const qint8_search *search);
QINT8_API double qint8_search_float_microseconds(const qint8_search *search);
/* Model and recipe of the best; they belong to the search. The model is the one given, unless a repair changed it. */
QINT8_API const qint8_model *qint8_search_model(const qint8_search *search);
QINT8_API const qint8_recipe *qint8_search_recipe(const qint8_search *search);

/* ---- Sensitivity: which nodes do the damage ---- */

typedef struct qint8_sensitivity qint8_sensitivity;

/* Measures what each int8 node of the recipe does to the outputs, on samples given as for qint8_recipe_correct_biases.
 * Errors are rel_err, ||q - f|| / ||f||, over the values of float outputs. For n int8 nodes that takes 2 n runs of the
 * samples, half of them mostly in float; a few dozen samples serve. Deterministic. Status: ARGUMENT, SHAPE, DATA (a NaN
 * or Inf in an input), CANCELLED, MEMORY. */
QINT8_API qint8_status qint8_sensitivity_create(const qint8_model *model, const qint8_recipe *recipe,
                                                const qint8_tensor *const *inputs, size_t batch_count,
                                                const qint8_host *host, qint8_sensitivity **out, qint8_error *error);
QINT8_API void qint8_sensitivity_destroy(qint8_sensitivity *sensitivity);

/* One int8 node that computes; nodes that only move values follow their neighbours. Strings belong to the model. */
typedef struct qint8_node_damage {
  size_t struct_size;
  const char *name, *op_type;
  const char *output;     /* its first output: what qint8_recipe_set_float takes */
  double error_alone;     /* rel_err with this node in int8 and all others in float; 0 for one without weights */
  double error_without;   /* rel_err with this node in float, with what follows from it, and all others as they are */
  double microseconds;    /* expected to be lost by that for one sample; may be below 0 */
} qint8_node_damage;
#define QINT8_NODE_DAMAGE_INIT {sizeof(qint8_node_damage), NULL, NULL, NULL, 0.0, 0.0, 0.0}

/* In execution order. Status: ARGUMENT. */
QINT8_API size_t qint8_sensitivity_count(const qint8_sensitivity *sensitivity);
QINT8_API qint8_status qint8_sensitivity_node(const qint8_sensitivity *sensitivity, size_t index,
                                              qint8_node_damage *out);
/* rel_err of the recipe as it is. */
QINT8_API double qint8_sensitivity_error(const qint8_sensitivity *sensitivity);

#ifdef __cplusplus
}
#endif

#endif
