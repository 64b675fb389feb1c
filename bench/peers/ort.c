/* ort.c - ONNX Runtime, driven through a node process (ort.js).
 *
 * ORT names a folder with node_modules/onnxruntime-node. Timed is the operator alone, as the runtime's own profile has
 * it in whole microseconds: what the binding and the dispatch of a session cost is left out, and so are the layout
 * changes around an fp32 convolution. */
#include <unistd.h>

#include "bench.h"
#include "ort_model.h"

static FILE *to_node, *from_node;
static char folder[] = "/tmp/qint8-peers-XXXXXX", absent[400];
static const problem *current;

static int ask(char *answer, size_t size, const char *command) {
  fprintf(to_node, "%s\n", command);
  fflush(to_node);
  if (!fgets(answer, (int)size, from_node))
    return 0;
  answer[strcspn(answer, "\n")] = '\0';
  return strncmp(answer, "error", 5) != 0;
}

static int spawn(void) {
  int in[2], out[2];
  const char *ort = getenv("ORT"), *script = getenv("ORT_SCRIPT");
  char modules[300];
  if (pipe(in) || pipe(out))
    return 0;
  snprintf(modules, sizeof modules, "%s/node_modules", ort ? ort : ".");
  if (fork() == 0) {
    dup2(in[0], 0);
    dup2(out[1], 1);
    close(in[1]);
    close(out[0]);
    setenv("NODE_PATH", modules, 1);
    /* Buffers of a run come from the heap, not from pages that are mapped and cleared every time. */
    setenv("MALLOC_MMAP_THRESHOLD_", "1000000000", 1);
    setenv("MALLOC_TRIM_THRESHOLD_", "1000000000", 1);
    execlp("node", "node", script ? script : "bench/peers/ort.js", (char *)NULL);
    _exit(1);
  }
  close(in[0]);
  close(out[1]);
  to_node = fdopen(in[1], "w");
  from_node = fdopen(out[0], "r");
  return to_node && from_node;
}

static void in_folder(char *path, size_t size, const char *name) {
  snprintf(path, size, "%s/%s", folder, name);
}

/* From [n][h][w][c] to [n][c][h][w] or, with `back`, the other way. */
static void turn(const q8_conv_geometry *g, size_t c, size_t pixels, int back, const float *from, float *to) {
  for (size_t n = 0; n < g->n; n++)
    for (size_t i = 0; i < pixels; i++)
      for (size_t j = 0; j < c; j++) {
        size_t last = (n * pixels + i) * c + j, planar = (n * c + j) * pixels + i;
        to[back ? last : planar] = from[back ? planar : last];
      }
}

static int write_input(const problem *p) {
  char path[100];
  size_t size = p->x_count * (p->fp32 ? 4 : 1);
  const void *data = p->fp32 ? (const void *)p->fx : p->x;
  float *turned = NULL;
  if (ort_model_is_planar(p)) {
    const q8_conv_geometry *g = &p->shape->g;
    data = turned = malloc(size);
    turn(g, g->c, g->h * g->w, 0, p->fx, turned);
  }
  in_folder(path, sizeof path, "x.bin");
  FILE *file = fopen(path, "wb");
  int done = file && fwrite(data, 1, size, file) == size;
  if (file)
    fclose(file);
  free(turned);
  return done;
}

static void *open_layer(const problem *p) {
  char path[100], command[300], answer[400];
  size_t x[4], y[4], rank = ort_model_dims(p, x, y);
  in_folder(path, sizeof path, "model.onnx");
  if (!ort_model_write(p, path) || !write_input(p))
    return NULL;
  int at = snprintf(command, sizeof command, "open %s %s %zu", folder, p->fp32 ? "float32" : "uint8", rank);
  for (size_t i = 0; i < rank; i++)
    at += snprintf(command + at, sizeof command - (size_t)at, " %zu", x[i]);
  at += snprintf(command + at, sizeof command - (size_t)at, " %zu", rank);
  for (size_t i = 0; i < rank; i++)
    at += snprintf(command + at, sizeof command - (size_t)at, " %zu", y[i]);
  if (!ask(answer, sizeof answer, command)) {
    fprintf(stderr, "ONNX Runtime: %s: %s\n", p->shape->name, answer);
    return NULL;
  }
  current = p;
  return &current;
}

static double run(void *handle, size_t count) {
  char command[50], answer[400];
  (void)handle;
  snprintf(command, sizeof command, "run %zu", count);
  if (!ask(answer, sizeof answer, command)) {
    fprintf(stderr, "ONNX Runtime: %s\n", answer);
    exit(1);
  }
  return strtod(answer, NULL);
}

static double best(void *handle) {
  char answer[400];
  (void)handle;
  return ask(answer, sizeof answer, "best") ? strtod(answer, NULL) : 0;
}

static int result(void *handle, void *y) {
  char path[100], answer[400];
  const problem *p = current;
  size_t size = p->y_count * (p->fp32 ? 4 : 1);
  (void)handle;
  in_folder(path, sizeof path, "y.bin");
  FILE *file = ask(answer, sizeof answer, "result") ? fopen(path, "rb") : NULL;
  void *data = malloc(size);
  int done = file && fread(data, 1, size, file) == size;
  if (file)
    fclose(file);
  if (done && ort_model_is_planar(p))
    turn(&p->shape->g, p->shape->g.k, p->shape->g.p * p->shape->g.q, 1, data, y);
  else if (done)
    memcpy(y, data, size);
  free(data);
  return done;
}

static void close_layer(void *handle) {
  char answer[400];
  (void)handle;
  ask(answer, sizeof answer, "close");
}

static const char *start(void) {
  char answer[400];
  if (peers_isa)
    return "cannot be limited to an ISA";
  if (!getenv("ORT"))
    return "ORT names no folder with node_modules (npm install --ignore-scripts onnxruntime-node)";
  if (!mkdtemp(folder) || !spawn() || !fgets(answer, sizeof answer, from_node))
    return "node does not start";
  answer[strcspn(answer, "\n")] = '\0';
  if (strncmp(answer, "ready", 5)) {
    snprintf(absent, sizeof absent, "%s", answer);
    return absent;
  }
  printf("ONNX Runtime %s\n", answer + 6);
  return NULL;
}

static void stop(void) {
  static const char *const files[] = {"model.onnx", "x.bin", "y.bin"};
  char path[100];
  fclose(to_node);
  fclose(from_node);
  for (size_t i = 0; i < 3; i++) {
    in_folder(path, sizeof path, files[i]);
    remove(path);
  }
  rmdir(folder);
}

const peer peer_ort = {"ORT", start, open_layer, run, best, result, close_layer, stop};
