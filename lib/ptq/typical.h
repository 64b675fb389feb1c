/* typical.h - a graph bound to shapes that it is decided by: free dimensions get sizes. */
#ifndef Q8_PTQ_TYPICAL_H
#define Q8_PTQ_TYPICAL_H

#include "ops/op.h"

/* Batches of `samples`, other free dimensions of the first of a few sizes that suits the graph: 1 would be too small for
 * most convolutions, and would make products look small. MEMORY, SHAPE and the like if none suits. */
q8_status q8_bind_typical(const q8_graph *graph, int64_t samples, const q8_host *host, q8_binding **out,
                          qint8_error *error);

#endif
