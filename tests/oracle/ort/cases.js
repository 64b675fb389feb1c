// cases.js - random operators. Each entry adds one case to a model: inputs of its own, the operator, one float output.
'use strict';

class Random {
  constructor(seed) { this.state = seed >>> 0; }
  next() { // mulberry32, in [0, 1)
    let t = this.state = this.state + 0x6D2B79F5 >>> 0;
    t = Math.imul(t ^ t >>> 15, t | 1);
    t ^= t + Math.imul(t ^ t >>> 7, t | 61);
    return ((t ^ t >>> 14) >>> 0) / 4294967296;
  }
  int(lo, hi) { return lo + Math.floor(this.next() * (hi - lo + 1)); }
  float(lo, hi) { return lo + this.next() * (hi - lo); }
  pick(list) { return list[this.int(0, list.length - 1)]; }
  chance(p) { return this.next() < p; }
  ints(count, lo, hi) { return Array.from({ length: count }, () => this.int(lo, hi)); }
  scale(lo = 1e-3, hi = 0.5) { return Math.fround(Math.exp(this.float(Math.log(lo), Math.log(hi)))); }
}

const MICROSOFT = 'com.microsoft';
const LOW = { u8: 0, s8: -128 }, HIGH = { u8: 255, s8: 127 };
const size = (shape) => shape.reduce((a, b) => a * b, 1);

// Parameters of a tensor; the zero point is at an end of the type now and then.
function params(r, type, scale = r.scale()) {
  const zero = r.chance(0.2) ? r.pick([LOW[type], HIGH[type]]) : r.int(LOW[type], HIGH[type]);
  return { type, scale: Math.fround(scale), zero };
}

// Values over the range of q and a little beyond, some of them half way between two steps.
function values(r, count, q) {
  return Float32Array.from({ length: count }, () => {
    const step = r.float(LOW[q.type] - 4, HIGH[q.type] + 4) - q.zero;
    return Math.fround((r.chance(0.2) ? Math.floor(step) + 0.5 : step) * q.scale);
  });
}

function constants(m, q) {
  return [m.constant('f32', [], [q.scale]), m.constant(q.type, [], [q.zero])];
}
// A float input, quantized: the triple (integers, scale, zero point).
function input(m, r, shape, q) {
  const [s, z] = constants(m, q);
  return [m.node('QuantizeLinear', [m.input(shape, values(r, size(shape), q)), s, z]), s, z];
}
const dequantize = (m, triple) => m.node('DequantizeLinear', triple);
// A quantized result as an output of the graph.
function output(m, label, integers, q) {
  const [s, z] = constants(m, q);
  m.output(m.node('DequantizeLinear', [integers, s, z]), label, q.scale);
}
// A float result, quantized: QDQ form.
function quantized(m, label, value, q) {
  const [s, z] = constants(m, q);
  output(m, label, m.node('QuantizeLinear', [value, s, z]), q);
}

// ---- Weights ----

const WEIGHTS = { // lowest, highest, zero points
  's8': ['s8', -127, 127, () => 0],
  's8 with -128': ['s8', -128, 127, () => 0],
  's8 zero point': ['s8', -128, 127, (r) => r.int(-128, 127)],
  'u8 around 128': ['u8', 0, 255, () => 128],
  'u8 zero point': ['u8', 0, 255, (r) => r.int(0, 255)],
};

