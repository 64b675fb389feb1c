/* margin.h - how far a metric measured on a few samples may be off. */
#ifndef MARGIN_H
#define MARGIN_H

#include "tool.h"

/* The standard error of what a model loses of a metric against the float model on the same samples: both are measured on
 * blocks of samples, and the spread of their differences between blocks tells. 0 for fewer than 16 samples. */
double loss_error(const metric *m, const outputs *y, const outputs *exact, const truth *t);

#endif
