import { bug, deadlockFree, type Property } from '../property/property.js';

/** Properties of the kernel's protocols, named as in the domain tables. Each is the same object wherever it is asked. */
export const I1 = bug('I1', 'no struct page is accessed after remove_pages');
export const I3 = bug('I3', 'no access goes through a stale translation to a page that was freed');
export const I4 = bug('I4', 'no page-table page is read after it was freed');
export const I6 = bug('I6', 'reference counts never go below zero');
export const I9 = bug('I9', 'every struct page that is touched is mapped where the CPU looks, and initialised');
export const UAF = bug('UAF', 'nothing is used after it was freed');
export const I11: Property = deadlockFree('I11', 'whoever waits goes on in the end: no deadlock');
