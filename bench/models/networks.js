// networks.js - our int8 and fp32 beside ONNX Runtime's, one thread, batch 1: node networks.js TOOL DIR [ROUNDS]
//
// DIR holds NAME.onnx and NAME.int8.onnx (our QDQ export, which serves as ONNX Runtime's int8 model too). Machines drift
// within seconds, so rounds are short and take turns: our pair (interleaved run by run inside the tool), then ONNX
// Runtime's pair (interleaved here). Ratios are medians over rounds of ratios of medians within one round; on a machine
// with noisy neighbours the second table, of the shortest runs, says more. ONLY=part of a name: only these; LOADING=1 or
// THREADS=1: only the tables of loading or of two threads.
const fs = require('fs'), path = require('path'), {execFileSync} = require('child_process');
const ort = require('onnxruntime-node');
const [tool, dir, rounds = '7'] = process.argv.slice(2);
const SECONDS = 0.4;

const shortest = values => Math.min(...values);
const median = values => values.slice().sort((a, b) => a - b)[values.length >> 1];

async function openPeer(file) {
  const session = await ort.InferenceSession.create(
      file, {intraOpNumThreads: 1, interOpNumThreads: 1, executionMode: 'sequential', graphOptimizationLevel: 'all'});
  const shape = session.inputMetadata[0].shape.map(d => typeof d === 'number' && d > 0 ? d : 1);
  const data = Float32Array.from({length: shape.reduce((a, b) => a * b, 1)}, () => Math.random() * 2 - 1);
  const feeds = {[session.inputNames[0]]: new ort.Tensor('float32', data, shape)};
  return async () => {
    const start = process.hrtime.bigint();
    await session.run(feeds);
    return Number(process.hrtime.bigint() - start) / 1e6;
  };
}

// Medians of two peers, run in turn.
async function peers(a, b) {
  const times = [[], []], end = Date.now() + SECONDS * 2000;
  for (let i = 0; i < 2; i++)
    await a(), await b();
  while (Date.now() < end || times[0].length < 5)
    times[0].push(await a()), times[1].push(await b());
  return times.map(t => ({median: median(t), shortest: shortest(t)}));
}

function ours(file, other, ...more) {
  return JSON.parse(
      execFileSync(tool, ['bench', file, '--compare', other, '--seconds', String(SECONDS), '--json', ...more]));
}

const isConvolution = kind => kind.startsWith('conv') || kind.startsWith('dwconv');

// One table row: int8, fp32 of ours, int8, fp32 of ONNX Runtime, then ratios.
function cells(rounds, over) {
  const of = f => over(rounds.map(f)), ratio = f => (over === median ? median(rounds.map(f)) : f(whole)).toFixed(2);
  const whole = {q8: of(r => r.q8), f32: of(r => r.f32), ort8: of(r => r.ort8), ort32: of(r => r.ort32)};
  return [...Object.values(whole).map(ms => ms.toFixed(2)), ratio(r => Math.min(r.ort8, r.ort32) / r.q8),
          ratio(r => r.ort8 / r.q8), ratio(r => r.f32 / r.q8), ratio(r => r.ort32 / r.f32)];
}

async function measure(name) {
  const int8 = path.join(dir, name + '.int8.onnx'), fp32 = path.join(dir, name + '.onnx');
  const a = await openPeer(int8), b = await openPeer(fp32), medians = [], minima = [];
  for (let i = 0; i < Number(rounds); i++) {
    const mine = ours(int8, fp32), [ort8, ort32] = await peers(a, b);
    medians.push({q8: mine.ms_median, f32: mine.compared_with.ms_median, ort8: ort8.median, ort32: ort32.median});
    minima.push({q8: mine.ms_min, f32: mine.compared_with.ms_min, ort8: ort8.shortest, ort32: ort32.shortest});
  }
  const steps = ours(int8, fp32, '--plan').steps, time = list => list.reduce((sum, s) => sum + s.us, 0);
  const share = (100 * time(steps.filter(s => isConvolution(s.kind))) / time(steps)).toFixed(0) + ' %';
  return {
    name,
    medians: [...cells(medians, median), share],
    minima: [...cells(minima, shortest), share]
  };
}

