/* Which ISA a call runs on: the option, else QINT8_ISA, else the best of this CPU. */
#include <stdlib.h>
#include <string.h>

#include "models.h"
#include "test.h"

static const float weight_scale = 0.5f;
static const int8_t weight = 2;

static qint8_status make_plan(const qint8_model *model, const char *isa, char used[32], qint8_error *error) {
  qint8_plan_options options = QINT8_PLAN_OPTIONS_INIT;
  options.isa = isa;
  qint8_plan *plan;
  qint8_status status = qint8_plan_create(model, NULL, &options, NULL, &plan, error);
  CHECK((plan != NULL) == (status == QINT8_OK));
  snprintf(used, 32, "%s", plan ? qint8_plan_isa(plan) : "");
  qint8_plan_destroy(plan);
  return status;
}

static void expect_used(const qint8_model *model, const char *isa, const char *want) {
  char used[32];
  qint8_error error = QINT8_ERROR_INIT;
  CHECK_MSG(make_plan(model, isa, used, &error) == QINT8_OK && strcmp(used, want) == 0, "%s used, %s wanted: %s", used,
            want, error.message);
}

static void expect_refused(qint8_status status, const qint8_error *error, const char *where) {
  CHECK_MSG(status == QINT8_ERROR_UNSUPPORTED && strcmp(error->where, where) == 0 && error->message[0],
            "%s, where \"%s\": \"%s\"", qint8_status_name(status), error->where, error->message);
}

static void the_option_wins(void) {
  qint8_model *model = test_load("tiny", NULL);
  setenv("QINT8_ISA", "scalar", 1);
  for (size_t i = 0; model && qint8_isa_name(i); i++)
    expect_used(model, qint8_isa_name(i), qint8_isa_name(i));
  qint8_model_destroy(model);
}

static void the_environment_names_it(void) {
  qint8_model *model = test_load("tiny", NULL);
  for (size_t i = 0; model && qint8_isa_name(i); i++) {
    setenv("QINT8_ISA", qint8_isa_name(i), 1);
    expect_used(model, NULL, qint8_isa_name(i));
  }
  qint8_model_destroy(model);
}

static void nothing_said_means_the_best(void) {
  qint8_model *model = test_load("tiny", NULL);
  unsetenv("QINT8_ISA");
  expect_used(model, NULL, qint8_isa_name(0));
  setenv("QINT8_ISA", "", 1);
  expect_used(model, NULL, qint8_isa_name(0));
  qint8_model_destroy(model);
}

/* Every kind of call that chooses kernels. */
static void what_cannot_run_is_refused(void) {
  static const char *const names[] = {"z80", "neon", "avx512vnni", "avx512vbmi"};
  qint8_model *model = test_load("tiny", NULL);
  for (size_t i = 0; model && i < sizeof names / sizeof *names; i++) {
    int runs = 0;
    for (size_t k = 0; qint8_isa_name(k); k++)
      runs |= !strcmp(qint8_isa_name(k), names[i]);
    if (runs)
      continue;
    char used[32];
    qint8_error error = QINT8_ERROR_INIT;
    unsetenv("QINT8_ISA");
    expect_refused(make_plan(model, names[i], used, &error), &error, "isa");
    setenv("QINT8_ISA", names[i], 1);
    expect_refused(make_plan(model, NULL, used, &error), &error, "QINT8_ISA");
    qint8_calibrator *calibrator;
    expect_refused(qint8_calibrator_create(model, NULL, NULL, &calibrator, &error), &error, "QINT8_ISA");
    qint8_observer *observer;
    expect_refused(qint8_observer_create(NULL, NULL, &observer, &error), &error, "QINT8_ISA");
    qint8_qparams u8 = {sizeof u8, QINT8_DTYPE_U8, 1.0f, 0};
    float x = 1;
    uint8_t q;
    expect_refused(qint8_quantize(&x, 1, &u8, &q, &error), &error, "QINT8_ISA");
    qint8_gemm_desc desc = {.struct_size = sizeof desc, .n = 1, .k = 1, .weights = &weight, .w_scale = &weight_scale,
                            .w_scale_count = 1, .x = u8, .y = u8};
    qint8_operator *op;
    expect_refused(qint8_gemm_create(&desc, NULL, &op, &error), &error, "QINT8_ISA");
  }
  qint8_model_destroy(model);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(the_option_wins);
  RUN(the_environment_names_it);
  RUN(nothing_said_means_the_best);
  RUN(what_cannot_run_is_refused);
  return TEST_END();
}
