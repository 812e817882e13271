/**
 * Transitions of `page` that are there for folios of several pages, and for struct pages that somebody writes: folio-compound.test.ts
 * takes them, folio.test.ts all others.
 */
export const isOfCompound = (transition: string): boolean =>
  /uninitialised|page\.(init|poison|prep_|clear_head|free_tail)|folio\.(nr_pages|split)|rmap\[0\]|present --page\.read\[0\]/.test(transition);

const ofLeaf = [
  /gup_fast_(pmd|devmap)_leaf|undo_leaf|folio_pin_late/,
  /page_folio --page\.head\[1\]|page_folio_again --page\.head\[2\]/,
  /folio_ref_try_add --folio\.(got\[1\]|frozen\[0\])|try_grab_folio_fast --always\[[23]\]/,
  /(grabbed|recheck) --always\[0\]|pmdp_get_again --pmd\[[012]\]|gup_put_folio --return\[0\]/,
];
/** Transitions of `gup_fast` that are there for huge leaves and folios of several pages: gup-fast-leaf.test.ts takes them, gup-fast.test.ts all others. */
export const isOfLeaf = (transition: string): boolean => ofLeaf.some((pattern) => pattern.test(transition));
