import { vmemmapJson, vmemmapOverviewJson, vmemmapOverviewText, vmemmapText } from '../../format/vmemmap.js';
import { UsageError } from '../../system/errors.js';
import { architectures } from '../../vmemmap/architectures.js';
import { vmemmap as answerOf, type VmemmapAnswer } from '../../vmemmap/vmemmap.js';
import type { Context } from '../context.js';

export interface VmemmapFlags {
  basePage?: number;
  compound?: number;
  structPage?: number;
  device?: number;
  altmap?: boolean;
  json?: boolean;
}

const usualCompound = 2 * 2 ** 20;

/** An unknown architecture is refused by what answers; its base page does not matter then. */
function answered(architecture: string, { basePage, compound = usualCompound, structPage, device, altmap = false }: VmemmapFlags): VmemmapAnswer {
  return answerOf({
    architecture,
    basePage: basePage ?? architectures.find(({ id }) => id === architecture)?.basePages[0] ?? 0,
    compound,
    altmap,
    ...(structPage === undefined ? {} : { structPage }),
    ...(device === undefined ? {} : { deviceBytes: device }),
  });
}

/** `vmemmap`: what sharing the struct pages of compounds saves, and where it is done. */
export function vmemmap({ io, palette }: Context, architecture: string | undefined, { json = false, ...machine }: VmemmapFlags): void {
  if (architecture !== undefined) {
    const answer = answered(architecture, machine);
    io.stdout(json ? vmemmapJson(answer) : vmemmapText(answer, palette));
    return;
  }
  const [flag] = Object.keys(machine);
  if (flag !== undefined)
    throw new UsageError(
      `'--${flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}' is about one architecture; name it first, such as 'shootdown vmemmap x86_64'`,
    );
  io.stdout(json ? vmemmapOverviewJson() : vmemmapOverviewText(palette));
}
