/* unknown.c - the message about operators that cannot run: "Scan (s1), Foo (f1, f2 and 3 more); advice". */
#include "onnx/unknown.h"

#include <stdio.h>
#include <string.h>

/* By the beginnings of operators' names. */
static const struct {
  const char *ops, *advice;
} advice[] = {
    {"Scan", "export the model with a fixed number of steps, unrolled"},
    {"Sequence", "lists of tensors have no fixed shape: trace the model (torch.jit.trace) instead of scripting it"},
    {"SplitToSequence", "lists of tensors have no fixed shape: split into a fixed number of parts"},
    {"ConcatFromSequence", "lists of tensors have no fixed shape: concatenate a fixed number of parts"},
    {"Optional", "optional values have no fixed shape: export the model without them"},
    {"DFT STFT MelWeightMatrix", "compute the spectrum before the model"},
    {"StringNormalizer TfIdfVectorizer", "prepare text before the model"},
    {"Random Bernoulli Multinomial",
     "export the model for inference (model.eval()), or make random values an input"},
    {"ai.onnx.preview.training", "export the model for inference, without its optimizer"},
    {"ai.onnx.ml", "keep the neural network alone, without the estimators around it"},
    {"com.microsoft",
     "ONNX Runtime's optimizer fused them: take the file from before it, or save with ORT_ENABLE_BASIC"},
    {"org.pytorch", "export with operator_export_type=ONNX and opset_version=17"},
};

static int begins_with_one(const char *op, const char *words) {
  for (size_t length; *words; words += length + (words[length] != 0)) {
    length = strcspn(words, " ");
    if (!strncmp(op, words, length))
      return 1;
  }
  return 0;
}

void q8_unknown_add(q8_unknown *list, const char *op_type, const char *domain, const char *node) {
  char op[sizeof list->kinds[0].op];
  int k = 0;
  snprintf(op, sizeof op, "%.24s%s%.28s", domain, *domain ? "." : "", op_type);
  if (!list->first)
    list->first = node;
  while (k < list->kind_count && strcmp(list->kinds[k].op, op))
    k++;
  if (k == Q8_UNKNOWN_KINDS) {
    list->more = 1;
    return;
  }
  if (k == list->kind_count)
    memcpy(list->kinds[list->kind_count++].op, op, sizeof op);
  size_t used = strlen(list->kinds[k].nodes), room = sizeof list->kinds[k].nodes - used;
  if (list->kinds[k].count++ == list->kinds[k].named && (strlen(node) + 3 < room || !used)) {
    snprintf(list->kinds[k].nodes + used, room, "%s%.44s", used ? ", " : "", node);
    list->kinds[k].named++;
  }
}

static const char *advice_for(const q8_unknown *list) {
  for (int k = 0; k < list->kind_count; k++)
    for (size_t i = 0; i < sizeof advice / sizeof advice[0]; i++)
      if (begins_with_one(list->kinds[k].op, advice[i].ops))
        return advice[i].advice;
  return "export with another opset (17 suits best), or cut the model in front of them";
}

q8_status q8_unknown_report(const q8_unknown *list, qint8_error *error) {
  char text[240] = "";
  if (!list->first)
    return QINT8_OK;
  int more = list->more;
  for (int k = 0; k < list->kind_count; k++) {
    char item[128], others[24] = "";
    int left = list->kinds[k].count - list->kinds[k].named;
    if (left)
      snprintf(others, sizeof others, " and %d more", left);
    snprintf(item, sizeof item, "%s%s (%s%s)", k ? ", " : "", list->kinds[k].op, list->kinds[k].nodes, others);
    size_t length = strlen(text), more_length = strlen(item);
    if (length + more_length < sizeof text)
      memcpy(text + length, item, more_length + 1);
    else
      more = 1;
  }
  return q8_fail(error, QINT8_ERROR_UNSUPPORTED, list->first, "operators that are not supported: %s%s; %s", text,
                 more ? ", and others" : "", advice_for(list));
}
