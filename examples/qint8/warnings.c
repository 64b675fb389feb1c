/* warnings.c - what the library has to say about calibration data, on stderr. */
#include "tool.h"

#define SHOWN 3 /* of each kind; reports list them all */
#define KINDS 16

void print_warnings(const qint8_ranges *ranges, const qint8_ranges *validation) {
  size_t count = qint8_ranges_warning_count(ranges, validation), left_out = 0;
  int shown[KINDS] = {0};
  for (size_t i = 0; i < count; i++) {
    qint8_warning w = QINT8_WARNING_INIT;
    if (qint8_ranges_warning(ranges, validation, i, &w, NULL) != QINT8_OK)
      return;
    if (w.code > 0 && w.code < KINDS && shown[w.code]++ >= SHOWN)
      left_out++;
    else
      warn("calibration: %s%s%s", w.tensor, w.tensor[0] ? ": " : "", w.message);
  }
  if (left_out)
    warn("calibration: %zu more of these kinds; --report-out lists them", left_out);
}
