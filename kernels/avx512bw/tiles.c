/* tiles.c - GEMM tiles around their products: the walk over tiles and taps, and requantization. It is asm, as compilers move
 * accumulators to other registers and back when a loop holds most of them, and addresses through vector registers, where they
 * wait for the multiplications before them.
 *
 * The sums of all tiles, row by row in zmm0 to zmm23, are requantized four registers at a time: a group of 64 bytes, which is a row of
 * 64 columns, two of 32, four of 16, or three quarters of four of 48. */
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) &&       \
    defined(__x86_64__)
#include "tiles.h"

enum { VECTORS = 6, ROOM = 4096 }; /* the latter for the bytes of several tiles */

/* With the number of groups of a tile. */
#define AT_LEAST 0x8000u    /* a lower bound */
#define CLAMPED 0x80000000u /* an upper bound, or a scale from 1 up, whose products may exceed int32 */

/* Fields within 127 bytes have short addresses. */
typedef struct {
  q8_avx512_walk products;
  q8_avx512_products *multiply;
  const void *const *a;
  const uint8_t *b;
  uint8_t *y;
  size_t y_step, tile_step;
  size_t a_step, k;
  size_t left; /* taps of this tile that are not done */
  uint32_t tiles, flags;
  size_t taps, group_step;
  uint32_t shorter; /* tiles of one row less, to be done after `tiles` */
  uint32_t sums;    /* instead of bytes */
  const char *next;
  uint64_t mask;
  __m512i zero_point, lo, order;
  __m512 top;
  /* Of the columns of a group, `group_step` bytes further on of the next one, and of the third; then these again. */
  __m512i bias[VECTORS];
  __m512 scale[VECTORS];
} walk;

#define OF_GROUP_0 "(%%rdi)"
#define OF_GROUP_1 "(%%rdi, %%rax)"
#define OF_GROUP_2 "(%%rdi, %%rax, 2)"
#define OF_GROUP_3 OF_GROUP_0
#define OF_GROUP_4 OF_GROUP_1
#define OF_GROUP_5 OF_GROUP_2

#define BEGIN(i, c0, c1, c2, c3)                                                                             \
  "vmovdqa64 %c[bias]" OF_GROUP_##i ", %%zmm" #c0 "\n\t"                                                     \
  "vmovdqa64 64+%c[bias]" OF_GROUP_##i ", %%zmm" #c1 "\n\t"                                                  \
  "vmovdqa64 128+%c[bias]" OF_GROUP_##i ", %%zmm" #c2 "\n\t"                                                 \
  "vmovdqa64 192+%c[bias]" OF_GROUP_##i ", %%zmm" #c3 "\n\t"

