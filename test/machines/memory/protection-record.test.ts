import { protectionRecord, recordAt } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { type Message, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (): Rig => new Rig({ record4: actor(protectionRecord), p: probe() });
const tell = (system: Rig, message: Message | string): Message[] => system.say('p', recordAt(4), message);
const item = (mm: string, vpn: number): object => ({ mm, vpn, ptl: `ptl_${mm}` });
const slot = (mapping: string, index: number): object => ({ mapping, index });
const copy = (pfn: number): object => ({ mm: 'node1', vpn: 3, pfn });
const contents = (of: { items?: object[]; slots?: object[]; copies?: object[] } = {}): Message[] => [
  { type: 'record.contents', items: [], slots: [], copies: [], ...of },
];
const lists = (system: Rig, mapping: string, index: number): unknown => tell(system, { type: 'record.lists', mapping, index })[0]?.listed;

test('nobody has a part in the page at first', () => {
  const system = rig();
  expect([recordAt(4), tell(system, 'record.read'), lists(system, 'file', 0)]).toEqual(['record4', contents(), false]);
});

test('ptes that map a private page come, in order, and go by address space and page', () => {
  const system = rig();
  for (const one of [item('a', 3), item('b', 3), item('a', 4)]) expect(tell(system, { type: 'record.add_item', item: one })).toEqual([]);
  expect(tell(system, 'record.read')).toEqual(contents({ items: [item('a', 3), item('b', 3), item('a', 4)] }));
  expect(tell(system, { type: 'record.remove_item', mm: 'a', vpn: 3 })).toEqual([]);
  expect(tell(system, 'record.read')).toEqual(contents({ items: [item('b', 3), item('a', 4)] }));
  tell(system, { type: 'record.remove_item', mm: 'b', vpn: 4 });
  expect(tell(system, 'record.read')).toEqual(contents({ items: [item('b', 3), item('a', 4)] }));
});

test('places in page caches come and go; who takes one away is told what is left', () => {
  const system = rig();
  for (const one of [slot('f', 0), slot('g', 0), slot('g', 1)]) expect(tell(system, { type: 'record.add_slot', slot: one })).toEqual([]);
  expect([lists(system, 'f', 0), lists(system, 'g', 1), lists(system, 'f', 1), lists(system, 'h', 0)]).toEqual([true, true, false, false]);
  expect(tell(system, { type: 'record.remove_slot', slot: slot('g', 0) })).toEqual(contents({ slots: [slot('f', 0), slot('g', 1)] }));
  expect([lists(system, 'g', 0), lists(system, 'g', 1)]).toEqual([false, true]);
  expect(tell(system, { type: 'record.remove_slot', slot: slot('f', 1) })).toEqual(contents({ slots: [slot('f', 0), slot('g', 1)] }));
});

test('copies come and go one by one', () => {
  const system = rig();
  for (const one of [copy(5), copy(6)]) expect(tell(system, { type: 'record.add_copy', copy: one })).toEqual([]);
  expect(tell(system, 'record.read')).toEqual(contents({ copies: [copy(5), copy(6)] }));
  expect(tell(system, { type: 'record.remove_copy', copy: copy(5) })).toEqual([]);
  tell(system, { type: 'record.remove_copy', copy: { ...copy(6), vpn: 4 } });
  expect(tell(system, 'record.read')).toEqual(contents({ copies: [copy(6)] }));
});

test('when the protection is broken nobody has a part any more', () => {
  const system = rig();
  tell(system, { type: 'record.add_item', item: item('a', 3) });
  tell(system, { type: 'record.add_slot', slot: slot('f', 0) });
  tell(system, { type: 'record.add_copy', copy: copy(5) });
  expect(tell(system, 'record.clear')).toEqual([]);
  expect([tell(system, 'record.read'), lists(system, 'f', 0)]).toEqual([contents(), false]);
});

test('every transition was taken', () => {
  expect(untaken(protectionRecord)).toEqual([]);
});
