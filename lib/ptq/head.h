/* head.h - the first nodes of a network in float, where errors are born.
 *
 * Measured on MobileNetV3, EfficientNet and a text classifier: most of the error of a static recipe comes from the first
 * blocks, whose few channels differ widely in range while everything behind inherits their errors; there, int8 gains
 * least, because their products are short. So the head, as many nodes from the start as fit into a small part of the
 * model's time, returns to float if that removes enough of the error on the samples, as it is or, if that does not show
 * it, with biases corrected. The less there is to gain, the less it may cost: on MobileNetV2, whose first linear
 * bottlenecks give birth to most of an error of 0.017, a quarter of the time; on regressors of a few hundred weights,
 * where the rounding of the inputs is most of 0.006, next to nothing. */
#ifndef Q8_PTQ_HEAD_H
#define Q8_PTQ_HEAD_H

#include "ptq/bias.h"

#define Q8_HEAD_TOLERATED 0.004 /* rel_err of the outputs from which on it is tried */
#define Q8_HEAD_COST 16         /* what rel_err may cost: a head may add 16 times it to the model's expected time, */
#define Q8_HEAD_SLOWDOWN 1.4    /* up to this, in times without a head; */
#define Q8_HEAD_FREE_US 0.2     /* and a fifth of a microsecond in any case */
#define Q8_HEAD_GAIN 0.8        /* the error must fall to this part or below, else the recipe stays as it is */

/* Changes the modes of a static recipe's nodes, to be followed by q8_correct_biases. Deterministic: times are the
 * expected ones of runs.h. CANCELLED, MEMORY, and what compiling and running may say: the recipe stays usable. */
q8_status q8_keep_head(const q8_graph *graph, q8_recipe *recipe, const q8_runner *runner, qint8_error *error);

#endif
