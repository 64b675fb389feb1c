/* walk.h - walking the kernel tables: every record of every ISA, not only the dispatched one.
 *
 * A record runs under a signal guard, so that an illegal instruction or a read of an unreadable page becomes
 * a failed check with the kernel's name. Records that this CPU cannot run are skipped, one loud line per ISA.
 */
#ifndef Q8_TEST_WALK_H
#define Q8_TEST_WALK_H

#include <stddef.h>
#include <stdio.h>

#include "kernel.h"
#include "test.h"

typedef void walk_fn(const void *record);

/* Counted up by the test functions, printed per record. */
extern size_t walk_cases;
/* What the current case is, for messages: walk_case("k %zu", k) also counts it. */
void walk_case(const char *format, ...) __attribute__((format(printf, 1, 2)));

void walk_record(const q8_isa *isa, const char *name, q8_cpu_mask needs, walk_fn *fn, const void *record);

#define WALK(type, family, fn)                                                                               \
  do {                                                                                                       \
    for (size_t walk_i = 0; walk_i < q8_isa_count; walk_i++)                                                 \
      for (const type *walk_r = q8_isa_list[walk_i]->family; walk_r && walk_r->name; walk_r++)               \
        walk_record(q8_isa_list[walk_i], walk_r->name, walk_r->needs, fn, walk_r);                           \
  } while (0)

/* A family of one function, as records: its name is that of the family and the ISA. */
#define WALK_KERNEL(fn_type)                                                                                 \
  struct {                                                                                                   \
    const char *name;                                                                                        \
    fn_type *run;                                                                                            \
  }
typedef WALK_KERNEL(q8_requant_fn) q8_requant_kernel;
typedef WALK_KERNEL(q8_dequant_acc_fn) q8_dequant_acc_kernel;
typedef WALK_KERNEL(q8_quantize_fn) q8_quantize_kernel;
typedef WALK_KERNEL(q8_dequantize_fn) q8_dequantize_kernel;
typedef WALK_KERNEL(q8_minmax_fn) q8_minmax_kernel;
typedef WALK_KERNEL(q8_minmax_rows_fn) q8_minmax_rows_kernel;
typedef WALK_KERNEL(q8_slots_fn) q8_slots_kernel;
typedef WALK_KERNEL(q8_table_fn) q8_table_kernel;
typedef WALK_KERNEL(q8_binary_fn) q8_binary_kernel;
typedef WALK_KERNEL(q8_max_rows_fn) q8_max_rows_kernel;
typedef WALK_KERNEL(q8_sum_rows_fn) q8_sum_rows_kernel;
typedef WALK_KERNEL(q8_transpose_fn) q8_transpose_kernel;
typedef WALK_KERNEL(q8_pack_pairs_fn) q8_pack_pairs_kernel;
typedef WALK_KERNEL(q8_widen_fn) q8_widen_kernel;
typedef WALK_KERNEL(q8_sdwconv_fn) q8_sdwconv_kernel;
typedef WALK_KERNEL(q8_sunary_fn) q8_sunary_kernel;
typedef WALK_KERNEL(q8_sbinary_fn) q8_sbinary_kernel;
typedef WALK_KERNEL(q8_ssum_rows_fn) q8_ssum_rows_kernel;

#define WALK_FUNCTION(type, family, fn)                                                                      \
  do {                                                                                                       \
    for (size_t walk_i = 0; walk_i < q8_isa_count; walk_i++) {                                               \
      const q8_isa *walk_isa = q8_isa_list[walk_i];                                                          \
      char walk_name[64];                                                                                    \
      snprintf(walk_name, sizeof walk_name, "%s_%s", #family, walk_isa->name);                               \
      const type walk_r = {walk_name, walk_isa->family};                                                     \
      if (walk_r.run)                                                                                        \
        walk_record(walk_isa, walk_name, walk_isa->needs, fn, &walk_r);                                      \
    }                                                                                                        \
  } while (0)

/* Whole pages between two unreadable ones, kept for the length of the program. */
typedef struct walk_buffer {
  unsigned char *base;
  size_t size;
} walk_buffer;

void walk_buffer_init(walk_buffer *buffer, size_t size);
/* `size` bytes that touch the unreadable page after the buffer as closely as `align` allows; with `front` the
 * bytes right after the unreadable page before it. Consecutive calls may share memory. GUARD_SLACK=bytes in
 * the environment leaves that much readable memory before the page: qemu-x86_64 reads all of a masked load.
 */
void *walk_place(const walk_buffer *buffer, size_t size, size_t align, int front);

/* An output of `size` bytes and the image expected in it, both filled with a canary first: what the reference
 * leaves alone the kernel must leave alone. */
typedef struct walk_output {
  unsigned char *got, *want;
  size_t size, after; /* `after`: canary bytes between the output and the unreadable page */
} walk_output;

walk_output walk_output_new(size_t size, size_t align);
/* Byte for byte; the message names the record and the case. */
void walk_output_check(const walk_output *output);
/* A failed check of the current record and case. */
void walk_failed(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

#endif
