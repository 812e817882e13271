import { folio, putPage } from '../../../machines/index.js';
import { actor } from '../../../src/index.js';
import { probe, returns } from '../probe.js';
import { Rig, untaken } from '../rig.js';

/** Two references and a pin on page 4. */
function rig(input: { putPagemap?: string }, logic = putPage): Rig {
  const system = new Rig({
    page4: actor(folio, { input: { pfn: 4, refcount: 2, idle: 0 } }),
    put_pagemap: returns({ ok: true }),
    put: actor(logic, { input }),
    p: probe(),
  });
  system.say('p', 'page4', 'folio.pin');
  return system;
}
const call = (system: Rig, pinned: boolean): Rig => {
  expect(system.context('put')).toMatchObject({ caller: '', pfn: 0, pinned: false });
  system.say('p', 'put', { type: 'call', pfn: 4, pinned });
  system.settle();
  expect(system.context('put')).toMatchObject({ caller: '', pfn: 0, pinned: false });
  return system;
};

test('put_page drops a reference', () => {
  const system = call(rig({}), false);
  expect(system.said('put')).toEqual(['page4: folio.put', 'p: return']);
  expect(system.context('page4')).toMatchObject({ refcount: 1, pincount: 1 });
});

test('unpin_user_page takes the pin back first', () => {
  const system = call(rig({}), true);
  expect(system.said('put')).toEqual(['page4: folio.unpin', 'page4: folio.put', 'p: return']);
  expect(system.context('page4')).toMatchObject({ refcount: 1, pincount: 0 });
});

test('up to 5.17 the last reference of a page, and no other, drops that of the pagemap', () => {
  const system = call(rig({ putPagemap: 'put_pagemap' }), false);
  expect(system.heard('put_pagemap')).toEqual([]);
  call(system, false);
  expect(system.said('put').slice(-3)).toEqual(['page4: folio.put', 'put_pagemap: call', 'p: return']);
  expect(system.heard('put_pagemap')).toHaveLength(1);
});

test('since 5.18 the last reference of a page drops nothing', () => {
  const system = call(call(rig({}), false), false);
  expect([system.context('page4').refcount, system.heard('put_pagemap')]).toEqual([0, []]);
});

test('A12: a hook may drop the reference of the pagemap with every put', () => {
  const system = call(rig({ putPagemap: 'put_pagemap' }, putPage.provide({ guards: { dropsPagemap: () => true } })), true);
  expect(system.heard('put_pagemap')).toHaveLength(1);
});

test('every transition was taken', () => {
  expect(untaken(putPage)).toEqual([]);
});
