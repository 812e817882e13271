import { fits, isGlob } from '../../src/cli/glob.js';
import { formats, nameValue, seconds, size, wholeNumber } from '../../src/cli/options.js';

test.each([
  ['512', 512],
  ['1k', 1024],
  ['2K', 2048],
  ['512M', 512 * 2 ** 20],
  ['2G', 2 ** 31],
  ['1.5GiB', 1.5 * 2 ** 30],
  ['3 MB', 3 * 2 ** 20],
  ['64KiB', 65536],
  ['100B', 100],
])('%s is %i bytes', (text, bytes) => {
  expect(size('--max-memory')(text)).toBe(bytes);
});

test.each(['', 'M', '-1M', '0', '1e9', '2GG', '1,5G', 'k1'])("'%s' is no size", (text) => {
  expect(() => size('--max-memory')(text)).toThrow(`option '--max-memory' takes a size such as '512M' or '2G', not '${text}'`);
});

test('numbers', () => {
  expect([wholeNumber('--n')('12'), seconds('--s')('0.5'), seconds('--s')('.25'), seconds('--s')('90')]).toEqual([12, 0.5, 0.25, 90]);
  for (const text of ['1e3', '+1', ' 1', '', '0x10', '99999999999999999999'])
    expect(() => wholeNumber('--n')(text)).toThrow(`option '--n' takes a whole number from 1, not '${text}'`);
  for (const text of ['1e3', '.', 'Infinity', '']) expect(() => seconds('--s')(text)).toThrow(`option '--s' takes a number of seconds above 0, not '${text}'`);
});

test('name=value is collected; values may contain =', () => {
  expect(nameValue('--param')('b=x=y', { a: '1' })).toEqual({ a: '1', b: 'x=y' });
});

test('formats', () => {
  expect(formats('columns,json')).toEqual(['columns', 'json']);
});

test('patterns', () => {
  expect(['gup-*', 'a?', 'plain'].map(isGlob)).toEqual([true, true, false]);
  const names = ['gup-unbind/A1', 'gup-unbind/A3.ipi', 'gup-unbind/A31', 'luf/L1'];
  const fitting = (pattern: string): string[] => names.filter((name) => fits(pattern, name));
  expect(fitting('gup-unbind/A3.*')).toEqual(['gup-unbind/A3.ipi']);
  expect(fitting('*/A?')).toEqual(['gup-unbind/A1']);
  expect(fitting('gup-*')).toEqual([]);
  expect(fitting('*/*1')).toEqual(['gup-unbind/A1', 'gup-unbind/A31', 'luf/L1']);
  expect(fits('a+(b', 'a+(b')).toBe(true);
});
