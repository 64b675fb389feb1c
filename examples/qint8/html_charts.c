/* html_charts.c - inline SVG. Coordinates are pixels of the viewBox; y grows downwards. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

/* ---- Axes ---- */

typedef struct axis {
  double low, high;   /* values at both ends */
  double step;
  double from, to;    /* their pixels */
} axis;

/* Round steps of 1, 2 or 5 times a power of ten, about `parts` of them. `tight`: the ends stay where they are. */
static axis make_axis(double low, double high, int parts, int tight, double from, double to) {
  axis a = {.from = from, .to = to};
  if (!(high > low)) {
    double pad = low != 0 ? fabs(low) * 0.1 : 1;
    low -= pad;
    high += pad;
  }
  double raw = (high - low) / parts, power = pow(10, floor(log10(raw))), lead = raw / power;
  a.step = power * (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10);
  a.low = tight ? low : floor(low / a.step + 1e-9) * a.step;
  a.high = tight ? high : ceil(high / a.step - 1e-9) * a.step;
  return a;
}

static double place(const axis *a, double value) {
  double share = (value - a->low) / (a->high - a->low);
  return a->from + (share < 0 ? 0 : share > 1 ? 1 : share) * (a->to - a->from);
}

static int tick_count(const axis *a) {
  return (int)(floor(a->high / a->step + 1e-9) - ceil(a->low / a->step - 1e-9)) + 1;
}

/* A multiple of the step, without the rounding of adding it up: 0 is 0. */
static double tick(const axis *a, int i) {
  return (ceil(a->low / a->step - 1e-9) + i) * a->step;
}

