/** How the caches' words read, and which words of two questions differ. */
import type { CacheKind } from "../../api/types";

interface Kind {
  /** How many of them are called, and one of them. */
  readonly name: string;
  readonly one: string;
  readonly series: string;
  /** What the amount beside it is. */
  readonly worth: string;
  /** What did not happen is drawn fainter. */
  readonly opacity: number;
}

const kind = (name: string, one: string, series: string, worth = "", opacity = 1): Kind => ({ name, one, series, worth, opacity });
const hits = (what: string, series: string) => kind(`${what} hits`, `${what} hit`, series, "saved");
const would = (what: string, series: string) => kind(`Would be ${what} hits`, `Would be ${what} hit`, series, "would be saved", 0.4);

export const KINDS: Readonly<Record<CacheKind["kind"], Kind>> = {
  exact: hits("Exact", "series-1"),
  semantic: hits("Semantic", "series-2"),
  embeddings: hits("Embedding", "series-3"),
  would_exact: would("exact", "series-1"),
  would_semantic: would("semantic", "series-2"),
  would_embeddings: would("embedding", "series-3"),
  sampled: kind("Asked to check a hit", "Semantic hit, asked to check it", "series-5", "spent"),
  miss: kind("Misses", "Miss", "series-unallocated"),
  skipped: kind("Ruled out", "Ruled out by the namespace’s rules", "series-other"),
};

export const NAMESPACE = "tag:farthing.cache.namespace";
export const KIND = "tag:farthing.cache";

/** A share that is measured finely: "0.31%". */
export function fine(fraction: number): string {
  return `${(fraction * 100).toFixed(2)}%`;
}

/** "12.4 GB". */
export function size(bytes: number): string {
  const power = bytes < 1_000 ? 0 : Math.min(4, Math.floor(Math.log10(bytes) / 3));
  return `${(bytes / 1_000 ** power).toFixed(power === 0 || bytes / 1_000 ** power >= 100 ? 0 : 1)} ${["bytes", "kB", "MB", "GB", "TB"][power]}`;
}

const MOST_WORDS = 400;

/** A text in pieces, each with whether the other text has it not, by a longest common sequence of words. What comes after the first words is not compared. */
export function compared(text: string, other: string): [words: string, differs: boolean][] {
  const all = text.split(/\s+/).filter(Boolean);
  const [mine, theirs] = [all.slice(0, MOST_WORDS), other.split(/\s+/).filter(Boolean).slice(0, MOST_WORDS)];
  const bare = (word: string | undefined) => word?.toLowerCase().replace(/^\W+|\W+$/g, "") || word;
  const lengths = Array.from({ length: mine.length + 1 }, () => new Uint16Array(theirs.length + 1));
  const at = (row: number, column: number) => lengths[row]?.[column] ?? 0;
  for (let row = mine.length - 1; row >= 0; row--)
    for (let column = theirs.length - 1; column >= 0; column--)
      (lengths[row] as Uint16Array)[column] = bare(mine[row]) === bare(theirs[column]) ? at(row + 1, column + 1) + 1 : Math.max(at(row + 1, column), at(row, column + 1));
  const pieces: [string, boolean][] = [];
  let column = 0;
  mine.forEach((word, row) => {
    while (column < theirs.length && bare(word) !== bare(theirs[column]) && at(row, column + 1) === at(row, column)) column++;
    const same = column < theirs.length && bare(word) === bare(theirs[column]) && at(row, column) === at(row + 1, column + 1) + 1;
    if (same) column++;
    const last = pieces.at(-1);
    if (last?.[1] === !same) last[0] += ` ${word}`;
    else pieces.push([word, !same]);
  });
  if (all.length > MOST_WORDS) pieces.push([all.slice(MOST_WORDS).join(" "), false]);
  return pieces;
}
