import fc from 'fast-check';
import { LiveLog } from '../../src/inspect/live-log.js';
import { deepest, type WireEvent } from '../../src/inspect/wire.js';

type Frame = Record<string, unknown>;

const definition = '{"id":"bulb","initial":"off","states":{"off":{"on":{"ON":"on"}},"on":{}}}';
const frame = (type: string, session: string, stamp: number, more: Frame): Frame => ({
  _version: '0.7.2',
  createdAt: String(stamp),
  id: null,
  rootId: 'x:0',
  sessionId: session,
  type,
  ...more,
});
const born = (session: string, stamp = 0, more: Frame = {}): Frame =>
  frame('@xstate.actor', session, stamp, { name: `actor ${session}`, definition, snapshot: { status: 'active', value: 'off', context: {} }, ...more });
const sent = (session: string, stamp: number, type = 'ON', source?: string): Frame =>
  frame('@xstate.event', session, stamp, { event: { type }, ...(source === undefined ? {} : { sourceId: source }) });
const moved = (session: string, stamp: number, value: string, status = 'active'): Frame =>
  frame('@xstate.snapshot', session, stamp, { event: { type: 'ON' }, snapshot: { status, value, context: {} } });

/** As the packages send frames: objects from a window, texts from a socket. */
function feed(log: LiveLog, frames: readonly Frame[], connection = 'app'): void {
  for (const [at, each] of frames.entries()) log.receive(connection, at % 2 === 0 ? each : JSON.stringify(each));
}
const kinds = (log: LiveLog, actor: string | null = null): string[] => log.entries(actor).map(({ event }) => event.kind);

describe('actors', () => {
  test('the latest of each is kept, and all that was said', () => {
    const log = new LiveLog();
    feed(log, [born('x:0', 1), born('x:1', 1, { parentId: 'x:0' }), sent('x:1', 2, 'ON', 'x:0'), moved('x:1', 2, 'on')]);
    expect(log.actor('app:x:1')).toMatchObject({
      connection: 'app',
      name: 'actor x:1',
      parent: 'app:x:0',
      definition: JSON.parse(definition),
      status: 'active',
      snapshot: { value: 'on' },
      announced: true,
    });
    expect(log.entries().map(({ number, connection, event }) => [number, connection, event.kind])).toEqual([
      [1, 'app', 'actor'],
      [2, 'app', 'actor'],
      [3, 'app', 'sent'],
      [4, 'app', 'snapshot'],
    ]);
    expect(kinds(log, 'app:x:0')).toEqual(['actor', 'sent']);
  });

  test('one that is mentioned before it is announced has a place, filled in later', () => {
    const log = new LiveLog();
    feed(log, [moved('x:1', 1, 'on'), sent('x:1', 2, 'ON', 'x:0')]);
    expect(log.actors.map(({ id, name, announced, status }) => [id, name, announced, status])).toEqual([
      ['app:x:1', 'x:1', false, 'active'],
      ['app:x:0', 'x:0', false, 'unknown'],
    ]);
    feed(log, [born('x:1', 3)]);
    expect(log.actor('app:x:1')).toMatchObject({ name: 'actor x:1', announced: true, definition: JSON.parse(definition) });
  });

  test('clashing ids of two connections are two actors', () => {
    const log = new LiveLog();
    feed(log, [born('x:0')], 'one');
    feed(log, [born('x:0', 0, { name: 'other' })], 'two');
    log.receive('two', moved('x:0', 1, 'on'));
    expect(log.actors.map(({ id, name, snapshot }) => [id, name, snapshot?.value])).toEqual([
      ['one:x:0', 'actor x:0', 'off'],
      ['two:x:0', 'other', 'on'],
    ]);
    log.closed('one');
    log.receive('two', { type: '@statelyai.disconnected' });
    expect(log.connections).toEqual([
      { name: 'one', open: false },
      { name: 'two', open: false },
    ]);
  });

  test('how an actor ended is not forgotten when it stops', () => {
    const log = new LiveLog();
    feed(log, [born('x:0'), moved('x:0', 1, 'end', 'done')]);
    log.receive('app', { type: 'service.stop', sessionId: 'x:0' });
    log.receive('app', { type: 'service.stop', sessionId: 'x:9' });
    expect(log.actors.map(({ status }) => status)).toEqual(['done', 'stopped']);
  });

  test('apps of XState 4 announce their actors again, and say less: no news', () => {
    const machine = '{"id":"lamp","states":{"on":{}}}';
    const state = (value: string): string => `{"value":"${value}","done":false,"event":{"type":"ON"}}`;
    const log = new LiveLog();
    log.receive('app', { type: 'service.register', machine, state: state('off'), sessionId: 'x:2', id: 'mine', parent: 'x:1' });
    log.receive('app', { type: 'service.register', machine, state: state('on'), sessionId: 'x:2' });
    expect(log.actor('app:x:2')).toMatchObject({ name: 'mine', parent: 'app:x:1', accepts: true, snapshot: { value: 'on' } });
    expect(kinds(log)).toEqual(['actor']);
    // Equal events are events: these apps repeat nothing.
    for (let time = 0; time < 3; time++) log.receive('app', { type: 'service.state', state: state('on'), sessionId: 'x:2' });
    expect(kinds(log)).toEqual(['actor', 'snapshot', 'snapshot', 'snapshot']);
  });

  test('the one that ended first goes when there are too many', () => {
    const log = new LiveLog();
    for (let at = 0; at < 5_000; at++) log.add('app', { kind: 'sent', from: null, to: `app:${at}`, event: { type: 'GO' } });
    log.add('app', { kind: 'stopped', actor: 'app:7' });
    log.add('app', { kind: 'sent', from: null, to: 'app:new', event: { type: 'GO' } });
    expect(log.actors).toHaveLength(5_000);
    expect(log.actor('app:7')).toBeNull();
    expect(log.actor('app:0')).not.toBeNull();
  });
});

