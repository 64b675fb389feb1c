/* equalise.h - cross-layer equalisation (Nagel et al., Data-Free Quantization Through Weight Equalization and Bias
 * Correction, 2019, section 4.1).
 *
 * A channel whose values are all small next to another channel's gets few of the 256 levels that they share. Of the channels
 * that may be rescaled (channels.h), each is divided by sqrt(r1 / r2), r1 being the largest magnitude of the weights that
 * write the channel and r2 that of the weights that read it, until nothing changes: then r1 = r2 for all channels. Of
 * several writers or readers the largest counts.
 * Factors are rounded to powers of two, so that the float result stays the same to the bit; and the median channel of a
 * group stays as it is, since only ratios between channels matter. Groups whose channels are alike already are left
 * alone, so that doing it twice changes nothing.
 */
#ifndef Q8_PTQ_EQUALISE_H
#define Q8_PTQ_EQUALISE_H

#include "ptq/batches.h"
#include "ptq/channels.h"

/* A new graph with the same tensors and nodes. `changed` (may be NULL): how many groups were rescaled. MEMORY, and what
 * binding shapes may say. */
q8_status q8_equalise(const q8_graph *graph, const q8_host *host, q8_graph **out, size_t *changed, qint8_error *error);

/* A new graph in which channel c of graph input `input` is divided by the power of two that brings it to the size of the
 * median channel, by a BatchNormalization, and the weights that read it multiplied: an input of several quantities, such
 * as metres and per cent, then shares one scale with less loss. largest[c] is the largest magnitude of channel c, [channels],
 * the size of axis 1. *scaled: 0 if the graph is a plain copy, because the channels are of like size (less than 4 times
 * apart) or something other than constant weights reads the input. MEMORY, and what binding shapes may say. */
q8_status q8_scale_input(const q8_graph *graph, size_t input, const float *largest, size_t channels, const q8_host *host,
                         q8_graph **out, int *scaled, qint8_error *error);

/* The same for every input that the batches show to need it: *scaled counts them; *out is NULL where there are none. */
q8_status q8_scale_inputs(const q8_graph *graph, const q8_batches *batches, const q8_host *host, q8_graph **out,
                          size_t *scaled, qint8_error *error);

#endif
