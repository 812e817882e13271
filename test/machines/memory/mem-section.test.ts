import { memSection, sectionAt } from '../../../machines/memory/mem-section.js';
import { actor } from '../../../src/index.js';
import { type Message, probe } from '../probe.js';
import { Rig, untaken } from '../rig.js';

const absent = { subsection: 4, active: [] as number[], early: false, present: false, online: false };
const rig = (input: Partial<typeof absent> = {}): Rig => new Rig({ section1: actor(memSection, { input: { ...absent, ...input } }), p: probe() });
const ask = (system: Rig, message: Message | string): Message | undefined => system.say('p', sectionAt(1), message)[0];
const silent = (system: Rig, message: string): Rig => {
  expect(system.say('p', sectionAt(1), message)).toEqual([]);
  return system;
};
const valid = (system: Rig, pfn: number): unknown => ask(system, { type: 'section.pfn_valid', pfn })?.valid;
const online = (system: Rig, pfn: number): unknown => ask(system, { type: 'section.pfn_to_online_page', pfn })?.online;

test('sections are actors by number', () => {
  expect(sectionAt(3)).toBe('section3');
});

test('it says what it is', () => {
  expect(ask(rig({ early: true, present: true, active: [5, 4] }), 'section.read')).toEqual({
    type: 'section',
    early: true,
    present: true,
    online: false,
    active: [4, 5],
  });
});

describe('fill_subsection_map', () => {
  test('adds subsections, whatever the order', () => {
    const system = rig({ active: [6] });
    expect(ask(system, { type: 'section.fill', subsections: [5, 4] })).toEqual({ type: 'section.filled', result: 'ok' });
    expect(system.context('section1').active).toEqual([4, 5, 6]);
  });

  test('adds nothing where one is there already', () => {
    const system = rig({ active: [5] });
    expect(ask(system, { type: 'section.fill', subsections: [4, 5] })).toEqual({ type: 'section.filled', result: 'exists' });
    expect(system.context('section1').active).toEqual([5]);
  });

  test('neither makes it early or present, nor changes that it is', () => {
    const system = rig();
    ask(system, { type: 'section.fill', subsections: [4] });
    expect(system.context('section1')).toEqual({ ...absent, active: [4] });
    const early = rig({ early: true });
    ask(early, { type: 'section.fill', subsections: [4] });
    expect(early.context('section1')).toEqual({ ...absent, active: [4], early: true });
  });
});

describe('clear_subsection_map', () => {
  test('takes subsections out and says whether any is left', () => {
    const system = rig({ active: [4, 5, 6] });
    expect(ask(system, { type: 'section.clear', subsections: [4, 6] })).toEqual({ type: 'section.cleared', empty: false, early: false });
    expect(system.context('section1').active).toEqual([5]);
    expect(ask(system, { type: 'section.clear', subsections: [5] })).toEqual({ type: 'section.cleared', empty: true, early: false });
    expect(system.context('section1').active).toEqual([]);
  });

  test('says whether the section is early', () => {
    expect(ask(rig({ active: [4], early: true }), { type: 'section.clear', subsections: [4] })).toEqual({ type: 'section.cleared', empty: true, early: true });
  });

  test('warns of what is not there', () => {
    const system = rig({ active: [4] });
    ask(system, { type: 'section.clear', subsections: [4, 5] });
    expect(system.bugs()).toEqual(['WARN_ON: section already deactivated (clear_subsection_map)']);
  });
});

test('kfree_rcu takes the map of subsections away', () => {
  expect(silent(rig({ active: [4], early: true }), 'section.free_usage').context('section1')).toEqual({ ...absent, early: true });
});

test.each([
  ['section.set_present', { present: false }, { present: true }],
  ['section.clear_present', { present: true }, { present: false }],
  ['section.clear_present', { present: true, early: true }, { present: false, early: false }],
  ['section.set_online', { online: false }, { online: true }],
  ['section.set_offline', { online: true }, { online: false }],
])('%s', (message, before, after) => {
  expect(silent(rig(before), message).context('section1')).toEqual({ ...absent, ...after });
});

test('an early section that goes comes back as one that is not: struct pages are there for what is added only', () => {
  const system = rig({ present: true, early: true, active: [4] });
  expect([16, 20].map((pfn) => valid(system, pfn))).toEqual([true, true]);
  expect(ask(system, { type: 'section.clear', subsections: [4] })).toEqual({ type: 'section.cleared', empty: true, early: true });
  silent(silent(system, 'section.clear_present'), 'section.free_usage');
  ask(system, { type: 'section.fill', subsections: [4] });
  silent(system, 'section.set_present');
  expect(ask(system, 'section.read')).toEqual({ type: 'section', early: false, present: true, online: false, active: [4] });
  expect([16, 20].map((pfn) => valid(system, pfn))).toEqual([true, false]);
});

describe('pfn_valid', () => {
  test('by subsection', () => {
    const system = rig({ present: true, active: [4] });
    expect([15, 16, 19, 20].map((pfn) => valid(system, pfn))).toEqual([false, true, true, false]);
  });

  test('E12: as soon as the section is present, initialised or not', () => {
    const system = rig({ active: [4] });
    expect(valid(system, 16)).toBe(false);
    silent(system, 'section.set_present');
    expect([valid(system, 16), online(system, 16)]).toEqual([true, false]);
  });

  test('E13: in an early section of all, as long as it is present', () => {
    const system = rig({ present: true, early: true });
    expect(valid(system, 16)).toBe(true);
    silent(system, 'section.clear_present');
    expect(valid(system, 16)).toBe(false);
  });
});

describe('pfn_to_online_page', () => {
  test('by subsection, in an early section too', () => {
    const system = rig({ present: true, online: true, early: true, active: [4] });
    expect([15, 16, 19, 20].map((pfn) => online(system, pfn))).toEqual([false, true, true, false]);
  });

  test.each([{ present: false }, { online: false }, { active: [] }])('not with %j', (missing) => {
    expect(online(rig({ present: true, online: true, active: [4], ...missing }), 16)).toBe(false);
  });
});

test('every transition was taken', () => {
  expect(untaken(memSection)).toEqual([]);
});
