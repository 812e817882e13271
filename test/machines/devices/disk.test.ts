import { disk, folio, pageCache } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

type Disk = typeof disk;
/** Row W8. */
const asksPage = disk.provide({ guards: { reportsByBuffer: () => false } });

/** Pages 4 and 5 are under writeback; both stand in one file. */
function rig(machine: Disk = disk, errors?: number): Rig {
  const system = new Rig({
    page4: actor(folio, { input: { pfn: 4, refcount: 1, idle: 0, zone: 'normal', mapping: 'f' } }),
    page5: actor(folio, { input: { pfn: 5, refcount: 1, idle: 0, zone: 'normal', mapping: 'f' } }),
    f: actor(pageCache, { input: { stored: { 0: 'f.v0', 1: 'e.v0' } } }),
    g: actor(pageCache, { input: { stored: { 0: 'g.v0' } } }),
    disk: actor(machine, { input: errors === undefined ? {} : { errors } }),
    p: probe(),
  });
  for (const pfn of [4, 5]) system.say('p', `page${pfn}`, 'folio.start_writeback');
  return system;
}
const submit = (system: Rig, pfn: number, value: string, mapping = 'f', index = 0): unknown =>
  system.say('p', 'disk', { type: 'bio.submit', pfn, mapping, index, value });
const stored = (system: Rig): unknown => [system.context('f').stored, system.context('g').stored];
const underWriteback = (system: Rig): number[] => [4, 5].filter((pfn) => system.context(`page${pfn}`).writeback !== null);
const told = (system: Rig): string[] => ['f', 'g'].filter((file) => system.context(file).error);
const store = (value: string, index = 0): string => `f: stored.write ${JSON.stringify({ index, value })}`;
const end = (pfn: number): string => `page${pfn}: folio.end_writeback`;

test('without a write nothing ends', () => {
  const system = rig();
  expect(['end_bio', 'end_bio_error'].map((choice) => system.can('disk', choice))).toEqual([false, false]);
});

describe('end_bio', () => {
  test('the bytes are on the disk, then the page is not under writeback any more; who submits does not wait', () => {
    const system = rig();
    expect(submit(system, 4, 'f.v1')).toEqual([]);
    expect([stored(system), underWriteback(system)]).toEqual([
      [{ 0: 'f.v0', 1: 'e.v0' }, { 0: 'g.v0' }],
      [4, 5],
    ]);
    system.take('disk', 'end_bio');
    expect([system.said('disk'), underWriteback(system)]).toEqual([[store('f.v1'), end(4)], [5]]);
    expect([stored(system), system.context('disk').queue]).toEqual([[{ 0: 'f.v1', 1: 'e.v0' }, { 0: 'g.v0' }], []]);
  });

  test('writes end in the order of submission', () => {
    const system = rig();
    submit(system, 5, 'e.v1', 'f', 1);
    submit(system, 4, 'f.v1');
    system.take('disk', 'end_bio').take('disk', 'end_bio');
    expect(system.said('disk')).toEqual([store('e.v1', 1), end(5), store('f.v1'), end(4)]);
  });

  test('a page with two buffers is under writeback until both are written', () => {
    const system = rig();
    submit(system, 4, 'v1');
    submit(system, 5, 'e.v1', 'f', 1);
    submit(system, 4, 'v1', 'g');
    expect(underWriteback(system.take('disk', 'end_bio'))).toEqual([4, 5]);
    expect(underWriteback(system.take('disk', 'end_bio'))).toEqual([4]);
    expect([underWriteback(system.take('disk', 'end_bio')), stored(system)]).toEqual([[], [{ 0: 'v1', 1: 'e.v1' }, { 0: 'v1' }]]);
  });
});

describe('end_bio_error', () => {
  test('nothing is stored; the file that the buffer stores is told, before who waits is woken', () => {
    const system = rig();
    submit(system, 4, 'f.v1');
    system.take('disk', 'end_bio_error');
    expect(system.said('disk')).toEqual(['f: mapping.set_error', end(4)]);
    expect([stored(system), told(system), system.at('disk')]).toEqual([[{ 0: 'f.v0', 1: 'e.v0' }, { 0: 'g.v0' }], ['f'], 'running']);
    expect(system.context('disk')).toEqual({ queue: [], failed: [{ mapping: 'f', index: 0 }], errors: 0 });
  });

  test.each([
    ['one by default', undefined, 1],
    ['none', 0, 0],
    ['two', 2, 2],
  ])('there are so many errors at most: %s', (_, errors, count) => {
    const system = rig(disk, errors);
    for (let n = 0; n < count; n++) {
      submit(system, 4, 'f.v1');
      system.take('disk', 'end_bio_error');
    }
    submit(system, 4, 'f.v1');
    expect([system.can('disk', 'end_bio_error'), system.can('disk', 'end_bio')]).toEqual([false, true]);
  });

  test('what is lost is remembered once, until it is written after all; other places stay', () => {
    const system = rig(disk, 3);
    for (const index of [0, 1, 0]) {
      submit(system, 4, 'v1', 'f', index);
      system.take('disk', 'end_bio_error');
    }
    const [first, second] = [0, 1].map((index) => ({ mapping: 'f', index }));
    expect(system.context('disk').failed).toEqual([second, first]);
    submit(system, 4, 'v1');
    submit(system, 4, 'v1', 'g', 1);
    system.take('disk', 'end_bio').take('disk', 'end_bio');
    expect([system.context('disk').failed, system.context('f').stored]).toEqual([[second], { 0: 'v1', 1: 'e.v0' }]);
  });

  test('of two buffers each tells its own file', () => {
    const system = rig(disk, 2);
    submit(system, 4, 'v1', 'g');
    submit(system, 4, 'v1');
    expect([told(system.take('disk', 'end_bio_error')), underWriteback(system)]).toEqual([['g'], [4, 5]]);
    expect([told(system.take('disk', 'end_bio_error')), underWriteback(system)]).toEqual([['f', 'g'], [5]]);
  });
});

describe('row W8: the page is asked where the error goes', () => {
  test('one that is alone in its file still tells it', () => {
    const system = rig(asksPage);
    submit(system, 4, 'f.v1');
    system.take('disk', 'end_bio_error');
    expect([system.said('disk'), told(system), underWriteback(system)]).toEqual([['page4: folio.mapping', 'f: mapping.set_error', end(4)], ['f'], [5]]);
  });

  test.each([
    ['is protected meanwhile', { type: 'folio.protect', record: 'record4', stable: true }],
    ['has no mapping any more', { type: 'folio.set_mapping', mapping: null }],
  ])('of one that %s nobody is told; with the safeguard its file is', (_, meanwhile) => {
    const errors = [asksPage, disk].map((machine) => {
      const system = rig(machine);
      submit(system, 4, 'f.v1');
      system.say('p', 'page4', meanwhile);
      system.take('disk', 'end_bio_error');
      expect([underWriteback(system), system.at('disk'), system.context('disk').failed]).toEqual([[5], 'running', [{ mapping: 'f', index: 0 }]]);
      return told(system);
    });
    expect(errors).toEqual([[], ['f']]);
  });
});

test('every transition was taken', () => {
  expect(untaken(disk)).toEqual([]);
});
