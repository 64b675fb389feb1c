/* tool.h - what the files of the command-line tool share. The tool uses the public header only. */
#ifndef QINT8_TOOL_H
#define QINT8_TOOL_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "qint8.h"

/* Exit codes. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_GATE = 3 };

/* Prints "qint8: ..." on stderr; returns EXIT_FAILED, so that failing is one line. */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The library's error record, with what was being done. */
int fail_error(const char *doing, qint8_status status, const qint8_error *error);
void warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Never returns NULL: the tool ends with a message when memory is gone. */
void *allocate(size_t count, size_t size);
double now_seconds(void);

/* ---- options.c ---- */

typedef enum option_type {
  OPTION_FLAG,
  OPTION_TEXT,
  OPTION_INT, /* not below zero */
  OPTION_FLOAT,
  OPTION_ABOVE_ZERO, /* a float */
  OPTION_LIST
} option_type;
#define MAX_LIST 16
typedef struct text_list {
  const char *v[MAX_LIST];
  int count;
} text_list;
typedef struct option {
  const char *name;  /* "--data" or "-o" */
  const char *value; /* what stands for the value in the help, NULL for a flag */
  const char *help;
  option_type type;
  void *target; /* int, const char *, long, double, text_list */
} option;
typedef struct command_line {
  const char *usage;   /* "qint8 run MODEL --input NAME=FILE.npy ... --output FILE.npz" */
  const char *teaches; /* paragraphs for --help, an example at the end */
  const option *options;
  int option_count;
  int min_words, max_words; /* positional arguments */
} command_line;
/* Fills words and the options' targets. Returns 0 to go on, else 1 + exit code. */
int parse_options(const command_line *line, int argc, char **argv, const char **words);
#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

/* ---- npy.c, npz.c ---- */

/* Dense row-major values; dtype is a qint8_dtype (float64 is read as float32). */
typedef struct array {
  int32_t dtype;
  int32_t rank;
  int64_t shape[QINT8_MAX_RANK];
  size_t count;
  int32_t text; /* not 0: text of so many characters: the last dimension, code points (S32) padded with 0 */
  void *data;
} array;
void array_free(array *a);
/* An array in a file, to be read piece by piece: `head` without data. */
typedef struct array_file {
  FILE *file;
  int64_t offset; /* of the first value in the file */
  size_t element; /* bytes of one there */
  int is_double;  /* float64 there, read as float32 */
  array head;
} array_file;
/* "FILE.npy" or "FILE.npz:KEY". */
int array_open(const char *spec, array_file *out);
void array_close(array_file *a);
/* `count` values from number `first` on, as head.dtype. */
int array_read(const array_file *a, size_t first, size_t count, void *out);
/* Of a .npy of `size` bytes that begins at `offset`; `where` is for messages. Takes the file over, also on failure. */
int npy_open(FILE *file, int64_t offset, uint64_t size, const char *where, array_file *out);
/* Header and values of an array as .npy bytes (malloc). */
uint8_t *npy_format(const array *a, size_t *size);
int npy_save(const char *path, const array *a);
/* "FILE.npy" or "FILE.npz:KEY"; array_load refuses text. */
int array_load(const char *spec, array *out);
int array_load_text(const char *spec, array *out);
/* Array `key` of an .npz if it is there: 0 found, 1 absent or unreadable (silent). */
int npz_try(const char *path, const char *key, array *out);
/* As array_open, of array `key` of an .npz. */
int npz_open(const char *path, const char *key, array_file *out);
int is_npz(const char *path);
int npz_save(const char *path, const char *const *keys, const array *arrays, int count);
/* Every value as float. */
float *array_floats(const array *a);
/* Integers or truth values as another such type; `out` has room for a->count. */
void array_integers(const array *a, int32_t dtype, void *out);
int is_integer(int32_t dtype);
const char *dtype_text(int32_t dtype);
FILE *open_file(const char *path, long *size);
uint8_t *read_whole_file(const char *path, size_t *size);

/* ---- dataset.c ---- */

typedef struct normalisation {
  float mean[4], std[4]; /* per channel, repeated if the file has one value */
} normalisation;

#define MAX_INPUTS 16

/* Samples as one input of the model wants them: [count][sample...]. */
typedef struct dataset_part {
  array_file file;
  int32_t dtype, rank; /* of the input */
  int64_t shape[QINT8_MAX_RANK]; /* shape[0]: samples in the file */
  size_t sample, size; /* values, bytes of one */
  normalisation norm;  /* of images */
  int64_t channels;    /* of images in the file; 0: values go in as they are */
  char *values;        /* of the first `held` samples */
} dataset_part;

typedef struct dataset {
  dataset_part part[MAX_INPUTS];
  size_t parts;         /* inputs of the model */
  size_t count, sample; /* samples, values of one in all parts */
  size_t held;
} dataset;
/* "FILE.npz:KEY" or "FILE.npy"; for a model with several inputs "FILE.npz", with an array for each, of its name.
 * mean and std: NAN where not given. At most `limit` samples (0: all). Nothing is held yet. */
