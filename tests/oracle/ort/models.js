// models.js - whole quantized models in ONNX Runtime and in libqint8, output by output.
//   node models.js QINT8 MODELS FOLDER [ONLY]
// At least 99.5 % of the argmaxes must agree (dynamic models: 98 %). QINT8 is the tool, MODELS the folder of models/ and
// data/. ORT_NODE names the folder that holds node_modules.
'use strict';
const fs = require('fs'), path = require('path');
const { execFileSync } = require('child_process');
const ort = require(path.join(process.env.ORT_NODE, 'node_modules', 'onnxruntime-node'));
const { Model } = require('./onnx');

const [tool, root, folder, only = ''] = process.argv.slice(2);
// Why static models may differ, or '' where not a byte may.
const ADD = 'Add: ties', FLOAT = 'operators that both run in float';
const fmnist = (why) => ['fmnist.npz:calib', 'fmnist.npz:test', 200, 0, why];
const mlp = ['mlp.npz:calib_std', 'mlp.npz:test_std', 200, 0, ''], pose = ['pose.npz:calib', 'pose.npz:test', 64, 0, FLOAT];
const MODELS = {
  fmnist_cnn: fmnist(''), fmnist_cnn_bn: fmnist(''), fmnist_mnv2: fmnist(ADD), fmnist_mnv2_bn: fmnist(ADD),
  fmnist_mnv3s: fmnist(ADD), fmnist_mnv3l: fmnist(ADD), fmnist_effb0: fmnist('Add: ties; SiLU, which it runs in float'),
  tiny_mlp_a: mlp, tiny_mlp_b: mlp, tiny_vit: fmnist(FLOAT), seq_lstm: ['mnist.npz:calib', 'mnist.npz:test', 200, 0, ''],
  pose_tcn: pose, pose_tcn_bn: pose, ocr_cls: ['ocr.npz:cls_calib', 'ocr.npz:cls_test', 64, 0.5, ADD],
  ocr_rec: ['ocr.npz:rec_calib', 'ocr.npz:rec_test', 8, 0.5, FLOAT],
};
const STATIC = ['--config', 'static_int8_per_channel'];
const CONFIGS = {
  u8: STATIC, s8: [...STATIC, '--activations', 's8'], 'u8 per tensor': ['--config', 'static_int8_per_tensor'],
  QOperator: [...STATIC, '--format', 'qoperator'], 'QOperator s8': [...STATIC, '--activations', 's8', '--format', 'qoperator'],
  dynamic: ['--config', 'dynamic_int8'],
};

const run = (...args) => execFileSync(tool, args, { stdio: ['ignore', 'pipe', 'pipe'] }).toString();

function readNpy(file) {
  const bytes = fs.readFileSync(file), start = 10 + bytes.readUInt16LE(8);
  const shape = /'shape': \(([^)]*)\)/.exec(bytes.toString('latin1', 10, start))[1].split(',').filter((s) => s.trim()).map(Number);
  return { shape, data: new Float32Array(bytes.buffer.slice(bytes.byteOffset + start, bytes.byteOffset + bytes.length)) };
}

// The samples as the model gets them: what an Identity model returns.
function samples(name, source, data, norm) {
  const info = JSON.parse(run('inspect', source, '--json')).inputs[0], model = new Model();
  model.value(11, 'x', 1, info.shape.map((d) => (typeof d === 'number' ? d : null)));
  model.output(model.node('Identity', ['x']), '', 0);
  const file = path.join(folder, `${name}.identity`);
  fs.writeFileSync(file + '.onnx', model.bytes());
  run('evaluate', file + '.onnx', '--data', data, ...norm, '--output', file + '.npy');
  return { input: info.name, ...readNpy(file + '.npy') };
}