/* A group as bytes, in the order of narrow_plain, and then the next tile's begun, which leaves the decoder no gap. */
#define AS_BYTES(s0, s1, s2, s3, c0, c1, c2, c3, begin)                                                                            \
  "vcvtdq2ps %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                                                 \
  "vcvtdq2ps %%zmm" #c1 ", %%zmm" #c1 "\n\t"                                                                 \
  "vcvtdq2ps %%zmm" #c2 ", %%zmm" #c2 "\n\t"                                                                 \
  "vcvtdq2ps %%zmm" #c3 ", %%zmm" #c3 "\n\t"                                                                 \
  "vmulps " s0 ", %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                         \
  "vmulps " s1 ", %%zmm" #c1 ", %%zmm" #c1 "\n\t"                                      \
  "vmulps " s2 ", %%zmm" #c2 ", %%zmm" #c2 "\n\t"                                     \
  "vmulps " s3 ", %%zmm" #c3 ", %%zmm" #c3 "\n\t"                                     \
  "test %%esi, %%esi\n\t"                                                                                    \
  "jns 3f\n\t"                                                                                               \
  "vminps %%zmm" #c0 ", %%zmm29, %%zmm" #c0 "\n\t"                                                           \
  "vminps %%zmm" #c1 ", %%zmm29, %%zmm" #c1 "\n\t"                                                           \
  "vminps %%zmm" #c2 ", %%zmm29, %%zmm" #c2 "\n\t"                                                           \
  "vminps %%zmm" #c3 ", %%zmm29, %%zmm" #c3 "\n"                                                             \
  "3:\n\t"                                                                                                   \
  "vcvtps2dq %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                                                 \
  "vcvtps2dq %%zmm" #c1 ", %%zmm" #c1 "\n\t"                                                                 \
  "vcvtps2dq %%zmm" #c2 ", %%zmm" #c2 "\n\t"                                                                 \
  "vcvtps2dq %%zmm" #c3 ", %%zmm" #c3 "\n\t"                                                                 \
  "vpackssdw %%zmm" #c1 ", %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                                   \
  "vpackssdw %%zmm" #c3 ", %%zmm" #c2 ", %%zmm" #c2 "\n\t"                                                   \
  "vpaddsw %%zmm28, %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                                          \
  "vpaddsw %%zmm28, %%zmm" #c2 ", %%zmm" #c2 "\n\t"                                                          \
  "vpackuswb %%zmm" #c2 ", %%zmm" #c0 ", %%zmm" #c0 "\n\t"                                                   \
  "vpermd %%zmm" #c0 ", %%zmm31, %%zmm" #c0 "\n\t"                                                           \
  "test %%si, %%si\n\t"                                                                                      \
  "jns 3f\n\t"                                                                                               \
  "vpmaxub %%zmm" #c0 ", %%zmm30, %%zmm" #c0 "\n"                                                            \
  "3:\n\t"                                                                                                   \
  "vmovdqu8 %%zmm" #c0 ", (%%rdx)%{%%k1%}\n\t"                                                               \
  "add %%rcx, %%rdx\n\t" begin
