// One-op models on ONNX Runtime, one thread, for ort.c: commands on stdin, one answer line each on stdout.
'use strict';
const fs = require('fs');
const path = require('path');
const say = (text) => fs.writeSync(1, text + '\n');

let binding, Tensor, version;
try {
  // The binding below the package's async interface: run() without a trip through the event loop.
  const root = path.dirname(require.resolve('onnxruntime-node/package.json'));
  version = require(path.join(root, 'package.json')).version;
  const loaded = require(path.join(root, 'dist', 'binding.js'));
  loaded.initOrt();
  binding = loaded.binding;
  Tensor = require('onnxruntime-common').Tensor;
} catch (e) {
  say('absent ' + e.message.split('\n')[0]);
  process.exit(0);
}
say('ready ' + version);

const arrays = { float32: Float32Array, uint8: Uint8Array };
let session, feeds, fetches, folder;
const product = (dims) => dims.reduce((a, b) => a * b, 1);
const tensor = (type, dims, bytes) => new Tensor(type, new arrays[type](bytes.buffer, bytes.byteOffset, product(dims)), dims);

const commands = {
  // open FOLDER TYPE RANK_X DIMS... RANK_Y DIMS...
  open(from, type, ...numbers) {
    const n = numbers.map(Number);
    const x = n.slice(1, 1 + n[0]), y = n.slice(2 + n[0]);
    folder = from;
    session = new binding.InferenceSession();
    session.loadModel(path.join(folder, 'model.onnx'), {
      graphOptimizationLevel: 'all', intraOpNumThreads: 1, interOpNumThreads: 1, executionMode: 'sequential',
      enableProfiling: true, profileFilePrefix: path.join(folder, 'profile'),
    });
    feeds = { x: tensor(type, x, new Uint8Array(fs.readFileSync(path.join(folder, 'x.bin')))) };
    fetches = { y: tensor(type, y, new Uint8Array(product(y) * arrays[type].BYTES_PER_ELEMENT)) };
    session.run(feeds, fetches, {});
    return 'ok';
  },
  run(count) {
    const from = process.hrtime.bigint();
    for (let i = Number(count); i > 0; i--) session.run(feeds, fetches, {});
    return String(Number(process.hrtime.bigint() - from) * 1e-9);
  },
  // The fastest run of the model's slowest node, in seconds, from the profile, which ends here.
  best() {
    session.endProfiling();
    const file = path.join(folder, fs.readdirSync(folder).find((name) => name.startsWith('profile')));
    const least = {};
    for (const event of JSON.parse(fs.readFileSync(file)))
      if (event.name.endsWith('kernel_time'))
        least[event.name] = Math.min(event.dur, least[event.name] ?? Infinity);
    fs.unlinkSync(file);
    return String(Math.max(...Object.values(least)) * 1e-6);
  },
  result() {
    const data = fetches.y.data;
    fs.writeFileSync(path.join(folder, 'y.bin'), Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    return 'ok';
  },
  close() {
    session.dispose();
    session = feeds = fetches = undefined;
    return 'ok';
  },
};

const buffer = Buffer.alloc(4096);
let pending = '';
for (;;) {
  const end = pending.indexOf('\n');
  if (end < 0) {
    const n = fs.readSync(0, buffer, 0, buffer.length);
    if (n === 0) process.exit(0);
    pending += buffer.toString('utf8', 0, n);
    continue;
  }
  const words = pending.slice(0, end).split(' ');
  pending = pending.slice(end + 1);
  let answer;
  try {
    answer = commands[words[0]](...words.slice(1));
  } catch (e) {
    answer = 'error ' + String(e.message).split('\n')[0];
  }
  say(answer);
}
