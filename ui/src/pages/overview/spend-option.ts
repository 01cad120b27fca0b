import type { EChartsCoreOption } from "echarts/core";
import type { Bucket, Group, Overview } from "../../api/types";
import { axisMoney, stacked, tip } from "../../chart-style";
import { approx, decimalsFor, isZero, money } from "../../money";
import { seriesToken, token } from "../../theme";
import { clock, longDay, monthName, shortDay } from "../../time";

interface Column {
  readonly at: string;
}

/** What has columns over time. */
interface Timed extends Pick<Overview, "grain" | "zone" | "window" | "through"> {
  readonly buckets: readonly Column[];
}

/** A column's name in full, for tooltips and sentences. */
export function bucketName({ grain, zone }: Timed, { at }: Column): string {
  const start = new Date(at);
  if (grain === "hour") return `${shortDay(start, zone)}, ${clock(start, zone)}`;
  if (grain === "month") return monthName(start, zone);
  return grain === "week" ? `week of ${longDay(start, zone)}` : longDay(start, zone);
}

/** A column's name under the axis. */
export function bucketLabel({ grain, zone, buckets }: Timed, { at }: Column): string {
  const start = new Date(at);
  if (grain !== "hour") return grain === "month" ? monthName(start, zone).slice(0, 3) : shortDay(start, zone);
  const hour = clock(start, zone);
  return hour === "00:00" && buckets.length > 24 ? shortDay(start, zone) : hour;
}

/** A column's groups in the order in which they are stacked, and their total. */
export function spendTip(overview: Overview, bucket: Bucket | undefined, nameOf: (group: Group) => string): HTMLElement | null {
  if (bucket === undefined) return null;
  const decimals = Math.max(2, decimalsFor(bucket.costs));
  const rows = overview.groups
    .map((group, index) => ({ name: nameOf(group), amount: bucket.costs[index] ?? "0", color: token(seriesToken(group.kind, index)) }))
    .filter(({ amount }) => !isZero(amount))
    .reverse()
    .map(({ name, amount, color }) => ({ name, color, value: money(amount, decimals, overview.currency) }));
  const all = { name: "Total", value: money(bucket.total.cost, decimals, overview.currency), strong: true };
  const running = overview.buckets.indexOf(bucket) === runningOf(overview) ? " so far" : "";
  return tip(bucketName(overview, bucket) + running, [...rows, all]);
}

/** The column that is still filling up: the last one of a window that reaches beyond the latest fact; -1 for none. */
export function runningOf({ buckets, window, through }: Pick<Timed, "buckets" | "window" | "through">): number {
  return window.end !== null && through !== null && through < window.end ? buckets.length - 1 : -1;
}

/** Stacked columns, the largest group at the bottom. */
export function spendOption(overview: Overview, nameOf: (group: Group) => string): EChartsCoreOption {
  const { buckets, groups } = overview;
  const layers = groups.map((group, index) => ({
    name: nameOf(group),
    color: token(seriesToken(group.kind, index)),
    values: buckets.map((bucket) => approx(bucket.costs[index] ?? "0")),
    picks: group.kind !== "other",
  }));
  return stacked(buckets.map((bucket) => bucketLabel(overview, bucket)), layers, { running: runningOf(overview), axis: axisMoney });
}
