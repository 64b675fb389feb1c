/* session_watch.c - values of tensors shown to a caller while a session runs, and replaced by those it gives. */
#include <string.h>

#include "exec/session_internal.h"

/* Rows apart of a buffer, quantized or not, as floats one behind the other; or back. */
static void move_rows(const q8_session *session, const plan_buffer *b, void *rows, float *values, int back) {
  const q8_plan *plan = session->plan;
  const float scale = plan->tensor_scale[b->tensor];
  const int32_t zero = plan->tensor_zero[b->tensor];
  uint8_t *row = rows;
  const size_t count = b->form == Q8_FORM_INT8 ? b->row : b->row / sizeof(float);
  for (size_t done = 0; b->row && done < b->size; done += b->row, row += b->stride, values += count)
    if (b->form != Q8_FORM_INT8)
      memcpy(back ? (void *)row : values, back ? values : (void *)row, b->row);
    else if (back)
      plan->kernels.quantize(count, values, scale, zero, 0, row);
    else
      plan->kernels.dequantize(count, row, scale, zero, 0, values);
}

/* The `count` values that `buffer` holds as f32: dequantized and, unless any order will do, in the ONNX layout. NULL for
 * integers that are no quantized values: shape arithmetic. */
static const float *read_values(q8_session *session, q8_buffer buffer, size_t count, int any_order) {
  const q8_plan *plan = session->plan;
  const plan_buffer *b = &plan->buffers[buffer];
  const q8_shape *shape = &plan->tensor_shapes[b->tensor];
  const float *values = session->address[buffer];
  session->watch_layout = Q8_LINEAR;
  if (b->form != Q8_FORM_INT8 && b->size != count * sizeof(float))
    return NULL;
  if (b->is_slice) {
    move_rows(session, b, session->address[buffer], session->watch_values, 0);
    values = session->watch_values;
  } else if (b->form == Q8_FORM_INT8) {
    plan->kernels.dequantize(count, session->address[buffer], plan->tensor_scale[b->tensor],
                             plan->tensor_zero[b->tensor], 0, session->watch_values);
    values = session->watch_values;
  }
  if (b->layout != Q8_CHANNELS_LAST || q8_layouts_agree(shape))
    return values;
  if (any_order) {
    session->watch_layout = Q8_CHANNELS_LAST;
    return values;
  }
  size_t channels = (size_t)shape->dim[1], image = count / (size_t)shape->dim[0], positions = image / channels;
  for (int64_t n = 0; n < shape->dim[0]; n++)
    plan->kernels.transpose32(positions, channels, values + (size_t)n * image, channels,
                              session->watch_ordered + (size_t)n * image, positions);
  return session->watch_ordered;
}

void q8_session_show(q8_session *session, q8_buffer buffer) {
  const q8_plan *plan = session->plan;
  q8_id tensor = plan->buffers[buffer].tensor;
  const q8_shape *shape = &plan->tensor_shapes[tensor];
  size_t count = q8_shape_count(shape, NULL);
  const float *values = read_values(session, buffer, count, session->watch_any_order);
  if (values)
    session->watch(session->watch_user, tensor, plan->tensor_names[tensor], shape, values, count);
}

/* Lets the caller put other values in the place of what `buffer` holds. */
static void offer(q8_session *session, q8_buffer buffer) {
  const q8_plan *plan = session->plan;
  const plan_buffer *b = &plan->buffers[buffer];
  const q8_shape *shape = &plan->tensor_shapes[b->tensor];
  size_t count = q8_shape_count(shape, NULL);
  float *values = (float *)(uintptr_t)read_values(session, buffer, count, 0), *to = values;
  if (!values || !session->replace(session->replace_user, b->tensor, plan->tensor_names[b->tensor], shape, values, count))
    return;
  if (values == session->watch_ordered) {
    size_t channels = (size_t)shape->dim[1], image = count / (size_t)shape->dim[0], positions = image / channels;
    to = b->form == Q8_FORM_INT8 || b->is_slice ? session->watch_values : session->address[buffer];
    for (int64_t n = 0; n < shape->dim[0]; n++)
      plan->kernels.transpose32(channels, positions, values + (size_t)n * image, positions, to + (size_t)n * image,
                                channels);
  }
  if (b->is_slice)
    move_rows(session, b, session->address[buffer], to, 1);
  else if (b->form == Q8_FORM_INT8)
    plan->kernels.quantize(count, to, plan->tensor_scale[b->tensor], plan->tensor_zero[b->tensor], 0,
                           session->address[buffer]);
}

void q8_session_show_results(q8_session *session, const q8_step *step) {
  for (int32_t j = 0; step->tensor != Q8_NONE && j < step->out_count; j++) {
    if (session->watch)
      q8_session_show(session, q8_step_outputs(step)[j]);
    if (session->replace)
      offer(session, q8_step_outputs(step)[j]);
  }
}

static q8_status need_watch_memory(q8_session *session, qint8_error *error) {
  size_t count = session->plan->max_watch_count;
  if (!session->bands) {
    session->watch_values = q8_pool_reserve(&session->pool, count, sizeof(float));
    session->watch_ordered = q8_pool_reserve(&session->pool, count, sizeof(float));
    session->bands = q8_pool_reserve(&session->pool, session->plan->band_size, 1);
    Q8_TRY(q8_pool_check(&session->pool, "session", error));
  }
  for (size_t i = 0; i < session->plan->buffer_count; i++)
    if (session->plan->buffers[i].place == PLACE_BAND)
      session->address[i] = session->bands + session->plan->buffers[i].offset;
  return QINT8_OK;
}

q8_status q8_session_watch(q8_session *session, q8_watch_fn watch, void *user, int any_order, qint8_error *error) {
  session->watch = NULL;
  if (!watch)
    return QINT8_OK;
  Q8_TRY(need_watch_memory(session, error));
  session->watch = watch;
  session->watch_user = user;
  session->watch_any_order = any_order;
  return QINT8_OK;
}

q8_layout q8_session_watch_layout(const q8_session *session) {
  return session->watch_layout;
}

q8_status q8_session_replace(q8_session *session, q8_replace_fn replace, void *user, qint8_error *error) {
  session->replace = NULL;
  if (!replace)
    return QINT8_OK;
  Q8_TRY(need_watch_memory(session, error));
  session->replace = replace;
  session->replace_user = user;
  return QINT8_OK;
}