int dataset_open(const char *spec, const qint8_model *model, double mean, double std, long limit, dataset *out);
/* Samples `first` to first + count - 1 of one part; `out` has room for them. */
int dataset_read(const dataset_part *part, size_t first, size_t count, void *out);
/* Holds at least the first `count` samples. */
int dataset_hold(dataset *d, size_t count);
/* Opens and holds all. */
int dataset_load(const char *spec, const qint8_model *model, double mean, double std, long limit, dataset *out);
/* Tensors over the held samples first to first + count - 1, `batch` in each but the last, and pointers to them: of batch b
 * and input i at [b * parts + i]; *batches of them. One free(). */
const qint8_tensor **dataset_batches(const dataset *data, size_t first, size_t count, int64_t batch, size_t *batches);
void dataset_free(dataset *d);

/* A tensor for each input of a model, with memory of their own or none. */
typedef struct sample_tensors {
  qint8_tensor tensor[MAX_INPUTS];
  const qint8_tensor *inputs[MAX_INPUTS];
  size_t count;
} sample_tensors;
/* For `samples` of a data set, without memory. */
sample_tensors *tensors_shaped(const dataset *d, int64_t samples, sample_tensors *out);
/* Memory for them, of 0. */
void tensors_allocate(sample_tensors *t);
/* Samples first to first + count - 1, at most as many as there is memory for. */
int tensors_read(sample_tensors *t, const dataset *d, size_t first, size_t count);
void tensors_free(sample_tensors *t);

/* ---- engine.c ---- */

int model_open(const char *path, const qint8_host *host, qint8_model **model, qint8_recipe **recipe);
/* The same for a file that nothing writes to meanwhile: its weights take no memory. */
int model_map(const char *path, const qint8_host *host, qint8_model **model, qint8_recipe **recipe);
/* A host with `threads` threads; the pool lives until host_close. */
typedef struct thread_pool thread_pool;
void host_open(qint8_host *host, long threads, thread_pool **pool);
void host_close(thread_pool *pool);

/* A plan and session for one batch size. */
typedef struct engine {
  qint8_plan *plan;
  qint8_session *session;
  qint8_tensor output; /* data set by the caller */
  size_t output_count; /* floats per run */
  int64_t batch;
} engine;
/* `path` names the model in messages. */
int engine_open(const char *path, const qint8_model *model, const qint8_recipe *recipe, const sample_tensors *shapes,
                int64_t batch, const char *isa, const qint8_host *host, engine *out);
void engine_close(engine *e);
int engine_run(engine *e, const qint8_tensor *const *inputs, size_t input_count, float *output);

/* All samples through the model. outputs: [count][outputs per sample], malloc. */
typedef struct outputs {
  float *values;
  size_t count, width;
  int32_t rank;
  int64_t shape[QINT8_MAX_RANK];
  double seconds; /* in qint8_session_run alone */
} outputs;
int run_dataset(const char *path, const qint8_model *model, const qint8_recipe *recipe, const dataset *data,
                long batch, const char *isa, const qint8_host *host, const char *what, outputs *out);
/* The batch to use: `wanted`, or what the model's first dimension fixes. */
int64_t batch_for(const qint8_model *model, long wanted);

/* ---- truth.c: what outputs are compared with ---- */

/* Options as given; NULL where not. The sizes of an image that outputs of keypoints are fractions of, and the
 * joints that a torso lies between, have defaults. */
typedef struct truth_options {
  const char *labels, *targets, *keys, *extent, *torso;
} truth_options;
#define TRUTH_OPTIONS(t)                                                                                     \
  {"--labels", "FILE.npz:KEY", "classes: top1, macro_f1; lines of text: line_match, character_accuracy",     \
   OPTION_TEXT, &(t).labels},                                                                                \
      {"--keys", "FILE", "a character per line: class i is line i, 0 is blank, the last a space",            \
       OPTION_TEXT, &(t).keys},                                                                              \
      {"--targets", "FILE.npz:KEY", "values: plcc, mse; joints [N,J,2]: also pck@20, pck@50, mpjpe_mm",      \
       OPTION_TEXT, &(t).targets},                                                                           \
      {"--extent", "X,Y", "metres that 0 to 1 in x and y are, for mpjpe_mm and pck (4,2.4)", OPTION_TEXT,    \
       &(t).extent},                                                                                         \
  {                                                                                                          \
    "--torso", "A,B", "joints from which to which a torso is measured, for pck (2,12)", OPTION_TEXT,         \
        &(t).torso                                                                                           \
  }

typedef struct truth {
  truth_options from;
  float *labels, *targets;     /* [count][label_width], [count][target_width]; NULL where not given */
  size_t label_width;          /* above 1: lines of classes (code points with keys), padded with 0 */
  size_t target_width, joints; /* joints: of targets [N, joints, 2], else 0 */
  int32_t *keys;               /* code point of class 1 + i */
  size_t key_count, torso[2];
  double extent[2];         /* metres */
  const outputs *reference; /* of another model on the same samples, set by the caller; not owned */
  const char *reference_path;
} truth;
/* Entries first to first + count - 1 of each file. 0, EXIT_FAILED or EXIT_USAGE. */
int truth_load(const truth_options *options, size_t first, size_t count, truth *out);
/* Do these outputs have the sizes that their metrics need? */
int truth_check(const truth *t, const outputs *y);
void truth_free(truth *t);

