import type { System } from '../system/system.js';
import { bug, type Property } from './property.js';

/** A property that is not asked for: it is not judged. Its name still tells which BUG states are not the system's own property `BUG`. */
const unasked = ({ name, description }: Property): Property => bug(name, description);

/** The same system, in which only these properties (and deadlock, which costs nothing) are judged. Its digest, and so its tokens, stay the same. */
export const judging = (system: System, names: readonly string[]): System => ({
  ...system,
  properties: system.properties.map((property) => (names.includes(property.name) || property.kind === 'deadlock' ? property : unasked(property))),
});

/** The same system with one property more, under a name that no other has. */
export function withProperty<P extends Property>(system: System, property: P): { system: System; property: P } {
  let { name } = property;
  while (system.properties.some((other) => other.name === name)) name += "'";
  const added = { ...property, name };
  return { system: { ...system, properties: [...system.properties, added] }, property: added };
}
