// models.js - whole quantized models in ONNX Runtime and in libqint8, output by output.
//   node models.js QINT8 MODELS FOLDER [ONLY]
// At least 99.5 % of the argmaxes must agree (dynamic models: 98 %). QINT8 is the tool, MODELS the folder of models/ and
// data/. ORT_NODE names the folder that holds node_modules.
'use strict';
const fs = require('fs'), path = require('path');
const { MODELS, normalisation, runner, readNpy, samples, runOrt, relative, message } = require('./tool');

const [tool, root, folder, only = ''] = process.argv.slice(2);
const run = runner(tool);
// Why static models may differ; those not named here may not, by a byte.
const ADD = 'Add: ties', FLOAT = 'operators that both run in float';
const WHY = {
  fmnist_mnv2: ADD, fmnist_mnv2_bn: ADD, fmnist_mnv3s: ADD, fmnist_mnv3l: ADD, fmnist_effb0: 'Add: ties; SiLU, which it runs in float',
  seq_lstm: 'LSTM, which it runs in float', tiny_vit: FLOAT, pose_tcn: FLOAT, pose_tcn_bn: FLOAT, ocr_cls: ADD, ocr_rec: FLOAT,
};
const SAMPLES = { pose_tcn: 64, pose_tcn_bn: 64, ocr_cls: 500, ocr_rec: 8 }, CALIBRATION = { ocr_rec: 8 };
const STATIC = ['--config', 'static_int8_per_channel'];
const CONFIGS = {
  u8: STATIC, s8: [...STATIC, '--activations', 's8'], 'u8 per tensor': ['--config', 'static_int8_per_tensor'],
  QOperator: [...STATIC, '--format', 'qoperator'], 'QOperator s8': [...STATIC, '--activations', 's8', '--format', 'qoperator'],
  dynamic: ['--config', 'dynamic_int8'],
};

function argmax(values, at, width) {
  let best = 0;
  for (let j = 1; j < width; j++) if (values[at + j] > values[at + best]) best = j;
  return best;
}

async function compare(name, source, config, norm, calibration, data, x) {
  const int8 = path.join(folder, `${name}.${config.replace(/ /g, '_')}`);
  run('quantize', source, '-o', int8 + '.onnx', ...CONFIGS[config], '--force', '--calibration', calibration, '--calibration-n', String(CALIBRATION[name] || 64), ...norm);
  run('evaluate', int8 + '.onnx', '--data', data, '--n', String(x.shape[0]), ...norm, '--output', int8 + '.npy');
  const ours = readNpy(int8 + '.npy'), theirs = await runOrt(int8 + '.onnx', x), width = ours.shape[ours.shape.length - 1];
  if (ours.data.length !== theirs.length) throw new Error(`${ours.data.length} values, ONNX Runtime has ${theirs.length}`);
  let differ = 0, agree = 0;
  for (let i = 0; i < theirs.length; i++) differ += ours.data[i] !== theirs[i];
  const rows = theirs.length / width;
  for (let i = 0; i < rows; i++) agree += argmax(ours.data, i * width, width) === argmax(theirs, i * width, width);
  return { values: theirs.length, differ, top1: agree / rows, rel: relative(ours.data, theirs) };
}

async function main() {
  let passed = 0, failed = 0;
  fs.mkdirSync(folder, { recursive: true });
  console.log('model            activations    values  differing   top1 agreement  rel_err between the two');
  for (const [name, model] of Object.entries(MODELS)) {
    if (!name.includes(only)) continue;
    const source = path.join(root, 'models', `${name}.onnx`), calibration = path.join(root, 'data', model.calibrate), data = path.join(root, 'data', model.test);
    const norm = normalisation(model), why = WHY[name] || '', shape = JSON.parse(run('inspect', source, '--json')).inputs[0].shape;
    const x = samples(run, path.join(folder, `${name}.identity`), shape, data, norm, SAMPLES[name] || 200);
    for (const config of Object.keys(CONFIGS)) {
      let text, good = false;
      try {
        const r = await compare(name, source, config, norm, calibration, data, x);
        good = r.top1 >= (config === 'dynamic' ? 0.98 : 0.995) && (config === 'dynamic' || why !== '' || r.differ === 0);
        text = `${String(r.values).padStart(9)}${String(r.differ).padStart(11)}${r.top1.toFixed(4).padStart(17)}  ${r.rel.toExponential(2)}`;
        if (config === 'dynamic') text += '  it multiplies in float, with one scale per tensor';
        else if (r.differ) text += `  ${why}`;
      } catch (error) {
        text = `  refused: ${message(error)}`;
      }
      good ? passed++ : failed++;
      console.log(`${good ? 'ok  ' : 'FAIL'} ${name.padEnd(14)} ${config.padEnd(13)}${text}`);
    }
  }
  console.log(`# ${passed} passed, ${failed} failed, 0 skipped`);
  process.exitCode = failed ? 1 : 0;
}
main();
