import fc from 'fast-check';
import { actorId, commandFor, deepest, greetings, isGoodbye, partsOf, readFrame, stampOf } from '../../src/inspect/wire.js';

const json = JSON.stringify;
const one = (frame: unknown): unknown => {
  const events = readFrame(frame, 'app');
  expect(events).toHaveLength(1);
  return events?.[0];
};

describe('@statelyai/inspect 0.7, as recorded', () => {
  const base = { _version: '0.7.2', createdAt: '1795244709107', id: null, rootId: 'x:0' };
  const definition = '{"id":"bulb","initial":"off","states":{"off":{"on":{"ON":"on"}},"on":{"entry":{"type":"sendTo"},"on":{"OFF":"off"}}}}';
  const snapshot = { children: {}, context: { lit: 2 }, historyValue: {}, status: 'active', tags: [], value: 'off' };

  test('an actor with its definition', () => {
    expect(one({ ...base, type: '@xstate.actor', definition, name: 'bulb', parentId: 'x:0', sessionId: 'x:1', snapshot })).toEqual({
      kind: 'actor',
      actor: 'app:x:1',
      name: 'bulb',
      parent: 'app:x:0',
      definition: JSON.parse(definition),
      truncated: false,
      accepts: false,
      snapshot: { status: 'active', value: 'off', context: { lit: 2 } },
    });
  });

  test('a promise is a black box with an output', () => {
    const frame = {
      ...base,
      type: '@xstate.actor',
      definition: '{"id":"fetcher"}',
      name: 'fetcher',
      sessionId: 'x:2',
      snapshot: { output: { answer: 42 }, status: 'done' },
    };
    expect(one(frame)).toMatchObject({
      parent: null,
      definition: null,
      truncated: false,
      snapshot: { status: 'done', value: null, context: null, output: { answer: 42 } },
    });
  });

  test.each(['"[Object]"', '"[Array]"', '"[...]"'])('a definition with %s in the place of something is truncated', (mark) => {
    const cut = `{"id":"lamp","states":{"lit":{"states":{"c":{"on":{"DEEP":${mark}}}}}}}`;
    expect(one({ ...base, type: '@xstate.actor', definition: cut, name: 'lamp', sessionId: 'x:0', snapshot })).toMatchObject({ truncated: true });
  });

  test.each(['{"id":', '7', '', undefined])('a definition that is %p is none', (text) => {
    expect(one({ ...base, type: '@xstate.actor', definition: text, sessionId: 'x:0' })).toMatchObject({
      name: 'x:0',
      definition: null,
      truncated: false,
      snapshot: null,
    });
  });

  test('events, from an actor or from outside', () => {
    expect(one({ ...base, type: '@xstate.event', event: { type: 'ON', by: 'me' }, sessionId: 'x:1', sourceId: 'x:0' })).toEqual({
      kind: 'sent',
      from: 'app:x:0',
      to: 'app:x:1',
      event: { type: 'ON', by: 'me' },
    });
    expect(one({ ...base, type: '@xstate.event', event: { type: 'PRESS' }, sessionId: 'x:0' })).toMatchObject({ from: null, to: 'app:x:0' });
  });

  test('snapshots, with the event before them if there is one', () => {
    const frame = { ...base, type: '@xstate.snapshot', event: { type: 'ON' }, sessionId: 'x:1', snapshot };
    expect(one(frame)).toEqual({
      kind: 'snapshot',
      actor: 'app:x:1',
      snapshot: { status: 'active', value: 'off', context: { lit: 2 } },
      event: { type: 'ON' },
    });
    // Sent by hand, without an event.
    const byHand = {
      _version: '0.7.2',
      createdAt: '1',
      event: { type: '' },
      id: null,
      rootId: 'anonymous',
      sessionId: 'manual',
      snapshot: { status: 'active', value: 'y' },
    };
    expect(one({ ...byHand, type: '@xstate.snapshot' })).toMatchObject({ actor: 'app:manual', event: null });
  });

  test('the end of an actor is told by its snapshot', () => {
    const frame = { ...base, type: '@xstate.snapshot', event: { type: 'xstate.stop' }, sessionId: 'x:1', snapshot: { ...snapshot, status: 'stopped' } };
    expect(readFrame(frame, 'app')?.map(({ kind }) => kind)).toEqual(['snapshot', 'stopped']);
  });

  test('what tells nothing to the log is no error', () => {
    expect(readFrame({ ...base, type: '@xstate.microstep', sessionId: 'x:1' }, 'app')).toEqual([]);
    expect(readFrame({ type: '@statelyai.disconnected' }, 'app')).toEqual([]);
    expect(isGoodbye({ type: '@statelyai.disconnected' })).toBe(true);
    expect(stampOf(base)).toBe(1795244709107);
  });

  test.each([
    { ...base, type: '@xstate.event', event: 'ON', sessionId: 'x:1' },
    { ...base, type: '@xstate.event', event: {}, sessionId: 'x:1' },
    { ...base, type: '@xstate.snapshot', snapshot: null, sessionId: 'x:1' },
    { ...base, type: '@xstate.snapshot', snapshot },
    { type: '@xstate.actor', sessionId: 'x:1' },
  ])('refused: %j', (frame) => expect(readFrame(frame, 'app')).toBeNull());
});

