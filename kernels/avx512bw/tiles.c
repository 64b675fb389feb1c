/* tiles.c - GEMM tiles around their products: the walk over tiles and taps, and requantization. It is asm, as compilers move
 * accumulators to other registers and back when a loop holds most of them, and addresses through vector registers, where they
 * wait for the multiplications before them.
 *
 * The sums of all tiles, row by row in zmm0 to zmm23, are requantized four registers at a time: a group of 64 bytes, which is a row of
 * 64 columns, two of 32, four of 16, or three quarters of four of 48. */
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) &&       \
    defined(__x86_64__)
#include "tiles.h"

enum { VECTORS = 6, MOST = 16 }; /* the latter of tiles whose bytes are copied */

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
  const char *next;
  uint64_t mask;
  uint32_t zero_point, lo; /* as two and as four */
  float top;
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

/* A row of 64 columns has one group, eight rows of 16, 32 and 48 two, four and six; of few rows of 64 columns, those that there
 * are. */
#define EACH_GROUP(group)                                                                                    \
  group(0, 0, 1, 2, 3) "cmp $2, %%sil\n\tjb 9f\n\t" group(1, 4, 5, 6, 7) "cmp $2, %%sil\n\tje 9f\n\t"        \
  group(2, 8, 9, 10, 11) "cmp $4, %%sil\n\tjb 9f\n\t" group(3, 12, 13, 14, 15) "cmp $5, %%sil\n\tjb 9f\n\t"  \
  group(4, 16, 17, 18, 19) "cmp $5, %%sil\n\tje 9f\n\t" group(5, 20, 21, 22, 23) "9:\n\t"

#define ADDRESS(i, row) "mov 8*" #i "(%%rsi), %%" #row "\n\t"
/* The beginning of a row, into L1. */
#define FETCH(i, row) "mov 8*" #i "(%%rsi), %%rax\n\tprefetcht0 (%%rax)\n\t"
#define EACH_ROW(row)                                                                                        \
  "cmpb $1, %c[height](%%rdi)\n\t" row(0, r8) "je 9f\n\t"                                                    \
  "cmpb $5, %c[height](%%rdi)\n\t" row(1, r9) row(2, r10) row(3, r11) "jb 9f\n\t" row(4, r12) "je 9f\n\t"    \
  row(5, r13) "cmpb $6, %c[height](%%rdi)\n\tje 9f\n\t" row(6, r14) row(7, r15) "9:\n\t"

/* By products of one row, and of more. */
#define ROW_CLOBBERS                                                                                         \
  "cc", "memory", "rax", "r8", "r9", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", \
      "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18", "xmm19",      \
      "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30",     \
      "xmm31", "k1", "k2", "k3", "k4"
#define CLOBBERS ROW_CLOBBERS, "rbx", "r10", "r11", "r12", "r13", "r14", "r15"
#define FIELD(name) [name] "i"(offsetof(walk, name))

/* Pointers of the next tap are read only if there is one, then those of the next tile, or again of this one if it is the last:
 * before this one is finished, as the first products wait for them. Calls take 8 bytes below the stack, beyond those that the
 * compiler may use. */
static Q8_NOINLINE void run_tiles(walk *w) {
  static const _Alignas(64) int32_t order[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15}; /* quad_index */
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
                   EACH_ROW(ADDRESS)
                   "cmpq $0, %c[left](%%rdi)\n\t"
                   "je 20f\n"
                   "12:\n\t"
                   "add %c[a_step](%%rdi), %%rsi\n\t"
                   "cmpq $1, %c[left](%%rdi)\n\t"
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
                   "mov %c[tile_step](%%rdi), %%rax\n\t"
                   "add %%rax, %c[y](%%rdi)\n\t"
                   "mov %c[y_step](%%rdi), %%rcx\n\t"
                   "mov %c[group_step](%%rdi), %%rax\n\t"
                   "vpbroadcastd %c[zero_point](%%rdi), %%zmm28\n\t"
                   "vbroadcastss %c[top](%%rdi), %%zmm29\n\t"
                   "vpbroadcastd %c[lo](%%rdi), %%zmm30\n\t"
                   "vmovdqa64 %[order], %%zmm31\n\t"
                   "cmpl $64, %c[block](%%rdi)\n\t"
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
                   "6:\n\t"
                   "mov %%rbx, %c[next](%%rdi)\n\t"
                   "sub $-128, %%rsp\n\t"
                   :
                   : "D"(w), [order] "m"(order), [block] "i"(offsetof(walk, products.block)),
                     [height] "i"(offsetof(walk, products.height)), FIELD(multiply), FIELD(a), FIELD(b), FIELD(y),
                     FIELD(y_step), FIELD(tile_step), FIELD(a_step), FIELD(k), FIELD(left), FIELD(tiles),
                     FIELD(flags), FIELD(taps), FIELD(group_step), FIELD(shorter), FIELD(next), FIELD(mask),
                     FIELD(zero_point), FIELD(lo), FIELD(top), FIELD(bias), FIELD(scale)
                   : CLOBBERS, "rcx", "rdx", "rsi");
}

