/** Paths with those that they call, directly or through others, each after those that it calls, as functions are defined in C. */
export function closure(calls: Readonly<Record<string, readonly string[]>>, paths: readonly string[], without: readonly string[] = []): string[] {
  const all: string[] = [];
  const add = (path: string): void => {
    if (all.includes(path) || without.includes(path)) return;
    for (const callee of calls[path] ?? []) add(callee);
    if (!all.includes(path)) all.push(path);
  };
  for (const path of paths) add(path);
  return all;
}
