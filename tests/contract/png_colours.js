// png_colours.js FILE.png R,G,B...: width, height, and how many pixels have each colour (8-bit RGB or RGBA, not interlaced).
const fs = require('fs'), zlib = require('zlib');
const png = fs.readFileSync(process.argv[2]);
const parts = [];
let width, height, channels;
for (let at = 8; at < png.length;) {
  const size = png.readUInt32BE(at), type = png.toString('latin1', at + 4, at + 8), data = png.subarray(at + 8, at + 8 + size);
  if (type === 'IHDR') {
    width = data.readUInt32BE(0);
    height = data.readUInt32BE(4);
    channels = { 2: 3, 6: 4 }[data[9]];
    if (data[8] !== 8 || !channels || data[12]) throw new Error('not 8-bit RGB(A), or interlaced');
  } else if (type === 'IDAT') parts.push(data);
  at += size + 12;
}
const raw = zlib.inflateSync(Buffer.concat(parts)), stride = width * channels;
const paeth = (a, b, c) => {
  const p = a + b - c, pa = Math.abs(p - a), pb = Math.abs(p - b), pc = Math.abs(p - c);
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
};
const wanted = process.argv.slice(3), counts = wanted.map(() => 0);
let above = Buffer.alloc(stride);
for (let y = 0; y < height; y++) {
  const filter = raw[y * (stride + 1)], row = raw.subarray(y * (stride + 1) + 1, (y + 1) * (stride + 1));
  for (let i = 0; i < stride; i++) {
    const a = i < channels ? 0 : row[i - channels], b = above[i], c = i < channels ? 0 : above[i - channels];
    row[i] += [0, a, b, (a + b) >> 1, paeth(a, b, c)][filter];
  }
  for (let x = 0; x < width; x++) {
    const k = wanted.indexOf(row.subarray(x * channels, x * channels + 3).join(','));
    if (k >= 0) counts[k]++;
  }
  above = row;
}
console.log([width, height, ...counts].join(' '));