/* ---- metrics.c: a table of figures of merit ---- */

typedef struct metric {
  const char *name; /* as in JSON and budgets */
  int better;       /* 1: higher is better, -1: lower is */
  int needs;        /* private to metrics.c */
  double (*value)(const outputs *y, const truth *t, double parameter);
  double parameter;
} metric;
/* Row i of the table, NULL behind the last. */
const metric *metric_at(int i);
const metric *metric_find(const char *name);
/* Has the truth what this metric needs? If so, its value is valid for outputs that truth_check accepts. */
int metric_applies(const metric *m, const truth *t);
double metric_value(const metric *m, const outputs *y, const truth *t);

double sqnr_of(double rel_err);                      /* in dB; 999 for an exact result */
uint64_t hash_bytes(const void *bytes, size_t size); /* FNV-1a */

/* Rows of the table that have files of their own: ctc.c, pose.c. */
double ctc_line_match(const outputs *y, const truth *t, double unused);
double ctc_character_accuracy(const outputs *y, const truth *t, double unused);
double pose_pck(const outputs *y, const truth *t, double percent);
double pose_mpjpe_mm(const outputs *y, const truth *t, double unused);
size_t arg_max(const float *x, size_t n); /* the first of equals */

/* ---- ranges.c, warnings.c ---- */

/* Feeds the first `count` samples; `what` names the bar. 0 or EXIT_FAILED. */
int dataset_feed(qint8_calibrator *calibrator, const dataset *data, size_t count, int64_t batch, const char *what);
/* Of at most `limit` samples, with histograms. 0 or EXIT_FAILED. */
int dataset_ranges(const qint8_model *model, const dataset *data, size_t limit, long wanted_batch,
                   const qint8_host *host, qint8_ranges **out);

/* On stderr; `validation` may be NULL. */
void print_warnings(const qint8_ranges *ranges, const qint8_ranges *validation);

/* ---- auto.c: --config auto ---- */

/* "top1<=0.5%": at most 0.005 worse than the float model; "sqnr_db>=30": the value itself, at least. */
typedef struct budget {
  const metric *metric;
  double limit;
  int is_floor; /* the value itself, not the drop */
} budget;
int budgets_parse(const text_list *texts, budget *out); /* 0 or EXIT_USAGE */

typedef struct auto_options {
  text_list texts; /* of the budgets */
  budget budgets[MAX_LIST];
  int budget_count;
  const char *validation;
  truth_options truth; /* of the validation samples; of the calibration file's if they come from there */
  long max_evaluations;
  double max_seconds; /* 0: no limit */
} auto_options;

/* What was tried, for reports. */
typedef struct auto_row {
  qint8_candidate candidate;
  double values[MAX_LIST]; /* of the budgets' metrics */
} auto_row;
typedef struct auto_result {
  auto_row *rows; /* free() */
  size_t count, best, validation_samples;
  double reference[MAX_LIST]; /* of the float model */
  double float_us;            /* expected */
  long long float_bytes;      /* set by the caller */
} auto_result;
/* "histogram bias mixed"; `observers` are names by qint8_observer_kind. */
void candidate_text(const qint8_candidate *c, const char *const *observers, char *text, size_t size);

typedef struct auto_request {
  const qint8_model *model;
  const char *out_path;
  const dataset *calibration, *validation; /* may be the same */
  long batch;
  int32_t activation_dtype, force, format;
  const char *const *observers;
  const qint8_host *host;
  auto_options *options;
} auto_request;
/* Searches, validates on samples first to first + count - 1, writes the best and prints what was tried. EXIT_GATE if no
 * budget was met. */
int auto_quantize(const auto_request *request, size_t first, size_t count, auto_result *result);

/* ---- json.c: written as it comes, one object or array inside the other ---- */

typedef struct json {
  FILE *file;
  int depth, first, inline_depth;
} json;
void json_begin(json *j, FILE *file);
void json_open(json *j, const char *key,
               char bracket); /* '{' or '[' ; key NULL inside arrays and at the top */
void json_close(json *j, char bracket);
void json_text(json *j, const char *key, const char *value);
void json_number(json *j, const char *key, double value);
void json_integer(json *j, const char *key, long long value);
void json_end(json *j);

/* ---- progress.c: a bar on a terminal, quiet otherwise ---- */

void progress(const char *what, size_t done, size_t total);
int32_t progress_of_host(void *user, const char *what, size_t done, size_t total); /* as qint8_host wants it */

/* ---- The commands ---- */

int command_inspect(int argc, char **argv);
int command_run(int argc, char **argv);
int command_quantize(int argc, char **argv);
int command_evaluate(int argc, char **argv);
int command_compare(int argc, char **argv);
int command_bench(int argc, char **argv);

#endif