describe('what is kept', () => {
  const said: WireEvent = { kind: 'sent', from: null, to: 'app:x:0', event: { type: 'ON' } };

  test('the oldest entries go, and are counted; numbers go on', () => {
    const log = new LiveLog({ capacity: 3 });
    for (let time = 0; time < 5; time++) log.add('app', said);
    expect(log.entries().map(({ number }) => number)).toEqual([3, 4, 5]);
    expect(log.forgotten).toBe(2);
  });

  test('10,000 unless told otherwise', () => {
    const log = new LiveLog();
    for (let time = 0; time < 10_001; time++) log.add('app', said);
    expect([log.entries().length, log.forgotten]).toEqual([10_000, 1]);
    expect(() => new LiveLog({ capacity: 0 })).toThrow(RangeError);
  });

  test('large frames go sooner', () => {
    const log = new LiveLog();
    const large = 'x'.repeat(2 ** 20 - 1000);
    for (let stamp = 0; stamp < 80; stamp++) log.receive('app', frame('@xstate.event', 'x:0', stamp, { event: { type: 'ON', large } }));
    expect(log.entries().length).toBeLessThan(66);
    expect(log.entries().length + log.forgotten).toBe(80);
  });

  test('listeners hear of every change, until they leave', () => {
    const log = new LiveLog();
    const seen: number[] = [];
    const leave = log.subscribe(() => seen.push(log.version));
    log.receive('app', born('x:0'));
    log.receive('app', 'no JSON');
    leave();
    log.receive('app', sent('x:0', 1));
    expect(new Set(seen).size).toBe(2);
  });
});

describe('refused and counted', () => {
  const twice = (depth: number): unknown => {
    let value: unknown = 'x';
    for (let at = 0; at < depth; at++) value = [value, value];
    return value;
  };
  const circle: unknown[] = [];
  circle.push(circle);

  test.each<[string, unknown, 'malformed' | 'oversized']>([
    ['no JSON', '{"type":', 'malformed'],
    ['no frame', '[]', 'malformed'],
    ['of another protocol', { type: 'webpackOk' }, 'malformed'],
    ['nothing', undefined, 'malformed'],
    ['a big number', { type: 1n }, 'malformed'],
    ['a circle', { type: 'x', circle }, 'malformed'],
    ['bytes', { type: 'x', bytes: new Uint8Array(8) }, 'malformed'],
    ['too deep', `${'['.repeat(deepest + 2)}${']'.repeat(deepest + 2)}`, 'malformed'],
    ['a long text', `"${'x'.repeat(2 ** 20)}"`, 'oversized'],
    ['a long text in an object', { type: 'x'.repeat(2 ** 20 + 1) }, 'oversized'],
    ['an array of nothing', new Array(2 ** 31), 'oversized'],
    ['what grows when it is written', twice(40), 'oversized'],
  ])('%s', (_name, data, reason) => {
    const log = new LiveLog();
    log.receive('app', data);
    expect(log.refused).toEqual({ malformed: 0, oversized: 0, foreign: 0, [reason]: 1 });
    expect(log.entries()).toEqual([]);
    expect(log.connections).toEqual([]);
  });

  test('what others refused', () => {
    const log = new LiveLog();
    log.refuse('foreign');
    log.refuse('oversized', 4);
    expect(log.refused).toEqual({ malformed: 0, oversized: 4, foreign: 1 });
  });

  test('nothing makes it throw', () => {
    const log = new LiveLog();
    fc.assert(
      fc.property(
        fc.oneof(fc.anything({ withBigInt: true, withMap: true, withTypedArray: true, withSparseArray: true, maxDepth: 4 }), fc.json(), fc.string()),
        (data) => log.receive('app', data),
      ),
    );
    expect(log.refused.malformed).toBeGreaterThan(0);
  });
});

