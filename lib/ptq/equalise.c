#include "ptq/equalise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quant/loops.h"

#define MAX_ROUNDS 40
#define SETTLED 1e-3     /* of a factor's logarithm */
#define LEAST_SPREAD 2.0 /* of a group's exponents from their median, at which it is rescaled */
#define MAX_EXPONENT 24

typedef struct equaliser {
  const q8_channels *channels;
  q8_pool *pool;
  float **magnitude;   /* [node_count][outputs][columns] largest |w| of the input channels that share a factor */
  double **factor;     /* [group_count][channels] log2 of what the channel is divided by; NAN: no weight writes or reads it */
  double **power;      /* [group_count][channels] 2^factor, 1 for NAN */
  double *range[2];    /* r1 and r2 of the group being looked at */
  double *own;         /* r2 of one reader */
  int32_t **exponents; /* [group_count][channels] */
} equaliser;

/* What a row of weights multiplies, in channels of the group that the node reads: they lie side by side, as only nodes
 * of one group read flattened channels. 1 for a node that reads no group. */
static size_t columns_of(const equaliser *e, const q8_channel_node *n) {
  size_t last = n->inputs / n->groups - 1;
  return n->reads == Q8_NONE ? 1 : q8_channel_read(e->channels, n, 0, last) + 1;
}

/* Of `count` input channels of a filter, whose weights begin at w. */
static float largest_weight(const q8_channel_node *n, const float *w, size_t count) {
  float largest = 0;
  for (size_t c = 0; c < count; c++, w += n->step_in)
    largest = q8_largest_magnitude(w, n->taps, largest);
  return largest;
}

static q8_status measure_node(equaliser *e, size_t index, qint8_error *error) {
  const q8_channel_node *n = &e->channels->nodes[index];
  const q8_tensor *w = &e->channels->graph->tensors[e->channels->graph->nodes[n->node].inputs[1]];
  size_t inputs = n->inputs / n->groups, columns = columns_of(e, n), shared = inputs / columns;
  float *out = q8_pool_alloc(e->pool, n->outputs * columns, sizeof *out);
  Q8_TRY(q8_pool_check(e->pool, w->name, error));
  e->magnitude[index] = out;
  for (size_t k = 0; k < n->outputs; k++)
    for (size_t column = 0; column < columns; column++)
      *out++ = largest_weight(n, (const float *)w->data + k * n->step_out + column * shared * n->step_in, shared);
  return QINT8_OK;
}

static void keep_larger(double *to, double value) {
  *to = value > *to ? value : *to;
}

/* Range of the group's channels in the weights of a node that writes it (side 0) or reads it (side 1). */
static void measure_range(const equaliser *e, size_t index, int side, double *range) {
  const q8_channel_node *n = &e->channels->nodes[index];
  const float *row = e->magnitude[index];
  const double one = 1;
  size_t columns = columns_of(e, n);
  for (size_t k = 0; k < n->outputs; k++, row += columns) {
    size_t from = n->reads == Q8_NONE ? 0 : q8_channel_read(e->channels, n, k, 0);
    size_t to = n->writes == Q8_NONE ? 0 : q8_channel_written(e->channels, n, k);
    const double *up = n->reads == Q8_NONE ? &one : e->power[n->reads] + from;
    double down = n->writes == Q8_NONE ? 1 : 1 / e->power[n->writes][to];
    double *kept = side ? range + from : range + to;
    for (size_t c = 0; c < columns; c++)
      keep_larger(&kept[side ? c : 0], (double)row[c] * up[c] * down);
  }
}

/* Readers count by their ratios between channels, whatever the size of their weights. */
static void add_reader(const equaliser *e, size_t index, size_t channels) {
  double largest = 0;
  memset(e->own, 0, channels * sizeof *e->own);
  measure_range(e, index, 1, e->own);
  for (size_t c = 0; c < channels; c++)
    keep_larger(&largest, e->own[c]);
  for (size_t c = 0; c < channels && largest > 0; c++)
    keep_larger(&e->range[1][c], e->own[c] / largest);
}

