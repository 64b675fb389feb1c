/* status.h - filling the caller's error record. Status codes themselves are the public enum. */
#ifndef Q8_BASE_STATUS_H
#define Q8_BASE_STATUS_H

#include "qint8.h"

typedef qint8_status q8_status;

/* Fills `error` (may be NULL) and returns `status`, so that failing is one line:
 *   return q8_fail(error, QINT8_ERROR_SHAPE, node->name, "input has rank %d, expected 4", rank); */
q8_status q8_fail(qint8_error *error, q8_status status, const char *where, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The one message for a failed allocation. */
q8_status q8_fail_memory(qint8_error *error, const char *where, size_t size);

/* Returns early with the status of a failing call. */
#define Q8_TRY(call)                                                                                         \
  do {                                                                                                       \
    q8_status q8_status_ = (call);                                                                           \
    if (q8_status_ != QINT8_OK)                                                                              \
      return q8_status_;                                                                                     \
  } while (0)

#endif