describe('what an app sends again', () => {
  test('its buffer, to a viewer that greets it once more, adds nothing; what follows does', () => {
    const log = new LiveLog();
    const frames = [born('x:0', 1), sent('x:0', 2), moved('x:0', 2, 'on')];
    feed(log, frames);
    log.greeted('app');
    feed(log, frames);
    feed(log, [sent('x:0', 3)]);
    expect(kinds(log)).toEqual(['actor', 'sent', 'snapshot', 'sent']);
    expect(log.duplicates).toBe(3);
  });

  test('equal events in one millisecond are two', () => {
    const log = new LiveLog();
    feed(log, [born('x:0', 1), sent('x:0', 1), sent('x:0', 1), moved('x:0', 1, 'on'), sent('x:0', 1)]);
    expect(log.entries()).toHaveLength(5);
    expect(log.duplicates).toBe(0);
  });

  test('even if all was in one millisecond, and the buffer begins in the middle', () => {
    const log = new LiveLog();
    const frames = [born('x:0', 1), sent('x:0', 1), moved('x:0', 1, 'on'), sent('x:0', 1), moved('x:0', 1, 'off')];
    feed(log, frames);
    log.greeted('app');
    feed(log, frames.slice(1));
    feed(log, [sent('x:0', 1), moved('x:0', 2, 'on')]);
    expect([log.entries().length, log.duplicates]).toEqual([7, 4]);
  });

  test('another connection may say the same', () => {
    const log = new LiveLog();
    feed(log, [born('x:0'), sent('x:0', 1)], 'one');
    feed(log, [born('x:0'), sent('x:0', 1)], 'two');
    expect([log.entries().length, log.duplicates]).toEqual([4, 0]);
  });

  const step = fc.record({
    kind: fc.constantFrom('born', 'sent', 'moved'),
    session: fc.constantFrom('x:0', 'x:1', 'x:2'),
    later: fc.integer({ min: 0, max: 3 }),
  });
  /** What an app may send: time goes on, nobody is born twice. */
  const runs = fc.array(step, { minLength: 1, maxLength: 300 }).map((steps) => {
    const alive = new Set<string>();
    let stamp = 1;
    return steps.map(({ kind, session, later }) => {
      stamp += later;
      if (kind === 'born' && !alive.has(session)) {
        alive.add(session);
        return born(session, stamp);
      }
      return kind === 'sent' ? sent(session, stamp) : moved(session, stamp, later > 1 ? 'on' : 'off');
    });
  });

  test('no buffer of 200 adds an entry, and no entry is lost after it', () => {
    fc.assert(
      fc.property(runs, fc.array(step), fc.integer({ min: 1, max: 3 }), (frames, more, times) => {
        const log = new LiveLog();
        feed(log, frames);
        const before = log.entries();
        expect(before).toHaveLength(frames.length);
        for (let time = 0; time < times; time++) {
          log.greeted('app');
          feed(log, frames.slice(-200));
        }
        expect(log.entries()).toEqual(before);
        feed(
          log,
          more.map(({ session }, at) => sent(session, 10_000 + at)),
        );
        expect(log.entries()).toHaveLength(frames.length + more.length);
      }),
    );
  });

  test('in whatever order frames come, the actors are the same', () => {
    const told = (log: LiveLog): unknown[] =>
      log.actors.map(({ id, name, parent, definition: shape, announced }) => ({ id, name, parent, shape, announced })).sort((a, b) => (a.id < b.id ? -1 : 1));
    const frames = [
      born('x:0'),
      born('x:1', 1, { parentId: 'x:0' }),
      born('x:2', 1, { parentId: 'x:1', definition: undefined }),
      sent('x:1', 2, 'ON', 'x:0'),
      sent('x:2', 3, 'ON', 'x:3'),
      moved('x:1', 4, 'on'),
      moved('x:2', 5, 'on', 'stopped'),
      moved('x:4', 6, 'on'),
    ];
    const inOrder = new LiveLog();
    feed(inOrder, frames);
    fc.assert(
      fc.property(fc.shuffledSubarray(frames, { minLength: frames.length }), (shuffled) => {
        const log = new LiveLog();
        feed(log, shuffled);
        expect(told(log)).toEqual(told(inOrder));
      }),
    );
  });
});