// Integers [shape] with one scale, or one per index of `axis`.
function weights(m, r, kind, shape, axis) {
  const [type, lo, hi, zero] = WEIGHTS[kind], channels = shape[axis], perChannel = channels > 1 && r.chance(0.6);
  const count = perChannel ? channels : 1, scale = Array.from({ length: count }, () => r.scale(1e-3, 0.1));
  const z = zero(r), dims = perChannel ? [channels] : [];
  return {
    type, scale, axis: perChannel ? axis : null,
    triple: [m.constant(type, shape, r.ints(size(shape), lo, hi)), m.constant('f32', dims, scale),
      m.constant(type, dims, Array(count).fill(z))], // ONNX Runtime wants equal zero points
    dequantized() { return m.node('DequantizeLinear', this.triple, perChannel ? { axis } : {}); },
  };
}
// Parameters of the result, so that most of it stays inside the type.
function result(r, type, x, w, products) {
  const mean = w.scale.reduce((a, b) => a + b, 0) / w.scale.length;
  return params(r, type, x.scale * mean * 5400 * Math.sqrt(products) * r.float(0.5, 4) / 40);
}
function bias(m, r, w, x, count, products) {
  const limit = Math.ceil(5400 * Math.sqrt(products)) * (r.chance(0.2) ? 1000 : 1), dims = w.axis === null ? [] : [count];
  const integers = m.constant('s32', [count], r.ints(count, -limit, limit));
  const scale = m.constant('f32', dims, w.scale.map((s) => Math.fround(Math.fround(x.scale) * Math.fround(s))));
  return { integers, dequantized: () => m.node('DequantizeLinear', [integers, scale], w.axis === null ? {} : { axis: 0 }) };
}

// ---- Convolutions ----

function geometry(r, spatial = 2) {
  const groups = r.pick([1, 1, 1, 2, 4]), depthwise = r.chance(0.25), c = depthwise ? r.int(1, 20) : groups * r.int(1, 9);
  const k = depthwise ? c : groups * r.int(1, 9), g = depthwise ? c : groups, kernel = r.ints(spatial, 1, 4);
  const image = kernel.map((e) => r.int(e, 10)), dilations = kernel.map((e, i) => (e * 2 - 1 <= image[i] && r.chance(0.2) ? 2 : 1));
  return { n: r.int(1, 2), c, k, g, kernel, image, attributes: { group: g, kernel_shape: kernel, dilations,
    strides: r.ints(spatial, 1, 2), pads: kernel.concat(kernel).map((e) => r.int(0, e - 1)) } };
}
function conv(kind, dialect, type) {
  return (m, r, label) => {
    const o = geometry(r, r.pick([1, 2, 2, 2])), products = o.c / o.g * size(o.kernel), x = params(r, type);
    const triple = input(m, r, [o.n, o.c, ...o.image], x), w = weights(m, r, kind, [o.k, o.c / o.g, ...o.kernel], 0);
    const y = result(r, type, x, w, products), b = r.chance(0.7) ? bias(m, r, w, x, o.k, products) : null;
    if (dialect === 'QDQ') {
      const inputs = [dequantize(m, triple), w.dequantized()].concat(b ? [b.dequantized()] : []);
      quantized(m, label, m.node('Conv', inputs, o.attributes), y);
    } else {
      const inputs = [...triple, ...w.triple, ...constants(m, y)].concat(b ? [b.integers] : []);
      output(m, label, m.node('QLinearConv', inputs, o.attributes), y);
    }
  };
}

// ---- Matrix products ----

function matmul(kind, dialect, type) {
  return (m, r, label) => {
    const rows = r.int(1, 12), k = r.int(1, 70), n = r.int(1, 20), x = params(r, type), batch = r.chance(0.3) ? [r.int(1, 3)] : [];
    const triple = input(m, r, [...batch, rows, k], x), w = weights(m, r, kind, [k, n], 1), y = result(r, type, x, w, k);
    if (dialect === 'QDQ') quantized(m, label, m.node('MatMul', [dequantize(m, triple), w.dequantized()]), y);
    else output(m, label, m.node('QLinearMatMul', [...triple, ...w.triple, ...constants(m, y)]), y);
  };
}
function gemm(kind, dialect, type) {
  return (m, r, label) => {
    const rows = r.int(1, 12), k = r.int(1, 70), n = r.int(1, 20), x = params(r, type), transB = r.int(0, 1);
    const triple = input(m, r, [rows, k], x), w = weights(m, r, kind, transB ? [n, k] : [k, n], transB ? 0 : 1);
    const y = result(r, type, x, w, k), b = r.chance(0.7) ? bias(m, r, w, x, n, k) : null;
    if (dialect === 'QDQ') {
      const inputs = [dequantize(m, triple), w.dequantized()].concat(b ? [b.dequantized()] : []);
      quantized(m, label, m.node('Gemm', inputs, { transB }), y);
    } else {
      const inputs = [...triple, ...w.triple, b ? b.integers : '', ...constants(m, y)];
      output(m, label, m.microsoft('QGemm', inputs, { transB }), y);
    }
  };
}

