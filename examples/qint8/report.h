/* report.h - what a report of `qint8 quantize` or `qint8 compare` holds, and its page. */
#ifndef QINT8_REPORT_H
#define QINT8_REPORT_H

#include "compare.h"

/* A configuration that was tried; the first is the float model. NAN where not known. */
typedef struct report_row {
  char name[64], how[64]; /* config; observer and repairs */
  double value;           /* of the report's metric */
  double bytes, us, seconds;
  int float_nodes; /* -1: all, or not known */
  int met, taken;  /* met -1: nobody asked */
} report_row;

typedef struct report_fact {
  const char *name;
  char text[256];
} report_fact;
#define REPORT_FACTS 12

typedef struct report {
  const char *title;
  report_fact facts[REPORT_FACTS];
  int fact_count;
  const char *metric;    /* of the rows */
  int better;            /* 1: higher is better, -1: lower is */
  double limit;          /* the worst value that the budget allows; NAN without one */
  const char *time_name; /* what `us` is */
  report_row *rows;
  int row_count;
  const comparison *compared; /* NULL: there was no data */
  comparison own;
  qint8_model *int8_model;
  qint8_recipe *int8_recipe; /* NULL: it is float */
  qint8_ranges *ranges, *own_ranges;
  int is_calibrated; /* the ranges are what the int8 model comes from, and their warnings are about it */
  long long peak_bytes; /* resident, up to the end of calibration; -1: not known */
} report;

typedef struct report_request {
  const char *title, *float_path, *int8_path, *config;
  const qint8_model *float_model;
  const dataset *data; /* NULL: no samples, so no layers and no histograms */
  long batch;
  const char *isa;
  const qint8_host *host;
  qint8_ranges *ranges;         /* of a calibration with histograms, or NULL: made from `data` */
  const auto_options *options;  /* with `tried`, or NULL */
  const auto_result *tried;
  const char *const *observers; /* names by qint8_observer_kind */
  double seconds;               /* that making the model took; NAN if not known */
  const comparison *compared;   /* already done, or NULL */
  long long peak_bytes;         /* as in report */
} report_request;

/* Compares and collects. 0 or EXIT_FAILED; report_free in either case. */
int report_make(const report_request *request, report *out);
void report_free(report *r);
/* "warnings", "layers", "peak_resident_bytes" inside an open object. */
void report_json(const report *r, json *out);
/* One self-contained page. 0 or EXIT_FAILED. */
int report_html(const report *r, const char *path);
/* Of this process so far, -1 where the system does not tell. */
long long peak_resident_bytes(void);

/* ---- html.c, html_charts.c ---- */

/* Text with <, >, &, quotes and control characters made harmless. */
void html_text(FILE *file, const char *text);
void html_number(FILE *file, double value); /* four digits, and no exponents for large ones */
/* At most `limit` characters, the end of longer names behind an ellipsis; UTF-8 is not cut. */
void html_name(FILE *file, const char *name, int limit);
/* Metric of the rows against `x` (0: bytes, 1: time), with the front of those that none beats. */
void html_scatter(FILE *file, const report *r, int x);
void html_bars(FILE *file, const layer *const *rows, int count);
/* 0 if the ranges have no histogram of that tensor. */
int html_histogram(FILE *file, const report *r, const layer *row);

#endif
