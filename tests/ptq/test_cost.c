/* Nodes stay float where int8 would be slower, unless forced; static models of any size are not touched. */
#include "models.h"
#include "test.h"

static size_t kept(const qint8_model *model, qint8_config config, int32_t force) {
  qint8_error error = QINT8_ERROR_INIT;
  qint8_recipe_options options = QINT8_RECIPE_OPTIONS_INIT;
  qint8_recipe *recipe = NULL;
  options.config = config;
  options.force = force;
  CHECK(qint8_recipe_create(model, NULL, &options, NULL, &recipe, &error) == QINT8_OK);
  size_t count = qint8_recipe_kept_float(recipe);
  qint8_recipe_destroy(recipe);
  return count;
}

/* Three products of 96, 128 and 8: quantizing their inputs costs more than int8 saves. */
static void tiny_dynamic(void) {
  qint8_model *model = test_load("tiny", NULL);
  CHECK_EQ(kept(model, QINT8_CONFIG_DYNAMIC, 0), 3);
  CHECK_EQ(kept(model, QINT8_CONFIG_DYNAMIC, 1), 0);
  qint8_model_destroy(model);
}

/* Of 43 products those of few channels stay float, those of many do not. */
static void network_dynamic(void) {
  qint8_model *model = test_load("demo", NULL);
  size_t count = kept(model, QINT8_CONFIG_DYNAMIC, 0);
  CHECK(count > 10 && count < 33);
  CHECK_EQ(kept(model, QINT8_CONFIG_DYNAMIC, 1), 0);
  qint8_model_destroy(model);
}

/* One quantization at the input serves all three. */
static void tiny_static(void) {
  qint8_model *model = test_load("tiny", NULL);
  qint8_recipe *recipe = test_recipe(model, QINT8_CONFIG_STATIC_PER_CHANNEL, NULL);
  CHECK_EQ(qint8_recipe_kept_float(recipe), 0);
  qint8_recipe_destroy(recipe);
  qint8_model_destroy(model);
}

static void network_static(void) {
  qint8_model *model = test_load("demo", NULL);
  qint8_recipe *recipe = test_recipe(model, QINT8_CONFIG_STATIC_PER_CHANNEL, NULL);
  CHECK_EQ(qint8_recipe_kept_float(recipe), 0);
  qint8_recipe_destroy(recipe);
  qint8_model_destroy(model);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(tiny_dynamic);
  RUN(network_dynamic);
  RUN(tiny_static);
  RUN(network_static);
  return TEST_END();
}