static void begin(walk *w, size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b, const void *next,
                  const q8_avx512_tiles *t) {
  w->products.block = 4 * t->columns;
  w->a = a;
  w->b = b;
  w->next = next;
  w->a_step = a_stride * sizeof *a;
  w->k = k;
  w->taps = taps;
}

/* ---- Sums alone, of one tile ---- */

#define ZERO(c) "vpxord %%zmm" #c ", %%zmm" #c ", %%zmm" #c "\n\t"
#define ZERO_4(c0, c1, c2, c3) ZERO(c0) ZERO(c1) ZERO(c2) ZERO(c3)
#define STORE_VECTOR(v) "vmovdqa64 %%zmm" #v ", 64*" #v "(%[acc])\n\t"

/* One row, whose products are soon done: nothing is set up that they do not read. */
void q8_avx512bw_row(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b, int32_t *acc,
                     const q8_avx512_tiles *t) {
  q8_avx512_walk w;
  w.block = 4 * t->columns;
  __asm__ volatile("lea -128(%%rsp), %%rsp\n\t" ZERO_4(0, 1, 2, 3) "jmp 2f\n"
                   "1:\n\t"
                   "mov (%[a]), %%r8\n\t"
                   "call *%[row]\n\t"
                   "lea (%[a], %[stride], 8), %[a]\n"
                   "2:\n\t"
                   "dec %[taps]\n\t"
                   "jns 1b\n\t"
                   "cmpl $128, %c[block](%%rdi)\n\t" STORE_VECTOR(0) "jb 9f\n\t" STORE_VECTOR(1) "je 9f\n\t"
                   "cmpl $256, %c[block](%%rdi)\n\t" STORE_VECTOR(2) "jb 9f\n\t" STORE_VECTOR(3) "9:\n\t"
                   "sub $-128, %%rsp\n\t"
                   : [taps] "+r"(taps), [a] "+r"(a), "+d"(b)
                   : "D"(&w), "c"(k), [row] "r"(t->row), [stride] "r"(a_stride), [acc] "r"(acc),
                     [block] "i"(offsetof(q8_avx512_walk, block))
                   : ROW_CLOBBERS);
}

void q8_avx512bw_tile(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b, int32_t *acc,
                      const q8_avx512_tiles *t, uint32_t height) {
  walk w;
  w.products.height = height;
  w.products.next_step = 0;
  w.multiply = t->tile;
  w.a_step = a_stride * sizeof *a;
  w.taps = taps;
  w.flags = height * t->columns / 64;
  w.y = (uint8_t *)acc;
  __asm__ volatile("lea -128(%%rsp), %%rsp\n\t"
                   "mov %%rdx, %%rbx\n\t" ZERO_4(0, 1, 2, 3) ZERO_4(4, 5, 6, 7) ZERO_4(8, 9, 10, 11)
                   ZERO_4(12, 13, 14, 15) ZERO_4(16, 17, 18, 19) ZERO_4(20, 21, 22, 23) "jmp 2f\n"
                   "1:\n\t" EACH_ROW(ADDRESS)
                   "call *%c[multiply](%%rdi)\n\t"
                   "add %c[a_step](%%rdi), %%rsi\n"
                   "2:\n\t"
                   "decq %c[taps](%%rdi)\n\t"
                   "jns 1b\n\t"
                   "mov %c[y](%%rdi), %%rdx\n\t"
                   "mov %c[flags](%%rdi), %%esi\n\t" EACH_GROUP(STORE)
                   "sub $-128, %%rsp\n\t"
                   : "+S"(a), "+d"(b)
                   : "D"(&w), "c"(k), [height] "i"(offsetof(walk, products.height)), FIELD(multiply), FIELD(y), FIELD(a_step),
                     FIELD(taps), FIELD(flags)
                   : CLOBBERS);
}

