import { scheduleDocument } from '../src/format/json.js';
import { mermaid } from '../src/format/mermaid.js';
import { drawing, type Found, violationText } from '../src/format/violation.js';
import { replay } from '../src/schedule/replay.js';
import { isToken } from '../src/schedule/token.js';
import type { Store } from './store.js';

const violated = (store: Store) => store.walk.truths(store.at).find(({ truth }) => truth === 'violated');
/** A loop that violates an eventuality; of other violations the page has no message. */
const loopIn = (store: Store): Found | null => {
  const { property, lasso } = violated(store) ?? {};
  return property && lasso ? { property: property.name, message: property.description, lasso } : null;
};
const endingOf = (store: Store): string | null => {
  const [found, loop] = [violated(store), loopIn(store)];
  if (loop) return violationText(store.walk.system, loop);
  return found ? `${found.property.name}: ${found.property.description}` : null;
};
const run = (store: Store) => replay(store.walk.system, store.walk.schedule.slice(0, store.at));

/** What can be copied, and how it is made; live XState runs the schedule for the diagrams. */
export const shares: Readonly<Record<string, (store: Store) => string>> = {
  // Without the query: the key in it is nobody else's.
  link: (store) => `${location.origin === 'null' ? location.href.split(/[?#]/)[0] : location.origin + location.pathname}#${store.hash()}`,
  token: (store) => store.token(),
  'CPU columns': (store) => drawing(run(store), loopIn(store), endingOf(store)),
  Mermaid: (store) => mermaid(run(store), endingOf(store), loopIn(store)?.lasso?.stem ?? null),
};

/** The schedule with all that follows from it: what `shootdown replay` and the page read again. */
export function fileOf(store: Store): string {
  const { id, parameters } = store.case;
  return `${JSON.stringify(scheduleDocument(run(store), { id, parameters, token: store.token(), found: loopIn(store) }), null, 2)}\n`;
}

/** The token in a file: a document with one, or the token itself. @throws {Error} when there is none. */
export function tokenIn(text: string): string {
  const trimmed = text.trim();
  if (isToken(trimmed)) return trimmed;
  let document: unknown;
  try {
    document = JSON.parse(trimmed);
  } catch {
    throw new Error('the file holds no schedule: neither a token (it begins with sd1:) nor JSON');
  }
  const { format, token } = (document ?? {}) as { format?: unknown; token?: unknown };
  if (format !== 'shootdown.schedule/1' || typeof token !== 'string' || !isToken(token))
    throw new Error("the file is JSON, but not a document of the format 'shootdown.schedule/1'");
  return token;
}

export function download(name: string, type: string, text: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