#define FINISH(i, c0, c1, c2, c3)                                                                            \
  AS_BYTES("%c[scale]" OF_GROUP_##i, "64+%c[scale]" OF_GROUP_##i, "128+%c[scale]" OF_GROUP_##i,              \
           "192+%c[scale]" OF_GROUP_##i, c0, c1, c2, c3, BEGIN(i, c0, c1, c2, c3))
/* Of 16 columns, which wait for loads, with bias and scale in registers. */
#define BEGIN_16(sum) "vmovdqa64 %%zmm25, %%zmm" #sum "\n\t"
#define FINISH_16(c0, c1, c2, c3)                                                                            \
  AS_BYTES("%%zmm24", "%%zmm24", "%%zmm24", "%%zmm24", c0, c1, c2, c3,                                       \
           BEGIN_16(c0) BEGIN_16(c1) BEGIN_16(c2) BEGIN_16(c3))
#define STORE(i, c0, c1, c2, c3)                                                                             \
  "vmovdqa64 %%zmm" #c0 ", 256*" #i "(%%rdx)\n\t"                                                            \
  "vmovdqa64 %%zmm" #c1 ", 256*" #i "+64(%%rdx)\n\t"                                                         \
  "vmovdqa64 %%zmm" #c2 ", 256*" #i "+128(%%rdx)\n\t"                                                        \
  "vmovdqa64 %%zmm" #c3 ", 256*" #i "+192(%%rdx)\n\t"

/* A row of 64 columns has one group, eight rows of 16, 32 and 48 two, four and six. */
#define EACH_GROUP(group)                                                                                    \
  group(0, 0, 1, 2, 3) "cmp $2, %%sil\n\tjb 9f\n\t" group(1, 4, 5, 6, 7) "cmp $2, %%sil\n\tje 9f\n\t"        \
  group(2, 8, 9, 10, 11) group(3, 12, 13, 14, 15) "cmp $5, %%sil\n\tjb 9f\n\t"                               \
  group(4, 16, 17, 18, 19) "cmp $5, %%sil\n\tje 9f\n\t" group(5, 20, 21, 22, 23) "9:\n\t"

#define ADDRESS(i, row) "mov 8*" #i "(%%rsi), %%" #row "\n\t"
/* The beginning of a row, into L1. */
#define FETCH(i, row) "mov 8*" #i "(%%rsi), %%rax\n\tprefetcht0 (%%rax)\n\t"
#define EACH_ROW(row)                                                                                        \
  "cmpb $5, %c[height](%%rdi)\n\t" row(0, r8) row(1, r9) row(2, r10) row(3, r11) "jb 9f\n\t"                 \
  row(4, r12) "je 9f\n\t" row(5, r13) "cmpb $6, %c[height](%%rdi)\n\tje 9f\n\t" row(6, r14) row(7, r15) "9:\n\t"

#define FIELD(name) [name] "i"(offsetof(walk, name))

/* Pointers of the next tap are read only if there is one, then those of the next tile, or again of this one if it is the last:
 * before this one is finished, as the first products wait for them. Calls take 8 bytes below the stack, beyond those that the
 * compiler may use. */
static Q8_NOINLINE void run_tiles(walk *w) {
  __asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
                   "kmovq %c[mask](%%rdi), %%k1\n\t"
                   "mov %c[next](%%rdi), %%rbx\n\t"
                   "mov %c[group_step](%%rdi), %%rax\n\t"
                   BEGIN(0, 0, 1, 2, 3) BEGIN(1, 4, 5, 6, 7) BEGIN(2, 8, 9, 10, 11)
                   BEGIN(3, 12, 13, 14, 15) BEGIN(4, 16, 17, 18, 19) BEGIN(5, 20, 21, 22, 23)
                   "vmovaps %c[scale](%%rdi), %%zmm24\n\t"
                   "vmovdqa64 %c[bias](%%rdi), %%zmm25\n\t"
                   "mov %c[k](%%rdi), %%rcx\n"
                   "10:\n\t"
                   "mov %c[a](%%rdi), %%rsi\n\t"
                   "mov %c[b](%%rdi), %%rdx\n\t"
                   "mov %c[taps](%%rdi), %%rax\n\t"
                   "mov %%rax, %c[left](%%rdi)\n"
                   "11:\n\t"
                   "mov (%%rsi), %%r8\n\t"
                   "cmpb $1, %c[height](%%rdi)\n\t"
                   "je 9f\n\t" EACH_ROW(ADDRESS)
                   "cmpq $0, %c[left](%%rdi)\n\t"
                   "je 20f\n"
                   "12:\n\t"
                   "add %c[a_step](%%rdi), %%rsi\n\t"
                   "cmpq $1, %c[left](%%rdi)\n\t"
                   "je 9f\n\t"
                   "cmpb $1, %c[height](%%rdi)\n\t"
                   "je 9f\n\t" EACH_ROW(FETCH)
                   "call *%c[multiply](%%rdi)\n\t"
                   "decq %c[left](%%rdi)\n\t"
                   "jnz 11b\n\t"
                   "mov %c[a](%%rdi), %%rsi\n\t"
                   "mov %c[height](%%rdi), %%rax\n\t"
                   "lea (%%rsi, %%rax, 8), %%rax\n\t"
                   "cmpl $1, %c[tiles](%%rdi)\n\t"
                   "cmovne %%rax, %%rsi\n\t"
                   "mov %%rsi, %c[a](%%rdi)\n\t"
                   "jmp 11b\n"
                   "20:\n\t"
                   "mov %c[y](%%rdi), %%rdx\n\t"
                   "mov %c[flags](%%rdi), %%esi\n\t"
                   "cmpl $0, %c[sums](%%rdi)\n\t"
                   "jne 30f\n\t"
                   "mov %c[tile_step](%%rdi), %%rax\n\t"
                   "add %%rax, %c[y](%%rdi)\n\t"
                   "mov %c[y_step](%%rdi), %%rcx\n\t"
                   "mov %c[group_step](%%rdi), %%rax\n\t"
                   "vmovdqa64 %c[zero_point](%%rdi), %%zmm28\n\t"
                   "vmovaps %c[top](%%rdi), %%zmm29\n\t"
                   "vmovdqa64 %c[lo](%%rdi), %%zmm30\n\t"
                   "vmovdqa64 %c[order](%%rdi), %%zmm31\n\t"
                   "cmp $2, %%sil\n\t"
                   "je 40f\n\t" EACH_GROUP(FINISH)
                   "41:\n\t"
                   "mov %c[k](%%rdi), %%rcx\n\t"
                   "decl %c[tiles](%%rdi)\n\t"
                   "jz 5f\n\t"
                   "mov %c[a](%%rdi), %%rsi\n\t"
                   "mov %c[b](%%rdi), %%rdx\n\t"
                   "mov %c[taps](%%rdi), %%rax\n\t"
                   "mov %%rax, %c[left](%%rdi)\n\t"
                   "jmp 12b\n"
                   "5:\n\t"
                   "mov %c[shorter](%%rdi), %%eax\n\t"
                   "test %%eax, %%eax\n\t"
                   "jz 6f\n\t"
                   "mov %%eax, %c[tiles](%%rdi)\n\t"
                   "movl $0, %c[shorter](%%rdi)\n\t"
                   "mov %c[height](%%rdi), %%rax\n\t"
                   "shl $3, %%eax\n\t"
                   "add %%rax, %c[a](%%rdi)\n\t"
                   "mov %c[y_step](%%rdi), %%rax\n\t"
                   "sub %%rax, %c[tile_step](%%rdi)\n\t"
                   "decq %c[height](%%rdi)\n\t"
                   "decl %c[flags](%%rdi)\n\t"
                   "jmp 10b\n"
                   "40:\n\t" FINISH_16(0, 1, 2, 3) FINISH_16(4, 5, 6, 7)
                   "jmp 41b\n"
                   "30:\n\t" EACH_GROUP(STORE)
                   "6:\n\t"
                   "mov %%rbx, %c[next](%%rdi)\n\t"
                   "sub $-128, %%rsp\n\t"
                   :
                   : "D"(w), [height] "i"(offsetof(walk, products.height)), FIELD(multiply), FIELD(a), FIELD(b), FIELD(y),
                     FIELD(y_step), FIELD(tile_step), FIELD(a_step), FIELD(k), FIELD(left), FIELD(tiles),
                     FIELD(flags), FIELD(taps), FIELD(group_step), FIELD(shorter), FIELD(sums), FIELD(next), FIELD(mask),
                     FIELD(zero_point), FIELD(lo), FIELD(order), FIELD(top), FIELD(bias), FIELD(scale)
                   : "cc", "memory", "rax", "rbx", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
                     "r15", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                     "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21",
                     "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2",
                     "k3", "k4");
}