// ---- Dynamic quantization ----

function anyRange(r, count) {
  const center = r.float(-2, 2), spread = r.scale(0.01, 20);
  return Float32Array.from({ length: count }, () => Math.fround(center + r.float(-spread, spread)));
}
// A product with the identity shows the rounded values themselves.
function dynamicQuantize(m, r, label) {
  const k = r.int(1, 60), one = Array.from({ length: k * k }, (_, i) => (i % (k + 1) ? 0 : 1));
  const parts = m.node('DynamicQuantizeLinear', [m.input([1, k], anyRange(r, k))], {}, 3);
  const w = m.node('DequantizeLinear', [m.constant('s8', [k, k], one), m.constant('f32', [], [1]), m.constant('s8', [], [0])]);
  m.output(m.node('MatMul', [m.node('DequantizeLinear', parts), w]), label, 0);
}
function integerProduct(kind, op) {
  return (m, r, label) => {
    const isConv = op === 'ConvInteger', o = geometry(r), rows = 1, k = r.int(1, 70), n = r.int(1, 20);
    const shape = isConv ? [1, o.c, ...o.image] : [rows, k];
    const [x, s, z] = m.node('DynamicQuantizeLinear', [m.input(shape, anyRange(r, size(shape)))], {}, 3);
    const w = isConv ? weights(m, { __proto__: r, chance: () => false }, kind, [o.k, o.c / o.g, ...o.kernel], 0)
      : weights(m, r, kind, [k, n], 1);
    const sum = m.node(op, [x, w.triple[0], z, w.triple[2]], isConv ? o.attributes : {});
    const scale = m.node('Mul', [s, w.triple[1]]);
    m.output(m.node('Mul', [m.node('Cast', [sum], { to: 1 }), scale]), label, 0);
  };
}

// Integers as values of the graph: accumulators as they are, and one tensor quantized in two ways.
function accumulators(kind, op) {
  return (m, r, label) => {
    const isConv = op === 'ConvInteger', o = geometry(r), k = r.int(1, 70), n = r.int(1, 20), x = params(r, 'u8');
    const [integers, , z] = input(m, r, isConv ? [o.n, o.c, ...o.image] : [r.int(1, 9), k], x);
    const w = weights(m, { __proto__: r, chance: () => false }, kind, isConv ? [o.k, o.c / o.g, ...o.kernel] : [k, n], 0);
    const sum = m.node(op, [integers, w.triple[0], z, w.triple[2]], isConv ? o.attributes : {});
    m.output(m.node('Cast', [sum], { to: 1 }), label, 1);
  };
}
// Integers in, integers out: no float at the borders.
function borders(op, type) {
  return (m, r, label) => {
    const o = geometry(r), k = r.int(1, 70), n = r.int(1, 20), x = params(r, type), isConv = op === 'QLinearConv';
    const shape = isConv ? [o.n, o.c, ...o.image] : [r.int(1, 9), k], data = r.ints(size(shape), LOW[type], HIGH[type]);
    const integers = m.input(shape, (type === 'u8' ? Uint8Array : Int8Array).from(data), type), products = isConv ? o.c / o.g * size(o.kernel) : k;
    const w = weights(m, r, 's8', isConv ? [o.k, o.c / o.g, ...o.kernel] : [k, n], isConv ? 0 : 1), y = result(r, type, x, w, products);
    m.output(m.node(op, [integers, ...constants(m, x), ...w.triple, ...constants(m, y)], isConv ? o.attributes : {}), label, 1, type);
  };
}
// A product of two activations.
function product(dialect, type) {
  return (m, r, label) => {
    const batch = r.ints(r.int(0, 2), 1, 3), rows = r.int(1, 12), k = r.int(1, 70), n = r.int(1, 12), a = params(r, type), b = params(r, type);
    const inputs = [input(m, r, [...batch, rows, k], a), input(m, r, [...batch, k, n], b)], y = result(r, type, a, { scale: [b.scale] }, k);
    if (dialect === 'QDQ') quantized(m, label, m.node('MatMul', inputs.map((t) => dequantize(m, t))), y);
    else output(m, label, m.node('QLinearMatMul', [...inputs[0], ...inputs[1], ...constants(m, y)]), y);
  };
}
// Values that only move, as integers.
function moves(m, r, label) {
  const shape = [r.int(1, 3), r.int(2, 9), r.int(2, 6), r.int(2, 6)], q = params(r, r.pick(['u8', 's8'])), [x] = input(m, r, shape, q);
  const list = (v) => m.constant('s64', [v.length], v.map(BigInt));
  const turned = m.node('Transpose', [x], { perm: [0, 2, 3, 1] }), cut = m.node('Slice', [turned, list([0]), list([-1]), list([1])]);
  const picked = m.node('Gather', [cut, m.constant('s64', [2], [0n, 1n])], { axis: 3 });
  output(m, label, m.node('Reshape', [picked, list([0, -1])]), q);
}
function twoWays(m, r, label) {
  const a = params(r, 'u8'), b = params(r, 'u8', a.scale * r.float(0.5, 2)), x = m.input([r.int(1, 99)], null);
  m.inputs[m.inputs.length - 1].data = values(r, m.inputs[m.inputs.length - 1].shape[0], a);
  for (const q of [a, b]) quantized(m, label, x, q);
}

