/* report.c - what reports say, as JSON. */
#include <math.h>

#include "compare.h"

void json_layers(json *out, const layer *const *rows, int count) {
  json_open(out, "tensors", '[');
  for (int i = 0; i < count; i++) {
    const layer *row = rows[i];
    json_open(out, NULL, '{');
    json_text(out, "name", row->name);
    json_text(out, "operators", row->op);
    json_integer(out, "order", row->order);
    json_number(out, "sqnr_db", sqnr_of(layer_rel_err(row)));
    json_number(out, "rel_err", layer_rel_err(row));
    json_number(out, "cosine", layer_cosine(row));
    json_number(out, "born_rel_err", layer_born(row));
    json_number(out, "clip_rate", row->is_int8 ? layer_clip_rate(row) : NAN);
    json_number(out, "channel_ratio", row->channel_ratio);
    json_number(out, "weight_sqnr_db", isnan(row->weight_error) ? NAN : sqnr_of(sqrt(row->weight_error)));
    json_text(out, "weights", row->weights);
    json_text(out, "cause", row->cause);
    json_text(out, "advice", row->advice);
    json_close(out, '}');
  }
  json_close(out, ']');
}
