#include "qint8.h"

const char *qint8_version_string(void) {
  return QINT8_VERSION_STRING;
}

const char *qint8_status_name(qint8_status status) {
  static const char *const names[] = {
      "QINT8_OK",           "QINT8_ERROR_ARGUMENT", "QINT8_ERROR_MEMORY",    "QINT8_ERROR_FILE",
      "QINT8_ERROR_FORMAT", "QINT8_ERROR_UNSUPPORTED", "QINT8_ERROR_SHAPE",  "QINT8_ERROR_LIMIT",
      "QINT8_ERROR_DATA",   "QINT8_ERROR_STATE",    "QINT8_ERROR_CANCELLED", "QINT8_ERROR_INTERNAL",
  };
  unsigned index = (unsigned)status;
  return index < sizeof names / sizeof *names ? names[index] : "unknown status";
}

const char *qint8_config_name(qint8_config config) {
  static const char *const names[] = {"fp32_baseline", "dynamic_int8", "static_int8_per_tensor",
                                      "static_int8_per_channel", "qat_int8"};
  unsigned index = (unsigned)config;
  return index < sizeof names / sizeof *names ? names[index] : NULL;
}
