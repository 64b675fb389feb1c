/* peers.h - other libraries doing the layers of shapes.h, to be timed beside ours.
 *
 * int8: uint8 activations with a zero point, int8 weights with a scale per output channel, int32 bias, uint8 result.
 * A library without uint8 gets the same bytes with the top bit flipped. One thread each.
 */
#ifndef Q8_BENCH_PEERS_H
#define Q8_BENCH_PEERS_H

#include "shapes.h"

/* One layer with its data. fp32 layers use the float pointers, int8 layers the others. */
typedef struct problem {
  const shape *shape;
  int fp32;
  const uint8_t *x;          /* [n][h][w][c] */
  const int8_t *w;           /* [k][r][s][c / groups] */
  const int32_t *bias;       /* [k]; zeros for a matrix, where one of the libraries has none */
  const float *fx, *fw, *fbias;
  const float *w_scale;      /* [k] */
  float x_scale, y_scale;
  int32_t x_zero, y_zero;
  size_t x_count, w_count, y_count;
} problem;

typedef struct peer {
  const char *name;
  /* NULL if usable, else why it is left out. Called once. */
  const char *(*start)(void);
  /* The layer ready to run, or NULL if the library cannot do it. */
  void *(*open)(const problem *p);
  /* Seconds of `count` runs. */
  double (*run)(void *layer, size_t count);
  /* Seconds of the fastest run so far; NULL where `run` is exact. Called once, after all runs. */
  double (*best)(void *layer);
  /* The result of the last run: y_count bytes (uint8), or floats in fp32, as [n][p][q][k]. 0 if it cannot be had. */
  int (*result)(void *layer, void *y);
  void (*close)(void *layer);
  void (*stop)(void);
} peer;

extern const peer peer_ours, peer_dnnl, peer_xnnpack, peer_ort;

/* Before `start`: the ISA that ours is limited to, or NULL. */
extern const char *peers_isa;
q8_cpu_mask peers_mask(void);

#endif
