import fc from 'fast-check';
import { size } from '../../src/cli/options.js';
import { memoryText, partsText, shareText, sizeText } from '../../src/vmemmap/bytes.js';

const G = 2 ** 30;

test.each([
  [4096, '4K'],
  [2 ** 21, '2M'],
  [16 * G, '16G'],
  [2 ** 40, '1T'],
  [64, '64B'],
  [5000, '5000B'],
])('%i bytes as one types them', (bytes, text) => {
  expect(sizeText(bytes)).toBe(text);
});

test('what is printed can be typed', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 50 }), (bytes) =>
      expect(size('--x')(sizeText(bytes).replace(/P$/, 'T'))).toBe(/P$/.test(sizeText(bytes)) ? bytes / 1024 : bytes),
    ),
  );
});

test.each([
  [100, '100 bytes'],
  [32 * 2 ** 10, '32 KiB'],
  [1.5 * 2 ** 20, '1.5 MiB'],
  [16 * G, '16 GiB'],
  [18_432 * 2 ** 20, '18 GiB'],
])('%i bytes of memory', (bytes, text) => {
  expect(memoryText(bytes)).toBe(text);
});

test.each([
  [12 * G, 16 * G, '12 GiB of 16 GiB'],
  [(16 * G * 4094) / 4096, 16 * G, '15.99 GiB of 16 GiB'],
  [3 * G, 4 * G, '3 GiB of 4 GiB'],
  [0.75 * G, G, '0.75 GiB of 1 GiB'],
  [0.875 * G, G, '0.875 GiB of 1 GiB'],
  [(G * 254) / 256, G, '0.99 GiB of 1 GiB'],
  [16 * G - 1, 16 * G, '15.99 GiB of 16 GiB'],
  [0, G, '0'],
  [5, 10, '5 bytes of 10 bytes'],
])('%f of %i bytes', (part, whole, text) => {
  expect(shareText(part, whole)).toBe(text);
});

test('parts of one', () => {
  expect([8, 4096, 0.5, 1 / 32, 9.5, 0.03515625].map(partsText)).toEqual(['8', '4,096', '0.5', '1/32', '9.5', '0.03516']);
});
