/* html.c - a report as one page that needs nothing else: text and tables here, charts in html_charts.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

/* ---- Text ---- */

static void put_character(FILE *file, unsigned char c) {
  switch (c) {
  case '<':
    fputs("&lt;", file);
    break;
  case '>':
    fputs("&gt;", file);
    break;
  case '&':
    fputs("&amp;", file);
    break;
  case '"':
    fputs("&quot;", file);
    break;
  default:
    fputc(c < 0x20 || c == 0x7f ? ' ' : c, file);
  }
}

void html_text(FILE *file, const char *text) {
  for (; *text; text++)
    put_character(file, (unsigned char)*text);
}

void html_name(FILE *file, const char *name, int limit) {
  int characters = 0;
  for (const char *c = name; *c; c++)
    characters += (*c & 0xC0) != 0x80;
  if (characters > limit) {
    for (; *name && characters > limit - 1; name++)
      characters -= (name[1] & 0xC0) != 0x80; /* continuation bytes go with their first */
    fputs("…", file);
  }
  html_text(file, name);
}

void html_number(FILE *file, double value) {
  fprintf(file, fabs(value) >= 1000 ? "%.0f" : "%.4g", value);
}

static const char style[] =
    "<style>\n"
    ":root{--bg:#fff;--fg:#1b1f24;--muted:#5b6470;--line:#d4d9df;--soft:#f3f5f7;--blue:#2b6cb8;--orange:#d9822b;"
    "--red:#c5352b;--green:#2a8f4f;--band:#2b6cb8}\n"
    "@media screen and (prefers-color-scheme:dark){:root{--bg:#15181c;--fg:#e6e9ed;--muted:#9aa4b0;--line:#3a424c;"
    "--soft:#20252b;--blue:#5b9be0;--orange:#e8a04f;--red:#ee6a5f;--green:#58bd7c;--band:#5b9be0}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;max-width:1120px;padding:24px;background:var(--bg);color:var(--fg);"
    "font:15px/1.45 system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}\n"
    "h1{font-size:24px;margin:0 0 12px}h2{font-size:18px;margin:32px 0 8px}p{margin:6px 0;color:var(--muted)}\n"
    "table{border-collapse:collapse;width:100%}th,td{padding:4px 10px;text-align:left;vertical-align:top;"
    "border-bottom:1px solid var(--line)}th{font-weight:600;color:var(--muted)}\n"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}td.n{white-space:nowrap}td.name{overflow-wrap:anywhere}\n"
    "tr.taken td{background:var(--soft);font-weight:600}.met{color:var(--green)}.missed{color:var(--red)}\n"
    ".wide{overflow-x:auto}.remedies,.warnings{table-layout:fixed}.remedies td,.warnings td{overflow-wrap:anywhere}"
    ".remedies th:first-child,.warnings th:first-child{width:34%}.remedies th.n{width:92px}\n"
    ".charts{margin-top:12px;display:flex;flex-wrap:wrap;gap:16px}.charts figure{flex:1 1 440px;margin:0;min-width:0}\n"
    "figcaption{font-size:13px;color:var(--muted);overflow-wrap:anywhere}figcaption b{color:var(--fg)}\n"
    "svg{display:block;width:100%;height:auto}svg text{fill:var(--fg);font:12px system-ui,'DejaVu Sans',sans-serif}\n"
    "svg .label{paint-order:stroke;stroke:var(--bg);stroke-width:5px;stroke-linejoin:round}svg .muted{fill:var(--muted)}svg .axis{stroke:var(--line);stroke-width:1}\n"
    ".bar,.bin,.candidate{fill:var(--blue)}.bar.fair{fill:var(--orange)}.bar.bad,.bin.out{fill:var(--red)}\n"
    ".candidate.missed{fill:var(--red);stroke:none}.candidate.met{fill:var(--green)}"
    ".candidate.float{fill:var(--bg);stroke:var(--fg);stroke-width:2}\n"
    ".candidate.taken{stroke:var(--fg);stroke-width:2}.front{fill:none;stroke:var(--blue);stroke-width:1.5}"
    ".limit{stroke:var(--red);stroke-width:1.5;stroke-dasharray:5 4}\n"
    ".born{stroke:var(--fg);stroke-width:2}.band{fill:var(--band);opacity:.14}"
    ".edge{stroke:var(--band);stroke-width:1.5}\n"
    "@media print{body{max-width:none;padding:0;font-size:11px}h2{break-after:avoid}figure,tr,svg{break-inside:avoid}}\n"
    "</style>\n";

/* ---- Tables ---- */

static void put_number(FILE *file, double value) {
  fputs("<td class=\"n\">", file);
  if (isfinite(value))
    html_number(file, value);
  fputs("</td>", file);
}

static void put_facts(FILE *file, const report *r) {
  fputs("<table class=\"facts\">\n", file);
  for (int i = 0; i < r->fact_count; i++) {
    fprintf(file, "<tr><th scope=\"row\">%s</th><td class=\"name\">", r->facts[i].name);
    html_text(file, r->facts[i].text);
    fputs("</td></tr>\n", file);
  }
  fputs("</table>\n", file);
}

