/* plan.h - what an operator's `plan` may ask of the planner (implemented in lib/exec).
 *
 * A tensor can live in memory in several forms: f32 or int8, in the ONNX layout (linear) or channels-last (NHWC; in
 * general [N, C, d...] stored as [N, d..., C]). An op asks for its inputs in the form that it likes; the planner adds
 * conversion steps where that form does not exist yet, once per tensor and form. It then declares its output in the
 * form that it produces, and adds a step.
 *
 * In the int8 form every activation is stored as uint8. A recipe that says s8 is stored with the top bit flipped and
 * the zero point moved by 128 (the same integers): q8_plan_quant gives parameters in stored form.
 */
#ifndef Q8_OPS_PLAN_H
#define Q8_OPS_PLAN_H

#include "kernel.h"
#include "nn/rows.h"
#include "ops/op.h"
#include "quant/recipe.h"

typedef struct q8_planner q8_planner;
typedef int32_t q8_buffer; /* a region of the arena, a constant, or a tensor of the user */

typedef enum q8_form_type { Q8_FORM_NATIVE = 0 /* f32, or the integer type of a shape tensor */, Q8_FORM_INT8 = 1 } q8_form_type;
typedef enum q8_layout { Q8_LINEAR = 0, Q8_CHANNELS_LAST = 1 } q8_layout;

/* Where planning records what is wrong. */
qint8_error *q8_plan_error(const q8_planner *planner);

/* ---- Questions ---- */

const q8_node *q8_plan_node(const q8_planner *planner, q8_id node);
const q8_value *q8_plan_value(const q8_planner *planner, q8_id tensor);
/* Whether the tensor is a constant, be it one that is kept as integers. */
int q8_plan_is_constant(const q8_planner *planner, q8_id tensor);
/* The floats of a constant; NULL in *out if it is none. */
q8_status q8_plan_floats(q8_planner *planner, q8_id tensor, const float **out);
/* The integers of a constant, if the recipe asks for just these; else NULL. */
const int8_t *q8_plan_integers(const q8_planner *planner, q8_id tensor);
/* The file that constants may lie in. */
const q8_mapping *q8_plan_mapping(const q8_planner *planner);
/* Nothing is to be merged: a plan to compare with. */
int q8_plan_is_plain(const q8_planner *planner);
const q8_kernels *q8_plan_kernels(const q8_planner *planner);
/* The mode the node runs in. STATIC only if every quantizable activation input has parameters; the output may still
 * be float (see q8_plan_quant), which WEIGHTED ops serve by dequantizing their accumulators. */
q8_mode q8_plan_mode(const q8_planner *planner, q8_id node);
/* Per-tensor parameters of an activation in stored (uint8) form; 0 if it is not quantized. */
int q8_plan_quant(const q8_planner *planner, q8_id tensor, float *scale, int32_t *zero_point);
/* The recipe's entry (weights, biases), or NULL. */
const q8_tensor_quant *q8_plan_recipe(const q8_planner *planner, q8_id tensor);
/* The layout in which the tensor already exists in that form type (or else in any); LINEAR for constants. */
q8_layout q8_plan_layout(const q8_planner *planner, q8_id tensor);

/* ---- Memory ---- */

/* Memory that lives as long as the plan (parameters, packed weights): zeroed, 64-byte aligned if >= 64 bytes. Where there
 * is none, the result is NULL and the error is recorded: return MEMORY. */
void *q8_plan_alloc(q8_planner *planner, size_t count, size_t size);
/* Likewise a copy of a text. */
char *q8_plan_string(q8_planner *planner, const char *text);
/* Likewise memory, not zeroed, that is given back before the node is planned. */
void *q8_plan_borrow(q8_planner *planner, size_t count, size_t size);
void q8_plan_return(q8_planner *planner, void *memory); /* or NULL */
q8_pool *q8_plan_pool(q8_planner *planner);
/* The tensor in that form, converting if needed. Every arena buffer has 64 readable bytes behind its end. */
q8_status q8_plan_input(q8_planner *planner, q8_id tensor, q8_form_type form, q8_layout layout, q8_buffer *out);
/* A new buffer for the tensor in that form. */
q8_status q8_plan_output(q8_planner *planner, q8_id tensor, q8_form_type form, q8_layout layout, q8_buffer *out);
/* Declares that the tensor in that form is the same bytes as `buffer` (Reshape, Flatten, Identity): no step. */
q8_status q8_plan_alias(q8_planner *planner, q8_id tensor, q8_form_type form, q8_layout layout, q8_buffer buffer);

/* ---- Steps ---- */

#define Q8_STEP_OUTPUTS 4

/* What a step gets at run time. */
typedef struct q8_step_run {
  const void *params;
  const void *const *in;
  void *const *out; /* at least Q8_STEP_OUTPUTS, NULL beyond the step's own */
  void *scratch; /* 64-byte aligned, scratch_size bytes */
  const q8_host *host;     /* for q8_parallel */
  qint8_error *error;      /* for steps whose data can be wrong (an index out of range): see `status` */
  q8_status *status;       /* set to anything but OK to fail the run */
} q8_step_run;
typedef void q8_step_fn(const q8_step_run *run);

