/** In the zone of the limit: what was used in the course of a span, where an even pace would be, and where it leads. */
import type { EChartsCoreOption } from "echarts/core";
import { useMemo } from "react";
import type { Limit, Pot } from "../../api/types";
import { axisMoney, course, ground, quiet, tip } from "../../chart-style";
import { Chart } from "../../components/Chart";
import { short } from "../../format";
import { quantity, unitOf } from "../../limits";
import { approx, decimalsFor, roundDecimals } from "../../money";
import { token, useTheme } from "../../theme";
import { clock, moment, shortDay } from "../../time";

const HOUR = 3_600_000;

/** Time as the axis counts it: in days or hours since the span began. */
interface Axis {
  readonly start: number;
  readonly slot: number;
  readonly length: number;
}

function axisOf({ points, window, forecast }: Pot): Axis {
  const start = Date.parse(points[0]?.at ?? "");
  const end = Date.parse(window.end ?? forecast?.path.at(-1)?.at ?? points.at(-1)?.at ?? "");
  const slot = end - start > 48 * HOUR ? 24 * HOUR : HOUR;
  return { start, slot, length: Math.max(1, Math.round((end - start) / slot)) };
}

function at({ start, slot }: Axis, time: string): number {
  return (Date.parse(time) - start) / slot;
}

function label({ start, slot }: Axis, zone: string, place: number): string {
  const when = new Date(start + place * slot);
  return slot === HOUR ? clock(when, zone) : shortDay(when, zone);
}

function optionOf(pot: Pot, axis: Axis, unit: string, zone: string): EChartsCoreOption {
  const { yAxis, category, ...rest } = ground(unit === "USD" ? axisMoney : short);
  const now = pot.points.at(-1);
  const path = [...(now === undefined ? [] : [{ at: now.at, low: now.used, mid: now.used, high: now.used }]), ...(pot.forecast?.path ?? [])];
  const xs = (read: (each: (typeof path)[number]) => number) => path.map((each) => [at(axis, each.at), read(each)] as const);
  const solid = pot.points.map((point) => [at(axis, point.at), approx(point.used)] as const);
  const amount = approx(pot.amount);
  const faint = token("ink-faint");
  const even = pot.even === null ? [] : [[0, 0], [axis.length, amount]] as const;
  return {
    ...rest,
    xAxis: { ...category, type: "value", min: 0, max: axis.length, interval: Math.max(1, Math.round(axis.length / 6)), splitLine: { show: false }, axisLabel: { ...category.axisLabel, showMaxLabel: false, formatter: (place: number) => label(axis, zone, place) } },
    yAxis: { ...yAxis, axisLine: { show: false }, axisTick: { show: false } },
    series: [
      quiet(even, { color: faint, width: 1, type: [1, 4] }),
      quiet([[0, amount], [axis.length, amount]], { color: token(pot.status === "over" ? "bad" : "ink-soft"), width: 1 }),
      ...course({ soFar: solid.slice(0, -1), low: xs((each) => approx(each.low)), width: xs((each) => approx(each.high) - approx(each.low)), mid: xs((each) => approx(each.mid)) }),
      quiet(solid.slice(-2), { color: token("accent"), width: 2, opacity: 0.5 }),
    ],
  };
}

/** What is known, or expected, at the end of the day or hour before a place. */
function tipOf(pot: Pot, axis: Axis, unit: string, zone: string, place: number): HTMLElement | null {
  const nearest = <Each extends { at: string }>(all: readonly Each[]) => all.find((each) => Math.abs(at(axis, each.at) - place) < 0.5);
  const decimals = roundDecimals(pot.amount);
  const say = (amount: string) => quantity(amount, unit, decimals);
  const known = nearest(pot.points);
  const color = token("accent");
  if (known !== undefined) {
    const even = known.even === null ? [] : [{ name: "at an even pace", value: say(known.even) }];
    return tip(known === pot.points.at(-1) ? `${moment(new Date(known.at), zone).slice(0, -3)}, so far` : `until ${label(axis, zone, at(axis, known.at))}`, [{ name: "used", value: quantity(known.used, unit), color }, ...even]);
  }
  const ahead = nearest(pot.forecast?.path ?? []);
  if (ahead === undefined) return null;
  return tip(`until ${label(axis, zone, at(axis, ahead.at))}`, [
    { name: "expected", value: say(ahead.mid), color },
    { name: "80 % range", value: `${say(ahead.low)} – ${say(ahead.high)}` },
  ]);
}

export function BurnUp({ limit, pot }: { limit: Limit; pot: Pot }) {
  const { shown } = useTheme();
  const { zone } = limit;
  const unit = unitOf(limit);
  const axis = useMemo(() => axisOf(pot), [pot]);
  const option = useMemo(() => optionOf(pot, axis, unit, zone), [pot, axis, unit, zone, shown]);
  if (pot.points.length < 2) return null;
  const heads = pot.forecast === null ? pot.note : `It heads for ${quantity(pot.forecast.mid, unit)}.`;
  return (
    <section aria-labelledby="burn-up">
      <h3 id="burn-up">Course</h3>
      <Chart places={axis.length + 1} tipOf={(place) => tipOf(pot, axis, unit, zone, place)} option={option} height={190} description={`${quantity(pot.used, unit)} used of ${quantity(pot.amount, unit)}. ${heads}`} />
      <p className="small faint">
        Line: {quantity(pot.amount, unit, decimalsFor([pot.amount]))}. {pot.even === null ? "" : "Dotted: an even pace. "}
        {pot.forecast === null ? `${pot.note}.` : `Dashed: forecast by ${pot.forecast.method} of ${pot.forecast.observed} ${axis.slot === HOUR ? "hours" : "days"}, with its 80 % range.`}
      </p>
    </section>
  );
}
