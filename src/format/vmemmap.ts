import { type Architecture, architectures } from '../vmemmap/architectures.js';
import { memoryText, partsText, shareText, sizeText } from '../vmemmap/bytes.js';
import { type Dedup, type Frames, memmapOf, overview, possibleDedup } from '../vmemmap/memmap.js';
import type { VmemmapAnswer } from '../vmemmap/vmemmap.js';
import { noColours, type Palette } from './table.js';
import { thousands } from './text.js';

const format = 'shootdown.vmemmap/1';

/** Rows of as many cells as the heading has, each column as wide as its widest cell. */
function rows(heading: readonly string[], cells: readonly (readonly string[])[], { bold }: Palette): string[] {
  const widths = heading.map((title, column) => Math.max(title.length, ...cells.map((row) => (row[column] as string).length)));
  const line = (row: readonly string[]): string => `  ${row.map((cell, column) => cell.padEnd(widths[column] as number)).join('  ')}`.trimEnd();
  return [bold(line(heading)), ...cells.map(line)];
}

const framesText = (frames: Frames | null): string => (frames === null ? 'none possible' : `${thousands(frames.kept)} / ${thousands(frames.freed)}`);

const yesNo = (value: boolean): string => (value ? 'yes' : 'no');
const optedIn = ({ devdax }: Architecture): boolean => devdax.selected && devdax.override?.holds !== false;

/** The rows of the overview: what sizes allow. */
export const overviewCells = (): string[][] =>
  overview.map((sizes) => {
    const { structPages, memmapBytes, vmemmapPages } = memmapOf(sizes);
    const { devdax, hugetlb, savingPerTiB } = possibleDedup(sizes);
    return [
      sizeText(sizes.basePage),
      sizeText(sizes.compound),
      thousands(structPages),
      memoryText(memmapBytes),
      partsText(vmemmapPages),
      framesText(devdax),
      framesText(hugetlb),
      shareText(savingPerTiB.saved, savingPerTiB.of),
    ];
  });

/** With no architecture: what sizes allow, and which architecture does it. */
export function vmemmapOverviewText(palette: Palette = noColours): string {
  const { bold } = palette;
  return [
    `${bold('What a compound of struct pages can share')} (struct page of 64 bytes; frames kept / freed for each compound)`,
    ...rows(['page', 'compound', 'struct pages', 'memmap', 'vmemmap pages', 'devdax', 'hugetlb', 'devdax saves per TiB'], overviewCells(), palette),
    '',
    `${bold('Who shares')} (Linux ${[...new Set(architectures.map(({ kernel }) => kernel))].join(', ')})`,
    ...rows(
      ['architecture', 'page', 'devdax', 'hugetlb', 'vmemmap is mapped in'],
      architectures.map((one) => [one.id, one.basePages.map(sizeText).join(', '), yesNo(optedIn(one)), yesNo(one.hugetlb.selected), one.mapped]),
      palette,
    ),
    '',
    "'shootdown vmemmap ARCHITECTURE' says why.",
    '',
  ].join('\n');
}

/** What is done, and what could be where it is not. */
const doneText = (done: Frames | null, possible: Frames | null, why: string): string => {
  const counts = ({ kept, freed }: Frames): string => `${thousands(kept)} kept, ${thousands(freed)} freed`;
  if (done !== null) return counts(done);
  return possible === null ? 'none possible' : `none (possible: ${counts(possible)})${why}`;
};

function savingText({ applies, possible }: { applies: Dedup; possible: Dedup }): string {
  const { saved, of } = applies.savingPerTiB;
  return saved === 0
    ? `0 of ${memoryText(of)}${possible.devdax === null ? '' : ` (possible: ${shareText(possible.savingPerTiB.saved, of)})`}`
    : shareText(saved, of);
}

function numbers(answer: VmemmapAnswer, { hugetlb }: Architecture): string[][] {
  const { structPages, memmapBytes, vmemmapPages, applies, possible, device, initialised } = answer;
  return [
    ['struct pages', thousands(structPages)],
    ['memmap', memoryText(memmapBytes)],
    ['vmemmap pages', partsText(vmemmapPages)],
    ['frames, devdax', doneText(applies.devdax, possible.devdax, '')],
    ['frames, hugetlb', doneText(applies.hugetlb, possible.hugetlb, hugetlb.selected ? '' : `; ${hugetlb.why}`)],
    ['devdax saves per TiB', savingText(answer)],
    ...(device === null
      ? []
      : [[`of a device of ${sizeText(device.bytes)}`, device.saved === 0 ? `0 of ${memoryText(device.of)}` : shareText(device.saved, device.of)]]),
    ['struct pages initialised', thousands(initialised)],
  ];
}

/** The answer for one architecture, for people. */
export function vmemmapText(answer: VmemmapAnswer, palette: Palette = noColours): string {
  const { bold, green, red, yellow } = palette;
  const architecture = architectures.find(({ id }) => id === answer.architecture) as Architecture;
  const shape = `${sizeText(answer.compound)} compounds of ${sizeText(answer.basePage)} pages, struct page of ${answer.structPage} bytes${answer.altmap ? ', altmap' : ''}`;
  const table = numbers(answer, architecture);
  const [name, condition] = [Math.max(...table.map(([title = '']) => title.length)), Math.max(...answer.why.map((one) => one.condition.length))];
  return [
    `${bold(answer.architecture)}, ${shape}: ${answer.optimises ? green('devdax shares tail struct pages') : yellow('devdax shares no struct pages')}`,
    `  mapped in  ${architecture.mapped}`,
    `  populated  ${architecture.populated}`,
    `  section    ${memoryText(architecture.sections[architecture.basePages.indexOf(answer.basePage)] as number)}`,
    '',
    `${bold('vmemmap_can_optimize')} (Linux ${answer.kernel})`,
    ...answer.why.map((one) => `  ${one.holds ? green('yes') : red('no ')}  ${one.condition.padEnd(condition)}  ${one.text}`),
    '',
    bold('For each compound'),
    ...table.map(([title = '', value]) => `  ${title.padEnd(name)}  ${value}`),
    '',
    `${bold('Populate and init')}: one predicate decides both, so it is ${answer.agreement.case}`,
    ...answer.agreement.cases.map(
      (one) => `${one.case === answer.agreement.case ? '*' : ' '} ${one.case.padEnd(11)}  ${one.correct ? green('ok   ') : red('wrong')}  ${one.result}`,
    ),
    '',
  ].join('\n');
}

const document = (content: object): string => `${JSON.stringify({ format, ...content }, null, 2)}\n`;

export const vmemmapOverviewJson = (): string =>
  document({ sizes: overview.map((sizes) => ({ ...sizes, ...memmapOf(sizes), possible: possibleDedup(sizes) })), architectures });

export const vmemmapJson = (answer: VmemmapAnswer): string => document(answer);
