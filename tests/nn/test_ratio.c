/* Factors for repeated rows of a product: all pairs of bytes against the formula written out. */
#include <math.h>

#include "base/cpu.h"
#include "nn/ratio.h"
#include "test.h"

static uint8_t product(const q8_binary *p, int a, int b) {
  float va = (float)(a - p->a_zero) * p->a_scale, vb = (float)(b - p->b_zero) * p->b_scale;
  float t = rintf(va * vb / p->y_scale) + (float)p->y_zero;
  return (uint8_t)(t < 0 ? 0 : t > 255 ? 255 : t);
}

static uint8_t by_ratio(const q8_binary *p, const float *ratio, int a, int b) {
  float t = rintf((float)(a - p->a_zero) * ratio[b]) + (float)p->y_zero;
  return (uint8_t)(t < 0 ? 0 : t > 255 ? 255 : t);
}

/* Returns whether there are factors; if so, all pairs must agree. */
static int try_scales(float a_scale, float b_scale, float y_scale, q8_cpu_mask mask) {
  q8_binary p = {a_scale, b_scale, y_scale, test_random_int(0, 255), test_random_int(0, 255), test_random_int(0, 255),
                 0, 255, NULL};
  q8_kernels kernels;
  float ratio[256];
  int wrong = 0;
  q8_kernels_select(mask, &kernels);
  if (!q8_find_ratios(&kernels, &p, ratio))
    return 0;
  for (int a = 0; a < 256; a++)
    for (int b = 0; b < 256; b++)
      wrong += by_ratio(&p, ratio, a, b) != product(&p, a, b);
  CHECK_MSG(wrong == 0, "%d of 65536 pairs differ: scales %g %g %g", wrong, (double)a_scale, (double)b_scale,
            (double)y_scale);
  return 1;
}

/* Kernels that use the factors themselves: the search must see them fail where they do. */
static void every_pair_of_bytes_agrees(void) {
  int found = 0, tried = 60;
  for (int i = 0; i < tried; i++)
    found += try_scales(test_random_float(0.002f, 0.2f), 1.0f / 255, test_random_float(0.002f, 0.2f), q8_cpu_detect());
  CHECK_MSG(found * 10 >= tried * 9, "%d of %d", found, tried);
}

static void exact_products_have_factors(void) {
  CHECK(try_scales(0.5f, 0.25f, 1, q8_cpu_detect()));
  CHECK(try_scales(1, 0.5f, 0.25f, q8_cpu_detect()));
}

static void huge_quotients_have_none(void) {
  CHECK(!try_scales(1, 1, 1e-30f, q8_cpu_detect()));
  CHECK(!try_scales(1e30f, 1e30f, 1e-30f, q8_cpu_detect()));
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(every_pair_of_bytes_agrees);
  RUN(exact_products_have_factors);
  RUN(huge_quotients_have_none);
  return TEST_END();
}
