// The vmemmap of a compound before and after its tail struct pages share a frame, as SVG: docs/images/vmemmap-*.svg, or in the directory that is named.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const K = 2 ** 10;
const M = 2 ** 20;
const G = 2 ** 30;
const structPage = 64;

const machines = [
  { name: 'vmemmap-2m-4k', page: ['4K', 4 * K], compound: ['2M', 2 * M] },
  { name: 'vmemmap-1g-4k', page: ['4K', 4 * K], compound: ['1G', G] },
  { name: 'vmemmap-512m-64k', page: ['64K', 64 * K], compound: ['512M', 512 * M] },
];

const colour = {
  paper: '#ffffff',
  ink: '#1f2328',
  quiet: '#59636e',
  rule: '#d0d7de',
  head: '#cfe3fb',
  tails: '#ffffff',
  shared: '#ffe0b8',
  sharedInk: '#9a4a00',
};
const left = 138;
const pitch = 104;
const box = { width: 94, height: 56 };
const width = left + 8 * pitch + 6;
const panelTop = [104, 340];
const frameDrop = 118;

const text = (x, y, content, more = '') => `<text x="${x}" y="${y}"${more}>${content}</text>`;
const middle = ' text-anchor="middle"';
const number = (value) => value.toLocaleString('en');

/** The columns that are drawn: all pages, or the first four and the last two around a gap that is two columns wide. */
function columns(pages) {
  const at = (page, column) => ({ page, x: left + column * pitch });
  if (pages <= 8) return Array.from({ length: pages }, (_, page) => at(page, page));
  return [0, 1, 2, 3].map((page) => at(page, page)).concat([pages - 2, pages - 1].map((page, rank) => at(page, 6 + rank)));
}

const centre = ({ x }) => x + box.width / 2;

/** A box with up to three lines of text. */
function boxed({ x }, y, fill, lines, dashed = '') {
  const first = y + box.height / 2 + 4 - (lines.length - 1) * 7.5;
  return [
    `<rect x="${x}" y="${y}" width="${box.width}" height="${box.height}" rx="4" fill="${fill}" stroke="${colour.ink}"${dashed}/>`,
    ...lines.map((line, rank) => text(x + box.width / 2, first + rank * 15, line, `${middle}${rank === 0 ? ' font-weight="600"' : ''}`)),
  ];
}

const arrow = (path, ink, head = true) =>
  `<path d="${path}" fill="none" stroke="${ink}" stroke-width="1.5"${head ? ` marker-end="url(#${ink === colour.ink ? 'own' : 'shared'})"` : ''}/>`;

/** What stands in the struct pages of a vmemmap page. */
function contents(page, perPage) {
  return page === 0 ? ['head, tails 1', `to ${number(perPage - 1)}`] : [`tails ${number(page * perPage)}`, `to ${number((page + 1) * perPage - 1)}`];
}

function rowLabels(top) {
  return [
    text(16, top + 24, 'vmemmap pages', ' font-weight="600"'),
    text(16, top + 40, 'by address', ` fill="${colour.quiet}"`),
    text(16, top + frameDrop + 24, 'frames', ' font-weight="600"'),
    text(16, top + frameDrop + 40, 'of memory', ` fill="${colour.quiet}"`),
  ];
}

const gap = (pages, y) =>
  pages <= 8 ? [] : [text(left + 5 * pitch - 5, y + box.height / 2 + 4, `… ${number(pages - 6)} pages …`, `${middle} fill="${colour.quiet}"`)];

function before({ pages, perPage }) {
  const [top] = panelTop;
  const drawn = columns(pages).flatMap((column) => {
    const fill = column.page === 0 ? colour.head : colour.tails;
    return [
      ...boxed(column, top, fill, [`page ${number(column.page)}`, ...contents(column.page, perPage)]),
      arrow(`M${centre(column)} ${top + box.height} V${top + frameDrop - 3}`, colour.ink),
      ...boxed(column, top + frameDrop, fill, [`frame ${number(column.page)}`]),
    ];
  });
  return [
    text(16, top - 14, `Before: each of the ${number(pages)} vmemmap pages has a frame of its own`, ' font-size="15" font-weight="600"'),
    ...rowLabels(top),
    ...drawn,
    ...gap(pages, top),
    ...gap(pages, top + frameDrop).map((line) => line.replace('pages …', 'frames …')),
  ];
}