static void begin(walk *w, size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b, const void *next,
                  const q8_avx512_tiles *t) {
  w->products.block = 4 * t->columns;
  w->products.lanes = first64(t->columns);
  w->a = a;
  w->b = b;
  w->next = next;
  w->a_step = a_stride * sizeof *a;
  w->k = k;
  w->taps = taps;
}

static void run_tiles_of(walk *w, const q8_avx512_tiles *t, uint32_t height, uint32_t tiles, uint32_t shorter, uint32_t flags) {
  w->products.height = height;
  w->products.next_step = t->columns * t->pass / (tiles + shorter);
  w->multiply = height == 1 ? t->row : t->tile;
  w->tiles = tiles;
  w->shorter = shorter;
  w->flags = (height == 1 ? 1 : height * t->columns / 64) | flags;
  run_tiles(w);
}

void q8_avx512bw_sums(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b, int32_t *acc,
                      const q8_avx512_tiles *t, uint32_t height) {
  _Alignas(64) int32_t row[64];
  const int part = height == 1 && t->columns < 64; /* a row of fewer columns than are stored */
  walk w;
  begin(&w, taps, k, a, a_stride, b, b, t);
  w.y = (uint8_t *)(part ? row : acc);
  w.sums = 1;
  w.mask = 0;
  w.group_step = 0;
  for (size_t v = 0; v < 4; v++)
    w.bias[v] = _mm512_setzero_si512();
  run_tiles_of(&w, t, height, 1, 0, 0);
  if (part)
    memcpy(acc, row, t->columns * sizeof *acc);
}

