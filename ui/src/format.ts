/** Counts, durations and shares for reading. Money has its own module, because it is exact. */

const whole = new Intl.NumberFormat("en-US");
const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

export function count(value: number): string {
  return whole.format(value);
}

/** "9.4K" from ten thousand on, the exact count below. */
export function short(value: number): string {
  return value < 10_000 ? whole.format(value) : compact.format(value);
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** What a rate is for: "1M" and "1" where the whole number would be hard to read. */
export function per(units: number): string {
  return units >= 1_000_000 && units % 1_000_000 === 0 ? `${count(units / 1_000_000)}M` : count(units);
}

/** "840 ms", "12.4 s", "2 min 5 s"; a dash for what was not measured. */
export function duration(ms: number | null): string {
  if (ms === null) return "–";
  if (ms < 1_000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1_000)} s`;
}

/** A fraction as a percentage; what is not quite nothing never reads "0%". */
export function share(fraction: number | null): string {
  if (fraction === null) return "–";
  const percent = fraction * 100;
  if (percent > 0 && percent < 0.1) return "<0.1%";
  return `${percent.toFixed(Math.abs(percent) < 10 ? 1 : 0)}%`;
}
