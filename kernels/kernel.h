/* kernel.h - what a kernel is: function types, records, and the set chosen for a CPU.
 *
 * This folder compiles alone: it includes libc headers and this file, nothing else.
 *
 * A kernel is a pure function on memory that the caller owns. It allocates nothing, keeps nothing, and gives
 * the same bytes on every ISA for the same arguments, the fp32 families too (the bits of a NaN excepted).
 * What an ISA folder offers stands in its `q8_isa` (see isa.def): a function per family, or a record table for families
 * of tiles, one row per kernel, ended by a row whose name is NULL. `q8_kernels_select` picks from them, the tests and
 * the benches walk them.
 *
 * Shape letters: M N K for GEMM; N H W C (input) R S (kernel) P Q K (output) for convolution.
 * Activations are uint8 in this folder. int8 activations of a user are the same bytes with the top bit flipped
 * and the zero point moved by 128, which the callers do once, at the border.
 */
#ifndef Q8_KERNEL_H
#define Q8_KERNEL_H

#include <stddef.h>
#include <stdint.h>

/* ---- CPU features a record may need --------------------------------------------------------------------- */

typedef uint32_t q8_cpu_mask;

#define Q8_CPU_AVX2 (1u << 0)       /* AVX2 and FMA */
#define Q8_CPU_AVXVNNI (1u << 1)    /* 256-bit vpdpbusd, VEX encoded */
#define Q8_CPU_AVX512 (1u << 2)     /* AVX512 F, BW, DQ, VL */
#define Q8_CPU_AVX512VNNI (1u << 3) /* 512-bit vpdpbusd */
#define Q8_CPU_AVX512VBMI (1u << 4) /* vpermi2b */
#define Q8_CPU_NEON (1u << 8)       /* AArch64 Advanced SIMD */
#define Q8_CPU_NEONDOT (1u << 9)    /* sdot, udot */
#define Q8_CPU_NEONI8MM (1u << 10)  /* smmla, usmmla, usdot */
#define Q8_CPU_NONE (1u << 31)      /* no CPU has it: what a folder needs that the compiler does not target */

/* ---- Epilogue of the int8 families ------------------------------------------------------------------------ */

/* Requantization of int32 accumulators to uint8:
 *   y = rne(clamp(f32(acc + bias[c]) * scale[c], lo - zp, hi - zp)) + zp
 * f32() rounds to nearest even, the product is one f32 multiplication, NaN cannot occur (scale is finite).
 * acc + bias wraps modulo 2^32. `bias` and `scale` are indexed by output channel; both arrays are readable up
 * to the channel count rounded up to 64. 0 <= lo <= hi <= 255, 0 <= zero_point <= 255. */
typedef struct q8_requant {
  const int32_t *bias;
  const float *scale;
  int32_t zero_point;
  int32_t lo, hi;
} q8_requant;

/* acc: rows x n int32, row stride acc_stride elements; y: rows x n bytes, row stride y_stride.
 * Channel c of the row is column c: callers offset rq->bias and rq->scale to the first column. */
typedef void q8_requant_fn(size_t rows, size_t n, const int32_t *acc, size_t acc_stride, const q8_requant *rq,
                           uint8_t *y, size_t y_stride);

/* y[i][c] = f32(acc[i][c] + o) * (row_scale[i] * scale[c]) + bias[c], clamped to [lo, hi]; multiply, then add: no FMA.
 * The product row_scale[i] * scale[c] is one f32 multiplication. o is offset[c], or (shift - zero[i]) * offset[c] where
 * rows have zero points, all modulo 2^32. offset, scale, bias readable up to n rounded to 64. */
