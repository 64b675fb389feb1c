/* quality.h - statistics by sample and by channel, from which calibration data is judged.
 *
 * Constant memory, and the same result however the samples are batched: every figure is a function of the sequence of
 * samples. A tensor whose first dimension does not count samples (after some transpositions) has no figures.
 */
#ifndef Q8_PTQ_QUALITY_H
#define Q8_PTQ_QUALITY_H

#include "graph/graph.h"
#include "quant/observer.h"

#define Q8_EXTREMES 4     /* samples remembered at either end of a tensor's range */
#define Q8_CHECKPOINTS 16 /* remembered ranges of the past */

typedef struct q8_extreme {
  float value;
  int64_t sample; /* from 0, in the order fed */
} q8_extreme;

typedef struct q8_constant {
  int64_t channel;
  float value; /* of all its elements so far */
} q8_constant;

typedef struct q8_tensor_quality {
  int64_t samples; /* -1: its first dimension does not count samples */
  /* The Q8_EXTREMES largest maxima and smallest minima of single samples, farthest first, the earlier one of equals;
   * those of fewer samples are filled with -INFINITY and INFINITY. */
  q8_extreme high[Q8_EXTREMES], low[Q8_EXTREMES];
  /* The range of the first (k + 1) * stride samples, k < checkpoints. When all are used, every second one stays and the
   * stride doubles: at any time some lie within 1/8 of any fraction of the samples above 1/2. */
  int64_t stride; /* a power of two */
  int32_t checkpoints;
  float past_min[Q8_CHECKPOINTS], past_max[Q8_CHECKPOINTS];
  int64_t channels;       /* 0: none known */
  q8_constant *constants; /* [channels], of which [constant_count] never varied, in order: most do after one sample */
  size_t constant_count;
  float *sums; /* [channels] scratch */
} q8_tensor_quality;

typedef struct q8_quality {
  q8_pool *pool; /* of the owner */
  q8_ssum_rows_fn *sum_rows; /* set by those who observe */
  size_t tensor_count;
  q8_tensor_quality *tensors; /* [tensor_count] */
  int8_t *channel_axis;       /* [tensor_count] of the ONNX layout: 1, LAST_AXIS, or 0 where there are no channels */
  uint8_t *activation;        /* [tensor_count] y = f(x) of each element: channels of zeros are dead ones */
} q8_quality;
#define Q8_LAST_AXIS (-1)

/* In the pool, which must stay where it is. */
q8_status q8_quality_new(const q8_graph *graph, q8_pool *pool, q8_quality **out, qint8_error *error);
q8_status q8_quality_copy(const q8_quality *quality, q8_pool *pool, q8_quality **out, qint8_error *error);

/* A batch of samples of a tensor, from number `first` of the sequence on, with the smallest and largest value of each,
 * and what all lie inside. Values are in the ONNX layout, or each sample [spatial...][C] if `channels_last`.
 * 0 without memory. */
int q8_quality_observe(q8_quality *quality, q8_id tensor, const q8_shape *shape, const float *values,
                       int channels_last, int64_t first, const q8_ends *ends, q8_ends all);
/* The tensor's first dimension does not count samples. */
void q8_quality_give_up(q8_quality *quality, q8_id tensor);

#endif