static void put_config(FILE *file, const report_row *row, int number, int judged) {
  fprintf(file, "<tr%s><td class=\"n\">%d</td><td>", row->taken ? " class=\"taken\"" : "", number);
  html_text(file, row->name);
  if (judged) {
    fputs("</td><td>", file);
    html_text(file, row->how);
  }
  fputs("</td>", file);
  put_number(file, row->value);
  put_number(file, row->bytes / 1024);
  put_number(file, row->us);
  put_number(file, row->seconds);
  if (judged) {
    put_number(file, row->float_nodes < 0 ? NAN : row->float_nodes);
    fprintf(file, "<td class=\"%s\">%s%s</td>", row->met > 0 ? "met" : row->met == 0 ? "missed" : "",
            row->met > 0 ? "met" : row->met == 0 ? "missed" : "", row->taken ? ", taken" : "");
  }
  fputs("</tr>\n", file);
}

static void put_configs(FILE *file, const report *r) {
  int judged = r->row_count > 1 && r->rows[1].met >= 0; /* by a budget */
  fprintf(file,
          "<h2>Configurations</h2>\n<div class=\"wide\"><table class=\"configs\">\n<tr><th class=\"n\">#</th><th>Configuration</th>%s"
          "<th class=\"n\">%s</th><th class=\"n\">KB</th><th class=\"n\">%s</th><th class=\"n\">Seconds</th>%s</tr>\n",
          judged ? "<th>Observer, repairs</th>" : "", r->metric, r->time_name,
          judged ? "<th class=\"n\">Float nodes</th><th>Budget</th>" : "");
  for (int i = 0; i < r->row_count; i++)
    put_config(file, &r->rows[i], i, judged);
  fputs("</table></div>\n<div class=\"charts\">\n", file);
  html_scatter(file, r, 0);
  html_scatter(file, r, 1);
  fputs("</div>\n", file);
}

#define BARS 40
#define HISTOGRAMS 10
#define REMEDIES 12

static void put_layers(FILE *file, const report *r) {
  int count;
  const layer **sorted = layers_sorted(&r->compared->layers, worst_first, &count);
  int shown = count < BARS ? count : BARS;
  fprintf(file, "<h2>Layers, worst first</h2>\n<p>Signal to quantization noise of the int8 model's tensors on %zu samples",
          r->compared->samples);
  if (shown < count && layer_rel_err(sorted[shown]) == 0)
    fprintf(file, "; %d more are exact", count - shown);
  else if (shown < count)
    fprintf(file, "; %d more are at %.1f dB or above", count - shown, sqnr_of(layer_rel_err(sorted[shown])));
  fputs(".</p>\n", file);
  html_bars(file, sorted, shown);
  fputs("<h2>Histograms of the worst tensors</h2>\n<p>Values in float on a logarithmic scale, and the range that 8 bits "
        "stand for.</p>\n<div class=\"charts\">\n",
        file);
  for (int i = 0, drawn = 0; i < count && drawn < HISTOGRAMS; i++)
    drawn += html_histogram(file, r, sorted[i]);
  fputs("</div>\n", file);
  free(sorted);
}

static void put_remedies(FILE *file, const report *r) {
  int count, shown = 0;
  const layer **sorted = layers_sorted(&r->compared->layers, most_born_first, &count);
  fputs("<h2>Where the error is born</h2>\n<p>What each layer adds when its inputs are exact, most first.</p>\n"
        "<table class=\"remedies\">\n<tr><th>Tensor</th><th class=\"n\">Adds</th><th class=\"n\">In all</th>"
        "<th>Why, and what to do</th></tr>\n",
        file);
  for (int i = 0; i < count && shown < REMEDIES; i++) {
    if (!sorted[i]->cause[0])
      continue;
    fputs("<tr><td class=\"name\">", file);
    html_text(file, sorted[i]->name);
    fputs("</td>", file);
    put_number(file, layer_born(sorted[i]));
    put_number(file, layer_rel_err(sorted[i]));
    fputs("<td>", file);
    html_text(file, sorted[i]->advice);
    fputs("</td></tr>\n", file);
    shown++;
  }
  fputs("</table>\n", file);
  free(sorted);
}

static void put_warnings(FILE *file, const qint8_ranges *ranges) {
  size_t count = qint8_ranges_warning_count(ranges, NULL);
  fputs("<h2>Calibration data</h2>\n", file);
  if (count == 0)
    fputs("<p>Nothing to warn about.</p>\n", file);
  else
    fputs("<table class=\"warnings\">\n<tr><th>Tensor</th><th>Warning</th></tr>\n", file);
  for (size_t i = 0; i < count; i++) {
    qint8_warning w = QINT8_WARNING_INIT;
    if (qint8_ranges_warning(ranges, NULL, i, &w, NULL) != QINT8_OK)
      continue;
    fputs("<tr><td class=\"name\">", file);
    html_text(file, w.tensor[0] ? w.tensor : "all");
    fputs("</td><td>", file);
    html_text(file, w.message);
    fputs("</td></tr>\n", file);
  }
  fputs(count ? "</table>\n" : "", file);
}

int report_html(const report *r, const char *path) {
  FILE *file = fopen(path, "w");
  if (!file)
    return fail("%s: cannot be opened for writing", path);
  fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<meta name=\"color-scheme\" content=\"light dark\">\n<title>",
        file);
  html_text(file, r->compared ? r->compared->int8_path : "qint8");
  fprintf(file, " - qint8 %s</title>\n%s</head>\n<body>\n<h1>qint8 %s</h1>\n", r->title, style, r->title);
  put_facts(file, r);
  put_configs(file, r);
  if (r->compared) {
    put_remedies(file, r);
    put_layers(file, r);
  }
  if (r->is_calibrated)
    put_warnings(file, r->ranges);
  fputs("</body>\n</html>\n", file);
  int broken = ferror(file);
  return fclose(file) || broken ? fail("%s: could not be written whole", path) : 0;
}