typedef struct q8_dequant {
  const int32_t *offset;
  const float *scale;
  const float *bias;
  float lo, hi;
  const int32_t *zero; /* or NULL: offset[c] itself */
  int32_t shift;
  const float *row_scale; /* or NULL: 1 */
  size_t row_step;        /* row i has zero[i * row_step] and row_scale[i * row_step]: 1, or 0 where all rows share one */
} q8_dequant;
/* By what row i multiplies the offsets. */
static inline int32_t q8_dequant_factor(const q8_dequant *dq, size_t i) {
  return dq->zero ? (int32_t)((uint32_t)dq->shift - (uint32_t)dq->zero[i * dq->row_step]) : 1;
}
static inline float q8_dequant_row_scale(const q8_dequant *dq, size_t i) {
  return dq->row_scale ? dq->row_scale[i * dq->row_step] : 1.0f;
}
typedef void q8_dequant_acc_fn(size_t rows, size_t n, const int32_t *acc, size_t acc_stride, const q8_dequant *dq,
                               float *y, size_t y_stride);

/* ---- GEMM micro-kernel ------------------------------------------------------------------------------------ */

/* One full tile: acc[i][j] = sum over taps t, over k: (a[t * a_stride + i][k] - a_shift) * b(t, k, j), overwriting.
 *   a        a[t * a_stride + i] points at row i (i < mr) of tap t: k contiguous elements. A matrix has one tap;
 *            a convolution has one tap per kernel position and padding points at a row of zero points.
 *   k        elements per tap, a multiple of kr. Rows are read up to k, never beyond.
 *   b        one packed panel: [taps][k / kr][nr][kr] elements of b_bytes each, 64-byte aligned.
 *   acc      [mr][nr] int32, 64-byte aligned. No edges, strides, zero points or clamps: see lib/nn/linear.c. */
typedef void q8_gemm_fn(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b, int32_t *acc);

/* Tiles with their epilogue in one pass: y[i][j] = requant(acc[i][j]) for i < rows and j < columns <= nr, any number of
 * rows. Rows of a are those of the first tile, the second, ...: a[t * a_stride + i] is row i, and must exist for i up to
 * `rows` rounded up to mr. rq begins at the panel's first column.
 *   next     the panel that will be used after this one, of its size: fetched meanwhile. b itself if there is none, as
 *            fetching from pages that are not there is slow. 1 KB behind b may be fetched too. */
typedef void q8_gemm_u8_fn(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b,
                           const void *next, const q8_requant *rq, size_t rows, size_t columns, uint8_t *y,
                           size_t y_stride);

typedef struct q8_gemm_kernel {
  const char *name; /* gemm_<isa>_<mr>x<nr> */
  q8_cpu_mask needs;
  uint8_t mr, nr, kr;
  uint8_t a_bytes; /* 1: rows are uint8; 2: rows are int16, widened by the driver, and a_shift is 0 */
  uint8_t b_bytes; /* 1: int8; 2: int16 */
  uint8_t a_shift; /* 0, or 128 where the kernel flips the top bit of A to use signed multiplies */
  int8_t b_min;    /* smallest weight for which the kernel is exact: -128 or -127 */
  q8_gemm_fn *run;
  /* NULL: the driver calls the requant family on the accumulators. The same as that of the row after it: it has tiles of
   * several heights, and the driver leaves no rows to shorter ones, which are called for at most their own mr. */
  q8_gemm_u8_fn *run_u8;
} q8_gemm_kernel;

/* ---- Depthwise convolution, multiplier 1 ------------------------------------------------------------------- */

typedef struct q8_dwconv_shape {
  size_t channels;
  size_t r, s;         /* kernel height and width */
  size_t q;            /* output pixels in the row */
  size_t col_step;     /* input columns between outputs: the horizontal stride */
  size_t col_dilation; /* input columns between taps */
  size_t offset;       /* elements added to every pointer of `cols`, so that one table serves rows further down */
} q8_dwconv_shape;

