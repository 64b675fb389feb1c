/* The ONNX backend tests (Debian: libonnx-testdata) against a list of what passes.
 *
 *   test_onnx_nodes [--data DIR] [--expected FILE] [--update] [--list] [NAME...]
 *
 * DIR ($ONNX_DATA, else Debian's place) holds node/, simple/, pytorch-converted/ and pytorch-operator/. FILE has a line
 * "folder/test passed" or "folder/test unsupported" for each test. A test fails if its result is wrong, if it is listed
 * as passed and does not pass, or if it is listed and not there. --update writes the list anew, --list prints every
 * test, NAME runs only tests whose name holds it. Each test runs in a process of its own, so that a crash is one failure. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nodes.h"

static const char *const folders[] = {"node", "simple", "pytorch-converted", "pytorch-operator"};
static const char *const outcome_names[] = {"passed", "failed", "unsupported", "missing"};
#define FOLDERS (sizeof folders / sizeof *folders)
#define MAX_TESTS 4096

typedef struct node_test {
  char name[160]; /* folder/test */
  int expected;   /* a node_outcome, NODE_MISSING if it is not listed */
  int found;
  node_result result;
} node_test;

static node_test tests[MAX_TESTS];
static size_t test_count;

static node_test *test_named(const char *name) {
  for (size_t i = 0; i < test_count; i++)
    if (!strcmp(tests[i].name, name))
      return &tests[i];
  if (test_count == MAX_TESTS)
    return NULL;
  node_test *test = &tests[test_count++];
  snprintf(test->name, sizeof test->name, "%s", name);
  test->expected = NODE_MISSING;
  return test;
}

static void read_expected(const char *path) {
  FILE *file = fopen(path, "r");
  char line[256], name[160], outcome[32];
  while (file && fgets(line, sizeof line, file)) {
    if (*line == '#' || sscanf(line, "%159s %31s", name, outcome) != 2)
      continue;
    node_test *test = test_named(name);
    if (test)
      test->expected = !strcmp(outcome, "passed") ? NODE_PASSED : NODE_UNSUPPORTED;
  }
  if (file)
    fclose(file);
}

static void find_tests(const char *data) {
  for (size_t f = 0; f < FOLDERS; f++) {
    char path[512], name[160], model[768];
    snprintf(path, sizeof path, "%s/%s", data, folders[f]);
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
      snprintf(name, sizeof name, "%s/%.120s", folders[f], entry->d_name);
      snprintf(model, sizeof model, "%s/%s/model.onnx", data, name);
      node_test *test = *entry->d_name != '.' && access(model, R_OK) == 0 ? test_named(name) : NULL;
      if (test)
        test->found = 1;
    }
    if (dir)
      closedir(dir);
  }
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const node_test *)a)->name, ((const node_test *)b)->name);
}

static void run_apart(const char *folder, node_result *result) {
  int ends[2], status = 0;
  *result = (node_result){.outcome = NODE_FAILED, .op = "?", .reason = "no process could be started"};
  if (pipe(ends) != 0)
    return;
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    node_result own;
    close(ends[0]);
    node_run(folder, &own);
    exit(write(ends[1], &own, sizeof own) == sizeof own ? 0 : 1);
  }
  close(ends[1]);
  if (child > 0) {
    node_result got;
    ssize_t size = read(ends[0], &got, sizeof got);
    waitpid(child, &status, 0);
    if (size == sizeof got)
      *result = got;
    if (size != sizeof got || status != 0) {
      result->outcome = NODE_FAILED;
      snprintf(result->reason, sizeof result->reason, "the process ended with signal %d, exit status %d",
               WIFSIGNALED(status) ? WTERMSIG(status) : 0, WIFEXITED(status) ? WEXITSTATUS(status) : 0);
    }
  }
  close(ends[0]);
}

/* ---- Report ---- */

typedef struct counts {
  int of[4], bound;
} counts;

static void count(counts *c, const node_result *r) {
  c->of[r->outcome]++;
  c->bound += r->outcome == NODE_PASSED && r->bound;
}

static void print_row(const char *label, const counts *c) {
  printf("  %-28s %6d %6d %11d %12d\n", label, c->of[NODE_PASSED], c->of[NODE_FAILED], c->of[NODE_UNSUPPORTED], c->bound);
}

/* Unsupported tests of an operator, each reason once. */
static void print_reasons(const char *op) {
  for (size_t i = 0; i < test_count; i++) {
    const node_result *r = &tests[i].result;
    int again = 0, n = 0;
    if (!tests[i].found || r->outcome != NODE_UNSUPPORTED || strcmp(r->op, op))
      continue;
    for (size_t j = 0; j < test_count; j++) {
      int same = tests[j].found && tests[j].result.outcome == NODE_UNSUPPORTED && !strcmp(tests[j].result.op, op) &&
                 !strcmp(tests[j].result.reason, r->reason);
      again |= same && j < i;
      n += same;
    }
    if (!again)
      printf("      %d unsupported: %s\n", n, r->reason);
  }
}

