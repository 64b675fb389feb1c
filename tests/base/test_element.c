/* Casts between element types: 16-bit floats, wrapping, truncation, strides. */
#include <math.h>
#include <string.h>

#include "base/element.h"
#include "test.h"

static void halves(void) {
  static const struct {
    double value;
    uint16_t bits;
  } cases[] = {{0, 0},           {-0.0, 0x8000},        {1, 0x3c00},       {-2, 0xc000},          {65504, 0x7bff},
               {65519, 0x7bff},  {65520, 0x7c00},       {INFINITY, 0x7c00}, {-INFINITY, 0xfc00},  {0x1p-24, 1},
               {0x1p-25, 0},     {0x1.8p-25, 1},        {0x1p-14, 0x400},  {0x3ffp-24, 0x3ff}, {0x3ff.8p-24, 0x400},
               {1 + 0x1p-11, 0x3c00}, {1 + 3 * 0x1p-11, 0x3c02}, {2 - 0x1p-12, 0x4000}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    uint16_t bits;
    q8_cast(QINT8_DTYPE_F64, &cases[i].value, 1, QINT8_DTYPE_F16, &bits, 1);
    CHECK_MSG(bits == cases[i].bits, "%g is %04x, expected %04x", cases[i].value, bits, cases[i].bits);
  }
  uint16_t nan = 0x7e00;
  CHECK(isnan(q8_element_double(QINT8_DTYPE_F16, &nan, 0)));
}

/* Every half is exact in float, so the way there and back is the identity. */
static void halves_there_and_back(void) {
  for (uint32_t bits = 0; bits < 0x10000; bits++) {
    uint16_t half = (uint16_t)bits, back;
    float f;
    if ((bits & 0x7c00) == 0x7c00 && (bits & 0x3ff))
      continue;
    q8_cast(QINT8_DTYPE_F16, &half, 1, QINT8_DTYPE_F32, &f, 1);
    q8_cast(QINT8_DTYPE_F32, &f, 1, QINT8_DTYPE_F16, &back, 1);
    CHECK_MSG(back == half, "%04x came back as %04x", half, back);
  }
}

static void brain_floats(void) {
  const float x[4] = {1, 1 + 0x1p-8f, 1 + 3 * 0x1p-8f, NAN};
  uint16_t y[4];
  q8_cast(QINT8_DTYPE_F32, x, 1, QINT8_DTYPE_BF16, y, 4);
  CHECK_EQ(y[0], 0x3f80);
  CHECK_EQ(y[1], 0x3f80);
  CHECK_EQ(y[2], 0x3f82);
  CHECK_EQ(y[3], 0x7fc0);
  CHECK(q8_element_double(QINT8_DTYPE_BF16, y, 2) == 1 + 0x1p-6);
}

static void integers(void) {
  const float x[6] = {-1.9f, 2.9f, 300, NAN, 3e19f, -0.0f};
  int8_t s8[6];
  uint64_t u64[6];
  uint8_t truth[6];
  q8_cast(QINT8_DTYPE_F32, x, 1, QINT8_DTYPE_S8, s8, 3);
  CHECK(s8[0] == -1 && s8[1] == 2 && s8[2] == 44);
  q8_cast(QINT8_DTYPE_F32, x, 1, QINT8_DTYPE_U64, u64, 6);
  CHECK(u64[0] == UINT64_MAX && u64[3] == 0 && u64[4] == UINT64_MAX);
  q8_cast(QINT8_DTYPE_F32, x, 1, QINT8_DTYPE_BOOL, truth, 6);
  CHECK(truth[0] == 1 && truth[3] == 1 && truth[5] == 0);
  const uint64_t large = UINT64_MAX;
  float f;
  q8_cast(QINT8_DTYPE_U64, &large, 1, QINT8_DTYPE_F32, &f, 1);
  CHECK(f == 0x1p64f);
  CHECK_EQ(q8_element_int(QINT8_DTYPE_U16, &large, 1), 65535);
}

static void strides_and_blocks(void) {
  enum { N = 1000 };
  static int32_t x[2 * N];
  static int16_t y[N];
  for (int i = 0; i < 2 * N; i++)
    x[i] = i - N;
  q8_cast(QINT8_DTYPE_S32, x, 2, QINT8_DTYPE_S16, y, N);
  for (int i = 0; i < N; i++)
    CHECK_EQ(y[i], 2 * i - N);
  q8_cast(QINT8_DTYPE_S32, x + 5, 0, QINT8_DTYPE_S16, y, N);
  CHECK(y[0] == 5 - N && y[N - 1] == 5 - N);
}

int main(int argc, char **argv) {
  TEST_BEGIN(argc, argv);
  RUN(halves);
  RUN(halves_there_and_back);
  RUN(brain_floats);
  RUN(integers);
  RUN(strides_and_blocks);
  return TEST_END();
}
