/* main.c - which command. */
#include <string.h>

#include "tool.h"

static const struct {
  const char *name;
  int (*run)(int argc, char **argv);
  const char *summary;
} commands[] = {
    {"inspect", command_inspect, "inputs, outputs, operators, parameters, and what cannot be int8 and why"},
    {"run", command_run, "one run on given arrays"},
    {"quantize", command_quantize, "calibrate on data and write an int8 model as ONNX QDQ"},
    {"evaluate", command_evaluate, "metrics on data, against labels, targets or a reference model"},
    {"compare", command_compare, "int8 against float, tensor by tensor, worst first"},
    {"bench", command_bench, "latency, throughput, memory; per step with --plan"},
};

static int help(FILE *to) {
  fprintf(to, "qint8 %s: calibrates, quantizes and runs neural networks in int8\n\nusage: qint8 COMMAND [OPTIONS]\n\n",
          qint8_version_string());
  for (int i = 0; i < COUNT(commands); i++)
    fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].summary);
  fprintf(to, "\n`qint8 COMMAND --help` teaches each one. A first run:\n"
              "  qint8 quantize model.onnx -o int8.onnx --config static_int8_per_channel --calibration data.npz:calib\n"
              "  qint8 evaluate int8.onnx --data data.npz:test --labels data.npz:test_labels --reference model.onnx\n");
  return to == stdout ? EXIT_DONE : EXIT_USAGE;
}

int main(int argc, char **argv) {
  if (argc < 2)
    return help(stderr);
  if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
    return help(stdout);
  if (!strcmp(argv[1], "--version")) {
    printf("qint8 %s\n", qint8_version_string());
    return EXIT_DONE;
  }
  for (int i = 0; i < COUNT(commands); i++)
    if (!strcmp(argv[1], commands[i].name))
      return commands[i].run(argc - 2, argv + 2);
  fprintf(stderr, "qint8: unknown command \"%s\"\n", argv[1]);
  return help(stderr);
}