async function runOrt(file, x) {
  const session = await ort.InferenceSession.create(file, { intraOpNumThreads: 1, graphOptimizationLevel: process.env.ORT_LEVEL || 'all', logSeverityLevel: 3 });
  const count = x.shape[0], size = x.data.length / count, parts = [];
  for (let i = 0; i < count; i++) { // one by one: dynamic ranges are of a sample
    const result = await session.run({ [session.inputNames[0]]: new ort.Tensor('float32', x.data.slice(i * size, (i + 1) * size), [1, ...x.shape.slice(1)]) });
    const y = result[session.outputNames[0]];
    parts.push(y.data);
  }
  await session.release();
  const all = new Float32Array(parts.reduce((n, p) => n + p.length, 0));
  parts.reduce((at, p) => (all.set(p, at), at + p.length), 0);
  return all;
}

function argmax(values, at, width) {
  let best = 0;
  for (let j = 1; j < width; j++) if (values[at + j] > values[at + best]) best = j;
  return best;
}

async function compare(name, source, config, norm, calibration, data, x) {
  const int8 = path.join(folder, `${name}.${config.replace(/ /g, '_')}`);
  run('quantize', source, '-o', int8 + '.onnx', ...CONFIGS[config], '--calibration', calibration, '--calibration-n', '64', ...norm);
  run('evaluate', int8 + '.onnx', '--data', data, '--n', String(x.shape[0]), ...norm, '--output', int8 + '.npy');
  const ours = readNpy(int8 + '.npy'), theirs = await runOrt(int8 + '.onnx', x), width = ours.shape[ours.shape.length - 1];
  if (ours.data.length !== theirs.length) throw new Error(`${ours.data.length} values, ONNX Runtime has ${theirs.length}`);
  let differ = 0, agree = 0, error = 0, norm2 = 0;
  for (let i = 0; i < theirs.length; i++) {
    differ += ours.data[i] !== theirs[i];
    error += (ours.data[i] - theirs[i]) ** 2;
    norm2 += theirs[i] ** 2;
  }
  const rows = theirs.length / width;
  for (let i = 0; i < rows; i++) agree += argmax(ours.data, i * width, width) === argmax(theirs, i * width, width);
  return { values: theirs.length, differ, top1: agree / rows, rel: Math.sqrt(error / norm2) };
}

async function main() {
  let passed = 0, failed = 0;
  fs.mkdirSync(folder, { recursive: true });
  console.log('model            activations    values  differing   top1 agreement  rel_err between the two');
  for (const [name, [calibrate, test, count, norm, why]] of Object.entries(MODELS)) {
    if (!name.includes(only)) continue;
    const source = path.join(root, 'models', `${name}.onnx`), calibration = path.join(root, 'data', calibrate), data = path.join(root, 'data', test);
    const options = norm ? ['--mean', String(norm), '--std', String(norm)] : [];
    const x = samples(name, source, data, [...options, '--n', String(count)]);
    for (const config of Object.keys(CONFIGS)) {
      let text, good = false;
      try {
        const r = await compare(name, source, config, options, calibration, data, x);
        good = r.top1 >= (config === 'dynamic' ? 0.98 : 0.995) && (config === 'dynamic' || why !== '' || r.differ === 0);
        text = `${String(r.values).padStart(9)}${String(r.differ).padStart(11)}${r.top1.toFixed(4).padStart(17)}  ${r.rel.toExponential(2)}`;
        if (config === 'dynamic') text += '  it multiplies in float, with one scale per tensor';
        else if (r.differ) text += `  ${why}`;
      } catch (error) {
        text = `  refused: ${(error.stderr || error.message).toString().trim().slice(0, 200)}`;
      }
      good ? passed++ : failed++;
      console.log(`${good ? 'ok  ' : 'FAIL'} ${name.padEnd(14)} ${config.padEnd(13)}${text}`);
    }
  }
  console.log(`# ${passed} passed, ${failed} failed, 0 skipped`);
  process.exitCode = failed ? 1 : 0;
}
main();
