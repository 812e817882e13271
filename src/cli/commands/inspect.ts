import { readFileSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { changedSince } from '../../check/play.js';
import { type InspectorServer, startInspector } from '../../inspect/server.js';
import { formatToken, isToken, parseToken } from '../../schedule/token.js';
import { UsageError } from '../../system/errors.js';
import type { Context } from '../context.js';
import { exitCodes, isSystemError, systemMessage } from '../failure.js';
import { modulePath } from '../modules.js';
import type { Given } from '../options.js';
import { resolveOne, resolveWhat, type Target } from '../resolve.js';

/** How a command serves the inspector. */
export interface ServeFlags {
  port?: number;
  /** Whether to open the page in a browser. */
  open: boolean;
}

export interface InspectFlags extends ServeFlags {
  param?: Given;
}

export const portIn = ({ port }: ServeFlags): { port?: number } => (port === undefined ? {} : { port });

/** Where the page comes from. */
export type Page = () => string;

/** The page as built with the program that runs. That is found by its own path, the only one that an ES module and its CommonJS twin both know. */
export function builtPage(program = process.argv[1] ?? ''): string {
  try {
    return readFileSync(join(dirname(dirname(realpathSync(program))), 'dist', 'inspector.html'), 'utf8');
  } catch (error) {
    if (isSystemError(error) && error.code !== 'ENOENT') throw new UsageError(`cannot read the page: ${systemMessage(error)}`);
    throw new UsageError('the page is not built; run npm run build');
  }
}

/** @throws {UsageError} for a module: the page has its scenarios inside, and cannot import anything. */
function refuseModule({ io, scenarios }: Context, name: string): void {
  const known = scenarios.some(({ id }) => id === name.split('/')[0]);
  const module = known ? null : modulePath(io, name);
  if (module)
    throw new UsageError(
      `the page has the shipped scenarios only, not '${module.path}'; a live system of your own is shown by 'shootdown run ${name} --inspect'`,
    );
}

/** A variant and the parameters that were set, as the page reads them. */
function hashOf({ subject }: Target, given: Given): string {
  const query = Object.keys(given).map((name) => `${encodeURIComponent(name)}=${encodeURIComponent(String(subject.case?.parameters[name]))}`);
  const path = subject.id.split('/').map(encodeURIComponent).join('/');
  return query.length > 0 ? `${path}?${query.join('&')}` : path;
}

async function hashOfToken(context: Context, text: string): Promise<string> {
  const token = parseToken(text);
  refuseModule(context, token.name);
  const { subject } = await resolveOne(context, token.name, token.parameters, 'inspect');
  const changed = changedSince(token, subject);
  if (changed !== null) context.note(`${changed}; running it all the same`);
  // Written anew, since it may have been encoded in another way.
  return formatToken(token);
}

/** What the page is to show first. A scenario stands for its first variant. */
async function hashFor(context: Context, what: string, given: Given | undefined): Promise<string> {
  if (isToken(what)) {
    if (given) throw new UsageError("a token has its parameters inside, so '--param' cannot be combined with one");
    return hashOfToken(context, what);
  }
  refuseModule(context, what);
  const isScenario = context.scenarios.some(({ id }) => id === what);
  const [first] = isScenario ? (await resolveWhat(context, [what], given ?? {})).targets : [];
  return hashOf(first ?? (await resolveOne(context, what, given ?? {}, 'inspect')), given ?? {});
}

/** Nobody is kept from anything by a browser that does not open: the address is printed. */
async function openBrowser({ io }: Context, url: string): Promise<void> {
  try {
    const { default: open } = (await io.importModule('open')) as { default: (url: string) => Promise<unknown> };
    await open(url);
  } catch {}
}

/** Says where the inspector is, opens it if wanted, and lets it go on until Ctrl-C. */
export async function untilInterrupted(context: Context, server: InspectorServer, { open }: ServeFlags): Promise<void> {
  const { signal } = context.io;
  const interrupted = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  context.io.stdout(`inspector at ${server.url}\n`);
  if (open) void openBrowser(context, server.url);
  await interrupted;
  await server.close();
}

/** `inspect`: serves the inspector until Ctrl-C. Returns the exit code. */
export async function inspect(context: Context, what: string | undefined, flags: InspectFlags, page: Page = () => builtPage()): Promise<number> {
  if (what === undefined && flags.param) throw new UsageError("option '--param' needs a scenario or a variant");
  const hash = what === undefined ? undefined : await hashFor(context, what, flags.param);
  const server = await startInspector({ html: page(), ...portIn(flags), ...(hash === undefined ? {} : { hash }) });
  await untilInterrupted(context, server, flags);
  return exitCodes.asExpected;
}
