import pc from 'picocolors';
import { noColours, type Palette } from '../format/table.js';
import type { World } from './resolve.js';

/** What every command gets to work with. */
export interface Context extends World {
  palette: Palette;
  /** A remark on standard error, in the program's name. */
  note: (text: string) => void;
}

/** Colours on a terminal, unless NO_COLOR is set. */
export function contextOf(world: World): Context {
  const { io } = world;
  const coloured = io.stdoutIsTTY && !io.env.NO_COLOR;
  return { ...world, palette: coloured ? pc.createColors(true) : noColours, note: (text) => io.stderr(`shootdown: ${text}\n`) };
}
