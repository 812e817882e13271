/** An actor that has choices, and which of them each of its local states enables. */
export interface Decider {
  actor: number;
  choices: number[];
  menus: (readonly number[])[];
}
