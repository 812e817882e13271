import { thousands } from '../format/text.js';

const units = ['', 'K', 'M', 'G', 'T', 'P'];

/** The largest unit that leaves at least 1 of it. */
const unitOf = (bytes: number): number => Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);

/** As it is in three decimals if that is all of it, else the first two: never more than there is. */
const decimals = (value: number): string => String(Number.isInteger(value * 1000) ? value : Math.floor(value * 100) / 100);

/** A size as one types it: `4K`, `2M`; bytes (`5000B`) where no unit fits. */
export function sizeText(bytes: number): string {
  const unit = unitOf(bytes);
  const value = bytes / 1024 ** unit;
  return unit > 0 && Number.isInteger(value) ? `${value}${units[unit]}` : `${bytes}B`;
}

/** An amount of memory: `32 KiB`, `1.5 MiB`. */
export function memoryText(bytes: number): string {
  const unit = unitOf(bytes);
  return unit === 0 ? `${bytes} bytes` : `${decimals(bytes / 1024 ** unit)} ${units[unit]}iB`;
}

/** Amounts that are compared have one unit, that of the larger: `0.75 GiB of 1 GiB`; `0` for nothing. */
export function shareText(part: number, whole: number): string {
  const unit = unitOf(whole);
  const name = unit === 0 ? 'bytes' : `${units[unit]}iB`;
  return part === 0 ? '0' : `${decimals(part / 1024 ** unit)} ${name} of ${decimals(whole / 1024 ** unit)} ${name}`;
}

/** How many of something there are, where parts of one count: `8`, `0.5`, `1/32`. */
export function partsText(value: number): string {
  if (Number.isInteger(value)) return thousands(value);
  return value < 0.5 && Number.isInteger(1 / value) ? `1/${1 / value}` : String(Number(value.toPrecision(4)));
}