/* One step for a group; the largest change of a factor. */
static double equalise_group(equaliser *e, size_t g) {
  size_t channels = e->channels->group_channels[g];
  double change = 0;
  for (int side = 0; side < 2; side++)
    memset(e->range[side], 0, channels * sizeof(double));
  for (size_t i = 0; i < e->channels->node_count; i++) {
    if (e->channels->nodes[i].writes == (q8_id)g)
      measure_range(e, i, 0, e->range[0]);
    if (e->channels->nodes[i].reads == (q8_id)g)
      add_reader(e, i, channels);
  }
  double mean = 0, count = 0;
  for (size_t c = 0; c < channels; c++) {
    double step = e->range[0][c] > 0 && e->range[1][c] > 0 ? 0.5 * log2(e->range[0][c] / e->range[1][c]) : NAN;
    e->range[0][c] = step;
    mean += isnan(step) ? 0 : step;
    count += !isnan(step);
  }
  for (size_t c = 0; c < channels; c++) {
    double step = e->range[0][c] - mean / count; /* a factor for all channels changes nothing */
    e->factor[g][c] += step;
    e->power[g][c] = isnan(step) ? 1 : exp2(e->factor[g][c]);
    keep_larger(&change, fabs(step));
  }
  return change;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The factors as whole exponents from their median; 1 if the group is worth it. */
static int round_group(const equaliser *e, size_t g) {
  size_t channels = e->channels->group_channels[g], count = 0;
  double spread = 0;
  for (size_t c = 0; c < channels; c++)
    if (!isnan(e->factor[g][c]))
      e->own[count++] = e->factor[g][c];
  qsort(e->own, count, sizeof *e->own, ascending);
  for (size_t c = 0; c < channels && count > 0; c++)
    if (!isnan(e->factor[g][c]))
      keep_larger(&spread, fabs(e->factor[g][c] - e->own[count / 2]));
  for (size_t c = 0; c < channels; c++) {
    double exponent = isnan(e->factor[g][c]) || spread < LEAST_SPREAD ? 0 : rint(e->factor[g][c] - e->own[count / 2]);
    exponent = exponent > MAX_EXPONENT ? MAX_EXPONENT : exponent < -MAX_EXPONENT ? -MAX_EXPONENT : exponent;
    e->exponents[g][c] = (int32_t)exponent;
  }
  return spread >= LEAST_SPREAD;
}

static q8_status prepare(equaliser *e, qint8_error *error) {
  const q8_channels *channels = e->channels;
  size_t most = 1;
  e->magnitude = q8_pool_alloc(e->pool, channels->node_count + 1, sizeof *e->magnitude);
  e->factor = q8_pool_alloc(e->pool, channels->group_count + 1, sizeof *e->factor);
  e->power = q8_pool_alloc(e->pool, channels->group_count + 1, sizeof *e->power);
  e->exponents = q8_pool_alloc(e->pool, channels->group_count + 1, sizeof *e->exponents);
  Q8_TRY(q8_pool_check(e->pool, "equalisation", error));
  for (size_t g = 0; g < channels->group_count; g++) {
    size_t count = channels->group_channels[g];
    e->factor[g] = q8_pool_alloc(e->pool, count, sizeof **e->factor);
    e->power[g] = q8_pool_alloc(e->pool, count, sizeof **e->power);
    e->exponents[g] = q8_pool_alloc(e->pool, count, sizeof **e->exponents);
    Q8_TRY(q8_pool_check(e->pool, "equalisation", error));
    for (size_t c = 0; c < count; c++)
      e->power[g][c] = 1;
    most = count > most ? count : most;
  }
  e->range[0] = q8_pool_alloc(e->pool, most, sizeof(double));
  e->range[1] = q8_pool_alloc(e->pool, most, sizeof(double));
  e->own = q8_pool_alloc(e->pool, most, sizeof(double));
  Q8_TRY(q8_pool_check(e->pool, "equalisation", error));
  for (size_t i = 0; i < channels->node_count; i++)
    Q8_TRY(measure_node(e, i, error));
  return QINT8_OK;
}

static q8_status equalise(equaliser *e, q8_graph **out, size_t *changed, qint8_error *error) {
  const q8_channels *channels = e->channels;
  Q8_TRY(prepare(e, error));
  double change = INFINITY;
  for (int round = 0; round < MAX_ROUNDS && change > SETTLED; round++) {
    change = 0;
    for (size_t g = 0; g < channels->group_count; g++)
      keep_larger(&change, equalise_group(e, g));
  }
  *changed = 0;
  for (size_t g = 0; g < channels->group_count; g++)
    *changed += (size_t)round_group(e, g);
  q8_status status = q8_channels_rescale(channels, (const int32_t *const *)e->exponents, out, error);
  if (status != QINT8_ERROR_LIMIT)
    return status;
  for (size_t g = 0; g < channels->group_count; g++) /* weights at the ends of what float holds stay as they are */
    memset(e->exponents[g], 0, channels->group_channels[g] * sizeof **e->exponents);
  *changed = 0;
  return q8_channels_rescale(channels, (const int32_t *const *)e->exponents, out, error);
}

q8_status q8_equalise(const q8_graph *graph, const q8_host *host, q8_graph **out, size_t *changed,
                              qint8_error *error) {
  q8_channels *channels;
  size_t count;
  *out = NULL;
  Q8_TRY(q8_channels_find(graph, host, &channels, error));
  equaliser e = {.channels = channels, .pool = &channels->pool};
  q8_status status = equalise(&e, out, changed ? changed : &count, error);
  q8_channels_free(channels);
  return status;
}