/* One output row: y[x][c] = requant(sum over i < r, j < s:
 *     (cols[(x * col_step + j * col_dilation) * r + i][offset + c] - a_shift) * w[i][j][c]).
 *   cols   cols[x * r + i] + offset points at the `channels` bytes of input column x in kernel row i; padding points at
 *          a row of zero points. There are (q - 1) * col_step + (s - 1) * col_dilation + 1 columns.
 *   w      packed by the record's own `pack`, 64-byte aligned.
 * Never reads beyond the `channels` bytes of a column. */
typedef void q8_dwconv_fn(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,
                          const uint8_t *const *cols, uint8_t *y, size_t y_stride);

/* The sums alone: acc[x][c] for x < q and c < channels, row stride acc_stride elements. */
typedef void q8_dwconv_sums_fn(const q8_dwconv_shape *shape, const void *w, const uint8_t *const *cols, int32_t *acc,
                               size_t acc_stride);

/* Two output rows whose kernel rows are one input row apart, y and y + row_stride (not 0): cols has r + 1 pointers per
 * input column, of which the second output row uses the last r. For col_step and col_dilation 1 only. */
typedef void q8_dwconv_pair_fn(const q8_dwconv_shape *shape, const void *w, const q8_requant *rq,
                               const uint8_t *const *cols, uint8_t *y, size_t y_stride, size_t row_stride);

typedef struct q8_dwconv_kernel {
  const char *name; /* dwconv_<isa>[_<r>x<s>] */
  q8_cpu_mask needs;
  uint8_t r, s;    /* the kernel size served, 0 for any */
  uint8_t a_shift; /* as in q8_gemm_kernel */
  int8_t b_min;
  size_t (*packed_size)(size_t channels, size_t r, size_t s);
  void (*pack)(size_t channels, size_t r, size_t s, const int8_t *w /* [r][s][channels] */, void *packed);
  q8_dwconv_fn *run;
  q8_dwconv_sums_fn *run_sums;
  q8_dwconv_pair_fn *run_pair; /* or NULL */
} q8_dwconv_kernel;

/* ---- Rows of values ------------------------------------------------------------------------------------------ */

/* y = clamp(rne(x / scale) + zero_point, 0, 255) ^ flip; true division; NaN gives 0 ^ flip. flip is 0 (u8 result)
 * or 0x80 (s8 result: pass the zero point plus 128). */
typedef void q8_quantize_fn(size_t n, const float *x, float scale, int32_t zero_point, uint8_t flip, uint8_t *y);
/* y = f32((x ^ flip) - zero_point) * scale */
typedef void q8_dequantize_fn(size_t n, const uint8_t *x, float scale, int32_t zero_point, uint8_t flip, float *y);
/* Smallest and largest of n values; NaN is skipped; n = 0 or all NaN gives +inf, -inf; a zero result
 * is +0. Returns 0 if there is a NaN, else 1. */
typedef int q8_minmax_fn(size_t n, const float *x, float *min, float *max);
/* The same of each of `rows` rows of n values, one behind the other. Returns 0 if there is a NaN in any. */
typedef struct q8_ends {
  float min, max;
} q8_ends;
typedef int q8_minmax_rows_fn(size_t rows, size_t n, const float *x, q8_ends *ends);
/* Where the values that are not zero fall in a histogram of Q8_SLOTS slots used as a ring: floor(x * inverse) mod Q8_SLOTS
 * of each, in order and without gaps. Returns how many there are, or Q8_NAN if there is a NaN: then slots mean nothing.
 * |x * inverse| <= 2^22. `slot` has room for n + Q8_SLOTS_SLACK, which may be written. */
#define Q8_SLOTS 2048
#define Q8_SLOTS_SLACK 16
#define Q8_NAN ((size_t)-1)
typedef size_t q8_slots_fn(size_t n, const float *x, float inverse, uint16_t *slot);
/* y = table[x] of 256 entries, in place allowed: any function of a byte, behind whichever family made the bytes. */
typedef void q8_table_fn(size_t n, const uint8_t *x, const uint8_t *table, uint8_t *y);

