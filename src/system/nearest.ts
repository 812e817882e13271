import { closest, distance } from 'fastest-levenshtein';

/** `; did you mean 'x'?` if one of the names is near, else nothing. */
export function didYouMean(name: string, names: readonly string[]): string {
  if (names.length === 0) return '';
  const best = closest(
    name.toLowerCase(),
    names.map((known) => known.toLowerCase()),
  );
  const known = names.find((candidate) => candidate.toLowerCase() === best) as string;
  return distance(name.toLowerCase(), best) <= Math.max(2, Math.ceil(name.length / 2)) ? `; did you mean '${known}'?` : '';
}
