// tool.js - whole models for the scripts beside it: what they are tested on, the tool, arrays, ONNX Runtime.
'use strict';
const fs = require('fs'), path = require('path');
const { execFileSync } = require('child_process');
const ort = require(path.join(process.env.ORT_NODE, 'node_modules', 'onnxruntime-node'));
const { Model } = require('./onnx');

// calibrate, test: arrays under data/; norm: mean and deviation where the archive has none; truth: options of evaluate.
const fmnist = { calibrate: 'fmnist.npz:calib', test: 'fmnist.npz:test', truth: { labels: 'fmnist.npz:test_labels' } };
const mlp = { calibrate: 'mlp.npz:calib_std', test: 'mlp.npz:test_std', truth: { targets: 'mlp.npz:test_target' } };
const pose = { calibrate: 'pose.npz:calib', test: 'pose.npz:test', truth: { targets: 'pose.npz:test_target' } };
const MODELS = {
  fmnist_cnn: fmnist, fmnist_cnn_bn: fmnist, fmnist_mnv2: fmnist, fmnist_mnv2_bn: fmnist, fmnist_mnv3s: fmnist,
  fmnist_mnv3l: fmnist, fmnist_effb0: fmnist, tiny_mlp_a: mlp, tiny_mlp_b: mlp, tiny_vit: fmnist,
  seq_lstm: { calibrate: 'mnist.npz:calib', test: 'mnist.npz:test', truth: { labels: 'mnist.npz:test_labels' } },
  pose_tcn: pose, pose_tcn_bn: pose,
  ocr_cls: { calibrate: 'ocr.npz:cls_calib', test: 'ocr.npz:cls_test', norm: 0.5, truth: { labels: 'ocr.npz:cls_labels' } },
  ocr_rec: { calibrate: 'ocr.npz:rec_calib', test: 'ocr.npz:rec_test', norm: 0.5, truth: { labels: 'ocr.npz:rec_text' } },
};

// Options of evaluate and quantize: how uint8 images become floats.
const normalisation = (model) => (model.norm ? ['--mean', String(model.norm), '--std', String(model.norm)] : []);

function runner(tool) {
  return (...args) => execFileSync(tool, args, { stdio: ['ignore', 'pipe', 'pipe'] }).toString();
}

function readNpy(file) {
  const bytes = fs.readFileSync(file), start = 10 + bytes.readUInt16LE(8);
  const shape = /'shape': \(([^)]*)\)/.exec(bytes.toString('latin1', 10, start))[1].split(',').filter((s) => s.trim()).map(Number);
  return { shape, data: new Float32Array(bytes.buffer.slice(bytes.byteOffset + start, bytes.byteOffset + bytes.length)) };
}

function writeNpy(file, { shape, data }) {
  const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(', ')}), }\n`, head = Buffer.alloc(10);
  head.write('\x93NUMPY\x01\x00', 'latin1');
  head.writeUInt16LE(header.length, 8);
  fs.writeFileSync(file, Buffer.concat([head, Buffer.from(header), Buffer.from(data.buffer, data.byteOffset, data.byteLength)]));
}

// The first `count` samples of an array as a model with inputs of this shape gets them: what an Identity model returns.
function samples(run, file, shape, data, norm, count) {
  const model = new Model();
  model.value(11, 'x', 1, shape.map((d) => (typeof d === 'number' ? d : null)));
  model.output(model.node('Identity', ['x']), '', 0);
  fs.writeFileSync(file + '.onnx', model.bytes());
  run('evaluate', file + '.onnx', '--data', data, ...norm, '--n', String(count), '--output', file + '.npy');
  return readNpy(file + '.npy');
}

// The first output, sample by sample: dynamic ranges are of a sample.
async function runOrt(file, x) {
  const session = await ort.InferenceSession.create(file, { intraOpNumThreads: 1, graphOptimizationLevel: process.env.ORT_LEVEL || 'all', logSeverityLevel: 3 });
  const count = x.shape[0], size = x.data.length / count, parts = [];
  for (let i = 0; i < count; i++) {
    const result = await session.run({ [session.inputNames[0]]: new ort.Tensor('float32', x.data.slice(i * size, (i + 1) * size), [1, ...x.shape.slice(1)]) });
    parts.push(result[session.outputNames[0]].data);
  }
  await session.release();
  const all = new Float32Array(parts.reduce((n, p) => n + p.length, 0));
  parts.reduce((at, p) => (all.set(p, at), at + p.length), 0);
  return all;
}

// ||a - b|| / ||b||
function relative(a, b) {
  let error = 0, norm = 0;
  for (let i = 0; i < b.length; i++) {
    error += (a[i] - b[i]) ** 2;
    norm += b[i] ** 2;
  }
  return Math.sqrt(error / norm);
}

const message = (error) => (error.stderr && error.stderr.length ? error.stderr : error.message).toString().trim().slice(0, 200);

module.exports = { MODELS, normalisation, runner, readNpy, writeNpy, samples, runOrt, relative, message };
