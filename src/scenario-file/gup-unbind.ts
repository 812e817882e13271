import { memunmapPages, memunmapPages510 } from '../../machines/paths/memunmap-pages.js';
import { gupUnbindScenario } from '../scenarios/gup-unbind.js';
import { type GupUnbindSetup, gupUnbindSystem, reference } from '../scenarios/gup-unbind-system.js';
import { type Family, must } from './family.js';
import { flag, whole, word } from './json-schema.js';

const memunmaps = { [memunmapPages.id]: memunmapPages, [memunmapPages510.id]: memunmapPages510 };
type Said = Partial<Omit<GupUnbindSetup, 'memunmap'>> & { memunmap?: string };

export const gupUnbind: Family<Said> = {
  scenario: gupUnbindScenario,
  fields: {
    'flush?': word('flush', ['ipi', 'broadcast'], 'how remote TLBs are flushed; default: ipi'),
    'base?': whole(0, 1, 'reference count of an idle page: 1 up to 6.14 (ptes carry devmap and special), 0 since 6.15; default: 0'),
    'ref?': word('mode', ['percpu', 'atomic'], 'mode in which pgmap.ref begins; killing one in atomic mode implies no grace period; default: percpu'),
    'pinsHoldPagemap?': flag("up to 5.17 a page's last put drops its reference of the pagemap; default: false"),
    'gups?': whole(0, 2, 'threads that pin the buffer and do direct I/O on it; default: 1'),
    'pages?': whole(1, 2, 'pages of the buffer; a second one belongs to a device that is dying already; default: 1'),
    'mapped?': flag('the pages are mapped at first; default: true'),
    'pin?': flag('FOLL_PIN instead of FOLL_GET; default: true'),
    'removal?': word('removal', ['unbind', 'truncate', 'self'], 'what takes the page away; self: the thread with the pins unbinds its device; default: unbind'),
    'user?': flag('a user thread that touches the page, and faults; default: false'),
    'munmap?': flag('a thread that unmaps the buffer; default: false'),
    'loops?': flag('the threads in gup-fast begin anew, as often as they like; default: false'),
    'tryget?': word('tryget', ['tryget', 'tryget_live'], 'how gup takes a reference of the pagemap; default: tryget_live'),
    'memunmap?': word('machine', Object.keys(memunmaps), 'how the pagemap goes: now, or up to 5.17; default: memunmap_pages'),
  },
  refuse: ({ base = 0, pinsHoldPagemap = false, gups = 1, pages = 1, removal = 'unbind', loops = false, munmap = false, user = false }) => {
    must(base === 1 || !pinsHoldPagemap, ['pinsHoldPagemap'], "pages hold a reference of the pagemap only with 'base' 1");
    must(base === 1 || pages === 1, ['pages'], "the second page is told by its pagemap, which gup looks at only with 'base' 1");
    must(gups + Number(user) + Number(munmap) > 0, ['gups'], "there is no thread of the process: give it 'gups', 'user' or 'munmap'");
    must(removal !== 'self' || gups === 1, ['removal'], `'self' is the removal of one thread that pins; 'gups' is ${gups}`);
    must(!loops || removal !== 'self', ['loops'], "a thread that removes its own device ('removal' self) does it once");
    must(!loops || gups > 0, ['loops'], "no thread is in gup-fast: 'gups' is 0");
  },
  system: (id, { memunmap = memunmapPages.id, ...said }) =>
    gupUnbindSystem(id, { ...reference, ...said, memunmap: memunmaps[memunmap] as GupUnbindSetup['memunmap'] }),
};
