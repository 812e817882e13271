import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { lastValueFrom, toArray } from 'rxjs';
import type { TraceLine } from '../../src/trace/parse.js';
import { traceEvents } from '../../src/trace/read.js';

const folder = mkdtempSync(join(tmpdir(), 'shootdown-read-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = (content: string | Buffer): string => {
  const path = join(folder, 'log');
  writeFileSync(path, content);
  return path;
};
const read = (source: string | Readable): Promise<TraceLine[]> => lastValueFrom(traceEvents(source).pipe(toArray()));
const line = (time: number): string => `  a-1 [000] ..... ${time}: e: x=${time}`;
const times = (lines: readonly TraceLine[]): unknown[] => lines.map((found) => ('kind' in found ? found.kind : found.time));

test.each<[string, (text: string) => string | Buffer]>([
  ['plain', (text) => text],
  ['gzip', (text) => gzipSync(text)],
])('a file, %s', async (_, pack) => {
  expect(times(await read(file(pack(`# head\n${line(1)}\n${line(2)}`))))).toEqual(['blank', 1, 2]);
});

test('a stream, however it is cut into pieces', async () => {
  const text = Array.from({ length: 20 }, (_, at) => line(at)).join('\n');
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), fc.boolean(), async (sizes, zipped) => {
      const bytes = zipped ? gzipSync(text) : Buffer.from(text);
      const pieces: Buffer[] = [];
      for (let from = 0, turn = 0; from < bytes.length; turn++) {
        const size = sizes[turn % sizes.length] as number;
        pieces.push(bytes.subarray(from, from + size));
        from += size;
      }
      expect(times(await read(Readable.from(pieces)))).toEqual(Array.from({ length: 20 }, (_, at) => at));
    }),
    { numRuns: 30 },
  );
});

test('lines are numbered from 1; a carriage return is no part of one', async () => {
  expect((await read(file(`${line(1)}\r\n${line(2)}\r\n`))).map((found) => [found.line, 'text' in found ? found.text : ''])).toEqual([
    [1, 'x=1'],
    [2, 'x=2'],
  ]);
});

test('a line that does not end is dropped as broken, and those after it are read', async () => {
  const endless = Readable.from([Buffer.from(`${line(1)}\n${'y'.repeat(70_000)}`), Buffer.from(`${'y'.repeat(10)}\n${line(2)}\n`)]);
  expect(times(await read(endless))).toEqual([1, 'broken', 'broken', 2]);
});

test('an empty file has no lines', async () => {
  expect(await read(file(''))).toEqual([]);
});

test.each<[string, string | Buffer, string]>([
  ['gzip that was cut off', gzipSync(line(1).repeat(1000)).subarray(0, 40), 'ends in the middle: it is gzip that was cut off'],
  ['broken gzip', Buffer.concat([gzipSync('x').subarray(0, 10), Buffer.alloc(50, 0x55)]), 'is broken gzip'],
  ['a binary', Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 0, 1]), 'is binary, not the text of an ftrace log'],
  ['a trace.dat', Buffer.from('\x17\x08\x44tracing6\0', 'latin1'), 'is a trace.dat, which only trace-cmd can read'],
])('%s is refused', async (_, content, message) => {
  await expect(read(file(content))).rejects.toThrow(message);
});

test('so are a file that is not there, and a directory', async () => {
  await expect(read(join(folder, 'none'))).rejects.toThrow(`there is no file '${join(folder, 'none')}'`);
  await expect(read(folder)).rejects.toThrow('is a directory, not a log');
});