/* How a step makes some rows of its result from some rows of its first input; further inputs are there as a whole. */
typedef struct q8_step_rows {
  void (*run)(const q8_step_run *run, const q8_row_range *range); /* run->host has one thread */
  size_t (*scratch)(const void *params, size_t rows);             /* bytes for a run of at most so many rows */
  size_t images, rows, in_rows; /* rows of one image of the result and of the input */
  size_t columns;               /* pixels of a row of the result */
  size_t row_size, in_row_size; /* bytes */
  size_t extent, stride, pad;   /* row p reads rows [p * stride - pad, p * stride - pad + extent), if they exist */
  size_t weights;               /* bytes */
} q8_step_rows;

typedef struct q8_step {
  const char *name;    /* set by q8_plan_step: the node's name */
  const char *kind;    /* "conv", "dwconv", "gemm", "table", "add", ... */
  const char *kernel;  /* micro-kernel or "" */
  const char *precision; /* "int8", "dynamic", "fp32" */
  q8_step_fn *run;
  const void *params;
  int32_t in_count, out_count;
  q8_buffer in[8], out[Q8_STEP_OUTPUTS];
  q8_buffer *more_in; /* for more than 8 inputs: in_count buffers in plan memory, replaces `in` */
  q8_buffer *more_out; /* for more than Q8_STEP_OUTPUTS outputs, likewise */
  size_t scratch_size;
  int64_t macs, bytes; /* bytes of weights read; activations are added by the planner */
  q8_id tensor;        /* the graph tensor it produces, for watching; Q8_NONE for conversions */
  /* If the step can pass its uint8 result through one 256-entry table at no cost: where to put the pointer. */
  const uint8_t **table_slot;
  /* If the step can add another uint8 tensor of the same size to its uint8 result as a second stage: where to put the
   * parameters. That tensor becomes its last input; see q8_plan_fuse_add. */
  const q8_binary **add_slot;
  /* If the step can apply a function to its float result: where to put the pointer. */
  const q8_sunary **function_slot;
  /* If the step can write its result as rows that lie apart, each of row_size elements: where to put their distance in
   * elements. See q8_plan_place. */
  size_t *stride_slot;
  size_t row_size;
  size_t *row_slot; /* or, if rows may be of any size that divides the result's: where to put it */
  /* 1 + the index of an input of the size of output 0 whose memory the output may take over, element by element; 0:
   * none. */
  int32_t in_place;
  const q8_step_rows *rows; /* or NULL */
  /* Set by the planner, which merges steps that have rows: the steps, which run band by band. */
  const struct q8_step *parts;
  int32_t part_count;
  char note[96];       /* what was fused, why it is float */
} q8_step;

/* Begins the step of the node that is being planned: its zeroed params of that size, or NULL and an error. */
void *q8_plan_begin(q8_planner *planner, const char *kind, q8_step_fn *run, size_t params_size, q8_step **step);
/* Adds the step of that node after giving it further buffers: the inputs whose bits are set in `inputs`, but those that are
 * left out, and all outputs. Input 0 and the outputs have that layout, further inputs are linear. What reads int8 is called
 * int8. */
q8_status q8_plan_finish(q8_planner *planner, q8_step *step, uint32_t inputs, q8_form_type in, q8_form_type out,
                         q8_layout layout);
/* A new step with name, tensor (the node's first output) and zeroed rest; add it after filling with q8_plan_add. */
void q8_plan_step(q8_planner *planner, q8_id node, const char *kind, q8_step_fn *run, q8_step *out);
/* Scratch must be computed for `host->threads` of the planner's host: q8_plan_threads. */
int32_t q8_plan_threads(const q8_planner *planner);
q8_status q8_plan_add(q8_planner *planner, const q8_step *step);

/* The step that every operator has: its `eval` in float on the ONNX layout. For a `plan` that finds no faster way. */
q8_status q8_plan_eval(q8_planner *planner, q8_id node);
/* For Q8_QUANT_SAME operators whose `eval` moves elements of any type: on bytes if input and outputs are quantized alike,
 * else as q8_plan_eval. */
q8_status q8_plan_move(q8_planner *planner, q8_id node);

/* Merges y = table[x] into the step that produced tensor x in int8 form: possible if that step has a table_slot (after
 * the table that is already there) and x has this one use. The buffer of x becomes y's. Returns 1 if merged, 0 if the caller must add a step. */
int q8_plan_fuse_table(q8_planner *planner, q8_id x, q8_id y, const uint8_t *table, const char *what);

/* Merges y = x + other into the step that produced tensor x in int8 form, as a second stage after x was rounded and
 * stored: the same bytes as a step of its own. Possible if that step has a free add_slot and no table, x has this one
 * use, and `other` exists, before that step, in the same layout. A table merged later is that of the sum. Returns 1
 * if merged. */
int q8_plan_fuse_add(q8_planner *planner, q8_id x, q8_id other, q8_id y, const q8_binary *sum);

/* Merges y = f(x) into the step that produced tensor x in float: possible if that step has a free function_slot and x has
 * this one use. `f` must live as long as the plan. Returns 1 if merged. */
int q8_plan_fuse_function(q8_planner *planner, q8_id x, q8_id y, const q8_sunary *f, const char *what);

/* Lets the step that produced tensor x in that form and layout write its rows of `row_size` elements into `to` instead, from
 * element `at` on, `stride` elements apart: x then has no memory of its own. Possible if that step has a stride_slot for
 * such rows, x has this one use, and `to` is no output of the graph. Returns 1 if so. */
int q8_plan_place(q8_planner *planner, q8_id x, q8_form_type form, q8_layout layout, size_t row_size, q8_buffer to,
                  size_t at, size_t stride);

#endif
