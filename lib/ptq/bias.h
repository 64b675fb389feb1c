/* bias.h - bias correction (Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, 2019,
 * section 4.2, the empirical form).
 *
 * Rounding errors of weights and activations have a mean: a background that covers half of every image is rounded the
 * same way each time. A weighted node is linear in its input, so that the mean over samples of its result is its result
 * on the mean of its inputs. Going through the nodes in execution order, each bias takes the difference between
 *   the float node on the mean of its float inputs, and
 *   the int8 node (its rounded weights) on the mean of its int8 inputs, earlier biases corrected,
 * averaged over the positions of each output channel.
 */
#ifndef Q8_PTQ_BIAS_H
#define Q8_PTQ_BIAS_H

#include "exec/exec.h"
#include "ptq/batches.h"

/* Corrects the s32 biases of the recipe's static nodes (recipe integers, see q8_recipe_keep_integers). Costs one
 * float and one int8 run of all batches, and compiling once for each of them: each run goes on where the one before
 * stopped. The same on every ISA but for the rounding of float runs.
 * MEMORY, DATA (an input that is not finite), and what compiling and running may say. */
q8_status q8_correct_biases(const q8_graph *graph, q8_recipe *recipe, const q8_runner *runner, qint8_error *error);

#endif