// ONNX Runtime's own fusions of the dynamic pattern.
function fusedProduct(op, kind) {
  return (m, r, label) => {
    const k = r.int(1, 70), n = r.int(1, 20), x = m.input([1, k], anyRange(r, k)), w = weights(m, r, kind, [k, n], 1);
    const b = r.chance(0.6) ? m.constant('f32', [n], anyRange(r, n)) : '';
    if (op === 'DynamicQuantizeMatMul') m.output(m.microsoft(op, [x, ...w.triple, b]), label, 0);
    else {
      const [q, s, z] = m.node('DynamicQuantizeLinear', [x], {}, 3);
      m.output(m.microsoft(op, [q, w.triple[0], s, w.triple[1], z, w.triple[2], b]), label, 0);
    }
  };
}

// ---- Elementwise, pooling, tables ----

// Where ONNX Runtime's result is not QuantizeLinear of the float result, its own formula, in f32: each difference between
// us and it must be what that formula gives.
const f32 = Math.fround;
function halfEven(x) {
  const low = Math.floor(x), part = x - low;
  return part < 0.5 || (part === 0.5 && low % 2 === 0) ? low : low + 1;
}
const clamp = (v, q) => Math.min(Math.max(v, LOW[q.type]), HIGH[q.type]);
const integersOf = (x, q) => Array.from(x, (v) => clamp(halfEven(f32(v / q.scale)) + q.zero, q));
const floatOf = (v, q) => f32((v - q.zero) * q.scale);
const lastData = (m) => m.inputs[m.inputs.length - 1].data;

// The zero point is added before rounding, so ties go to an even result, not to an even distance from zero. A repeated
// value of b is added first.
function theirAdd(a, qa, b, qb, y, repeat) {
  const ra = f32(qa.scale / y.scale), rb = f32(qb.scale / y.scale), pa = f32(a * ra), pb = f32(b * rb);
  const fixed = f32(y.zero - f32(f32(ra * qa.zero) + f32(rb * qb.zero)));
  return repeat > 1 ? f32(f32(fixed + pb) + pa) : f32(f32(fixed + pa) + pb);
}
function theirMul(a, qa, b, qb, y) {
  return f32(f32(f32((a - qa.zero) * (b - qb.zero)) * f32(f32(qa.scale * qb.scale) / y.scale)) + y.zero);
}
function theirBinary(op, xa, qa, xb, qb, y, repeat) {
  const a = integersOf(xa, qa), b = integersOf(xb, qb), formula = op === 'Add' ? theirAdd : theirMul;
  return a.map((v, i) => floatOf(clamp(halfEven(formula(v, qa, b[Math.floor(i / repeat)], qb, y, repeat)), y), y));
}