static void horizontal_axis(FILE *file, const axis *a, double top, double bottom) {
  for (int i = 0; i < tick_count(a); i++) {
    double x = place(a, tick(a, i));
    fprintf(file, "<line class=\"axis\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", x, top, x, bottom);
    fprintf(file, "<text class=\"muted\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">", x, bottom + 15);
    html_number(file, tick(a, i));
    fputs("</text>\n", file);
  }
}

static void vertical_axis(FILE *file, const axis *a, double left, double right) {
  for (int i = 0; i < tick_count(a); i++) {
    double y = place(a, tick(a, i));
    fprintf(file, "<line class=\"axis\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>", left, y, right, y);
    fprintf(file, "<text class=\"muted\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">", left - 6, y + 4);
    html_number(file, tick(a, i));
    fputs("</text>\n", file);
  }
}

static void title_of(FILE *file, const char *text) {
  fputs("<title>", file);
  html_text(file, text);
  fputs("</title>", file);
}

/* ---- Metric against size or time ---- */

enum { SCATTER_WIDTH = 520, SCATTER_HEIGHT = 400, LEFT = 64, RIGHT = 24, TOP = 26, BOTTOM = 44 };

static double x_of(const report_row *row, int x) {
  return x ? row->us : row->bytes / 1024;
}

static int is_drawn(const report_row *row, int x) {
  return isfinite(row->value) && isfinite(x_of(row, x)) && x_of(row, x) > 0;
}

/* Nothing is at least as good in both and better in one. */
static int is_on_front(const report *r, int i, int x) {
  const report_row *a = &r->rows[i];
  for (int k = 0; k < r->row_count; k++) {
    const report_row *b = &r->rows[k];
    double gain = r->better * (b->value - a->value), cost = x_of(b, x) - x_of(a, x);
    if (is_drawn(b, x) && gain >= 0 && cost <= 0 && (gain > 0 || cost < 0 || k < i))
      return 0;
  }
  return 1;
}

static void put_front(FILE *file, const report *r, int x, const axis *h, const axis *v) {
  int *left = allocate((size_t)r->row_count, sizeof *left), count = 0;
  for (int i = 0; i < r->row_count; i++)
    if (is_drawn(&r->rows[i], x) && is_on_front(r, i, x))
      left[count++] = i;
  for (int i = 1; i < count; i++) /* by x; a handful */
    for (int k = i; k > 0 && x_of(&r->rows[left[k]], x) < x_of(&r->rows[left[k - 1]], x); k--) {
      int swap = left[k];
      left[k] = left[k - 1];
      left[k - 1] = swap;
    }
  fputs("<polyline class=\"front\" points=\"", file);
  for (int i = 0; i < count; i++) {
    const report_row *row = &r->rows[left[i]];
    if (i)
      fprintf(file, "%.1f,%.1f ", place(h, x_of(row, x)), place(v, r->rows[left[i - 1]].value));
    fprintf(file, "%.1f,%.1f ", place(h, x_of(row, x)), place(v, row->value));
  }
  fputs("\"/>\n", file);
  free(left);
}

typedef struct spot {
  double x, y;
} spot;

static int is_near(const spot *spots, int count, spot s, double dx, double dy) {
  for (int i = 0; i < count; i++)
    if (fabs(spots[i].x - s.x) < dx && fabs(spots[i].y - s.y) < dy)
      return 1;
  return 0;
}

/* The middle of a label: beside its point, right or left, ever farther up and down, off points and other labels. */
static spot label_place(const spot *points, int point_count, const spot *labels, int label_count, spot point) {
  spot s = {point.x + 15, point.y};
  for (int attempt = 0; attempt < 48; attempt++) {
    int row = attempt / 2, away = (row + 1) / 2 * (row % 2 ? -1 : 1);
    s = (spot){point.x + (attempt % 2 ? -15 : 15), point.y + away * 7.0};
    if (s.x > LEFT + 6 && s.x < SCATTER_WIDTH - 8 && s.y > TOP && s.y < SCATTER_HEIGHT - BOTTOM &&
        !is_near(points, point_count, s, 12, 9) && !is_near(labels, label_count, s, 17, 13))
      break;
  }
  return s;
}

static void put_points(FILE *file, const report *r, int x, const axis *h, const axis *v) {
  spot *points = allocate(2 * (size_t)r->row_count + 1, sizeof *points), *labels = points + r->row_count;
  int count = 0, labelled = 0;
  for (int i = 0; i < r->row_count; i++)
    if (is_drawn(&r->rows[i], x))
      points[count++] = (spot){place(h, x_of(&r->rows[i], x)), place(v, r->rows[i].value)};
  for (int i = 0; i < r->row_count; i++) {
    const report_row *row = &r->rows[i];
    if (!is_drawn(row, x))
      continue;
    spot at = points[labelled];
    const char *kind = i == 0 ? " float" : row->met > 0 ? " met" : row->met == 0 ? " missed" : "";
    fprintf(file, "<circle class=\"candidate%s%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"><title>%d: ", kind,
            row->taken ? " taken" : "", at.x, at.y, i);
    html_text(file, row->name);
    fputc(' ', file);
    html_text(file, row->how);
    spot text = label_place(points, count, labels, labelled, at);
    labels[labelled++] = text;
    fprintf(file, "</title></circle><text class=\"label\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%d</text>\n", text.x, text.y + 4,
            i);
  }
  free(points);
}

void html_scatter(FILE *file, const report *r, int x) {
  double low = INFINITY, high = -INFINITY, least = INFINITY, most = 0;
  for (int i = 0; i < r->row_count; i++) {
    if (!is_drawn(&r->rows[i], x))
      continue;
    low = fmin(low, r->rows[i].value);
    high = fmax(high, r->rows[i].value);
    least = fmin(least, x_of(&r->rows[i], x));
    most = fmax(most, x_of(&r->rows[i], x));
  }
  if (!(low <= high))
    return;
  if (isfinite(r->limit)) {
    low = fmin(low, r->limit);
    high = fmax(high, r->limit);
  }
  int up = r->better > 0; /* better is up */
  double top = TOP, bottom = SCATTER_HEIGHT - BOTTOM, right = SCATTER_WIDTH - RIGHT;
  axis h = make_axis(least, most, 5, 0, LEFT, right);
  axis v = make_axis(low, high, 5, 0, up ? bottom : top, up ? top : bottom);
  const char *what = x ? r->time_name : "KB";
  fprintf(file, "<figure><svg class=\"scatter\" viewBox=\"0 0 %d %d\" role=\"img\">", SCATTER_WIDTH, SCATTER_HEIGHT);
  title_of(file, x ? "accuracy against time" : "accuracy against size");
  horizontal_axis(file, &h, top, bottom);
  vertical_axis(file, &v, LEFT, right);
  fprintf(file, "<text x=\"%d\" y=\"14\">%s <tspan class=\"muted\">(better is up)</tspan></text>", 8, r->metric);
  fprintf(file, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"end\">%s</text>\n", right, SCATTER_HEIGHT - 8, what);
  if (isfinite(r->limit))
    fprintf(file, "<line class=\"limit\" x1=\"%d\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"><title>budget</title></line>\n",
            LEFT, place(&v, r->limit), right, place(&v, r->limit));
  put_front(file, r, x, &h, &v);
  put_points(file, r, x, &h, &v);
  fprintf(file, "</svg><figcaption><b>Accuracy against %s.</b> Numbers are those of the table, 0 is the float model; the "
                "line joins what nothing beats in both%s.</figcaption></figure>\n",
          x ? "time" : "size", isfinite(r->limit) ? "; dashed: the budget" : "");
}

/* ---- Layers ---- */

enum { BARS_WIDTH = 1060, BAR_LEFT = 400, BAR_ROOM = 72 /* for the number behind a bar */, BAR_HEIGHT = 18, BARS_TOP = 40, NAME_CHARACTERS = 52 };
#define MOST_DB 60.0 /* exact tensors have 999 */

void html_bars(FILE *file, const layer *const *rows, int count) {
  int height = BARS_TOP + count * BAR_HEIGHT + 24;
  axis h = make_axis(0, MOST_DB, 6, 0, BAR_LEFT, BARS_WIDTH - BAR_ROOM);
  fprintf(file, "<svg class=\"layers\" viewBox=\"0 0 %d %d\" role=\"img\"><title>signal to quantization noise by layer"
                "</title>\n",
          BARS_WIDTH, height);
  fprintf(file, "<rect class=\"bar bad\" x=\"%d\" y=\"6\" width=\"12\" height=\"12\"/><text x=\"%d\" y=\"17\">below 10 dB"
                "</text><rect class=\"bar fair\" x=\"%d\" y=\"6\" width=\"12\" height=\"12\"/><text x=\"%d\" y=\"17\">below "
                "20 dB</text><rect class=\"bar\" x=\"%d\" y=\"6\" width=\"12\" height=\"12\"/><text x=\"%d\" y=\"17\">more"
                "</text><line class=\"born\" x1=\"%d\" y1=\"6\" x2=\"%d\" y2=\"18\"/><text x=\"%d\" y=\"17\">the layer "
                "alone, on exact inputs</text>\n",
          BAR_LEFT, BAR_LEFT + 17, BAR_LEFT + 110, BAR_LEFT + 127, BAR_LEFT + 220, BAR_LEFT + 237, BAR_LEFT + 290,
          BAR_LEFT + 290, BAR_LEFT + 298);
  horizontal_axis(file, &h, BARS_TOP - 4, height - 20);
  for (int i = 0; i < count; i++) {
    const layer *row = rows[i];
    double db = sqnr_of(layer_rel_err(row)), alone = sqnr_of(layer_born(row)), y = BARS_TOP + i * BAR_HEIGHT;
    double end = place(&h, db);
    fprintf(file, "<g><title>");
    html_text(file, row->name);
    fprintf(file, "</title><text x=\"%d\" y=\"%.0f\" text-anchor=\"end\">", BAR_LEFT - 8, y + 12);
    html_name(file, row->name, NAME_CHARACTERS);
    fprintf(file, "</text><rect class=\"bar%s\" x=\"%d\" y=\"%.0f\" width=\"%.1f\" height=\"%d\"/>",
            db < 10 ? " bad" : db < 20 ? " fair" : "", BAR_LEFT, y + 1, fmax(end - BAR_LEFT, 1), BAR_HEIGHT - 4);
    if (alone < MOST_DB)
      fprintf(file, "<line class=\"born\" x1=\"%.1f\" y1=\"%.0f\" x2=\"%.1f\" y2=\"%.0f\"/>", place(&h, alone), y + 1,
              place(&h, alone), y + BAR_HEIGHT - 3);
    fprintf(file, "<text x=\"%d\" y=\"%.0f\" text-anchor=\"end\">%s%.1f dB</text></g>\n", BARS_WIDTH - 2, y + 12,
            db > MOST_DB ? "> " : "", fmin(db, MOST_DB));
  }
  fputs("</svg>\n", file);
}

/* ---- Histograms ---- */

enum { BINS = 80, HIST_WIDTH = 520, HIST_HEIGHT = 150, HIST_TOP = 8, HIST_BOTTOM = 22 };

/* The range of that name, joined to at most BINS bins; 0 if there is none. `h` describes the joined bins. */
static int joined_bins(const qint8_ranges *ranges, const char *name, int64_t *bins, qint8_histogram *h) {
  static int64_t counts[2048];
  for (size_t i = 0; i < qint8_ranges_count(ranges); i++) {
    const char *other = qint8_ranges_name(ranges, i);
    if (!other || strcmp(other, name) ||
        qint8_ranges_histogram(ranges, i, h, counts, sizeof counts / sizeof *counts, NULL) != QINT8_OK)
      continue;
    size_t join = (h->bin_count + BINS - 1) / BINS;
    memset(bins, 0, BINS * sizeof *bins);
    for (size_t k = 0; k < h->bin_count; k++)
      bins[k / join] += counts[k];
    h->bin_count = (h->bin_count + join - 1) / join;
    h->width *= (double)join;
    double zero = floor(-h->left / h->width); /* zeros were counted apart */
    if (zero >= 0 && zero < (double)h->bin_count)
      bins[(int)zero] += h->zeros;
    return 1;
  }
  return 0;
}

static void put_bins(FILE *file, const int64_t *bins, const qint8_histogram *h, const axis *x, const axis *y, double low,
                     double high) {
  for (size_t i = 0; i < h->bin_count; i++) {
    double left = h->left + (double)i * h->width, middle = left + h->width / 2;
    double from = place(x, left), to = place(x, left + h->width), top = place(y, log10((double)bins[i] + 1));
    if (bins[i])
      fprintf(file, "<rect class=\"bin%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>",
              middle < low || middle > high ? " out" : "", from, top, fmax(to - from - 0.5, 0.5), y->from - top);
  }
}

int html_histogram(FILE *file, const report *r, const layer *row) {
  int64_t bins[BINS], most = 0;
  qint8_histogram h = QINT8_HISTOGRAM_INIT;
  if (!row->is_int8 || !r->ranges || !joined_bins(r->ranges, row->name, bins, &h))
    return 0;
  for (size_t i = 0; i < h.bin_count; i++)
    most = bins[i] > most ? bins[i] : most;
  double least = row->qparams.dtype == QINT8_DTYPE_S8 ? -128 : 0, scale = (double)row->qparams.scale;
  double low = scale * (least - row->qparams.zero_point), high = scale * (least + 255 - row->qparams.zero_point);
  double bottom = HIST_HEIGHT - HIST_BOTTOM;
  axis x = make_axis(fmin(low, h.left), fmax(high, h.left + h.width * (double)h.bin_count), 7, 1, 14,
                     HIST_WIDTH - 14);
  axis y = {.low = 0, .high = log10((double)most + 1), .step = 1, .from = bottom, .to = HIST_TOP};
  fprintf(file, "<figure><svg class=\"histogram\" viewBox=\"0 0 %d %d\" role=\"img\">", HIST_WIDTH, HIST_HEIGHT);
  title_of(file, row->name);
  horizontal_axis(file, &x, HIST_TOP, bottom);
  fprintf(file, "<rect class=\"band\" x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%.1f\"/>\n", place(&x, low), HIST_TOP,
          place(&x, high) - place(&x, low), bottom - HIST_TOP);
  put_bins(file, bins, &h, &x, &y, low, high);
  for (int end = 0; end < 2; end++)
    fprintf(file, "<line class=\"edge\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%.1f\"/>", place(&x, end ? high : low),
            HIST_TOP, place(&x, end ? high : low), bottom);
  fputs("</svg><figcaption><b>", file);
  html_text(file, row->name);
  fprintf(file, "</b> range [%.4g, %.4g], %.2g %% beyond it, %.1f dB</figcaption></figure>\n", low, high,
          100 * layer_clip_rate(row), sqnr_of(layer_rel_err(row)));
  return 1;
}
