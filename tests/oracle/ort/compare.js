// compare.js - our bytes against ONNX Runtime's on random operators.
//   node compare.js RUN_MODELS FOLDER [CASES [SEED [ONLY]]]
// Writes models and inputs into FOLDER, runs them in ONNX Runtime here and in libqint8 through RUN_MODELS, and prints one
// line per kind of operator. ORT_NODE names the folder that holds node_modules/onnxruntime-node.
'use strict';
const fs = require('fs'), path = require('path');
const { execFileSync } = require('child_process');
const ort = require(path.join(process.env.ORT_NODE, 'node_modules', 'onnxruntime-node'));
const { Model, ARRAYS } = require('./onnx');
const { Random, TABLE } = require('./cases');

const [runModels, folder, cases = '10000', seed = '1', only = ''] = process.argv.slice(2);
const PER_MODEL = 40, ORT_TYPES = { f32: 'float32', u8: 'uint8', s8: 'int8' };

// One model after the other, each with up to PER_MODEL cases of one label: a refused model costs no other label.
function generate() {
  const table = TABLE.filter((t) => t.label.includes(only)), random = new Random(Number(seed)), models = [];
  const total = table.reduce((sum, t) => sum + t.weight, 0);
  for (const t of table)
    for (let left = Math.ceil(Number(cases) * t.weight / total); left > 0; left -= PER_MODEL) {
      const model = new Model(t.opset);
      for (let i = 0; i < Math.min(left, PER_MODEL); i++) t.make(model, random, t.label);
      const base = path.join(folder, `case${models.length}`);
      fs.writeFileSync(base + '.onnx', model.bytes());
      fs.writeFileSync(base + '.in', Buffer.concat(model.inputs.map((x) => Buffer.from(x.data.buffer, x.data.byteOffset, x.data.byteLength))));
      models.push({ base, kind: t, inputs: model.inputs, outputs: model.outputs });
    }
  return models;
}

async function runOrt(model) {
  const session = await ort.InferenceSession.create(model.base + '.onnx', { intraOpNumThreads: 1, graphOptimizationLevel: process.env.ORT_LEVEL || 'all', logSeverityLevel: 3 });
  const feeds = {};
  for (const x of model.inputs) feeds[x.name] = new ort.Tensor(ORT_TYPES[x.type], x.data, x.shape);
  const results = await session.run(feeds);
  model.expected = model.outputs.map((o) => results[o.name].data);
  await session.release();
}

// Lines "BASE int8 dynamic fp32" of the models that ran.
function runOurs(models) {
  const steps = new Map();
  for (let i = 0; i < models.length; i += 100) {
    let text;
    try {
      text = execFileSync(runModels, models.slice(i, i + 100).map((m) => m.base), { stdio: ['ignore', 'pipe', 'inherit'] });
    } catch (error) {
      text = error.stdout;
    }
    for (const line of text.toString().split('\n').filter(Boolean)) {
      const [base, ...counts] = line.split(' ');
      steps.set(base, counts.map(Number));
    }
  }
  return steps;
}

function compare(model, row) {
  const ours = fs.readFileSync(model.base + '.out');
  let at = 0;
  model.outputs.forEach((output, i) => {
    const want = model.expected[i], size = want.length * ARRAYS[output.type].BYTES_PER_ELEMENT;
    const values = new ARRAYS[output.type](ours.buffer.slice(ours.byteOffset + at, ours.byteOffset + at + size));
    let differ = 0;
    at += size;
    for (let j = 0; j < want.length; j++) {
      const got = values[j];
      if (Object.is(got, want[j]) || got === want[j]) continue;
      differ++;
      row.unexplained += output.explains && !output.explains(j, want[j], got) ? 1 : 0;
      row.worst = Math.max(row.worst, output.scale ? Math.round(Math.abs(got - want[j]) / output.scale) : Math.abs(got / want[j] - 1));
    }
    row.cases++;
    row.values += want.length;
    row.differ += differ;
    row.differing += differ > 0;
  });
  if (at !== ours.length) throw new Error(`${model.base}: ${ours.length} bytes of outputs, ONNX Runtime has ${at}`);
}

function print(rows) {
  let failed = 0, cases_ = 0, exactCases = 0;
  console.log('operator'.padEnd(44) + '   cases     values  differing  in cases  worst  float steps');
  for (const [label, row] of rows) {
    const bad = row.refused || row.unexplained || (!row.inexact && row.differ);
    failed += bad ? 1 : 0;
    cases_ += row.cases;
    exactCases += row.inexact ? 0 : row.cases;
    let note = row.refused ? ` REFUSED: ${row.refused}` : row.inexact && row.differ ? ` ${row.inexact}` : '';
    if (row.unexplained) note += ` ${row.unexplained} of them have another reason`;
    console.log(`${bad ? 'FAIL ' : 'ok   '}${label.padEnd(39)}${String(row.cases).padStart(8)}${String(row.values).padStart(11)}` +
      `${String(row.differ).padStart(11)}${String(row.differing).padStart(10)}${String(Number(row.worst.toPrecision(2))).padStart(7)}${String(row.fp32).padStart(5)}${note}`);
  }
  console.log(`${cases_} cases against ONNX Runtime ${require(path.join(process.env.ORT_NODE, 'node_modules', 'onnxruntime-node', 'package.json')).version}, ${exactCases} of them of operators that must be equal`);
  console.log(`# ${rows.size - failed} passed, ${failed} failed, 0 skipped`);
  return failed;
}

async function main() {
  fs.mkdirSync(folder, { recursive: true });
  const models = generate(), rows = new Map(), runnable = [];
  for (const model of models) {
    if (!rows.has(model.kind.label)) rows.set(model.kind.label, { inexact: model.kind.inexact, cases: 0, values: 0, differ: 0, differing: 0, worst: 0, fp32: 0, unexplained: 0 });
    try {
      await runOrt(model);
      runnable.push(model);
    } catch (error) {
      rows.get(model.kind.label).refused = `ONNX Runtime: ${error.message.slice(0, 160)}`;
    }
  }
  const steps = runOurs(runnable);
  for (const model of runnable) {
    const row = rows.get(model.kind.label);
    if (!steps.has(model.base)) {
      row.refused = 'libqint8, see above';
      continue;
    }
    row.fp32 += steps.get(model.base)[2];
    compare(model, row);
  }
  process.exitCode = print(rows) ? 1 : 0;
}
main();