/* Binary elementwise in the QDQ form: va = f32(a - za) * sa, vb = f32(b - zb) * sb,
 *   y = clamp(rne((va OP vb) / sy) + zy, lo, hi). Every step is one f32 operation.
 * rows x n bytes each; a stride of 0 repeats one row (a squeeze-excite scale). In place (y == a) allowed. */
typedef struct q8_binary {
  float a_scale, b_scale, y_scale;
  int32_t a_zero, b_zero, y_zero;
  int32_t lo, hi;
  /* Of mul, NULL or 256 factors: clamp(rne(f32(a - za) * ratio[b]) + zy, lo, hi) is the same byte for every a and b, and
   * no product reaches 2^30. A kernel may use them where a row is repeated. */
  const float *ratio;
} q8_binary;
typedef void q8_binary_fn(size_t rows, size_t n, const uint8_t *a, size_t a_stride, const uint8_t *b,
                          size_t b_stride, const q8_binary *p, uint8_t *y, size_t y_stride);

/* y[c] = max over t < taps of a[t][c] */
typedef void q8_max_rows_fn(size_t taps, size_t n, const uint8_t *const *a, uint8_t *y);
/* acc[c] = sum over t < taps of a[t * stride + c]; taps <= 2^23 */
typedef void q8_sum_rows_fn(size_t taps, size_t n, const uint8_t *a, size_t stride, int32_t *acc);
/* y[c][r] = x[r][c] for rows x cols elements of one byte (`transpose8`) or four (`transpose32`). */
typedef void q8_transpose_fn(size_t rows, size_t cols, const void *x, size_t x_stride, void *y, size_t y_stride);
/* Weights into a panel of int16 pairs: y[p * y_stride + r] = the pair x[r * x_stride + 2p], x[r * x_stride + 2p + 1], for
 * r < rows and p < pairs. y_stride counts pairs. */
typedef void q8_pack_pairs_fn(size_t rows, size_t pairs, const int8_t *x, size_t x_stride, int16_t *y, size_t y_stride);
/* y = x: rows for tiles with a_bytes 2. */
typedef void q8_widen_fn(size_t n, const uint8_t *x, int16_t *y);

/* ---- fp32 ---------------------------------------------------------------------------------------------------- */

/* As q8_gemm_u8_fn in fp32 with kr = 1: panel [taps][k][nr], y = clamp(acc + bias, lo, hi), bias from the panel's first
 * column and readable for nr. Each sum starts at 0 and takes one fused multiply-add (one rounding) per tap and k, in that
 * order: never in parts, never as multiply and add. clamp(v) is v < lo ? lo : v > hi ? hi : v: NaN and -0 pass. */
typedef void q8_sgemm_fn(size_t taps, size_t k, const void *const *a, size_t a_stride, const float *b,
                         const float *bias, float lo, float hi, size_t rows, size_t columns, float *y, size_t y_stride);
typedef struct q8_sgemm_kernel {
  const char *name;
  q8_cpu_mask needs;
  uint8_t mr, nr;
  q8_sgemm_fn *run;
} q8_sgemm_kernel;

/* As q8_dwconv_fn in fp32: weights [r][s][channels] unpacked. The sum starts at bias[c] and takes one fused multiply-add
 * per i and j, in that order; then the clamp. bias is never NULL. The columns of a kernel row lie side by side, cols[i * columns
 * + x], and there are enough for Q8_SDWCONV_PIXELS outputs. */
enum { Q8_SDWCONV_PIXELS = 7 };
static inline size_t q8_sdwconv_columns(const q8_dwconv_shape *shape) {
  const size_t q = shape->q < Q8_SDWCONV_PIXELS ? Q8_SDWCONV_PIXELS : shape->q;
  return (q - 1) * shape->col_step + (shape->s - 1) * shape->col_dilation + 1;
}
typedef void q8_sdwconv_fn(const q8_dwconv_shape *shape, const float *w, const float *bias, float lo, float hi,
                           const float *const *cols, float *y, size_t y_stride);

