import { directIo } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, type Message, returns } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

const rig = (pages: object, { pin = true, meanwhile }: { pin?: boolean; meanwhile?: string } = {}): Rig =>
  new Rig({
    page4: answers(),
    page5: answers(),
    gup: returns(pages),
    put: returns(),
    other: answers(),
    io: actor(directIo, { input: { gup: 'gup', putPage: 'put', vpns: [0, 1], pin, ...(meanwhile ? { meanwhile } : {}) } }),
  });

test('it pins the buffer, lets the disk write into it, and unpins it page by page', () => {
  const system = rig({ pages: [4, 5] });
  expect(system.context('io').pages).toEqual([4, 5]);
  system.settle();
  expect(system.said('io')).toEqual([
    'gup: call {"vpns":[0,1]}',
    'page4: memory.access {"write":true}',
    'put: call {"pfn":4,"pinned":true}',
    'put: call {"pfn":5,"pinned":true}',
  ]);
  expect([system.at('io'), system.context('io').pages]).toEqual(['done', []]);
});

test('without FOLL_PIN it puts references', () => {
  const system = rig({ pages: [4] }, { pin: false }).settle();
  expect(system.heard('put').filter(({ type }) => type === 'call')).toEqual([{ type: 'call', pfn: 4, pinned: false }]);
});

test.each<[string, object]>([
  ['none', { pages: [] }],
  ['nothing', {}],
])('with pages: %s, there is nothing to do', (_, pages) => {
  const system = rig(pages);
  expect([system.at('io'), system.said('io')]).toEqual(['done', ['gup: call {"vpns":[0,1]}']]);
});

test('the next system call pins anew; whatever it got before', () => {
  const system = new Rig({
    ...{ page4: answers(), gup: returns({ pages: [4] }, { pages: [] }, { pages: [4] }), put: returns() },
    io: actor(directIo, { input: { gup: 'gup', putPage: 'put', vpns: [0], pin: true }, environment: ['again'] }),
  });
  expect(system.can('io', 'again')).toBe(false);
  const round = ['gup: call {"vpns":[0]}', 'page4: memory.access {"write":true}', 'put: call {"pfn":4,"pinned":true}'];
  const toEnd = (): Rig => (system.at('io') === 'done' ? system : system.stepTo('io', 'done'));
  expect(toEnd().said('io')).toEqual(round);
  expect([system.take('io', 'again').at('io'), system.context('io').pages]).toEqual(['done', []]);
  expect(system.take('io', 'again').context('io').pages).toEqual([4]);
  expect(toEnd().said('io')).toEqual([...round, ...round.slice(0, 1), ...round]);
  expect(system.context('io').pages).toEqual([]);
});

test('A13: it may call something else while it holds the pins', () => {
  const system = rig({ pages: [4] }, { meanwhile: 'other' });
  expect([system.at('io'), system.can('io', 'step'), system.context('io').pages]).toEqual(['meanwhile', false, [4]]);
  const told = new Rig({
    page4: answers(),
    gup: returns({ pages: [4] }),
    put: returns(),
    other: answers({ call: [{ type: 'return' } as Message] }),
    io: actor(directIo, { input: { gup: 'gup', putPage: 'put', vpns: [0], pin: true, meanwhile: 'other' } }),
  });
  expect(told.settle().said('io').slice(0, 3)).toEqual(['gup: call {"vpns":[0]}', 'other: call', 'page4: memory.access {"write":true}']);
});

describe('all at once', () => {
  const atOnce = (pages: object[], putPages: Actors[string] = returns()): Rig =>
    new Rig({
      ...{ page4: answers(), page5: answers(), gup: returns(...pages), put: returns(), put_pages: putPages },
      io: actor(directIo, { input: { gup: 'gup', putPage: 'put', putPages: 'put_pages', vpns: [0, 1], pin: true }, environment: ['again'] }),
    });
  const round = ['gup: call {"vpns":[0,1]}', 'page4: memory.access {"write":true}', 'put_pages: call {"pages":[4,5]}'];

  test('it gives all pages back by one call, and none by itself', () => {
    const system = atOnce([{ pages: [4, 5] }]).stepTo('io', 'done');
    expect([system.said('io'), system.heard('put')]).toEqual([round, []]);
    expect(system.context('io').pages).toEqual([]);
  });

  test('from the call on the pins are not its own', () => {
    const system = atOnce([{ pages: [4, 5] }], answers());
    expect([system.at('io'), system.context('io').pages]).toEqual(['dma', [4, 5]]);
    system.take('io', 'step');
    expect([system.at('io'), system.can('io', 'step'), system.context('io').pages]).toEqual(['unpin_user_page_range_dirty_lock', false, []]);
  });

  test('without pages there is nothing to give back; the next system call pins anew', () => {
    const system = atOnce([{ pages: [] }, { pages: [4, 5] }]);
    expect([system.at('io'), system.heard('put_pages')]).toEqual(['done', []]);
    expect(system.take('io', 'again').stepTo('io', 'done').said('io')).toEqual([...round.slice(0, 1), ...round]);
  });
});

test('every transition was taken', () => {
  expect(untaken(directIo)).toEqual([]);
});
