import { pointer, type TraceEvent } from '../trace/event.js';
import type { Demand, Operation, Protocol, Rule, Scene } from '../trace/protocol.js';
import type { World } from '../trace/worlds.js';
import { nameOf, taskOf } from './task.js';
import { gatheredBy, group, isFlushed, joinMm, mayCache, mmAt, mmIn } from './tlb.js';

const gatherOf = (fields: Record<string, string>): string => `gather:${pointer(fields.tlb)}`;

const gathers: Rule = (_event, fields, scene) => {
  scene.note(gatherOf(fields), mmAt(fields.mm));
  return [];
};

const structPage = 64n;

const clearsPte = (mm: string, { pid }: TraceEvent): Operation => ({ kind: 'sends', to: mm, event: { type: 'pte.clear', vpn: gatheredBy(pid) }, awaits: null });

/** A page goes into a gather. */
const removed: Rule = (event, fields, scene) => {
  const gather = gatherOf(fields);
  const mm = scene.notes.get(gather);
  if (mm === undefined || !scene.cast.has(mm)) return [];
  const first = BigInt(`0x${pointer(fields.page)}`);
  for (let n = 0; n < Number(fields.nr ?? 1); n++)
    scene.note(`page:${(first + BigInt(n) * structPage).toString(16)}`, `${gather} ${mm} ${gatheredBy(event.pid)} ${event.line}`);
  return [{ ...mayCache(scene, mm, gatheredBy(event.pid)), does: clearsPte(mm, event) }];
};

/** No TLB may lead to the page any more. */
const isGone = (scene: Scene, mm: string, vpn: number, since: number, says: string, property: string): Demand => ({
  kind: 'is',
  actor: mm,
  group,
  reads: [mm, ...scene.cast.addresses('cpu')],
  where: (world) => isFlushed(scene, world, mm, vpn),
  says,
  property,
  // Pages whose flush is put off wait for one that is no operation of an address space.
  ...(property === 'P17' ? {} : { does: { kind: 'requires', mm, vpn, since, property } }),
});

/** The page gets another use. */
const leaves =
  (what: string): Rule =>
  (event, fields, scene) => {
    const page = `page:${pointer(fields.page)}`;
    const [how, mm, vpn, line] = scene.notes.get(page)?.split(' ') ?? [];
    if (mm === undefined || !scene.cast.has(mm)) return [];
    return [
      isGone(scene, mm, Number(vpn), Number(line), `${nameOf(event)} ${what} a page of ${mm} that a TLB may still lead to`, how === 'batch' ? 'P17' : 'P10'),
      ...(what === 'frees' ? [{ kind: 'note' as const, name: page, value: null }] : []),
    ];
  };
const freed = leaves('frees');

/** The gather is over: what is freed from here on was flushed. */
const gathered: Rule = (_event, fields, scene) => {
  const gather = gatherOf(fields);
  for (const [name, value] of scene.notes) if (name.startsWith('page:') && value.startsWith(`${gather} `)) scene.note(name, null);
  scene.note(gather, null);
  return [];
};

/** Which page a task unmaps; the flush for it may be put off. */
const unmaps: Rule = (event, fields, scene) => {
  scene.note(`${taskOf(event)} unmaps`, pointer(fields.folio));
  return [];
};

const clears: Rule = (event, fields, scene) => {
  const mm = joinMm(scene, mmAt(fields.mm));
  const task = taskOf(event);
  const mark = `${task} ptep_clear_flush`;
  for (const what of ['protects', 'replaces']) if (scene.notes.has(`${task} ${what}`)) scene.note(`${task} ${what}`, String(event.line));
  return [
    { ...mayCache(scene, mm, gatheredBy(event.pid)), does: clearsPte(mm, event) },
    { kind: 'note', name: mark, value: mm },
    { kind: 'learn', worlds: (world) => [scene.cast.mark(world, mark, String(mmIn(scene, world, mm).tlbGen))] },
  ];
};

