/* ort_model.h - one-op ONNX models for ONNX Runtime. */
#ifndef Q8_BENCH_ORT_MODEL_H
#define Q8_BENCH_ORT_MODEL_H

#include "peers.h"

/* Writes the model of a layer: input `x`, output `y`. int8 convolutions are com.microsoft.QLinearConv in channels-last
 * layout and int8 matrices QLinearMatMul, which has no bias; fp32 convolutions are Conv in NCHW and matrices Gemm. 0 on failure. */
int ort_model_write(const problem *p, const char *path);
/* Whether x and y are [n][c][h][w] for that layer. */
int ort_model_is_planar(const problem *p);
/* The dimensions of x and y as that model has them; returns the rank, 2 or 4. */
size_t ort_model_dims(const problem *p, size_t x[4], size_t y[4]);

#endif
