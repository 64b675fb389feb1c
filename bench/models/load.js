// load.js - ONNX Runtime's time and memory from a file to a session that ran once: node --expose-gc load.js FILE
const fs = require('fs');

const memory = key =>
    1024 * Number(fs.readFileSync('/proc/self/status', 'utf8').match(new RegExp(key + ':\\s+(\\d+)'))[1]);
const forgetPeak = () => {
  global.gc();
  fs.writeFileSync('/proc/self/clear_refs', '5');
};

(async () => {
  forgetPeak();
  const bare = memory('VmRSS'), ort = require('onnxruntime-node');
  await ort.InferenceSession.create(new Uint8Array(0)).catch(() => {}); // fails: the library is there now
  forgetPeak();
  const before = memory('VmRSS'), start = process.hrtime.bigint();
  const session = await ort.InferenceSession.create(
      process.argv[2],
      {intraOpNumThreads: 1, interOpNumThreads: 1, executionMode: 'sequential', graphOptimizationLevel: 'all'});
  const create_ms = Number(process.hrtime.bigint() - start) / 1e6;
  const shape = session.inputMetadata[0].shape.map(d => typeof d === 'number' && d > 0 ? d : 1);
  const x = new ort.Tensor('float32', new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
  await session.run({[session.inputNames[0]]: x});
  console.log(JSON.stringify(
      {create_ms, library_bytes: before - bare, session_bytes: memory('VmHWM') - before}));
})();
