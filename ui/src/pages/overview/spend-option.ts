import type { EChartsCoreOption } from "echarts/core";
import type { Bucket, Group, Overview } from "../../api/types";
import { axisMoney, ground, tip } from "../../chart-style";
import { approx, decimalsFor, isZero, money } from "../../money";
import { seriesToken, token } from "../../theme";
import { clock, longDay, monthName, shortDay } from "../../time";

/** A column's name in full, for tooltips and sentences. */
export function bucketName({ grain, zone }: Overview, { at }: Bucket): string {
  const start = new Date(at);
  if (grain === "hour") return `${shortDay(start, zone)}, ${clock(start, zone)}`;
  if (grain === "month") return monthName(start, zone);
  return grain === "week" ? `week of ${longDay(start, zone)}` : longDay(start, zone);
}

/** A column's name under the axis. */
export function bucketLabel({ grain, zone, buckets }: Overview, { at }: Bucket): string {
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
  const running = isRunning(overview, overview.buckets.indexOf(bucket)) ? " so far" : "";
  return tip(bucketName(overview, bucket) + running, [...rows, all]);
}

/** Whether a column is still filling up: the last one of a window that reaches beyond the latest fact. */
function isRunning({ buckets, window, through }: Overview, index: number): boolean {
  return index === buckets.length - 1 && window.end !== null && through !== null && through < window.end;
}

/** Stacked columns, the largest group at the bottom, each split from the next by a line of the panel's color. */
export function spendOption(overview: Overview, nameOf: (group: Group) => string): EChartsCoreOption {
  const { yAxis, category, ...rest } = ground(axisMoney);
  const { buckets, groups } = overview;
  return {
    ...rest,
    xAxis: { ...category, data: buckets.map((bucket) => bucketLabel(overview, bucket)) },
    yAxis,
    series: groups.map((group, index) => ({
      type: "bar",
      name: nameOf(group),
      stack: "cost",
      barCategoryGap: "24%",
      barMaxWidth: 44,
      cursor: group.kind === "other" ? "default" : "pointer",
      data: buckets.map((bucket, position) => ({
        value: isZero(bucket.costs[index] ?? "0") ? null : approx(bucket.costs[index] ?? "0"),
        itemStyle: isRunning(overview, position) ? { opacity: 0.55 } : {},
      })),
      itemStyle: { color: token(seriesToken(group.kind, index)), borderColor: token("panel"), borderWidth: 0.5 },
      emphasis: { focus: "series", itemStyle: { color: "inherit" } },
      blur: { itemStyle: { opacity: 0.25 } },
    })),
  };
}