function binary(op, dialect, type, ties = false) {
  return (m, r, label) => {
    const shape = [r.int(1, 3), r.int(1, 17), r.int(1, 6), r.int(1, 6)], a = params(r, type), b = params(r, type);
    if (ties) b.scale = f32(a.scale * r.pick([0.5, 1, 1, 2]));
    const other = r.pick([shape, shape, [shape[0], shape[1], 1, 1]]), repeat = size(shape) / size(other);
    const span = op === 'Add' ? (a.scale + b.scale) * 255 : a.scale * b.scale * 255 * 255, y = params(r, type, span / 255 * r.float(0.2, 1));
    if (ties) y.scale = op === 'Add' ? f32(2 * a.scale) : f32(a.scale * b.scale * r.pick([64, 128, 256]));
    const inputs = [input(m, r, shape, a)], xa = lastData(m);
    inputs.push(input(m, r, other, b));
    const named = theirBinary(op, xa, a, lastData(m), b, y, repeat);
    if (dialect === 'QDQ') quantized(m, label, m.node(op, inputs.map((t) => dequantize(m, t))), y);
    else output(m, label, m.microsoft('QLinear' + op, [...inputs[0], ...inputs[1], ...constants(m, y)]), y);
    m.outputs[m.outputs.length - 1].explains = (j, theirs) => theirs === named[j];
  };
}
function unary(op, dialect, type, attributes = () => ({}), range = null) {
  return (m, r, label) => {
    const shape = [r.int(1, 3), r.int(1, 17), r.int(1, 6), r.int(1, 6)], x = params(r, type, r.scale(0.005, 0.1));
    const y = params(r, type, (range || 128 * x.scale) / 255 * r.float(0.3, 1.2)), triple = input(m, r, shape, x), a = attributes(r);
    if (dialect === 'QDQ') quantized(m, label, m.node(op, [dequantize(m, triple)], a), y);
    else output(m, label, m.microsoft('QLinear' + op, [...triple, ...constants(m, y)], a), y);
  };
}
function poolAttributes(r, o) {
  return { kernel_shape: o.kernel, strides: o.attributes.strides, pads: o.attributes.pads };
}
// Exact means in steps of the result. ONNX Runtime computes them in f32 in several ways: only near a tie may it matter.
function means(o, a, x, qx, y) {
  const [h, w] = o.image, [r, s] = a.kernel_shape || o.image, [top, left, bottom, right] = a.pads || [0, 0, 0, 0], steps = [];
  const [down, across] = a.strides || [1, 1], integers = integersOf(x, qx);
  const p = Math.floor((h + top + bottom - r) / down) + 1, q = Math.floor((w + left + right - s) / across) + 1;
  for (let c = 0; c < o.n * o.c; c++)
    for (let i = 0; i < p; i++)
      for (let j = 0; j < q; j++) {
        let sum = 0, count = 0;
        for (let u = Math.max(0, i * down - top); u < Math.min(h, i * down - top + r); u++)
          for (let v = Math.max(0, j * across - left); v < Math.min(w, j * across - left + s); v++, count++)
            sum += integers[(c * h + u) * w + v] - qx.zero;
        steps.push(sum / (a.count_include_pad ? r * s : count) * qx.scale / y.scale);
      }
  return steps;
}
function averagePool(op, dialect, type, ties = false) {
  return (m, r, label) => {
    const o = geometry(r), x = params(r, type), y = params(r, type, x.scale * (ties ? r.pick([0.5, 1, 2]) : r.float(0.5, 1.5)));
    const triple = input(m, r, [o.n, o.c, ...o.image], x);
    const a = op === 'AveragePool' ? { ...poolAttributes(r, o), count_include_pad: r.int(0, 1) } : {};
    const exact = means(o, a, lastData(m), x, y);
    if (dialect === 'QDQ') quantized(m, label, m.node(op, [dequantize(m, triple)], a), y);
    else output(m, label, m.microsoft('QLinear' + op, [...triple, ...constants(m, y)], a), y);
    m.outputs[m.outputs.length - 1].explains = (j) => Math.abs(Math.abs(exact[j] - Math.trunc(exact[j])) - 0.5) < 1e-4;
  };
}
function maxPool(dialect, type) {
  return (m, r, label) => {
    const o = geometry(r), x = params(r, type), triple = input(m, r, [o.n, o.c, ...o.image], x), a = poolAttributes(r, o);
    if (dialect === 'QDQ') quantized(m, label, m.node('MaxPool', [dequantize(m, triple)], a), x);
    else output(m, label, m.node('MaxPool', [triple[0]], a), x);
  };
}
function softmax(dialect, type) {
  return (m, r, label) => {
    const shape = r.ints(r.int(1, 3), 1, 20), x = params(r, type, r.scale(0.01, 0.2)), y = { type, scale: 1 / 256, zero: LOW[type] };
    const triple = input(m, r, shape, x), a = { axis: shape.length - 1 };
    if (dialect === 'QDQ') quantized(m, label, m.node('Softmax', [dequantize(m, triple)], a), y);
    else output(m, label, m.microsoft('QLinearSoftmax', [...triple, ...constants(m, y)], { ...a, opset: 17 }), y);
    const top = f32(255 * y.scale); // a probability of 1 is 256 steps: its uint8 wraps to 0, ours is 255
    m.outputs[m.outputs.length - 1].explains = (j, theirs, ours) => Math.abs(theirs - ours) <= y.scale || (theirs === 0 && ours === top);
  };
}
function concat(dialect, type) {
  return (m, r, label) => {
    const shape = [r.int(1, 3), r.int(1, 9), r.int(1, 6), r.int(1, 6)], y = params(r, type);
    const parts = Array.from({ length: r.int(2, 4) }, () => input(m, r, [shape[0], r.int(1, 9), shape[2], shape[3]],
      r.chance(0.5) ? y : params(r, type)));
    if (dialect === 'QDQ') quantized(m, label, m.node('Concat', parts.map((t) => dequantize(m, t)), { axis: 1 }), y);
    else output(m, label, m.microsoft('QLinearConcat', [...constants(m, y), ...parts.flat()], { axis: 1 }), y);
  };
}
// A clamp between two roundings: both count, unless they are the same.
function clampBetween(type) {
  return (m, r, label) => {
    const o = geometry(r), products = o.c / o.g * size(o.kernel), x = params(r, type), triple = input(m, r, [o.n, o.c, ...o.image], x);
    const w = weights(m, r, 's8', [o.k, o.c / o.g, ...o.kernel], 0), y = result(r, type, x, w, products);
    const z = r.chance(0.3) ? y : params(r, type, y.scale * r.float(0.3, 1.5)), [s, zero] = constants(m, y);
    const conv = m.node('Conv', [dequantize(m, triple), w.dequantized()], o.attributes);
    const rounded = m.node('DequantizeLinear', [m.node('QuantizeLinear', [conv, s, zero]), s, zero]);
    const bounds = [-r.float(0, 60), r.float(0, 120)].map((v) => m.constant('f32', [], [v * y.scale]));
    quantized(m, label, r.chance(0.5) ? m.node('Relu', [rounded]) : m.node('Clip', [rounded, ...bounds]), z);
  };
}
// A convolution as tools write it. domain of the pairs; spread: scales of one element have a dimension; bare: no zero
// points; asFloat: weights as QuantizeLinear of floats; borders: the graph's own input and output are integers; pool: with
// average pooling in the middle, its result rounded too.
function styled({ domain = '', spread = false, bare = false, asFloat = false, borders = false, perTensor = false, pool = false }) {
  return (m, r, label) => {
    const o = geometry(r), products = o.c / o.g * size(o.kernel), type = 'u8', x = params(r, type), count = perTensor ? 1 : o.k;
    if (bare) x.zero = 0;
    const shape = [o.n, o.c, ...o.image], dims = perTensor ? (spread ? [1] : []) : [o.k], axis = perTensor ? {} : { axis: 0 };
    const wScale = Array.from({ length: count }, () => r.scale(1e-3, 0.1)), y = result(r, type, x, { scale: wScale }, products);
    if (bare) y.zero = 0;
    const scaleOf = (q) => [m.constant('f32', spread ? [1] : [], [q.scale]), ...(bare ? [] : [m.constant(q.type, spread ? [1] : [], [q.zero])])];
    const pair = (op, inputs, attributes = {}) => m.node(op, inputs, attributes, 1, domain);
    const xs = scaleOf(x), ys = scaleOf(y), data = r.ints(size(shape), 0, 255);
    const first = borders ? m.input(shape, Uint8Array.from(data), 'u8') : pair('QuantizeLinear', [m.input(shape, values(r, size(shape), x)), ...xs]);
    const integers = r.ints(o.k * products, -128, 127), wShape = [o.k, o.c / o.g, ...o.kernel];
    const wq = [m.constant('f32', dims, wScale), m.constant('s8', dims, Array(count).fill(0))];
    const floats = integers.map((v, i) => Math.fround((v + r.float(-0.4, 0.4)) * wScale[perTensor ? 0 : Math.floor(i / products)]));
    const w = asFloat ? pair('QuantizeLinear', [m.constant('f32', wShape, floats), ...wq], axis) : m.constant('s8', wShape, integers);
    const bScale = wScale.map((s) => Math.fround(x.scale * s));
    const b = pair('DequantizeLinear', [m.constant('s32', [o.k], r.ints(o.k, -9999, 9999)), m.constant('f32', dims, bScale),
      m.constant('s32', dims, Array(count).fill(0))], axis);
    let z = m.node('Conv', [pair('DequantizeLinear', [first, ...xs]), pair('DequantizeLinear', [w, ...wq], axis), b], o.attributes);
    if (pool) z = m.node('MaxPool', [pair('DequantizeLinear', [pair('QuantizeLinear', [z, ...ys]), ...ys])], { kernel_shape: [1, 1] });
    const last = pair('QuantizeLinear', [z, ...ys]);
    if (borders) m.output(last, label, 1, type);
    else m.output(pair('DequantizeLinear', [last, ...ys]), label, y.scale);
  };
}
function where(dialect, type) {
  return (m, r, label) => {
    const shape = [r.int(1, 3), r.int(1, 9), r.int(1, 9)], a = params(r, type), b = params(r, type), y = params(r, type, Math.max(a.scale, b.scale));
    const condition = m.node('Greater', [m.input(shape, anyRange(r, size(shape))), m.constant('f32', [], [0])]);
    const inputs = [input(m, r, shape, a), input(m, r, [1, 1, shape[2]], b)];
    if (dialect === 'QDQ') quantized(m, label, m.node('Where', [condition, ...inputs.map((t) => dequantize(m, t))]), y);
    else output(m, label, m.microsoft('QLinearWhere', [condition, ...inputs.flat(), ...constants(m, y)]), y);
  };
}
function quantize(type) {
  return (m, r, label) => {
    const q = params(r, type), x = m.input([r.int(1, 200)], null), count = m.inputs[m.inputs.length - 1].shape[0];
    m.inputs[m.inputs.length - 1].data = values(r, count, q);
    quantized(m, label, x, q);
  };
}

