/* batches.h - samples that a caller gives, as lib/ptq takes them. */
#ifndef Q8_API_BATCHES_H
#define Q8_API_BATCHES_H

#include "ptq/bias.h"

/* Input i of the graph for batch b is inputs[b * input_count + i]. Shapes and pointers lie in the pool, values stay the
 * caller's. ARGUMENT, SHAPE, DATA (a float input that is not finite, named). */
q8_status q8_take_batches(const q8_graph *graph, const qint8_tensor *const *inputs, size_t count, q8_pool *pool,
                          q8_batches *out, qint8_error *error);

#endif
