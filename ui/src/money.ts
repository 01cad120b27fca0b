/**
 * Exact decimals as the API sends them: fixed-point strings. Sums and rounding are done on BigInt;
 * a JavaScript number is only ever made for drawing (`approx`) or for a ratio shown as a percentage.
 */

const SHAPE = /^(-?)(\d+)(?:\.(\d+))?$/;

interface Fixed {
  /** The value times 10^scale. */
  readonly units: bigint;
  readonly scale: number;
}

function parse(text: string): Fixed {
  const match = SHAPE.exec(text);
  if (match === null) throw new RangeError(`not a fixed-point decimal: ${JSON.stringify(text)}`);
  const fraction = match[3] ?? "";
  const units = BigInt(`${match[2] ?? "0"}${fraction}`);
  return { units: match[1] === "-" ? -units : units, scale: fraction.length };
}

function rescaled(value: Fixed, scale: number): bigint {
  if (scale >= value.scale) return value.units * 10n ** BigInt(scale - value.scale);
  return divideHalfUp(value.units, 10n ** BigInt(value.scale - scale));
}

function divideHalfUp(dividend: bigint, divisor: bigint): bigint {
  const sign = dividend < 0n ? -1n : 1n;
  return (sign * (dividend * sign * 2n + divisor)) / (2n * divisor);
}

function write(units: bigint, scale: number): string {
  const digits = (units < 0n ? -units : units).toString().padStart(scale + 1, "0");
  const whole = digits.slice(0, digits.length - scale);
  const sign = units < 0n ? "-" : "";
  return scale === 0 ? sign + whole : `${sign}${whole}.${digits.slice(digits.length - scale)}`;
}

/** The exact sum, with as many decimals as its most precise term. */
export function sum(terms: Iterable<string>): string {
  const parsed = Array.from(terms, parse);
  const scale = Math.max(0, ...parsed.map((term) => term.scale));
  return write(
    parsed.reduce((total, term) => total + rescaled(term, scale), 0n),
    scale,
  );
}

export function subtract(left: string, right: string): string {
  return sum([left, right.startsWith("-") ? right.slice(1) : `-${right}`]);
}

/** Negative, zero or positive, like `Array.sort` wants it. */
export function compare(left: string, right: string): number {
  const difference = parse(subtract(left, right)).units;
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}

export function isZero(text: string): boolean {
  return parse(text).units === 0n;
}

/** Rounded half up to `decimals`, as a fixed-point string. */
export function round(text: string, decimals: number): string {
  return write(rescaled(parse(text), decimals), decimals);
}

/** So many percent of an amount, exact. */
export function portion(text: string, percent: number): string {
  const { units, scale } = parse(text);
  return write(units * BigInt(percent), scale + 2);
}

/** A double near the value, for drawing only. */
export function approx(text: string): number {
  return Number(text);
}

/** `after` against `before` as a fraction; `null` when there is nothing to compare with. */
export function change(after: string, before: string): number | null {
  return isZero(before) ? null : approx(subtract(after, before)) / Math.abs(approx(before));
}

const SIGNS: Record<string, string> = { USD: "$", EUR: "€", GBP: "£", JPY: "¥" };

/** Without trailing zeros, but never fewer than two decimals: how an exact amount reads. */
export function exact(text: string, currency = "USD"): string {
  const { units, scale } = parse(text);
  const [whole = "0", fraction = ""] = write(units, scale).split(".");
  return withSign(`${whole}.${fraction.replace(/0+$/, "").padEnd(2, "0")}`, currency);
}

/** Money for reading. An amount too small for `decimals` reads "<$0.01", never "$0.00". */
export function money(text: string, decimals: number, currency = "USD"): string {
  const rounded = round(text, decimals);
  if (isZero(rounded) && !isZero(text)) {
    const least = write(1n, decimals);
    return text.startsWith("-") ? `>${withSign(`-${least}`, currency)}` : `<${withSign(least, currency)}`;
  }
  return withSign(isZero(rounded) ? rounded.replace("-", "") : rounded, currency);
}

function withSign(fixed: string, currency: string): string {
  const negative = fixed.startsWith("-");
  const [whole = "0", fraction] = (negative ? fixed.slice(1) : fixed).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",") + (fraction === undefined ? "" : `.${fraction}`);
  const sign = SIGNS[currency];
  return (negative ? "−" : "") + (sign === undefined ? `${grouped} ${currency}` : sign + grouped);
}

/**
 * Decimals that suit a column, so that its points stand under each other: two for whole
 * dollars, more for the fractions of a cent that single requests cost.
 */
export function decimalsFor(values: Iterable<string>): number {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, Math.abs(approx(value)));
  if (largest >= 1 || largest === 0) return 2;
  return largest >= 0.01 ? 4 : 6;
}

/** Decimals of an estimate up to `highest`: from a hundred on, cents would claim more than is known. */
export function roundDecimals(highest: string): number {
  return approx(highest) >= 100 ? 0 : decimalsFor([highest]);
}

/** The least decimals that show every one of the amounts exactly. */
export function exactDecimals(amounts: readonly string[]): number {
  return Math.max(0, ...amounts.map((amount) => (SHAPE.exec(amount)?.[3] ?? "").replace(/0+$/, "").length));
}
