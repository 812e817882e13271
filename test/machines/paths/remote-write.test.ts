import { coherence, pageCache, remoteWrite } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { type Actors, Rig, untaken } from '../rig.js';

const rig = (others: Actors = {}): Rig =>
  new Rig({
    coherence: actor(coherence, { input: { cells: { f: 'f.v0', g: 'g.v0' }, places: {} } }),
    file: actor(pageCache, { input: { folios: { 0: 4, 1: 5 }, stored: { 0: 'f.v0', 1: 'g.v0' } } }),
    remote_write: actor(remoteWrite, { input: { mapping: 'file', coherence: 'coherence' } }),
    p: probe(),
    ...others,
  });
const call = (system: Rig, index: number, cell: string): Rig => {
  system.say('p', 'remote_write', { type: 'call', index, cell });
  return system;
};
const idle = { caller: '', index: -1, cell: '', mapping: 'file', coherence: 'coherence' };

test('row L9: a new value is at the server, and the caller goes on', () => {
  const system = call(rig(), 0, 'f');
  expect([system.at('remote_write'), system.said('remote_write')]).toEqual(['write_at_server', []]);
  system.take('remote_write', 'step');
  expect(system.said('remote_write')).toEqual(['coherence: write.begin {"cell":"f"}', 'file: stored.write {"index":0,"value":"f.v1"}', 'p: return']);
  expect([system.at('remote_write'), system.context('remote_write'), system.heard('p')]).toEqual(['idle', idle, [{ type: 'return' }]]);
});

test('row L9: this host knows nothing of it: its page cache is as it was', () => {
  const system = call(rig(), 0, 'f').settle();
  expect(system.context('file')).toMatchObject({ folios: { 0: 4, 1: 5 }, stored: { 0: 'f.v1', 1: 'g.v0' } });
});

test('nobody here need see it yet: the write is complete when the file is revalidated', () => {
  const system = call(rig(), 0, 'f').settle();
  expect(system.context('coherence').cells).toEqual({
    f: { values: ['f.v0', 'f.v1'], completed: 0, observed: 0 },
    g: { values: ['g.v0'], completed: 0, observed: 0 },
  });
});

test('each write is a value of its own, of its own offset', () => {
  const system = rig();
  for (const [index, cell] of [
    [0, 'f'],
    [0, 'f'],
    [1, 'g'],
  ] as const) {
    call(system, index, cell).settle();
    expect([system.at('remote_write'), system.context('remote_write')]).toEqual(['idle', idle]);
  }
  expect(system.context('file').stored).toEqual({ 0: 'f.v2', 1: 'g.v1' });
  expect(system.heard('p')).toEqual([{ type: 'return' }, { type: 'return' }, { type: 'return' }]);
});

test('an offset that the server did not have is there then', () => {
  const system = rig({ coherence: answers({ 'write.begin': [{ type: 'write.value', value: 'h.v0' }] }) });
  expect(call(system, 7, 'h').settle().context('file').stored).toEqual({ 0: 'f.v0', 1: 'g.v0', 7: 'h.v0' });
});

test('nothing is stored before there is a value', () => {
  const system = call(rig({ coherence: answers() }), 0, 'f').take('remote_write', 'step');
  expect([system.at('remote_write'), system.said('remote_write')]).toEqual(['write_at_server', ['coherence: write.begin {"cell":"f"}']]);
  expect([system.context('file').stored, system.heard('p')]).toEqual([{ 0: 'f.v0', 1: 'g.v0' }, []]);
});

test('every transition was taken', () => {
  expect(untaken(remoteWrite)).toEqual([]);
});
