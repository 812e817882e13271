import { constants } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { getHeapStatistics } from 'node:v8';
import { gunzipSync } from 'node:zlib';
import { messageOf, UsageError } from '../system/errors.js';
import { type CallGraph, numberedFrom } from './call-graph.js';
import { NumberedGraph } from './numbered.js';

const megabyte = 2 ** 20;
/** Bytes of the heap that a byte of a file may take, with what is found from it. Measured: 3 with names of usual length, 5 with those of one letter, more if each call is a problem. */
const heapPerByte = 8;

const inMegabytes = (bytes: number): string => `${String(Math.round(bytes / megabyte)).replace(/\B(?=(\d{3})+(?!\d))/g, ',')} MB`;

/** What memory allows a call graph to be: the bytes of its text. */
interface Room {
  most: number;
  /** The message for one that is larger, or (null) for one that is larger than `most`, nobody knows by how much. */
  refusal: (bytes: number | null) => string;
}

function room(heapLimit: number): Room {
  const ofHeap = Math.floor(heapLimit / heapPerByte);
  const most = Math.min(ofHeap, constants.MAX_STRING_LENGTH);
  const refusal = (bytes: number | null): string => {
    const is = bytes === null ? `has more than ${inMegabytes(most)}` : `has ${inMegabytes(bytes)}`;
    if (ofHeap > constants.MAX_STRING_LENGTH || (bytes ?? 0) > constants.MAX_STRING_LENGTH)
      return `${is}, and ${inMegabytes(constants.MAX_STRING_LENGTH)} are the most that Node.js holds in one text (which NODE_OPTIONS=--max-old-space-size does not change); leave out what is not needed`;
    const wanted = bytes === null ? 'SIZE' : Math.ceil((bytes * heapPerByte) / megabyte);
    return `${is}, and the heap of ${inMegabytes(heapLimit)} has room for ${inMegabytes(most)} of it; give it more: NODE_OPTIONS=--max-old-space-size=${wanted}`;
  };
  return { most, refusal };
}

/** Refuses by size what need not be read for that. */
async function refuseLarge(path: string, where: string, { most, refusal }: Room): Promise<void> {
  const found = await stat(path);
  if (found.isDirectory()) throw new UsageError(`'${where}' is a directory, not a call graph`);
  if (found.size > most) throw new UsageError(`'${where}' ${refusal(found.size)}`);
}

async function bytesOf(source: Readable, where: string, { most, refusal }: Room): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of source) {
    size += (chunk as Buffer).length;
    if (size > most) throw new UsageError(`'${where}' ${refusal(null)}`);
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

function unzipped(bytes: Buffer, where: string, { most, refusal }: Room): Buffer {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    return gunzipSync(bytes, { maxOutputLength: most });
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === 'ERR_BUFFER_TOO_LARGE') throw new UsageError(`'${where}', unzipped, ${refusal(null)}`);
    if (code === 'Z_BUF_ERROR') throw new UsageError(`'${where}' ends in the middle: it is gzip that was cut off`);
    throw new UsageError(`'${where}' is broken gzip: ${messageOf(error)}`);
  }
}

/** The place of a character, both numbers from 1. */
function lineAndColumn(text: string, position: number): string {
  const before = text.slice(0, position).split('\n');
  return `line ${before.length}, column ${(before.at(-1) as string).length + 1}`;
}

function parsed(bytes: Buffer, where: string): unknown {
  const text = bytes.toString('utf8').replace(/^\ufeff/, '');
  if (text.trim() === '') throw new UsageError(`'${where}' is empty`);
  try {
    return JSON.parse(text);
  } catch (error) {
    const said = messageOf(error).replace(/\p{Cc}/gu, ' ');
    const position = /at position (\d+)/.exec(said)?.[1];
    const at = position === undefined ? '' : ` at ${lineAndColumn(text, Number(position))}`;
    throw new UsageError(`'${where}' is not valid JSON${at}: ${said}`);
  }
}

/** {@link readCallGraph}, with the names looked up already. */
export async function readNumbered(source: string | Readable, where: string, heapLimit = getHeapStatistics().heap_size_limit): Promise<NumberedGraph> {
  const memory = room(heapLimit);
  let bytes: Buffer;
  try {
    if (typeof source === 'string') await refuseLarge(source, where, memory);
    bytes = await bytesOf(typeof source === 'string' ? createReadStream(source, { highWaterMark: megabyte }) : source, where, memory);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    if ((error as { code?: string }).code === 'ENOENT') throw new UsageError(`there is no file '${where}'`);
    throw new UsageError(`'${where}' cannot be read: ${messageOf(error)}`);
  }
  const { graph, numbers } = numberedFrom(parsed(unzipped(bytes, where, memory), where), `'${where}'`);
  return new NumberedGraph(graph, numbers);
}

/**
 * Reads a call graph: JSON in a file or a stream, plain or gzip.
 * @param where What it is called in messages.
 * @param heapLimit What V8 may take for its heap, in bytes: a text for which that is too little is refused before it is read.
 * @throws {UsageError} for what cannot be read, is too large or is no JSON. @throws {CallGraphError} for what is no call graph.
 */
export const readCallGraph = async (
  source: string | Readable,
  where = typeof source === 'string' ? source : 'standard input',
  heapLimit?: number,
): Promise<CallGraph> => (await readNumbered(source, where, heapLimit)).graph;
