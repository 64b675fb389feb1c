// onnx.js - ONNX models written field by field: just enough of the protobuf wire format.
'use strict';

const TYPES = { f32: 1, u8: 2, s8: 3, s32: 6, s64: 7 };

function varint(value) {
  const bytes = [];
  let v = BigInt.asUintN(64, BigInt(value));
  do {
    bytes.push(Number(v & 127n) | (v > 127n ? 128 : 0));
    v >>= 7n;
  } while (v > 0n);
  return Buffer.from(bytes);
}
const int = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
const bytes = (field, value) => {
  const content = typeof value === 'string' ? Buffer.from(value) : value;
  return Buffer.concat([varint(field << 3 | 2), varint(content.length), content]);
};
const message = (field, ...parts) => bytes(field, Buffer.concat(parts));
const float = (field, value) => {
  const b = Buffer.alloc(4);
  b.writeFloatLE(value);
  return Buffer.concat([varint(field << 3 | 5), b]);
};

function attribute(name, value) {
  const head = bytes(1, name);
  if (typeof value === 'string') return message(5, head, bytes(4, value), int(20, 3));
  if (Array.isArray(value)) return message(5, head, ...value.map((v) => int(8, v)), int(20, 7));
  if (value instanceof Float32Array) return message(5, head, float(2, value[0]), int(20, 1));
  return message(5, head, int(3, value), int(20, 2));
}

const MICROSOFT = 'com.microsoft';

class Model {
  constructor(opset = 17) {
    this.opset = opset;
    this.parts = [];
    this.inputs = []; // {name, shape, data: Float32Array}
    this.outputs = []; // {name, label}
    this.count = 0;
  }
  name(base) {
    return `${base}${this.count++}`;
  }
  value(field, name, type, shape) {
    const dims = shape ? [message(2, ...shape.map((d) => (d === null ? message(1, bytes(2, 'N')) : message(1, int(1, d)))))] : [];
    this.parts.push(message(field, bytes(1, name), message(2, message(1, int(1, type), ...dims))));
  }
  input(shape, data, type = 'f32') {
    const name = this.name('x');
    this.value(11, name, TYPES[type], shape);
    this.inputs.push({ name, shape, data, type });
    return name;
  }
  // Labels name the kind of case that the output belongs to; scale is one step of the output.
  output(name, label, scale, type = 'f32') {
    this.value(12, name, TYPES[type], null);
    this.outputs.push({ name, label, scale, type });
  }
  constant(type, shape, data) {
    const name = this.name('c');
    const typed = ARRAYS[type].from(data);
    const raw = Buffer.from(typed.buffer, typed.byteOffset, typed.byteLength);
    this.parts.push(message(5, ...shape.map((d) => int(1, d)), int(2, TYPES[type]), bytes(8, name), bytes(9, raw)));
    return name;
  }
  // Returns the names of `outputs` new tensors, or the one.
  node(op, inputs, attributes = {}, outputs = 1, domain = '') {
    const names = Array.from({ length: outputs }, () => this.name('t'));
    const fields = Object.entries(attributes).map(([k, v]) => attribute(k, v));
    this.parts.push(message(1, ...inputs.map((i) => bytes(1, i)), ...names.map((o) => bytes(2, o)),
      bytes(3, this.name(op)), bytes(4, op), ...fields, bytes(7, domain)));
    return outputs === 1 ? names[0] : names;
  }
  microsoft(op, inputs, attributes = {}) {
    return this.node(op, inputs, attributes, 1, MICROSOFT);
  }
  bytes() {
    const opset = (domain, version) => message(8, bytes(1, domain), int(2, version));
    return Buffer.concat([int(1, 8), message(7, ...this.parts, bytes(2, 'graph')), opset('', this.opset), opset(MICROSOFT, 1)]);
  }
}

const ARRAYS = { f32: Float32Array, u8: Uint8Array, s8: Int8Array, s32: Int32Array, s64: BigInt64Array };

module.exports = { Model, ARRAYS };
