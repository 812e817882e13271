import { pageTable } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const rig = (): Rig => new Rig({ table: actor(pageTable), p: probe() });
const say = (system: Rig, ...messages: string[]): Rig => {
  for (const message of messages) expect(system.say('p', 'table', message)).toEqual([]);
  return system;
};

test('walkers read it as long as it is in use', () => {
  const system = say(rig(), 'table.read', 'table.read');
  expect([system.at('table'), system.bugs()]).toEqual(['in_use', []]);
});

test('Z13: it is freed once', () => {
  const system = say(rig(), 'table.read', 'table.free');
  expect([system.at('table'), system.bugs()]).toEqual(['freed', []]);
});

test('I4: a walker that reads it after that is a bug', () => {
  expect(say(rig(), 'table.free', 'table.read').bugs()).toEqual(['BUG: a walker reads ptes from a page-table page that was freed']);
});

test('freeing it again is a bug', () => {
  expect(say(rig(), 'table.free', 'table.free').bugs()).toEqual(['BUG: page-table page freed twice']);
});

test('every transition was taken', () => {
  expect(untaken(pageTable)).toEqual([]);
});
