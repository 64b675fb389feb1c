/* import.h - an ONNX file as a float graph plus what its QuantizeLinear / DequantizeLinear pairs said. */
#ifndef Q8_ONNX_IMPORT_H
#define Q8_ONNX_IMPORT_H

#include "graph/graph.h"
#include "quant/recipe.h"

/* Quantization of a file, by tensor name, so that it survives rewrites of the graph. */
typedef struct q8_onnx_quant q8_onnx_quant;

/* The graph is frozen, in canonical form (ops/op.h). `quant` may be NULL; it receives NULL for a float file.
 * Weights that the file holds as integers are float constants, (q - zero_point) * scale: kept as q8_int8_values where only
 * operators of Q8_QUANT_WEIGHTED read them as weights and all zero points are 0.
 * Status: FORMAT, UNSUPPORTED, LIMIT, SHAPE, MEMORY. */
q8_status q8_onnx_import(const void *bytes, size_t size, const q8_host *host, q8_graph **graph, q8_onnx_quant **quant,
                         qint8_error *error);
/* The bytes of a model file: read by the host, or mapped. */
typedef struct q8_onnx_file {
  const char *path; /* tensor data may lie in files beside it */
  void *bytes;      /* NULL if it is mapped */
  size_t size;
  q8_mapping mapping;
} q8_onnx_file;
/* The same for a file, which is taken over, also on failure: int8 weights stay where they lie in it, or in mappings of
 * files beside it if it is mapped. Further status: FILE. */
q8_status q8_onnx_import_file(const q8_onnx_file *file, const q8_host *host, q8_graph **graph, q8_onnx_quant **quant,
                              qint8_error *error);
void q8_onnx_quant_destroy(q8_onnx_quant *quant);

/* Pins what the file rounds between operators, so that a pattern of several operators is not taken for one. Free to
 * vanish: what a Relu or Clip rounds again with the same parameters. To be called before rewrites. */
void q8_onnx_pin(const q8_onnx_quant *quant, q8_graph *graph);

/* The recipe for the graph, or for what rewrites made of it. Tensors that are gone are left out; a node is int8 only
 * if all that it needs is still there. */
q8_status q8_onnx_recipe(const q8_onnx_quant *quant, const q8_graph *graph, const q8_host *host, q8_recipe **out,
                         qint8_error *error);

#endif
