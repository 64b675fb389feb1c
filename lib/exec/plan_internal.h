/* plan_internal.h - the plan and the planner's working state, shared by the files of lib/exec only. */
#ifndef Q8_PLAN_INTERNAL_H
#define Q8_PLAN_INTERNAL_H

#include "exec/exec.h"

#define Q8_SLACK 64 /* readable bytes behind every buffer: see q8_plan_input */

/* BAND: between steps that run band by band, it exists as a whole in watched sessions only. */
typedef enum buffer_place { PLACE_ARENA, PLACE_CONSTANT, PLACE_INPUT, PLACE_OUTPUT, PLACE_BAND } buffer_place;

/* A region of memory. When the plan is done, steps name no aliases; only outputs of in-place steps and slices have another
 * root. */
typedef struct plan_buffer {
  size_t size;
  buffer_place place;
  int32_t index;        /* of the user's input or output */
  const void *constant; /* PLACE_CONSTANT */
  q8_buffer root;       /* itself, or the buffer it is an alias of */
  int is_slice;         /* rows of `row` bytes, `stride` bytes apart, that begin `slice` bytes behind those of the root */
  size_t slice, row, stride;
  size_t offset;        /* PLACE_ARENA roots; PLACE_BAND */
  int32_t first, last;  /* steps between which it is alive; first -1: never written by a step */
  q8_id tensor;         /* what it holds, in which form */
  uint8_t form, layout;
} plan_buffer;

/* The fields that most code reads come first. */
struct q8_plan {
  const char *isa;
  int32_t threads; /* scratch is laid out for this many */
  plan_buffer *buffers;
  size_t buffer_count, buffer_capacity;
  q8_step *steps;
  size_t step_count, step_capacity;
  q8_buffer *scratch; /* [step_count] */
  q8_plan_io *inputs, *outputs;
  size_t input_count, output_count;
  const char **tensor_names; /* [tensor_count] */
  q8_shape *tensor_shapes;   /* [tensor_count] */
  float *tensor_scale;       /* [tensor_count] stored-form parameters, 0 where not quantized */
  int32_t *tensor_zero;
  size_t tensor_count;
  size_t arena_size;
  size_t band_size; /* of PLACE_BAND buffers, of those of the same step */
  size_t max_watch_count; /* elements of the largest tensor a watcher may see */
  q8_pool pool;           /* parameters, packed weights, names */
  q8_kernels kernels;
};

#define FORM_COUNT 4 /* type x layout */
static inline int form_index(q8_form_type form, q8_layout layout) {
  return (int)form * 2 + (int)layout;
}

struct q8_planner {
  q8_plan *plan;
  q8_host host;
  int plain; /* as in q8_plan_config */
  size_t l2;
  const q8_graph *graph;
  const q8_recipe *recipe;
  q8_binding *binding;
  q8_buffer (*forms)[FORM_COUNT]; /* [tensor_count], Q8_NONE where absent */
  qint8_error *error;
  const char *where; /* what is being planned, for messages */
  q8_id node;        /* that node, and its step */
  q8_step step;
};

/* convert.c: the forms of a tensor */
q8_status q8_convert(q8_planner *planner, q8_id tensor, q8_form_type form, q8_layout layout, q8_buffer *out);
/* Whether the two layouts of a shape are the same bytes. */
int q8_layouts_agree(const q8_shape *shape);
q8_status q8_plan_copy(q8_planner *planner, q8_id tensor, q8_buffer from, q8_buffer to);
/* planner.c */
q8_status q8_buffer_new(q8_planner *planner, size_t size, q8_id tensor, q8_form_type form, q8_layout layout,
                        q8_buffer *out);
/* bands.c: merges steps that gain from running band by band, once all steps are there. */
q8_status q8_plan_bands(q8_planner *planner);
/* arena.c: lifetimes and offsets, once all steps are there */
q8_status q8_plan_arena(q8_planner *planner);
static inline const q8_buffer *q8_step_inputs(const q8_step *step) {
  return step->more_in ? step->more_in : step->in;
}
static inline const q8_buffer *q8_step_outputs(const q8_step *step) {
  return step->more_out ? step->more_out : step->out;
}

#endif