/** A frame that is not needed any more, crossed out. */
function freed(column, y) {
  const cross = `M${column.x} ${y} l${box.width} ${box.height} m0 ${-box.height} l${-box.width} ${box.height}`;
  return [
    `<rect x="${column.x}" y="${y}" width="${box.width}" height="${box.height}" rx="4" fill="none" stroke="${colour.quiet}" stroke-dasharray="4 3"/>`,
    `<path d="${cross}" fill="none" stroke="${colour.quiet}" stroke-dasharray="4 3"/>`,
    `<rect x="${centre(column) - 22}" y="${y + box.height / 2 - 10}" width="44" height="20" rx="4" fill="${colour.paper}"/>`,
    text(centre(column), y + box.height / 2 + 4, 'freed', `${middle} fill="${colour.quiet}"`),
  ];
}

function after({ pages, perPage }) {
  const top = panelTop[1];
  const bottom = top + box.height;
  const bus = bottom + 34;
  const drawn = columns(pages);
  const [head, shared] = drawn;
  const last = drawn.at(-1);
  return [
    text(16, top - 14, `After: pages 1 to ${number(pages - 1)} share the frame of page 1`, ' font-size="15" font-weight="600"'),
    ...rowLabels(top),
    ...drawn.flatMap((column) =>
      boxed(column, top, column.page === 0 ? colour.head : colour.shared, [`page ${number(column.page)}`, ...contents(column.page, perPage)]),
    ),
    ...gap(pages, top),
    arrow(`M${centre(head)} ${bottom} V${top + frameDrop - 3}`, colour.ink),
    arrow(`M${centre(shared)} ${bottom} V${top + frameDrop - 3}`, colour.sharedInk),
    ...drawn.slice(2, -1).map((column) => arrow(`M${centre(column)} ${bottom} V${bus}`, colour.sharedInk, false)),
    arrow(`M${centre(last)} ${bottom} V${bus} H${centre(shared)}`, colour.sharedInk, false),
    text(centre(shared) + 12, bus + 18, `ptes of ${number(pages - 1)} pages, one frame`, ` fill="${colour.sharedInk}" font-weight="600"`),
    ...boxed(head, top + frameDrop, colour.head, ['frame 0']),
    ...boxed(shared, top + frameDrop, colour.shared, ['frame 1', `refcount ${number(pages - 1)}`]),
    ...drawn.slice(2).flatMap((column) => freed(column, top + frameDrop)),
    ...gap(pages, top + frameDrop).map((line) => line.replace(/… .* …/, `… ${number(pages - 6)} freed …`)),
  ];
}

const marker = (id, ink) =>
  `<marker id="${id}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="${ink}"/></marker>`;

function picture({ name, page, compound }) {
  const perPage = page[1] / structPage;
  const structPages = compound[1] / page[1];
  const pages = structPages / perPage;
  const height = panelTop[1] + frameDrop + box.height + 40;
  const title = `vmemmap of a ${compound[0]} compound of ${page[0]} pages`;
  const sum = `${number(pages)} frames before; after, 2 are kept and ${number(pages - 2)} are freed.`;
  const desc = `${number(structPages)} struct pages of ${structPage} bytes fill ${number(pages)} vmemmap pages. Page 0 has the head and the first tails, the others have tails only, which are all alike. ${sum}`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="${name}-title ${name}-desc" font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="12" fill="${colour.ink}">
<title id="${name}-title">${title}</title>
<desc id="${name}-desc">${desc}</desc>
<defs>${marker('own', colour.ink)}${marker('shared', colour.sharedInk)}</defs>
<rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="8" fill="${colour.paper}" stroke="${colour.rule}"/>
${[
  text(16, 30, title, ' font-size="18" font-weight="600"'),
  text(16, 50, `${number(structPages)} struct pages of ${structPage} bytes, ${number(perPage)} in a page`, ` font-size="13" fill="${colour.quiet}"`),
  ...before({ pages, perPage }),
  ...after({ pages, perPage }),
  text(16, height - 16, sum, ' font-size="13"'),
].join('\n')}
</svg>
`;
}

const folder = process.argv[2] ?? fileURLToPath(new URL('../docs/images', import.meta.url));
for (const machine of machines) writeFileSync(join(folder, `${machine.name}.svg`), picture(machine));
