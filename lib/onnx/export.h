/* export.h - a graph and a recipe as an ONNX file in QDQ or QOperator form (opset 17), which ONNX Runtime loads too. */
#ifndef Q8_ONNX_EXPORT_H
#define Q8_ONNX_EXPORT_H

#include "graph/graph.h"
#include "quant/recipe.h"

/* `recipe` may be NULL: the float model. `format` is a qint8_format. `bytes` comes from the host: free it with q8_free.
 * Importing the file gives the same graph, after rewrites, and a recipe that compiles to the same plan.
 * Status: MEMORY, UNSUPPORTED (an operator without a standard form), LIMIT (2 GiB). */
q8_status q8_onnx_export(const q8_graph *graph, const q8_recipe *recipe, int32_t format, const q8_host *host,
                         void **bytes, size_t *size, qint8_error *error);

#endif
