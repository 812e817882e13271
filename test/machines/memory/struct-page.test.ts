import { structPage } from '../../../machines/memory/struct-page.js';
import { actor } from '../../../src/index.js';
import { answers, type Message, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (): Rig =>
  new Rig({
    page4: actor(structPage, { input: { pfn: 4 } }),
    vmemmap: answers({ 'vmemmap.access': [{ type: 'page.head', head: 0 }] }),
    p: probe(),
    q: probe(),
  });

/** What is done to a struct page. */
const messages: Message[] = [
  ...[{ type: 'page.head' }, { type: 'page.read' }, { type: 'page.init', refcount: 1 }, { type: 'page.poison' }],
  ...[
    { type: 'page.prep_tail', mask: 4 },
    { type: 'page.prep_head', nr: 4 },
    { type: 'page.clear_head', refcount: 0 },
  ],
  ...[{ type: 'folio.nr_pages' }, { type: 'folio.split', refcount: 0 }, { type: 'folio.wait_idle' }, { type: 'folio.mark_dirty' }],
  ...[{ type: 'folio.try_get', refs: 2 }, { type: 'folio.get' }, { type: 'folio.put', refs: 2 }, { type: 'folio.ref_inc' }, { type: 'folio.ref_dec' }],
  ...[{ type: 'folio.pin', refs: 2 }, { type: 'folio.unpin', refs: 2 }, { type: 'folio.add_rmap' }, { type: 'folio.remove_rmap' }],
];

test.each(messages)('%j goes to the vmemmap, for who said it, and nowhere else', (message) => {
  const system = rig();
  system.say('p', 'page4', message);
  expect(system.said('p')[1]).toBe(`vmemmap: vmemmap.access ${JSON.stringify({ pfn: 4, event: message })}`);
  expect([system.said('p').length, system.said('page4')]).toEqual([2, []]);
});

test('the memory of the page is elsewhere: who accesses it asks for no translation of the struct page', () => {
  const system = rig();
  expect(system.say('p', 'page4', { type: 'memory.access', write: true })).toEqual([]);
  expect([system.heard('vmemmap'), system.said('page4'), system.bugs()]).toEqual([[], [], []]);
});

test('whatever it is told of the struct page is an access to the vmemmap by who told it', () => {
  const system = rig();
  system.say('p', 'page4', { type: 'page.prep_tail', head: 0, offset: 1 });
  expect(system.heard('vmemmap')).toEqual([{ type: 'vmemmap.access', pfn: 4, event: { type: 'page.prep_tail', head: 0, offset: 1 } }]);
  expect([system.said('page4'), system.said('q')]).toEqual([[], []]);
  expect(system.said('p')).toEqual([
    'page4: page.prep_tail {"head":0,"offset":1}',
    'vmemmap: vmemmap.access {"pfn":4,"event":{"type":"page.prep_tail","head":0,"offset":1}}',
  ]);
});

test('what answers, answers who asked', () => {
  const system = rig();
  expect(system.say('q', 'page4', 'page.head')).toEqual([{ type: 'page.head', head: 0 }]);
  expect(system.heard('page4')).toEqual([{ type: 'page.head' }]);
});

test('every transition was taken', () => {
  expect(untaken(structPage)).toEqual([]);
});