describe('@xstate/inspect 0.8, as recorded', () => {
  const machine = json({
    id: 'bulb',
    key: 'bulb',
    type: 'compound',
    initial: 'off',
    states: { off: { id: 'bulb.off', key: 'off', type: 'atomic', states: {} } },
  });
  const state = json({
    actions: [],
    value: 'off',
    context: { presses: 1 },
    _event: { name: 'ON', data: { type: 'ON' }, $$type: 'scxml', type: 'external', origin: 'x:1' },
    _sessionid: 'x:2',
    event: { type: 'ON' },
    transitions: [],
    children: {},
    done: false,
    tags: {},
  });
  const snapshot = { status: 'active', value: 'off', context: { presses: 1 } };

  test('a service, new or announced to a viewer that came later', () => {
    const frame = { type: 'service.register', machine, state, sessionId: 'x:2', id: 'thelamp', parent: 'x:1' };
    const actor = { kind: 'actor', actor: 'app:x:2', definition: JSON.parse(machine), truncated: false, accepts: true, snapshot };
    expect(one(frame)).toEqual({ ...actor, name: 'thelamp', parent: 'app:x:1' });
    expect(one({ type: 'service.register', machine, state, sessionId: 'x:2' })).toEqual({ ...actor, name: 'bulb', parent: null });
  });

  const scxml = (more: object): string => json({ name: 'ON', data: { type: 'ON', by: 'me' }, $$type: 'scxml', type: 'external', ...more });
  test('events are in SCXML; those of a viewer are in the name of the receiver', () => {
    const event = { type: 'ON', by: 'me' };
    expect(one({ type: 'service.event', event: scxml({ origin: 'x:1' }), sessionId: 'x:2' })).toEqual({ kind: 'sent', from: 'app:x:1', to: 'app:x:2', event });
    expect(one({ type: 'service.event', event: scxml({}), sessionId: 'x:2' })).toMatchObject({ from: null });
    expect(one({ type: 'service.event', event: scxml({ origin: 'x:2' }), sessionId: 'x:2' })).toMatchObject({ from: null });
    expect(one({ type: 'service.event', event: scxml({ data: null }), sessionId: 'x:2' })).toMatchObject({ event: { type: 'ON' } });
  });

  test('states and ends', () => {
    expect(one({ type: 'service.state', state, sessionId: 'x:2' })).toEqual({ kind: 'snapshot', actor: 'app:x:2', snapshot, event: { type: 'ON' } });
    expect(one({ type: 'service.state', state: state.replace('"done":false', '"done":true'), sessionId: 'x:2' })).toMatchObject({
      snapshot: { status: 'done' },
    });
    expect(one({ type: 'service.stop', sessionId: 'x:2' })).toEqual({ kind: 'stopped', actor: 'app:x:2' });
    expect(readFrame({ type: 'xstate.disconnect' }, 'app')).toEqual([]);
  });

  test.each([
    { type: 'service.state', state: '{', sessionId: 'x:2' },
    { type: 'service.state', state: {}, sessionId: 'x:2' },
    { type: 'service.event', event: '7', sessionId: 'x:2' },
    { type: 'service.event', event: { name: 'ON' }, sessionId: 'x:2' },
    { type: 'service.stop' },
    { type: 'service.other', sessionId: 'x:2' },
  ])('refused: %j', (frame) => expect(readFrame(frame, 'app')).toBeNull());

  test('a command is an event in the name of its receiver, which is where the app looks for it', () => {
    const { event, ...command } = commandFor('app:x:2', { type: 'ON' });
    expect(command).toEqual({ type: 'xstate.event', service: 'x:2' });
    expect(JSON.parse(event)).toEqual({ name: 'ON', data: { type: 'ON' }, $$type: 'scxml', type: 'external', origin: 'x:2' });
  });
});

