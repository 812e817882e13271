import { folio, pageCache, putPage, truncatePagecache } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { answers, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

/** The zap returns when the test says so. */
const rig = ({ refcount = 1, mappers = 1 } = {}): Rig =>
  new Rig({
    mapping: actor(pageCache, { input: { blocks: { 2: 4, 3: 5 }, mappers } }),
    page4: actor(folio, { input: { pfn: 4, refcount, idle: 0, zone: 'normal' } }),
    zap: answers(),
    put_page: actor(putPage, { input: {} }),
    truncate: actor(truncatePagecache, { input: { mapping: 'mapping', zap: 'zap', putPage: 'put_page' } }),
    p: probe(),
  });
const call = (system: Rig): Rig => {
  system.say('p', 'truncate', { type: 'call', index: 2, pfn: 4, vpns: [7, 8] });
  return system;
};
const zapped = (system: Rig): Rig => {
  system.say('p', 'truncate', 'return');
  return system;
};
const blocks = (system: Rig): unknown => system.context('mapping').blocks;
const end = ['mapping: block.free {"index":2}', 'put_page: call {"pfn":4,"pinned":false}', 'p: return'];

test('a file that is mapped: unmapped first, then its page goes, the last reference with it', () => {
  const system = zapped(call(rig()).settle()).settle();
  expect(system.said('truncate')).toEqual(['mapping: mapping.mapped', 'zap: call {"vpns":[7,8]}', ...end]);
  expect([blocks(system), system.at('page4')]).toEqual([{ 2: null, 3: 5 }, 'free']);
  expect(system.context('truncate')).toMatchObject({ caller: '', index: -1, pfn: -1, vpns: [] });
});

test('until the zap has returned, the file keeps the page', () => {
  const system = call(rig()).settle();
  expect([system.at('truncate'), system.can('truncate', 'step')]).toEqual(['zap_page_range_single', false]);
  expect([blocks(system), system.context('page4').refcount]).toEqual([{ 2: 4, 3: 5 }, 1]);
});

test('the reference goes after the file has forgotten the page, and it returns after that', () => {
  const system = zapped(call(rig()).settle()).stepTo('truncate', 'folio_put');
  expect([blocks(system), system.context('page4').refcount, system.heard('p')]).toEqual([{ 2: null, 3: 5 }, 1, []]);
  expect(system.settle().heard('p')).toEqual([{ type: 'return' }]);
});

test('a page that somebody else holds is not freed', () => {
  const system = zapped(call(rig({ refcount: 2 })).settle()).settle();
  expect([system.at('page4'), system.context('page4').refcount]).toEqual(['present', 1]);
});

test('a file that nobody maps is not unmapped', () => {
  const system = call(rig({ mappers: 0 })).settle();
  expect(system.said('truncate')).toEqual(['mapping: mapping.mapped', ...end]);
  expect([blocks(system), system.at('page4')]).toEqual([{ 2: null, 3: 5 }, 'free']);
});

test('Z9: a mapping that munmap has unlinked by then is not found', () => {
  const system = call(rig());
  system.say('p', 'mapping', 'mapping.unlink');
  expect([system.settle().heard('zap'), system.at('page4')]).toEqual([[], 'free']);
});

test('every transition was taken', () => {
  expect(untaken(truncatePagecache)).toEqual([]);
});