/* y = f(x), in place allowed. alpha and beta are those of ONNX's operators: HARD_SIGMOID reads them, EXP and ELU alpha. Each
 * function is a fixed sequence of +, -, *, / and comparisons in f32: see srows.h. */
typedef enum q8_sunary_function {
  Q8_SUNARY_NONE,
  Q8_SUNARY_HARD_SIGMOID, /* clamp(alpha x + beta, 0, 1) */
  Q8_SUNARY_HARD_SWISH,   /* x clamp(x / 6 + 0.5, 0, 1) */
  Q8_SUNARY_SIGMOID,
  Q8_SUNARY_SILU, /* x sigmoid(x) */
  Q8_SUNARY_TANH,
  Q8_SUNARY_ERF,
  Q8_SUNARY_GELU,     /* x / 2 (1 + erf(x / sqrt(2))) */
  Q8_SUNARY_GELU_TANH, /* x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) */
  Q8_SUNARY_EXP,       /* e^(x - alpha) */
  Q8_SUNARY_ELU,       /* x < 0 ? alpha (e^x - 1) : x */
  Q8_SUNARY_LOG,
  Q8_SUNARY_SOFTPLUS, /* log(1 + e^x) */
  Q8_SUNARY_COUNT
} q8_sunary_function;
typedef struct q8_sunary {
  q8_sunary_function function;
  float alpha, beta;
} q8_sunary;
typedef void q8_sunary_fn(size_t n, const q8_sunary *f, const float *x, float *y);

/* y = a OP b: rows x n values each; a stride of 0 repeats one row. In place (y == a or y == b) allowed. */
typedef void q8_sbinary_fn(size_t rows, size_t n, const float *a, size_t a_stride, const float *b, size_t b_stride,
                           float *y, size_t y_stride);
/* y[c] = 0 + x[0][c] + x[1][c] + ..., in that order. */
typedef void q8_ssum_rows_fn(size_t rows, size_t n, const float *x, size_t stride, float *y);

/* ---- Tables ---------------------------------------------------------------------------------------------------- */

/* The families of one function each: what an ISA folder offers of them, and what is chosen for a CPU. A kernel's name is that of its
 * family and its ISA ("requant_avx2"). */
#define Q8_FUNCTIONS                                                                                               \
  q8_requant_fn *requant;                                                                                          \
  q8_dequant_acc_fn *dequant_acc;                                                                                  \
  q8_quantize_fn *quantize;                                                                                        \
  q8_dequantize_fn *dequantize;                                                                                    \
  q8_minmax_fn *minmax;                                                                                            \
  q8_minmax_rows_fn *minmax_rows;                                                                                  \
  q8_slots_fn *slots;                                                                                              \
  q8_table_fn *table;                                                                                              \
  q8_binary_fn *add, *mul;                                                                                         \
  q8_max_rows_fn *max_rows;                                                                                        \
  q8_sum_rows_fn *sum_rows;                                                                                        \
  q8_transpose_fn *transpose8, *transpose32;                                                                       \
  q8_pack_pairs_fn *pack_pairs;                                                                                    \
  q8_widen_fn *widen;                                                                                              \
  q8_sdwconv_fn *sdwconv;                                                                                          \
  q8_sunary_fn *sunary;                                                                                            \
  q8_sbinary_fn *sadd, *smul;                                                                                      \
  q8_ssum_rows_fn *ssum_rows;

/* Everything an ISA folder offers. A family it does not have is NULL, and the next older ISA serves.
 * In the gemm and sgemm tables the widest tile comes first and every narrower one shares its kr, b_bytes,
 * a_bytes and a_shift per b_min class, so that one packed matrix can mix panel widths; of one width the tallest
 * comes first, shorter ones after it serve the last rows. */
