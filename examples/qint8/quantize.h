/* quantize.h - what the files of `qint8 quantize` share. */
#ifndef QINT8_QUANTIZE_H
#define QINT8_QUANTIZE_H

#include "report.h"

typedef struct job {
  const char *model_path, *out_path, *config_name, *calibration, *observer_name, *activations, *format_name, *report, *report_page;
  long samples, batch, threads;
  double mean, std;
  qint8_config config;
  int32_t observer, activation_dtype, format;
  int force, no_correction, round_weights, no_equalise, all_int8;
  dataset data; /* what was calibrated on */
  qint8_model *model;
  qint8_recipe *file_recipe, *recipe;
  qint8_ranges *ranges;
  size_t used; /* calibration samples */
  size_t equalised; /* groups of channels */
  int32_t scaled_input;
  double seconds_calibrate, seconds_total;
  long long peak_bytes; /* resident, when calibration had ended */
  int is_auto;
  auto_options automatic;
  auto_result tried;
} job;

extern const char *const observer_names[]; /* by qint8_observer_kind, NULL behind the last */

int is_static(const job *j);
long long file_size(const char *path); /* -1 if it cannot be read */

/* ---- quantize_steps.c: what is done to the model, and to the recipe with samples ---- */

/* The equalised, or rescaled, model takes the place of the given one. */
int equalise(job *j, const qint8_host *host);
int scale_input(job *j, const qint8_host *host);
/* Ranges of the calibration samples, with warnings about them. */
int calibrate(job *j, const qint8_host *host);
/* Those of the static repairs that were not declined. */
int repair_recipe(job *j, const qint8_host *host);

/* ---- quantize_report.c ---- */

int write_reports(job *j, const qint8_host *host);
void print_summary(const job *j);

#endif
