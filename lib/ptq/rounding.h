/* rounding.h - adaptive rounding of weights: what AdaRound (Nagel et al., Up or Down? Adaptive Rounding for Post-Training
 * Quantization, 2020) finds by gradients is found here by coordinate descent.
 *
 * The nearest integer is the best for each weight alone; for their sum it is not, because inputs go together: errors of
 * weights can cancel. With H = E[x x'] over the node's inputs, the mean square error of an output is e H e', e = w - s q.
 * From the nearest integers on, each integer in turn moves to where the error is least, the others kept, until none
 * moves. So the error never grows, nothing is drawn at random, and the scales stay.
 */
#ifndef Q8_PTQ_ROUNDING_H
#define Q8_PTQ_ROUNDING_H

#include "ptq/bias.h"

/* Chooses the integers of the weights of the recipe's int8 nodes (see q8_recipe_keep_integers), from float runs of the
 * batches. Weights that several nodes read, and nodes with very many inputs per output, stay as they are. To be followed
 * by q8_correct_biases: the mean of the error is left to the biases where there are any.
 * MEMORY, CANCELLED, and what compiling and running may say. */
q8_status q8_round_weights(const q8_graph *graph, q8_recipe *recipe, const q8_runner *runner, qint8_error *error);

#endif
