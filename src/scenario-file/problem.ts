/** Something that is wrong with a file, at a value of it: keys and numbers from the top. */
export class Misfit extends Error {
  override name = 'Misfit';
  constructor(
    readonly path: Path,
    message: string,
  ) {
    super(message);
  }
}

export type Path = readonly (string | number)[];