const cleared: Rule = (event, fields, scene) => {
  const mark = `${taskOf(event)} ptep_clear_flush`;
  const mm = scene.notes.get(mark);
  if (mm === undefined) return [];
  const present = (BigInt(fields.oldpte ?? 0) & 1n) === 1n;
  return [
    ...(present
      ? [
          {
            kind: 'is' as const,
            actor: mm,
            group,
            where: (world: World) => mmIn(scene, world, mm).tlbGen > Number(world.marks[mark]),
            says: `${nameOf(event)} has cleared a pte of ${mm} that was present, and flushed nothing`,
            property: 'P14',
          },
        ]
      : []),
    { kind: 'learn', worlds: (world) => [scene.cast.mark(world, mark, null)] },
    { kind: 'note', name: mark, value: null },
  ];
};

const protects: Rule = (event, fields, scene) => {
  scene.note(`${taskOf(event)} merges`, joinMm(scene, mmAt(fields.mm)));
  scene.note(`${taskOf(event)} protects`, 'called');
  return [];
};

/** A pte that was read-only already is not cleared, and needs no flush. */
const isProtected: Rule = (event, fields, scene) => {
  const task = taskOf(event);
  const [mm, cleared] = [scene.notes.get(`${task} merges`), scene.notes.get(`${task} protects`)];
  scene.note(`${task} protects`, null);
  scene.note(`${task} replaces`, 'called');
  if (mm === undefined || fields.rc !== '0' || cleared === undefined || cleared === 'called' || !scene.cast.has(mm)) return [];
  return [
    isGone(
      scene,
      mm,
      gatheredBy(event.pid),
      Number(cleared),
      `${nameOf(event)} has a page of ${mm} write-protected that a TLB may still let be written`,
      'P20',
    ),
  ];
};

const merged: Rule = (event, fields, scene) => {
  const task = taskOf(event);
  const [mm, replaced] = [scene.notes.get(`${task} merges`), scene.notes.get(`${task} replaces`)];
  for (const what of ['merges', 'replaces']) scene.note(`${task} ${what}`, null);
  const into = pointer(fields.kpage);
  if (mm === undefined || fields.rc !== '0' || into === '0' || into === pointer(fields.page) || !scene.cast.has(mm)) return [];
  return [
    {
      kind: 'is',
      actor: mm,
      where: () => replaced !== undefined && replaced !== 'called',
      says: `${nameOf(event)} has merged a page of ${mm} and cleared no pte`,
      property: 'P21',
    },
    isGone(scene, mm, gatheredBy(event.pid), Number(replaced), `${nameOf(event)} has merged a page of ${mm} that a TLB may still lead to`, 'P21'),
  ];
};

/** Pages that are taken away: what a TLB may still lead to when. */
export const pageProperties: Protocol['properties'] = {
  P10: 'a page in a gather is freed only when no TLB leads to it any more',
  P14: 'ptep_clear_flush of a pte that was present has its flush inside',
  P17: 'a page whose flush was put off is freed or written out only when no TLB leads to it any more',
  P20: "KSM's write protection returns only when no TLB lets the page be written any more",
  P21: 'a successful merge by KSM clears the pte and flushes inside the call',
};

export const pageRules: Protocol['rules'] = {
  tlb_gather_mmu: gathers,
  tlb_gather_mmu_vma: gathers,
  tlb_gather_mmu_fullmm: gathers,
  tlb_remove_folio_pages: removed,
  tlb_remove_page: removed,
  mm_page_free: freed,
  mm_page_free_batched: freed,
  tlb_finish_mmu_ret: gathered,
  try_to_unmap_one: unmaps,
  mm_vmscan_write_folio: leaves('writes out'),
  ptep_clear_flush: clears,
  ptep_clear_flush_ret: cleared,
  ksm_write_protect_page: protects,
  ksm_write_protect_page_ret: isProtected,
  ksm_try_merge_one_ret: merged,
};