static void print_table(void) {
  printf("  %-28s %6s %6s %11s %12s\n", "operator", "passed", "failed", "unsupported", "inputs bound");
  for (size_t i = 0; i < test_count; i++) {
    int first = tests[i].found;
    counts c = {{0}, 0};
    for (size_t j = 0; j < test_count && first; j++) {
      if (!tests[j].found || strcmp(tests[j].result.op, tests[i].result.op))
        continue;
      first = j >= i;
      count(&c, &tests[j].result);
    }
    if (!first)
      continue;
    print_row(tests[i].result.op, &c);
    print_reasons(tests[i].result.op);
  }
  printf("  %-28s %6s %6s %11s %12s\n", "folder", "passed", "failed", "unsupported", "inputs bound");
  for (size_t f = 0; f < FOLDERS; f++) {
    counts c = {{0}, 0};
    size_t length = strlen(folders[f]);
    for (size_t i = 0; i < test_count; i++)
      if (tests[i].found && !strncmp(tests[i].name, folders[f], length) && tests[i].name[length] == '/')
        count(&c, &tests[i].result);
    print_row(folders[f], &c);
  }
}

static int write_expected(const char *path) {
  FILE *file = fopen(path, "w");
  if (!file)
    return fprintf(stderr, "%s cannot be written\n", path), 1;
  fprintf(file, "# What each ONNX backend test gives; written by make test-onnx ONNX_ARGS=--update.\n");
  for (size_t i = 0; i < test_count; i++)
    if (tests[i].found && tests[i].result.outcome != NODE_FAILED)
      fprintf(file, "%s %s\n", tests[i].name, outcome_names[tests[i].result.outcome]);
  return fclose(file) != 0;
}

/* 1 if the test counts as failed. */
static int judge(const node_test *test) {
  const node_result *r = &test->result;
  if (!test->found)
    return printf("FAIL %s: listed as %s, but not in the data\n", test->name, outcome_names[test->expected]), 1;
  if (r->outcome == NODE_FAILED)
    return printf("FAIL %s (%s): %s\n", test->name, r->op, r->reason), 1;
  if (test->expected == NODE_PASSED && r->outcome != NODE_PASSED)
    return printf("FAIL %s (%s): listed as passed, now unsupported: %s\n", test->name, r->op, r->reason), 1;
  if (test->expected != r->outcome)
    printf("new  %s: %s, not so in the list; make test-onnx ONNX_ARGS=--update writes it\n", test->name,
           outcome_names[r->outcome]);
  return 0;
}

int main(int argc, char **argv) {
  const char *data = getenv("ONNX_DATA"), *expected = "tests/oracle/onnx_nodes/expected.txt";
  int update = 0, list = 0, passed = 0, bad = 0, at = 1;
  data = data && *data ? data : "/usr/share/libonnx-testdata/data";
  for (; at < argc && !strncmp(argv[at], "--", 2); at++) {
    update |= !strcmp(argv[at], "--update");
    list |= !strcmp(argv[at], "--list");
    if (!strcmp(argv[at], "--data") && at + 1 < argc)
      data = argv[++at];
    else if (!strcmp(argv[at], "--expected") && at + 1 < argc)
      expected = argv[++at];
  }
  if (access(data, R_OK) != 0) {
    printf("SKIP onnx_nodes: no folder %s (Debian: apt install libonnx-testdata, or ONNX_DATA=dir)\n", data);
    printf("# 0 passed, 0 failed, 1 skipped\n");
    return 0;
  }
  read_expected(expected);
  find_tests(data);
  qsort(tests, test_count, sizeof *tests, by_name);
  for (size_t i = 0; i < test_count; i++) {
    int wanted = at == argc;
    for (int a = at; a < argc; a++)
      wanted |= strstr(tests[i].name, argv[a]) != NULL;
    if (!wanted) {
      tests[i].found = 0;
      continue;
    }
    char folder[768];
    snprintf(folder, sizeof folder, "%s/%s", data, tests[i].name);
    if (tests[i].found)
      run_apart(folder, &tests[i].result);
    int failed = judge(&tests[i]);
    bad += failed;
    passed += !failed && tests[i].result.outcome == NODE_PASSED;
    if (list && tests[i].found && !failed)
      printf("%-11s %s (%s) %s\n", outcome_names[tests[i].result.outcome], tests[i].name, tests[i].result.op,
             tests[i].result.reason);
  }
  print_table();
  if (update && at == argc)
    bad += write_expected(expected);
  printf("# %d passed, %d failed, 0 skipped\n", passed, bad);
  return bad != 0;
}
