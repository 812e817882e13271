import { constants } from 'node:buffer';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { readCallGraph } from '../../src/passdown/read.js';
import { UsageError } from '../../src/system/errors.js';

const folder = mkdtempSync(join(tmpdir(), 'shootdown-passdown-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'graph.json');
const written = (content: string | Buffer): string => {
  writeFileSync(path, content);
  return path;
};
const graph = { format: 'shootdown.call-graph/1', functions: [{ id: 'größe' }], calls: [] };
const text = JSON.stringify(graph);
const megabyte = 2 ** 20;
const most = Math.round(constants.MAX_STRING_LENGTH / megabyte);

/** The message with which it is refused. */
async function refusal(source: string | Readable, heapLimit?: number): Promise<string> {
  const error: unknown = await readCallGraph(source, 'g.json', heapLimit).then(
    () => null,
    (thrown) => thrown,
  );
  expect(error).toBeInstanceOf(UsageError);
  return (error as Error).message;
}

test.each<[string, string | Buffer]>([
  ['plain', text],
  ['gzip', gzipSync(text)],
  ['gzip of two members', Buffer.concat([gzipSync(text.slice(0, 20)), gzipSync(text.slice(20))])],
  ['with a byte order mark', `\ufeff${text}`],
])('a file, %s', async (_, content) => {
  expect(await readCallGraph(written(content))).toEqual(graph);
});

test('a stream, cut anywhere, even within a character', async () => {
  const bytes = Buffer.from(text);
  expect(await readCallGraph(Readable.from(Array.from(bytes, (byte) => Buffer.from([byte]))))).toEqual(graph);
  expect(await readCallGraph(Readable.from([gzipSync(text)]))).toEqual(graph);
});

test('what is not there, and a folder', async () => {
  expect(await refusal(join(folder, 'none'))).toBe("there is no file 'g.json'");
  expect(await refusal(folder)).toBe("'g.json' is a directory, not a call graph");
});

test.each<[string, string | Buffer, RegExp]>([
  ['empty', '', /^'g\.json' is empty$/],
  ['blank', ' \n', /^'g\.json' is empty$/],
  ['a mistake', '{\n  "format": "x",\n  "functions": [1 2]\n}', /^'g\.json' is not valid JSON at line 3, column 19: /],
  ['cut off', text.slice(0, -3), /^'g\.json' is not valid JSON.*: /],
  ['no JSON', 'int main(void)\u001b[31m', /^'g\.json' is not valid JSON[^\p{Cc}]*$/u],
  ['gzip that was cut off', gzipSync(text).subarray(0, -12), /^'g\.json' ends in the middle: it is gzip that was cut off$/],
  ['broken gzip', Buffer.concat([gzipSync(text).subarray(0, 10), Buffer.alloc(50, 0xff)]), /^'g\.json' is broken gzip: /],
  ['no call graph', '[]', /^'g\.json' is no call graph: an object is wanted, not an array$/],
])('a file with %s', async (_, content, message) => {
  expect(await refusal(written(content))).toMatch(message);
});

// Sparse files: all of them are refused by their size alone.
test('more than Node.js holds in one text', async () => {
  truncateSync(written(''), constants.MAX_STRING_LENGTH + 1);
  expect(await refusal(path)).toBe(
    `'g.json' has ${most} MB, and ${most} MB are the most that Node.js holds in one text (which NODE_OPTIONS=--max-old-space-size does not change); leave out what is not needed`,
  );
  truncateSync(path, 3000 * megabyte);
  expect(await refusal(path, 100 * megabyte)).toMatch(`'g.json' has 3,000 MB, and ${most} MB are the most`);
});

test('more than the heap has room for', async () => {
  truncateSync(written(''), 300 * megabyte);
  expect(await refusal(path, 2000 * megabyte)).toBe(
    "'g.json' has 300 MB, and the heap of 2,000 MB has room for 250 MB of it; give it more: NODE_OPTIONS=--max-old-space-size=2400",
  );
});

test('the same of a stream, and of what is zipped: as soon as there is too much', async () => {
  let asked = 0;
  const endless = Readable.from(
    (function* () {
      for (;;) {
        asked++;
        yield Buffer.alloc(megabyte, ' ');
      }
    })(),
  );
  expect(await refusal(endless, 80 * megabyte)).toBe(
    "'g.json' has more than 10 MB, and the heap of 80 MB has room for 10 MB of it; give it more: NODE_OPTIONS=--max-old-space-size=SIZE",
  );
  expect(asked).toBeLessThan(40);
  expect(await refusal(written(gzipSync(Buffer.alloc(11 * megabyte, ' '))), 80 * megabyte)).toMatch(
    /^'g\.json', unzipped, has more than 10 MB, and the heap of 80 MB/,
  );
});
