/* compare.h - what the files of `qint8 compare` share. */
#ifndef QINT8_COMPARE_H
#define QINT8_COMPARE_H

#include "tool.h"

#define LAYER_INPUTS 8

/* A tensor that the int8 plan computes in one step, and all that led to it since the tensors it is computed from. Sums are
 * over all samples. */
typedef struct layer {
  char *name;
  const char *op; /* ONNX operators in it, "Conv+HardSwish"; NULL for an input of the model */
  int order;      /* of execution */
  /* Of the float model, this batch. */
  float *values;
  size_t count;
  int64_t samples, channels; /* dimensions 0 and 1; channels is 0 below rank 2 */
  /* The int8 run against the float run: |q-f|^2, |f|^2, f.q, |q|^2. */
  double error, norm, product, other;
  int64_t seen; /* values compared */
  /* The same step of the int8 plan on the float run's inputs: what it adds itself. */
  double born;
  double *shift; /* [channels] sum of q-f */
  int64_t born_seen;
  /* The float values, rounded to the tensor's own 8 bits. */
  int is_int8;
  qint8_qparams qparams;
  double rounding, clipping; /* squared error inside and outside the range */
  int64_t clipped, rounded;
  /* Its weights; NAN where not known. */
  char *weights;
  double channel_ratio; /* largest range of a channel over the median */
  double weight_error;  /* |wq-w|^2 / |w|^2 */
  int64_t weight_channels, zero_channels;
  int one_scale;
  const struct layer *inputs[LAYER_INPUTS];
  int input_count;
  char cause[16];   /* "weights", "range", "clipping", "inputs", "shift", "" */
  char advice[320]; /* one sentence */
} layer;

typedef struct layers {
  layer *rows;
  int count, capacity;
} layers;

/* The row of that name, or NULL. */
layer *layer_find(const layers *t, const char *name);
/* Relative errors: in all, what the layer adds to exact inputs, and what its own 8 bits cost. */
double layer_rel_err(const layer *row);
double layer_born(const layer *row);
double layer_rounding(const layer *row);
double layer_cosine(const layer *row);
double layer_clip_rate(const layer *row);
/* Whether both models computed it and it is more than an input. */
int layer_counts(const layer *row);

/* explain.c: fills weights, inputs, cause and advice. `recipe` may be NULL: nothing is int8. */
void explain_layers(layers *t, const qint8_model *model, const qint8_recipe *recipe);

/* A float model and its int8 form on the same samples. The caller fills all but the results. */
typedef struct comparison {
  const char *float_path, *int8_path, *isa; /* paths are for messages */
  const qint8_model *float_model, *int8_model;
  const qint8_recipe *int8_recipe; /* NULL: float */
  const dataset *data;
  size_t samples; /* the first ones */
  long batch;
  const qint8_host *host;
  /* Results. */
  layers layers;
  double float_us, int8_us; /* for one sample at this batch, the best of a few runs */
} comparison;
/* Sums and explanations for every layer. 0 or EXIT_FAILED. */
int compare_models(comparison *c);
void layers_free(layers *t);

typedef int layer_order(const void *a, const void *b); /* of pointers to layers */
layer_order worst_first, most_born_first;
/* The layers that count, in that order; free(). */
const layer **layers_sorted(const layers *t, layer_order *order, int *count);

/* key: [...], an object for each layer. */
void json_layers(json *out, const char *key, const layer *const *rows, int count);

#endif
