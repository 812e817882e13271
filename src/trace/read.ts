import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { from, mergeMap, type Observable } from 'rxjs';
import { messageOf, UsageError } from '../system/errors.js';
import { linesIn } from './lines.js';
import type { TraceLine } from './parse.js';

async function* chunksOf(source: Readable, where: string): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of source) yield chunk as Buffer;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === 'ENOENT') throw new UsageError(`there is no file '${where}'`);
    if (code === 'EISDIR') throw new UsageError(`'${where}' is a directory, not a log`);
    if (code === 'Z_BUF_ERROR') throw new UsageError(`'${where}' ends in the middle: it is gzip that was cut off`);
    if (code?.startsWith('Z_')) throw new UsageError(`'${where}' is broken gzip: ${messageOf(error)}`);
    throw new UsageError(`'${where}' cannot be read: ${messageOf(error)}`);
  }
}

function refuseBinary(head: Buffer, where: string): void {
  if (head.includes('tracing', 0, 'latin1') && head[0] === 0x17 && head[1] === 0x08)
    throw new UsageError(`'${where}' is a trace.dat, which only trace-cmd can read: trace-cmd report -i ${where} | shootdown trace -`);
  if (head.includes(0)) throw new UsageError(`'${where}' is binary, not the text of an ftrace log`);
}

/** Enough to see what it is, and all of it from there on. */
async function beginning(chunks: AsyncGenerator<Buffer>): Promise<{ head: Buffer; all: AsyncGenerator<Buffer> }> {
  let head = Buffer.alloc(0);
  while (head.length < 16) {
    const next = await chunks.next();
    if (next.done) break;
    head = Buffer.concat([head, next.value]);
  }
  async function* all(): AsyncGenerator<Buffer> {
    if (head.length > 0) yield head;
    yield* chunks;
  }
  return { head, all: all() };
}

/** The text, gzip undone. */
async function* textOf(source: Readable, where: string): AsyncGenerator<string> {
  const { head, all } = await beginning(chunksOf(source, where));
  const zipped = head[0] === 0x1f && head[1] === 0x8b;
  const { head: text, all: plain } = zipped ? await beginning(chunksOf(gunzipped(all), where)) : { head, all };
  refuseBinary(text, where);
  for await (const chunk of plain) yield chunk.toString('latin1');
}

function gunzipped(chunks: AsyncGenerator<Buffer>): Readable {
  const gunzip = createGunzip();
  (async () => {
    try {
      for await (const chunk of chunks) if (!gunzip.write(chunk)) await new Promise((resolve) => gunzip.once('drain', resolve));
      gunzip.end();
    } catch (error) {
      gunzip.destroy(error as Error);
    }
  })();
  return gunzip;
}

/**
 * The lines of a log in batches, one after the other and in constant memory: a file or a stream, plain or gzip.
 * @throws {UsageError} (as the stream's error) for what cannot be read, is binary, or is gzip that was cut off.
 */
export function traceLines(source: string | Readable, where = typeof source === 'string' ? source : 'standard input'): Observable<TraceLine[]> {
  return from(linesIn(textOf(typeof source === 'string' ? createReadStream(source) : source, where)));
}

/** {@link traceLines}, line by line. */
export const traceEvents = (source: string | Readable): Observable<TraceLine> => traceLines(source).pipe(mergeMap((lines) => lines));
