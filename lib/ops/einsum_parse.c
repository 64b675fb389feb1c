/* einsum_parse.c - the equation: "ij,jk->ik", with "..." for broadcast dimensions and repeated labels for diagonals. */
#include <ctype.h>
#include <string.h>

#include "ops/einsum.h"

#define ELLIPSIS 128 /* characters from here on stand for the dimensions behind "...", the last one first */

/* One term as characters: labels, and ELLIPSIS + d for the dimension d places before the last of the ellipsis. */
typedef struct term {
  int32_t count;
  int code[Q8_MAX_RANK + 2];
} term;

static q8_status bad(const q8_op_io *io, const char *why) {
  const q8_einsum_params *p = io->node->params;
  return q8_op_fail(io, QINT8_ERROR_SHAPE, "equation \"%s\": %s", p->equation, why);
}

/* Reads up to a comma, an arrow or the end. `rank` of the operand, or `ellipsis` dimensions in the output's (rank -1). */
static q8_status read_term(const q8_op_io *io, const char **at, int32_t rank, int32_t ellipsis, term *out) {
  int32_t letters = 0, dots = 0;
  for (const char *c = *at; *c && *c != ',' && *c != '-'; c++) {
    letters += isalpha((unsigned char)*c) != 0;
    dots += *c == '.';
    if (!isalpha((unsigned char)*c) && *c != '.' && *c != ' ')
      return bad(io, "an unknown character");
  }
  if (dots != 0 && dots != 3)
    return bad(io, "an ellipsis is three dots");
  int32_t hidden = !dots ? 0 : rank < 0 ? ellipsis : rank - letters;
  if (hidden < 0 || letters + hidden > Q8_MAX_RANK || (rank >= 0 && letters + hidden != rank))
    return bad(io, "a term does not fit the rank of its operand");
  out->count = 0;
  for (; **at && **at != ',' && **at != '-'; ++*at) {
    if (**at == ' ')
      continue;
    if (**at != '.') {
      out->code[out->count++] = (unsigned char)**at;
      continue;
    }
    if (strncmp(*at, "...", 3) != 0)
      return bad(io, "an ellipsis is three dots");
    *at += 2;
    for (int32_t d = hidden; d-- > 0;)
      out->code[out->count++] = ELLIPSIS + d;
  }
  return QINT8_OK;
}

/* Without an arrow: the ellipsis, then every label that occurs once, in alphabetical order. */
static void implicit_output(const term *terms, int32_t count, int32_t ellipsis, term *out) {
  out->count = 0;
  for (int32_t d = ellipsis; d-- > 0;)
    out->code[out->count++] = ELLIPSIS + d;
  for (int code = 'A'; code <= 'z'; code++) {
    int seen = 0;
    for (int32_t t = 0; t < count; t++)
      for (int32_t i = 0; i < terms[t].count; i++)
        seen += terms[t].code[i] == code;
    if (seen == 1 && out->count < Q8_MAX_RANK)
      out->code[out->count++] = code;
  }
}

/* The label of a code, new if it was not there. */
static int32_t label_of(int code, int *codes, q8_einsum *e) {
  for (int32_t l = 0; l < e->labels; l++)
    if (codes[l] == code)
      return l;
  if (e->labels == Q8_EINSUM_LABELS)
    return -1;
  codes[e->labels] = code;
  e->dim[e->labels] = 1;
  return e->labels++;
}

static q8_status take_operand(const q8_op_io *io, const term *t, int32_t operand, int *codes, q8_einsum *e) {
  const q8_shape *shape = &io->inputs[operand]->shape;
  int64_t stride[Q8_MAX_RANK];
  q8_strides(shape, stride);
  for (int32_t i = 0; i < t->count; i++) {
    int32_t label = label_of(t->code[i], codes, e);
    if (label < 0)
      return bad(io, "too many labels");
    int64_t d = shape->dim[i];
    if (e->dim[label] != 1 && d != 1 && e->dim[label] != d)
      return q8_op_fail(io, QINT8_ERROR_SHAPE, "operand %d of shape %p: %lld does not fit %lld", (int)operand,
                        shape, (long long)d, (long long)e->dim[label]);
    e->dim[label] = d == 1 ? e->dim[label] : d;
    e->stride[operand][label] += d == 1 ? 0 : stride[i]; /* a repeated label runs along the diagonal */
    e->used[operand] |= 1u << label;
  }
  return QINT8_OK;
}

q8_status q8_einsum_of(const q8_op_io *io, q8_einsum *e) {
  const q8_einsum_params *p = io->node->params;
  const char *at = p->equation;
  term terms[Q8_EINSUM_OPERANDS], out;
  int32_t count = io->node->input_count, ellipsis = 0;
  int codes[Q8_EINSUM_LABELS];
  *e = (q8_einsum){.operands = count};
  if (count > Q8_EINSUM_OPERANDS)
    return q8_op_fail(io, QINT8_ERROR_LIMIT, "%d operands, at most %d", (int)count, Q8_EINSUM_OPERANDS);
  for (int32_t i = 0; i < count; i++) {
    int32_t hidden = 0;
    Q8_TRY(read_term(io, &at, io->inputs[i]->shape.rank, 0, &terms[i]));
    for (int32_t j = 0; j < terms[i].count; j++)
      hidden += terms[i].code[j] >= ELLIPSIS;
    ellipsis = hidden > ellipsis ? hidden : ellipsis;
    if (i + 1 < count && *at++ != ',')
      return bad(io, "fewer terms than operands");
  }
  if (*at == '-') {
    if (at[1] != '>')
      return bad(io, "an arrow is ->");
    at += 2;
    Q8_TRY(read_term(io, &at, -1, ellipsis, &out));
  } else {
    implicit_output(terms, count, ellipsis, &out);
  }
  if (*at)
    return bad(io, "more terms than operands");
  for (int32_t i = 0; i < out.count; i++)
    if (label_of(out.code[i], codes, e) != i)
      return bad(io, "the output repeats a label");
  e->outputs = e->labels;
  for (int32_t i = 0; i < count; i++)
    Q8_TRY(take_operand(io, &terms[i], i, codes, e));
  for (int32_t l = 0; l < e->outputs; l++) {
    uint32_t any = 0;
    for (int32_t i = 0; i < count; i++)
      any |= e->used[i] >> l & 1;
    if (!any && codes[l] < ELLIPSIS)
      return bad(io, "the output has a label that no operand has");
  }
  return QINT8_OK;
}
