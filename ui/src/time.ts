/** Windows of time in the reporting zone. Instants travel as ISO 8601 in UTC, windows are half-open. */

export interface Window {
  readonly start: Date;
  readonly end: Date;
}

export const PRESETS = {
  today: "Today",
  "24h": "Last 24 hours",
  "7d": "Last 7 days",
  "30d": "Last 30 days",
  "90d": "Last 90 days",
  month: "This month",
  "last-month": "Last month",
} as const;

export type Preset = keyof typeof PRESETS;

const HOUR = 3_600_000;
const CUSTOM = /^(\d{4}-\d{2}-\d{2})\.\.(\d{4}-\d{2}-\d{2})$/;

export function isPreset(text: string): text is Preset {
  return text in PRESETS;
}

/** Whether a URL's window is one: a preset, or two days joined by "..", the last one included. */
export function isWindow(text: string): boolean {
  const match = CUSTOM.exec(text);
  return isPreset(text) || (match !== null && isDay(match[1]) && isDay(match[2]) && (match[1] ?? "") <= (match[2] ?? ""));
}

function isDay(text: string | undefined): boolean {
  if (text === undefined) return false;
  const at = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(at.getTime()) && at.toISOString().startsWith(text);
}

/**
 * The window a name means at `now`. Days are calendar days of `zone`. Those that reach into the
 * present end with the running hour, so that the window before, which is as long, is a fair comparison, and the
 * question stays the same while the clock moves.
 */
export function resolve(name: string, now: Date, zone: string): Window {
  const match = CUSTOM.exec(name);
  if (match !== null) return { start: midnight(match[1] ?? "", zone), end: midnight(addDays(match[2] ?? "", 1), zone) };
  const today = dayOf(now, zone);
  const hourEnd = new Date(Math.floor(now.getTime() / HOUR) * HOUR + HOUR);
  switch (name) {
    case "today":
      return { start: midnight(today, zone), end: hourEnd };
    case "24h":
      return { start: new Date(hourEnd.getTime() - 24 * HOUR), end: hourEnd };
    case "30d":
      return { start: midnight(addDays(today, -29), zone), end: hourEnd };
    case "90d":
      return { start: midnight(addDays(today, -89), zone), end: hourEnd };
    case "month":
      return { start: midnight(`${today.slice(0, 8)}01`, zone), end: hourEnd };
    case "last-month": {
      const first = `${today.slice(0, 8)}01`;
      return { start: midnight(`${addDays(first, -1).slice(0, 8)}01`, zone), end: midnight(first, zone) };
    }
    default:
      return { start: midnight(addDays(today, -6), zone), end: hourEnd };
  }
}

/** The last day inside a window, as the reader of a date picker means it. */
export function lastDay(window: Window, zone: string): string {
  return dayOf(new Date(window.end.getTime() - 1), zone);
}

/** The calendar day of an instant in a zone, "2026-11-21". */
export function dayOf(at: Date, zone: string): string {
  return format(at, zone, { year: "numeric", month: "2-digit", day: "2-digit" }, "en-CA");
}

export function addDays(day: string, count: number): string {
  const at = new Date(`${day}T00:00:00Z`);
  at.setUTCDate(at.getUTCDate() + count);
  return at.toISOString().slice(0, 10);
}

/** The first instant of a calendar day in a zone, also where clocks change at midnight. */
export function midnight(day: string, zone: string): Date {
  const guess = new Date(`${day}T00:00:00Z`).getTime();
  let at = guess - offset(guess, zone);
  at = guess - offset(at, zone);
  return dayOf(new Date(at), zone) < day ? new Date(at + HOUR) : new Date(at);
}

/** How far the zone's clocks are ahead of UTC, in milliseconds. */
function offset(at: number, zone: string): number {
  const shown = format(
    new Date(at),
    zone,
    { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
    "sv-SE",
  );
  return new Date(`${shown.replace(" ", "T")}Z`).getTime() - Math.floor(at / 1000) * 1000;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function format(at: Date, zone: string, options: Intl.DateTimeFormatOptions, locale = "en-US"): string {
  const key = `${locale} ${zone} ${JSON.stringify(options)}`;
  let formatter = formats.get(key);
  if (formatter === undefined) {
    formatter = new Intl.DateTimeFormat(locale, { ...options, timeZone: zone });
    formats.set(key, formatter);
  }
  return formatter.format(at);
}

export function isZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en-US", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

/** "Nov 21" */
export function shortDay(at: Date, zone: string): string {
  return format(at, zone, { month: "short", day: "numeric" });
}

/** "Nov 21, 2026" */
export function longDay(at: Date, zone: string): string {
  return format(at, zone, { month: "short", day: "numeric", year: "numeric" });
}

/** "14:05" */
export function clock(at: Date, zone: string): string {
  return format(at, zone, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

/** "Nov 21, 14:05:09" */
export function moment(at: Date, zone: string): string {
  return `${shortDay(at, zone)}, ${format(at, zone, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" })}`;
}

/** "November" */
export function monthName(at: Date, zone: string): string {
  return format(at, zone, { month: "long" });
}

/** "Nov 15 – 21, 2026", or the one day. */
export function windowText(window: Window, zone: string): string {
  const last = new Date(window.end.getTime() - 1);
  if (dayOf(window.start, zone) === dayOf(last, zone)) return longDay(last, zone);
  const sameYear = dayOf(window.start, zone).slice(0, 4) === dayOf(last, zone).slice(0, 4);
  return `${sameYear ? shortDay(window.start, zone) : longDay(window.start, zone)} – ${longDay(last, zone)}`;
}
