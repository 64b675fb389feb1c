/* rows.h - a part of an image operator's result, and where the rows that it reads and writes lie. */
#ifndef Q8_NN_ROWS_H
#define Q8_NN_ROWS_H

#include <stddef.h>

/* Lines are counted over all images: row p of image n of the result is n * (rows of an image) + p; those of the input
 * alike. */
typedef struct q8_row_range {
  size_t first, last; /* of the result: [first, last) */
  size_t in_row;      /* the row that the given input begins with */
  size_t out_row;     /* the row that the given memory for the result begins with */
} q8_row_range;

#endif
