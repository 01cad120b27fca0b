/** What budgets and quotas are in words: amounts in their measure, scopes, and the requests they are about. */
import type { Budget, Limit, Pot } from "./api/types";
import { count, share } from "./format";
import { approx, exactDecimals, money, roundDecimals } from "./money";
import { dayOf } from "./time";
import type { View } from "./url";

export const STATUS: Record<Pot["status"], { tone: string; words: string }> = {
  ok: { tone: "", words: "on pace" },
  warn: { tone: "warn", words: "ahead" },
  "at risk": { tone: "warn", words: "at risk" },
  over: { tone: "bad", words: "used up" },
};

export const SPANS: Record<Limit["per"], string> = {
  minute: "a minute",
  hour: "an hour",
  day: "a day",
  week: "a week",
  month: "a month",
  quarter: "a quarter",
  year: "a year",
  once: "in all",
};

/** Whether a span is counted in calendar days, those of a zone. */
export function hasDays(per: Limit["per"]): boolean {
  return per !== "minute" && per !== "hour";
}

/** Whether a limit will not last, or has not lasted. */
export function isPressed({ status }: Budget): boolean {
  return status === "at risk" || status === "over";
}

/** What a request counts for. */
export function unitOf({ measure }: Limit): string {
  return measure === "cost" ? "USD" : measure === "tokens" ? "tokens" : "requests";
}

/** An amount for reading: dollars as precisely as their size asks for, whole dollars where many; pieces as counted. */
export function quantity(amount: string, unit: string, decimals = roundDecimals(amount)): string {
  return unit === "USD" ? money(amount, decimals) : `${count(Math.round(approx(amount)))}`;
}

/** "$700 a month", "$0.0005 an hour", "600 requests a minute": what was set, exactly. */
export function said(limit: Limit): string {
  const unit = unitOf(limit);
  const decimals = exactDecimals([limit.amount]);
  const amount = quantity(limit.amount, unit, decimals === 1 ? 2 : decimals);
  return `${amount}${unit === "USD" ? "" : ` ${unit}`} ${limit.measure === "parallel" ? "at a time" : limit.rolling ? `in any ${limit.per}` : SPANS[limit.per]}`;
}

/** "86%" of percent as the API sends it. */
export function percent(text: string): string {
  return share(approx(text) / 100);
}

const DIMENSIONS: Record<string, string> = { model: "requested_model", category: "tag:category" };

/** The requests that a pot is about, as a view of the Requests page. */
export function requestsOf(limit: Limit, pot: Pot | undefined, zone: string, now: Date): Partial<View> {
  const named = { ...limit.scope, ...pot?.subject };
  const where = Object.fromEntries(
    Object.entries(named)
      .filter(([, value]) => value !== "*")
      .map(([field, value]) => [DIMENSIONS[field] ?? field, [value]]),
  );
  const start = pot?.window.start;
  return { where, ...(start ? { window: `${dayOf(new Date(start), zone)}..${dayOf(now, zone)}` } : {}) };
}

/** Those of them that the limit refused. */
export function refusedOf(limit: Limit, pot: Pot | undefined, zone: string, now: Date): Partial<View> {
  const view = requestsOf(limit, pot, zone, now);
  return { ...view, where: { ...view.where, "tag:farthing.limit": [limit.id], status: ["error"] } };
}

/** Budgets of money that together cover a month once: they name different values of the same fields. */
export interface Cover {
  /** What they name, as in "team"; empty for one that covers all spend. */
  readonly by: string;
  readonly budgets: readonly Budget[];
}

/**
 * What this month's budgets are, counted once. Budgets nest, so adding all of them up would count the same dollar
 * twice: those of everybody stand for all, or else those that name one value each of the same fields.
 */
export function monthly(rows: readonly Budget[]): Cover | null {
  const covers = new Map<string, Budget[]>();
  for (const row of rows) {
    const { limit, pots } = row;
    if (limit.measure !== "cost" || limit.per !== "month" || limit.rolling || pots.length === 0 || Object.values(limit.scope).includes("*")) continue;
    const by = Object.keys(limit.scope).sort().join(" and ");
    const values = JSON.stringify(Object.entries(limit.scope).sort());
    const others = covers.get(by) ?? [];
    const same = others.findIndex((other) => JSON.stringify(Object.entries(other.limit.scope).sort()) === values);
    if (same < 0) covers.set(by, [...others, row]);
    else if (approx(limit.amount) < approx(others[same]?.limit.amount ?? "0")) others[same] = row;
  }
  const amount = (budgets: readonly Budget[]) => budgets.reduce((total, each) => total + approx(each.limit.amount), 0);
  const largest = [...covers].sort(([a, left], [b, right]) => Number(b === "") - Number(a === "") || amount(right) - amount(left))[0];
  return largest === undefined ? null : { by: largest[0], budgets: largest[1] };
}