/* The vectors of columns, again and again. Whether no scale reaches 1. */
static int expand(walk *w, const q8_requant *rq, size_t vectors) {
  __mmask16 large = 0;
  for (size_t at = 0, v = 0; at < VECTORS; at++, v = v + 1 < vectors ? v + 1 : 0) {
    w->bias[at] = _mm512_loadu_si512(rq->bias + 16 * v);
    w->scale[at] = _mm512_loadu_ps(rq->scale + 16 * v);
    large |= _mm512_cmp_ps_mask(w->scale[at], _mm512_set1_ps(0.99f), _CMP_NLT_UQ);
  }
  return large == 0;
}

static void copy_rows(const uint8_t *from, size_t nr, size_t rows, __mmask64 mask, uint8_t *y, size_t y_stride) {
  for (; rows > 0; rows--, from += nr, y += y_stride)
    _mm512_mask_storeu_epi8(y, mask, _mm512_maskz_loadu_epi8(mask, from));
}

/* Rows of 64 columns are cut into tiles of six, which are the fastest for each row, as evenly as that goes. Others, and what has
 * less than four, go through `whole` where they do not lie one behind the other. */
void q8_avx512bw_bytes(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b, const void *next,
                       const q8_requant *rq, size_t rows, size_t columns, uint8_t *y, size_t y_stride,
                       const q8_avx512_tiles *t) {
  const size_t nr = t->columns;
  const requant_bounds bounds = bounds_of(rq->zero_point, rq->lo, rq->hi);
  _Alignas(64) uint8_t whole[ROOM];
  walk w;
  begin(&w, taps, k, a, a_stride, b, next, t);
  const uint32_t flags = (expand(&w, rq, nr / 16) && rq->hi == 255 ? 0 : CLAMPED) | (rq->lo > 0 ? AT_LEAST : 0);
  w.zero_point = bounds.zero_point;
  w.lo = bounds.lo;
  w.top = bounds.top;
  w.order = quad_index();
  w.group_step = nr == 48 ? 64 : 0;
  w.sums = 0;
  for (size_t count; rows > 0; rows -= count, w.a = a += count, y += count * y_stride) {
    uint32_t height = nr == 64 ? 6 : 8, tiles = 1, shorter = 0;
    int through = 0;
    count = rows;
    w.y = y;
    w.y_step = y_stride;
    w.mask = first64(columns);
    if (rows == 1) {
      height = 1;
    } else if (nr < 64 || rows < 4) {
      height = nr < 64 ? 8 : 4;
      w.y_step = 64;
      w.mask = first64(64);
      through = rows < height || nr > columns || nr != y_stride;
      if (through) {
        const uint32_t most = ROOM / (height * (uint32_t)nr);
        w.y = whole;
        tiles = ((uint32_t)rows + height - 2) / height;
        tiles = tiles < most ? tiles : most;
      } else {
        tiles = (uint32_t)rows / height;
      }
      count = rows < tiles * height ? rows : tiles * height;
    } else if (rows == 7) {
      height = 4;
      count = 4;
    } else {
      tiles = ((uint32_t)rows + 5) / 6;
      for (shorter = 6 * tiles - (uint32_t)rows; shorter >= tiles; shorter -= tiles)
        height--;
      tiles -= shorter;
    }
    w.tile_step = height * (through ? nr : y_stride);
    run_tiles_of(&w, t, height, tiles, shorter, flags);
    if (through)
      copy_rows(whole, nr, count, first64(columns), y, y_stride);
  }
}
#endif