/* ---- Bytes ---- */

/* The vectors of columns, of as many groups as begin with different ones, again and again. Whether no scale reaches 1. */
static int expand(walk *w, const q8_requant *rq, size_t nr) {
  const size_t count = nr == 48 ? VECTORS : 4;
  __m512 highest = _mm512_setzero_ps();
  for (size_t at = 0, c = 0; at < count; at++, c = c + 16 < nr ? c + 16 : 0) {
    w->bias[at] = _mm512_loadu_si512(rq->bias + c);
    w->scale[at] = _mm512_loadu_ps(rq->scale + c);
    highest = _mm512_max_ps(highest, w->scale[at]);
  }
  return _mm512_cmp_ps_mask(highest, _mm512_set1_ps(0.99f), _CMP_NLT_UQ) == 0;
}

/* At least one. */
static void copy_rows(const uint8_t *from, size_t nr, size_t rows, __mmask64 mask, uint8_t *y, size_t y_stride) {
  do {
    _mm512_mask_storeu_epi8(y, mask, _mm512_maskz_loadu_epi8(mask, from));
    from += nr;
    y += y_stride;
  } while (--rows > 0);
}

/* Rows of 64 columns are cut into tiles of six, which are the fastest for each row, as evenly as that goes; others into tiles of
 * eight, at most so many, and a row that is left over stays alone. Returns how many rows these tiles take. */
static size_t cut(walk *w, uint32_t rows, size_t nr, uint32_t most) {
  uint32_t height = 1, tiles = 1, shorter = 0;
  if (rows > 1 && nr < 64) {
    height = 8;
    tiles = (rows + 6) / 8;
    tiles = tiles < most ? tiles : most;
  } else if (rows > 1 && (rows < 4 || rows == 7)) {
    height = 4;
  } else if (rows > 1) {
    height = 6;
    tiles = (rows + 5) / 6;
    for (shorter = 6 * tiles - rows; shorter >= tiles; shorter -= tiles)
      height--;
  }
  w->products.height = height;
  w->tiles = tiles - shorter;
  w->shorter = shorter;
  return rows < tiles * height ? rows : tiles * height;
}

/* Narrow rows go through `whole` if they do not fill tiles or lie apart, as a group is stored at once. */
void q8_avx512bw_bytes(size_t taps, size_t k, const void *const *a, size_t a_stride, const void *b, const void *next,
                       const q8_requant *rq, size_t rows, size_t columns, uint8_t *y, size_t y_stride,
                       const q8_avx512_tiles *t) {
  const size_t nr = t->columns;
  const int narrow = nr < 64;
  _Alignas(64) uint8_t whole[MOST * 8 * 48];
  walk w;
  begin(&w, taps, k, a, a_stride, b, next, t);
  const uint32_t flags = (expand(&w, rq, nr) && rq->hi == 255 ? 0 : CLAMPED) | (rq->lo > 0 ? AT_LEAST : 0);
  w.zero_point = 0x10001u * (uint16_t)rq->zero_point;
  w.lo = 0x1010101u * (uint32_t)rq->lo;
  w.top = (float)(rq->hi - rq->zero_point);
  w.group_step = nr == 48 ? 64 : 0;
  w.y_step = narrow ? 64 : y_stride;
  w.mask = narrow ? first64(64) : first64(columns);
  for (size_t count; rows > 0; rows -= count, w.a = a += count, y += count * y_stride) {
    const int through = narrow && (rows < 8 || nr > columns || nr != y_stride);
    count = cut(&w, (uint32_t)rows, nr, through ? MOST : (uint32_t)rows / 8);
    const uint32_t height = w.products.height;
    w.multiply = height == 1 ? t->row : t->tile;
    w.flags = (narrow ? (height * nr + 63) / 64 : count < height ? count : height) | flags;
    w.y = through ? whole : y;
    w.tile_step = height * (through ? nr : y_stride);
    w.products.next_step = nr * t->pass / (w.tiles + w.shorter);
    run_tiles(&w);
    if (through)
      copy_rows(whole, nr, count, first64(columns), y, y_stride);
  }
}
#endif