describe('XState 6, as planned', () => {
  const snapshot = { status: 'active', value: 'on', context: {} };

  test('an actor', () => {
    expect(one({ type: '@xstate.actor', id: 'bulb', parentRef: { xstate$$type: 1, id: 'lamp' }, src: 'bulb', snapshot })).toMatchObject({
      actor: 'app:bulb',
      parent: 'app:lamp',
      snapshot,
    });
  });

  test('a transition is an event and a snapshot', () => {
    const frame = {
      type: '@xstate.transition',
      event: { type: 'ON' },
      sourceRef: { id: 'lamp' },
      targetRef: { id: 'bulb' },
      snapshot,
      microsteps: [],
      sent: [],
    };
    expect(readFrame(frame, 'app')).toEqual([
      { kind: 'sent', from: 'app:lamp', to: 'app:bulb', event: { type: 'ON' } },
      { kind: 'snapshot', actor: 'app:bulb', snapshot, event: { type: 'ON' } },
    ]);
    expect(readFrame({ ...frame, targetRef: null }, 'app')).toBeNull();
  });
});

test('both generations are greeted', () => expect(greetings.map(({ type }) => type)).toEqual(['@statelyai.connected', 'xstate.inspecting']));

test('nesting without end is refused, in a frame and in the JSON in it', () => {
  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
  const frame = { type: '@xstate.snapshot', _version: '1', sessionId: 'x:0' };
  expect(readFrame({ ...frame, snapshot: { context: JSON.parse(nested(deepest - 5)) } }, 'app')).toHaveLength(1);
  expect(readFrame({ ...frame, snapshot: { context: JSON.parse(nested(100_000)) } }, 'app')).toBeNull();
  expect(readFrame({ type: 'service.state', sessionId: 'x:0', state: nested(100_000) }, 'app')).toBeNull();
});

test('ids keep connection and session apart, whatever is in them', () => {
  const text = fc.string({ unit: fc.constantFrom('a', ':', '%', '2', '5', '3', 'A', '\ud800') });
  fc.assert(fc.property(text, text, (connection, session) => expect(partsOf(actorId(connection, session))).toEqual({ connection, session })));
});

const words = fc.constantFrom(
  '@xstate.actor',
  '@xstate.event',
  '@xstate.snapshot',
  '@xstate.transition',
  'service.register',
  'service.event',
  'service.state',
  'service.stop',
);
const deepJson = fc.oneof(fc.jsonValue(), fc.json());
const almostFrame = fc.record(
  {
    type: fc.oneof(words, fc.jsonValue()),
    _version: fc.oneof(fc.constant('0.7.2'), fc.jsonValue()),
    sessionId: fc.oneof(fc.constant('x:0'), fc.jsonValue()),
    ...Object.fromEntries(
      ['event', 'snapshot', 'definition', 'machine', 'state', 'id', 'parent', 'parentId', 'sourceRef', 'targetRef'].map((key) => [key, deepJson]),
    ),
  },
  { requiredKeys: [] },
);

test('no JSON makes it throw', () => {
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), almostFrame), (frame) => {
      const events = readFrame(frame, 'app');
      expect(events === null || Array.isArray(events)).toBe(true);
    }),
    { numRuns: 2000 },
  );
});
