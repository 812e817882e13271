import { fingerprint } from '../system/canonical.js';
import { ScheduleError } from '../system/errors.js';

/**
 * A schedule in one short word: `sd1:NAME[,PARAM=VALUE...]~DIGEST~CHOICES~CHECK`. NAME says which system (a variant's id,
 * or a module's path; what a shell or a URL would trip over is percent-encoded), DIGEST which model, CHOICES are the
 * choice numbers (base64url of LEB128), CHECK guards against a slip in copying.
 */
export interface Token {
  /** What to build the system from: `gup-unbind/A1`, or a module's path. */
  name: string;
  parameters: Record<string, string>;
  /** The system's digest, cut to 8 digits. */
  digest: string;
  schedule: readonly number[];
}

const prefix = 'sd1:';
const encode = (text: string): string =>
  encodeURIComponent(text)
    .replace(/[~!*'()]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%2F', '/');

const decode = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ScheduleError(`the token is malformed: '${text}' is not percent-encoded text`);
  }
};

function toBytes(numbers: readonly number[]): Uint8Array {
  const bytes: number[] = [];
  for (const number of numbers) {
    let rest = number;
    for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128);
    bytes.push(rest);
  }
  return Uint8Array.from(bytes);
}

function fromBytes(bytes: Uint8Array): number[] {
  const numbers: number[] = [];
  let number = 0;
  let shift = 0;
  for (const byte of bytes) {
    number |= (byte & 127) << shift;
    if (byte & 128) shift += 7;
    else {
      numbers.push(number);
      number = 0;
      shift = 0;
    }
  }
  return numbers;
}

const base64url = (bytes: Uint8Array): string =>
  btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '');
const fromBase64url = (text: string): Uint8Array =>
  Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0));

/** Whether a text looks like a token, of whatever version. */
export const isToken = (text: string): boolean => /^sd\d+:/.test(text);

/** The token of a schedule. */
export function formatToken({ name, parameters, digest, schedule }: Token): string {
  const head = [
    name,
    ...Object.keys(parameters)
      .sort()
      .map((key) => `${key}=${parameters[key]}`),
  ]
    .map(encode)
    .join(',')
    .replaceAll('%3D', '=');
  const body = `${head}~${digest.slice(0, 8)}~${base64url(toBytes(schedule))}`;
  return `${prefix}${body}~${fingerprint(body).slice(0, 4)}`;
}

/** What a token says. @throws {ScheduleError} when the text is no token, of another version, or damaged. */
export function parseToken(text: string): Token {
  if (!text.startsWith(prefix))
    throw new ScheduleError(
      isToken(text)
        ? `token '${text.slice(0, 4)}...' is of another version; this program reads '${prefix}'`
        : `'${text}' is no schedule token (one begins with '${prefix}')`,
    );
  const match = /^(.+)~([0-9a-f]{8})~([\w-]*)~([0-9a-f]{4})$/.exec(text.slice(prefix.length));
  if (!match) throw new ScheduleError(`the token is malformed: it should read '${prefix}NAME~DIGEST~CHOICES~CHECK'; was it cut off in copying?`);
  const [, head = '', digest = '', choices = '', check] = match;
  if (fingerprint(`${head}~${digest}~${choices}`).slice(0, 4) !== check)
    throw new ScheduleError('the token is damaged: its check digits do not fit; copy it again');
  const [name = '', ...pairs] = head.split(',').map(decode);
  const parameters = Object.fromEntries(pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]));
  return { name, parameters, digest, schedule: fromBytes(fromBase64url(choices)) };
}