typedef struct q8_isa {
  const char *name;
  q8_cpu_mask needs; /* what the folder is compiled for: no row runs without these bits */
  const q8_gemm_kernel *gemm;
  const q8_dwconv_kernel *dwconv;
  const q8_sgemm_kernel *sgemm;
  Q8_FUNCTIONS
} q8_isa;

/* All ISA folders, newest first, scalar last (isa.def). One that the compiler does not target has a name and Q8_CPU_NONE. */
extern const q8_isa *const q8_isa_list[];
extern const size_t q8_isa_count;

/* ---- Selection --------------------------------------------------------------------------------------------------- */

/* The best kernel of each family for a mask of CPU bits. Plain data: copy freely. */
typedef struct q8_kernels {
  q8_cpu_mask mask;
  const q8_isa *gemm_isa;     /* whose gemm table serves weights in [-127, 127] */
  const q8_gemm_kernel *gemm; /* first row of that table with b_min >= -127 allowed; widest tile */
  const q8_gemm_kernel *gemm_full; /* first row that is exact for -128 */
  const q8_sgemm_kernel *sgemm;
  Q8_FUNCTIONS
} q8_kernels;

/* Fills `out` for the CPU bits in `mask`; mask 0 gives the scalar kernels. */
void q8_kernels_select(q8_cpu_mask mask, q8_kernels *out);

/* The depthwise record for a kernel size, or NULL never: scalar serves every size. `w_min` is the smallest weight. */
const q8_dwconv_kernel *q8_kernels_dwconv(q8_cpu_mask mask, size_t r, size_t s, int w_min);

/* The narrowest gemm record that covers `n` columns among `first` and the rows after it that share its packing;
 * `first` itself when n >= first->nr. */
const q8_gemm_kernel *q8_gemm_for_columns(const q8_gemm_kernel *first, size_t n);
const q8_sgemm_kernel *q8_sgemm_for_columns(const q8_sgemm_kernel *first, size_t n);

/* The shortest tile that covers `m` rows among `tile` and the rows after it with its width and packing, so that one
 * row (batch 1) need not pay for a full tile; `tile` itself when m >= tile->mr. Its acc is [its own mr][nr]. */
const q8_gemm_kernel *q8_gemm_for_rows(const q8_gemm_kernel *tile, size_t m);
const q8_sgemm_kernel *q8_sgemm_for_rows(const q8_sgemm_kernel *tile, size_t m);

/* For m rows, whose time goes into reading the panels: a narrower record among the rows after `first` that share its packing,
 * whose taller tiles m is a multiple of, as these read each panel fewer times; else `first`. */
const q8_gemm_kernel *q8_gemm_for_few_rows(const q8_gemm_kernel *first, size_t m);

/* The ISA with that name, or NULL; also NULL for one that the compiler does not target. */
const q8_isa *q8_isa_find(const char *name);

/* Kernels keep small accumulator tiles in registers only if their constant-bound loops are unrolled: gcc 12 -O2
 * leaves them rolled, with the accumulators in memory (measured 2.6 times slower). Put before such loops. */
/* A file that defines Q8_LARGE_BODIES first is not unrolled under AddressSanitizer: with every load checked it would take
 * minutes to compile. */
#if defined(Q8_LARGE_BODIES) && defined(__has_feature)
#if __has_feature(address_sanitizer)
#define Q8_SMALL_BODIES
#endif
#endif
#if defined(Q8_SMALL_BODIES)
#define Q8_UNROLL
#elif defined(__clang__)
#define Q8_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define Q8_UNROLL _Pragma("GCC unroll 64")
#else
#define Q8_UNROLL
#endif
/* Shared by several bodies that it would make too large. */
#if defined(__GNUC__)
#define Q8_NOINLINE __attribute__((noinline))
#else
#define Q8_NOINLINE
#endif
#if defined(Q8_SMALL_BODIES)
#define Q8_INLINE static inline __attribute__((unused))
#else
#define Q8_INLINE static inline __attribute__((always_inline))
#endif

#endif