function table(title, rows) {
  console.log(`\n${title}\n`);
  console.log('| model | int8 ms | fp32 ms | ORT int8 ms | ORT fp32 ms | faster ORT / int8 | ORT int8 / int8 | ' +
              'fp32 / int8 | ORT fp32 / fp32 | convolutions |');
  console.log('|---|---|---|---|---|---|---|---|---|---|');
  for (const [name, row] of rows)
    console.log('| ' + [name, ...row].join(' | ') + ' |');
}

// From file to session, and memory, in fresh processes: the shortest time, the least peak.
function loading(name) {
  const int8 = path.join(dir, name + '.int8.onnx'), mine = [], theirs = [];
  for (let i = 0; i < Number(rounds); i++) {
    mine.push(JSON.parse(execFileSync(tool, ['bench', int8, '--runs', '1', '--json'])));
    theirs.push(JSON.parse(execFileSync(process.execPath, ['--expose-gc', path.join(__dirname, 'load.js'), int8])));
  }
  const least = (list, key) => shortest(list.map(r => r[key])), mb = bytes => (bytes / 1048576).toFixed(1);
  const ms = [least(mine, 'load_ms'), least(theirs, 'create_ms')], peak = least(mine, 'peak_process_bytes');
  const session = least(theirs, 'session_bytes'), library = least(theirs, 'library_bytes');
  return [ms[0].toFixed(1), ms[1].toFixed(1), (ms[0] / ms[1]).toFixed(2), mb(peak), mb(mine[0].arena_bytes),
          mb(mine[0].weight_bytes), mb(library), mb(session), (peak / (library + session)).toFixed(2)];
}

function loadingTable(rows) {
  console.log('\nLoading int8, in fresh processes; memory in MB: ours of the whole process with three runs, ONNX ' +
              "Runtime's without that of node\n");
  console.log('| model | ms | ORT ms | of ORT\'s time | peak | of it arena | of it plan | ORT library | ORT session ' +
              'and run | of ORT\'s memory |');
  console.log('|---|---|---|---|---|---|---|---|---|---|');
  for (const [name, row] of rows)
    console.log('| ' + [name, ...row].join(' | ') + ' |');
}

// One thread and two in turn, at batch 1 and 8: medians, and the median over rounds of their ratio.
function scaling(name) {
  const int8 = path.join(dir, name + '.int8.onnx'), row = [];
  for (const batch of ['1', '8']) {
    const ms = [[], []];
    for (let i = 0; i < Number(rounds); i++)
      ms.forEach((list, t) => list.push(JSON.parse(execFileSync(
          tool, ['bench', int8, '--batch', batch, '--threads', String(t + 1), '--seconds', String(SECONDS), '--json']))
                                            .ms_median));
    row.push(...ms.map(list => median(list).toFixed(2)), median(ms[0].map((one, i) => one / ms[1][i])).toFixed(2));
  }
  return row;
}

function scalingTable(rows) {
  console.log('\nInt8 with one thread and with two, ms\n');
  console.log('| model | batch 1 | two threads | ratio | batch 8 | two threads | ratio |');
  console.log('|---|---|---|---|---|---|---|');
  for (const [name, row] of rows)
    console.log('| ' + [name, ...row].join(' | ') + ' |');
}

(async () => {
  const {LOADING, THREADS} = process.env;
  const all = [], names = fs.readdirSync(dir).sort()
                            .filter(f => f.endsWith('.int8.onnx') && f.includes(process.env.ONLY || ''))
                            .map(f => f.slice(0, -'.int8.onnx'.length));
  if (LOADING || !THREADS)
    loadingTable(names.map(name => [name, loading(name)]));
  if (THREADS || !LOADING)
    scalingTable(names.map(name => [name, scaling(name)]));
  if (LOADING || THREADS)
    return;
  for (const name of names)
    all.push(await measure(name));
  table('Medians', all.map(m => [m.name, m.medians]));
  table('Shortest runs', all.map(m => [m.name, m.minima]));
})().catch(error => {
  console.error(String(error));
  process.exit(1);
});
