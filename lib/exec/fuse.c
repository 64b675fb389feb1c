/* fuse.c - merging a node into the step before it, where the bytes stay the same. */
#include <stdio.h>
#include <string.h>

#include "exec/plan_internal.h"

/* The step whose result is tensor x in that form and nothing else's business: one use, no output of the graph. */
static q8_step *only_producer(q8_planner *planner, q8_id x, q8_form_type form, q8_layout *layout) {
  q8_plan *plan = planner->plan;
  if (planner->plain || planner->graph->tensors[x].uses != 1 || q8_graph_is_output(planner->graph, x))
    return NULL;
  for (int l = 0; l < 2; l++) {
    q8_buffer buffer = planner->forms[x][form_index(form, (q8_layout)l)];
    for (size_t i = plan->step_count; buffer != Q8_NONE && i-- > 0;)
      if (plan->steps[i].out_count == 1 && plan->steps[i].out[0] == buffer) {
        *layout = (q8_layout)l;
        return plan->steps[i].tensor == x ? &plan->steps[i] : NULL;
      }
  }
  return NULL;
}

/* From now on the step's result is y. */
static void produce(q8_planner *planner, q8_step *step, q8_id x, q8_id y, q8_form_type form, q8_layout layout,
                    const char *what) {
  q8_buffer buffer = step->out[0];
  size_t used = strlen(step->note);
  snprintf(step->note + used, sizeof step->note - used, "%s+%s", used ? " " : "", what);
  step->tensor = y;
  planner->plan->buffers[buffer].tensor = y;
  for (int f = 0; f < FORM_COUNT; f++)
    planner->forms[x][f] = Q8_NONE;
  planner->forms[y][form_index(form, layout)] = buffer;
}

int q8_plan_fuse_table(q8_planner *planner, q8_id x, q8_id y, const uint8_t *table, const char *what) {
  q8_layout layout;
  q8_step *step = only_producer(planner, x, Q8_FORM_INT8, &layout);
  if (!step || !step->table_slot)
    return 0;
  if (*step->table_slot) { /* one table after another is one table */
    uint8_t *both = q8_plan_alloc(planner, 256, 1);
    if (!both)
      return 0; /* a step of its own serves as well */
    for (int i = 0; i < 256; i++)
      both[i] = table[(*step->table_slot)[i]];
    table = both;
  }
  *step->table_slot = table;
  produce(planner, step, x, y, Q8_FORM_INT8, layout, what);
  return 1;
}

/* Whether `buffer` is complete before `step` runs. */
static int is_written_before(const q8_plan *plan, q8_buffer buffer, const q8_step *step) {
  q8_buffer root = plan->buffers[buffer].root;
  for (const q8_step *later = step; later < plan->steps + plan->step_count; later++)
    for (int32_t j = 0; j < later->out_count; j++)
      if (plan->buffers[q8_step_outputs(later)[j]].root == root)
        return 0;
  return 1;
}

int q8_plan_fuse_add(q8_planner *planner, q8_id x, q8_id other, q8_id y, const q8_binary *sum) {
  q8_layout layout;
  q8_step *step = only_producer(planner, x, Q8_FORM_INT8, &layout);
  if (!step || !step->add_slot || *step->add_slot || *step->table_slot || step->more_in ||
      step->in_count == (int32_t)(sizeof step->in / sizeof *step->in))
    return 0;
  q8_buffer buffer = planner->forms[other][form_index(Q8_FORM_INT8, layout)];
  if (buffer == Q8_NONE || !is_written_before(planner->plan, buffer, step))
    return 0;
  *step->add_slot = sum;
  step->in[step->in_count++] = buffer;
  step->bytes += (int64_t)planner->plan->buffers[buffer].size;
  produce(planner, step, x, y, Q8_FORM_INT8, layout, "Add");
  return 1;
}

int q8_plan_fuse_function(q8_planner *planner, q8_id x, q8_id y, const q8_sunary *f, const char *what) {
  q8_layout layout;
  q8_step *step = only_producer(planner, x, Q8_FORM_NATIVE, &layout);
  if (!step || !step->function_slot || *step->function_slot)
    return 0;
  *step->function_slot = f;
  produce(planner, step, x, y, Q8_FORM_NATIVE, layout, what);
  return 1;
}

int q8_plan_place(q8_planner *planner, q8_id x, q8_form_type form, q8_layout layout, size_t row_size, q8_buffer to,
                  size_t at, size_t stride) {
  q8_layout found;
  q8_step *step = only_producer(planner, x, form, &found);
  if (!step || found != layout || !step->stride_slot || (!step->row_slot && step->row_size != row_size) ||
      q8_graph_is_output(planner->graph, planner->plan->buffers[to].tensor))
    return 0;
  plan_buffer *buffer = &planner->plan->buffers[step->out[0]];
  size_t element = form == Q8_FORM_INT8 ? 1 : qint8_dtype_size((qint8_dtype)q8_plan_value(planner, x)->dtype);
  *step->stride_slot = stride;
  if (step->row_slot)
    *step->row_slot = row_size;
  buffer->root = to;
  buffer->is_slice = 1;
  buffer->slice = at * element;
  buffer->row = row_size * element;
  buffer->stride = stride * element;
  size_t used = strlen(step->note);
  snprintf(step->note + used, sizeof step->note - used, "%sin place", used ? ", " : "");
  return 1;
}
