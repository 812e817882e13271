export const isGlob = (text: string): boolean => /[*?]/.test(text);

/** Whether `name` fits `pattern`: `*` stands for any characters, `?` for one, neither for a `/`. */
export function fits(pattern: string, name: string): boolean {
  const expression = pattern
    .replace(/[\\^$.+()|[\]{}]/g, '\\$&')
    .replace(/\*/g, '[^/]*')
    .replace(/\?/g, '[^/]');
  return new RegExp(`^${expression}$`).test(name);
}
