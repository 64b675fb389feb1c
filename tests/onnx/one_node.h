/* one_node.h - a model of one node "n" from a line of text. */
#ifndef Q8_TEST_ONNX_ONE_NODE_H
#define Q8_TEST_ONNX_ONE_NODE_H

#include <stdlib.h>

#include "builder.h"

/* "1,2,3" as at most 8 numbers, -2 behind them. */
static inline size_t parse_numbers(const char *text, int64_t *numbers) {
  size_t count = 0;
  for (char *end; count < 8; text = end + 1) {
    numbers[count++] = strtoll(text, &end, 10);
    if (*end != ',')
      break;
  }
  numbers[count] = -2;
  return count;
}

static inline void build_input_word(builder *b, const char *word, const char *name) {
  int64_t numbers[9];
  size_t count = parse_numbers(word + (*word == '='), numbers);
  if (*word == '=')
    build_constant(b, name, QINT8_DTYPE_S64, DIMS((int64_t)count), numbers, count * sizeof *numbers);
  else if (*word != '-')
    build_value(b, Q8_GRAPH_INPUT, name, numbers);
}

static inline void build_attribute_word(builder *b, const char *word) {
  size_t name = strcspn(word, "=:"), length = strcspn(word, " ");
  int64_t numbers[9];
  size_t mark = q8_write_begin(&b->w, Q8_NODE_ATTRIBUTE), count = parse_numbers(word + name + 1, numbers);
  q8_write_bytes(&b->w, Q8_ATTRIBUTE_NAME, word, name);
  if (word[name] == ':') {
    q8_write_bytes(&b->w, Q8_ATTRIBUTE_S, word + name + 1, length - name - 1);
    q8_write_varint(&b->w, Q8_ATTRIBUTE_TYPE, Q8_TYPE_STRING);
  } else if (count == 1) {
    q8_write_varint(&b->w, Q8_ATTRIBUTE_I, (uint64_t)numbers[0]);
    q8_write_varint(&b->w, Q8_ATTRIBUTE_TYPE, Q8_TYPE_INT);
  } else {
    for (size_t i = 0; i < count; i++)
      q8_write_varint(&b->w, Q8_ATTRIBUTE_INTS, (uint64_t)numbers[i]);
    q8_write_varint(&b->w, Q8_ATTRIBUTE_TYPE, Q8_TYPE_INTS);
  }
  q8_write_end(&b->w, mark);
}

static inline const char *next_word(const char *words) {
  words += strcspn(words, " ");
  return words + (*words == ' ');
}

/* inputs: shapes of float inputs "2,3 4", "=1,2" for a constant vector of 64-bit integers, "-" for one left out.
 * attributes: "axis=3 pads=1,1 mode:linear". At most 5 inputs. */
static inline void build_one_node(builder *b, int opset, const char *op, const char *inputs, const char *attributes) {
  static const char *const names[] = {"a", "b", "c", "d", "e"};
  char words[16] = "";
  size_t count = 0;
  build_begin(b, opset);
  for (const char *word = inputs; *word; word = next_word(word), count++) {
    build_input_word(b, word, names[count]);
    strcat(strcat(words, count ? " " : ""), *word == '-' ? "-" : names[count]);
  }
  size_t node = build_open_node(b, op, "n", words, "y");
  for (const char *word = attributes; *word; word = next_word(word))
    build_attribute_word(b, word);
  q8_write_end(&b->w, node);
  size_t output = q8_write_begin(&b->w, Q8_GRAPH_OUTPUT);
  q8_write_string(&b->w, Q8_INFO_NAME, "y");
  q8_write_end(&b->w, output);
  build_end(b);
}

#endif
