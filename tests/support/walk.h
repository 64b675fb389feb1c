/* walk.h - walking the kernel tables: every record of every ISA, not only the dispatched one.
 *
 * A record runs under a signal guard, so that an illegal instruction or a read of an unreadable page becomes
 * a failed check with the kernel's name. Records that this CPU cannot run are skipped, one loud line per ISA.
 */
#ifndef Q8_TEST_WALK_H
#define Q8_TEST_WALK_H

#include <stddef.h>

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
