#include "base/status.h"

size_t qint8_dtype_size(qint8_dtype dtype) {
  switch (dtype) {
  case QINT8_DTYPE_F32:
  case QINT8_DTYPE_S32:
  case QINT8_DTYPE_U32:
    return 4;
  case QINT8_DTYPE_U8:
  case QINT8_DTYPE_S8:
  case QINT8_DTYPE_BOOL:
    return 1;
  case QINT8_DTYPE_U16:
  case QINT8_DTYPE_S16:
  case QINT8_DTYPE_F16:
  case QINT8_DTYPE_BF16:
    return 2;
  case QINT8_DTYPE_S64:
  case QINT8_DTYPE_U64:
  case QINT8_DTYPE_F64:
    return 8;
  default:
    return 0;
  }
}