// ---- The table: label, how many per round, exact or the reason why not, the case ----

const TABLE = [];
const add = (label, weight, inexact, make, opset = 17) => TABLE.push({ label, weight, inexact, make, opset });

const TIES = 'ONNX Runtime adds the zero point before it rounds: ties differ', MEANS = 'means in f32: ties differ';
for (const type of ['u8', 's8']) {
  add(`QuantizeLinear ${type}`, 4, null, quantize(type));
  add(`QDQ Conv, Relu or Clip ${type}`, 2, null, clampBetween(type));
  for (const dialect of ['QLinear', 'QDQ']) {
    const name = (op) => (dialect === 'QDQ' ? `QDQ ${op}` : `QLinear${op}`);
    for (const kind of Object.keys(WEIGHTS)) {
      if (type === 's8' && kind.startsWith('u8')) continue; // ONNX Runtime has no such kernels
      const label = `${type} x ${kind}`, weight = kind === 's8' ? 4 : 2;
      add(`${name('Conv')} ${label}`, weight, null, conv(kind, dialect, type));
      add(`${name('MatMul')} ${label}`, weight, null, matmul(kind, dialect, type));
      add(`${dialect === 'QDQ' ? 'QDQ Gemm' : 'QGemm'} ${label}`, weight, null, gemm(kind, dialect, type));
    }
    for (const ties of [false, true]) {
      const kind = `${type}${ties ? ', ties' : ''}`;
      add(`${name('Add')} ${kind}`, 2, TIES, binary('Add', dialect, type, ties));
      add(`${name('Mul')} ${kind}`, 2, TIES, binary('Mul', dialect, type, ties));
      add(`${name('AveragePool')} ${kind}`, 1, MEANS, averagePool('AveragePool', dialect, type, ties));
      add(`${name('GlobalAveragePool')} ${kind}`, 1, MEANS, averagePool('GlobalAveragePool', dialect, type, ties));
    }
    add(`${name('Sigmoid')} ${type}`, 1, 'tables from another exp', unary('Sigmoid', dialect, type, undefined, 1));
    add(`${name('Softmax')} ${type}`, 1, 'its 256 wraps to 0; exp of tables: one step', softmax(dialect, type));
    add(`${name('LeakyRelu')} ${type}`, 1, null, unary('LeakyRelu', dialect, type, (r) => ({ alpha: Float32Array.of(r.float(0.01, 0.5)) })));
    add(`${dialect === 'QDQ' ? 'QDQ MaxPool' : 'MaxPool on integers'} ${type}`, 1, null, maxPool(dialect, type));
    add(`${name('Concat')} ${type}`, 1, null, concat(dialect, type));
    add(`${name('Where')} ${type}`, 1, null, where(dialect, type));
  }
}
for (const opset of [13, 17, 21]) add(`QDQ of opset ${opset}`, 1, null, styled({ pool: true }), opset);
for (const opset of [10, 11, 12]) add(`QDQ of opset ${opset}, per tensor`, 1, null, styled({ perTensor: true, pool: opset > 10 }), opset);
add('QDQ of com.microsoft', 1, null, styled({ domain: MICROSOFT, pool: true }));
add('QDQ, scales of shape [1]', 1, null, styled({ perTensor: true, spread: true }));
add('QDQ without zero points', 1, null, styled({ bare: true, pool: true }));
add('QDQ, weights as QuantizeLinear of floats', 1, null, styled({ asFloat: true }));
add('QDQ, integers in and out', 1, null, styled({ borders: true, pool: true }));
add('QLinearConv of opset 10', 1, null, conv('u8 zero point', 'QLinear', 'u8'), 10);
add('QLinearMatMul of opset 10', 1, null, matmul('u8 around 128', 'QLinear', 'u8'), 10);
add('DynamicQuantizeLinear', 4, null, dynamicQuantize);
for (const kind of Object.keys(WEIGHTS)) {
  add(`dynamic MatMulInteger x ${kind}`, 1, null, integerProduct(kind, 'MatMulInteger'));
  add(`dynamic ConvInteger x ${kind}`, 1, null, integerProduct(kind, 'ConvInteger'));
}

for (const op of ['DynamicQuantizeMatMul', 'MatMulIntegerToFloat']) add(`${op} x s8`, 1, null, fusedProduct(op, 's8'));
for (const kind of ['s8', 'u8 zero point'])
  for (const op of ['MatMulInteger', 'ConvInteger']) add(`${op} x ${kind}, accumulators`, 1, null, accumulators(kind, op));
for (const type of ['u8', 's8']) {
  for (const op of ['QLinearConv', 'QLinearMatMul']) add(`${op} ${type}, integers in and out`, 1, null, borders(op, type));
  for (const dialect of ['QLinear', 'QDQ '])
    add(`${dialect}MatMul of two activations ${type}`, 1, null, product(dialect.trim(), type));
}
add('integers moved', 1, null, moves);
add('one tensor quantized in two ways', 1, null, twoWays);

module.exports = { Random, TABLE };
