#define _DEFAULT_SOURCE
#include "walk.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"

enum { CANARY = 0xA5, CANARY_SIZE = 64, OUTPUT_MAX = 1 << 20 };

size_t walk_cases;
static const char *record_name = "";
static char case_text[200];
static sigjmp_buf escape;

static void on_signal(int number) {
  siglongjmp(escape, number);
}

static void guard_signals(int on) {
  static const int numbers[] = {SIGILL, SIGSEGV, SIGBUS, SIGFPE};
  struct sigaction action;
  memset(&action, 0, sizeof action);
  sigemptyset(&action.sa_mask);
  action.sa_handler = on ? on_signal : SIG_DFL;
  for (size_t i = 0; i < COUNT_OF(numbers); i++)
    sigaction(numbers[i], &action, NULL);
}

static void run_guarded(walk_fn *fn, const void *record) {
  guard_signals(1);
  int number = sigsetjmp(escape, 1);
  if (number == 0)
    fn(record);
  else
    walk_failed("%s", strsignal(number));
  guard_signals(0);
}

/* The first CPU feature of `missing`, in words. */
static const char *feature_name(q8_cpu_mask missing) {
  static const struct {
    q8_cpu_mask bit;
    const char *name;
  } names[] = {
      {Q8_CPU_AVX2, "AVX2"},
      {Q8_CPU_AVXVNNI, "AVX-VNNI"},
      {Q8_CPU_AVX512, "AVX-512"},
      {Q8_CPU_AVX512VNNI, "AVX512-VNNI"},
      {Q8_CPU_AVX512VBMI, "AVX512-VBMI"},
      {Q8_CPU_NEON, "Advanced SIMD"},
      {Q8_CPU_NEONDOT, "dot product"},
      {Q8_CPU_NEONI8MM, "int8 matrix multiply"},
  };
  for (size_t i = 0; i < COUNT_OF(names); i++)
    if (missing & names[i].bit)
      return names[i].name;
  return "unknown feature";
}

static void skip_once(const q8_isa *isa, const char *name, q8_cpu_mask isa_missing, q8_cpu_mask missing) {
  static const q8_isa *told[16];
  char what[100], why[100];
  snprintf(why, sizeof why, "this CPU has no %s", feature_name(missing));
  if (isa_missing == 0) { /* a single row wants more than its folder */
    snprintf(what, sizeof what, "kernel %s", name);
    test_skip(what, why);
    return;
  }
  for (size_t i = 0; i < COUNT_OF(told); i++) {
    if (told[i] == isa)
      return;
    if (told[i] == NULL) {
      told[i] = isa;
      break;
    }
  }
  snprintf(what, sizeof what, "%s kernels", isa->name);
  test_skip(what, why);
}

void walk_record(const q8_isa *isa, const char *name, q8_cpu_mask needs, walk_fn *fn, const void *record) {
  q8_cpu_mask missing = (needs | isa->needs) & ~q8_cpu_detect();
  if (missing) {
    skip_once(isa, name, isa->needs & missing, missing);
    return;
  }
  int failed_before = test_failed_checks;
  record_name = name;
  walk_cases = 0;
  case_text[0] = '\0';
  run_guarded(fn, record);
  printf("  %-32s %-11s %6zu cases%s\n", name, isa->name, walk_cases,
         test_failed_checks > failed_before ? "  FAILED" : "");
  CHECK_MSG(walk_cases > 0, "%s: no case was run", name);
}

void walk_case(const char *format, ...) {
  va_list arguments;
  walk_cases++;
  va_start(arguments, format);
  vsnprintf(case_text, sizeof case_text, format, arguments);
  va_end(arguments);
}

void walk_failed(const char *format, ...) {
  char text[200];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  test_fail(record_name, (int)walk_cases, "[%s] %s", case_text, text);
}

void walk_buffer_init(walk_buffer *buffer, size_t size) {
  size_t page = 65536; /* a multiple of every page size in use */
  if (buffer->base)
    return;
  buffer->size = (size + page - 1) / page * page;
  buffer->base = test_guard_alloc(buffer->size, 1);
}

void *walk_place(const walk_buffer *buffer, size_t size, size_t align, int front) {
  const char *text = getenv("GUARD_SLACK");
  size_t slack = text ? strtoul(text, NULL, 0) : 0;
  if (size + slack > buffer->size)
    abort();
  return front ? buffer->base : buffer->base + (buffer->size - slack - size) / align * align;
}

walk_output walk_output_new(size_t size, size_t align) {
  static walk_buffer got;
  static unsigned char want[OUTPUT_MAX];
  walk_buffer_init(&got, OUTPUT_MAX);
  if (size + CANARY_SIZE > OUTPUT_MAX)
    abort();
  walk_output output = {walk_place(&got, size, align, 0), want, size, 0};
  output.after = (size_t)(got.base + got.size - (output.got + size));
  memset(output.got - CANARY_SIZE, CANARY, CANARY_SIZE + size + output.after);
  memset(output.want, CANARY, size);
  return output;
}

void walk_output_check(const walk_output *output) {
  for (size_t i = 1; i <= CANARY_SIZE; i++)
    if (output->got[-(ptrdiff_t)i] != CANARY) {
      walk_failed("wrote %zu bytes before the output", i);
      return;
    }
  for (size_t i = 0; i < output->after; i++)
    if (output->got[output->size + i] != CANARY) {
      walk_failed("wrote byte %zu after the output", i);
      return;
    }
  if (memcmp(output->got, output->want, output->size) == 0)
    return;
  size_t i = 0;
  while (output->got[i] == output->want[i])
    i++;
  walk_failed("byte %zu of %zu is %d, expected %d", i, output->size, output->got[i], output->want[i]);
}
