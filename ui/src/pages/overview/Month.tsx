/** The month so far, and dimmed in the same chart where its run rate leads. */
import type { EChartsCoreOption } from "echarts/core";
import { useMemo } from "react";
import { href } from "../../api/client";
import { useSpend } from "../../api/queries";
import type { Overview, SpendAnswer } from "../../api/types";
import { axisMoney, course, ground, tip } from "../../chart-style";
import { Chart } from "../../components/Chart";
import { Bone, Shown } from "../../components/State";
import { CsvLink } from "../../components/Table";
import { approx, decimalsFor, money, roundDecimals, sum } from "../../money";
import { token, useTheme } from "../../theme";
import { addDays, dayOf, midnight, monthName, shortDay } from "../../time";
import { conditions } from "../../url";
import { useView } from "../../view";

/** The days of the month, first to last. */
function daysOf({ month, zone }: Overview): string[] {
  const days = [dayOf(new Date(month.start), zone)];
  const end = dayOf(new Date(month.end), zone);
  for (let day = addDays(days[0] ?? end, 1); day < end; day = addDays(day, 1)) days.push(day);
  return days;
}

/** What had been spent by the end of each day; nothing is said of days to come. */
function runningTotals(answer: SpendAnswer, days: readonly string[], zone: string): string[] {
  const byDay = new Map<string, string[]>();
  for (const { at, cost } of answer.rows) {
    if (at === null) continue;
    const day = dayOf(new Date(at), zone);
    byDay.set(day, [...(byDay.get(day) ?? []), cost]);
  }
  const today = answer.through === null ? "" : dayOf(new Date(answer.through), zone);
  let total = "0";
  return days.filter((day) => day <= today).map((day) => (total = sum([total, ...(byDay.get(day) ?? [])])));
}

/** A straight way from today's total to the month's projected one. */
function towards(totals: readonly string[], length: number, goal: string): (number | null)[] {
  const from = totals.length - 1;
  const start = approx(totals[from] ?? "0");
  return Array.from({ length }, (_, index) => (index < from ? null : start + ((approx(goal) - start) * (index - from)) / Math.max(1, length - 1 - from)));
}

function nameOf(day: string, zone: string): string {
  return shortDay(midnight(day, zone), zone);
}

/** A day's exact running total, or, of a day to come, where the run rate will be. */
function monthTip(overview: Overview, totals: readonly string[], days: readonly string[], place: number): HTMLElement {
  const { month, currency, zone } = overview;
  const total = totals[place];
  const title = nameOf(days[place] ?? "", zone);
  if (total !== undefined) return tip(title, [{ name: "month to date", value: money(total, decimalsFor(totals), currency), color: token("accent") }]);
  const ahead = month.projection === null ? null : towards(totals, days.length, month.projection.mid)[place];
  return tip(title, [{ name: "at the run rate", value: ahead === null || ahead === undefined ? "–" : `about ${axisMoney(Number(ahead.toPrecision(3)))}` }]);
}

function monthOption(overview: Overview, totals: readonly string[], days: readonly string[]): EChartsCoreOption {
  const { yAxis, category, ...rest } = ground(axisMoney);
  const { projection } = overview.month;
  const ahead = (goal: string) => towards(totals, days.length, goal);
  const low = projection === null ? [] : ahead(projection.low);
  const high = projection === null ? [] : ahead(projection.high);
  const mid = projection === null ? [] : ahead(projection.mid);
  return {
    ...rest,
    xAxis: { ...category, boundaryGap: false, data: days.map((day) => nameOf(day, overview.zone)) },
    yAxis,
    series: course({ soFar: totals.map(approx), low, mid, width: high.map((value, index) => (value === null ? null : value - (low[index] ?? 0))) }),
  };
}

function Body({ overview, answer }: { overview: Overview; answer: SpendAnswer }) {
  const { shown } = useTheme();
  const days = useMemo(() => daysOf(overview), [overview]);
  const totals = useMemo(() => runningTotals(answer, days, overview.zone), [answer, days, overview]);
  const option = useMemo(() => monthOption(overview, totals, days), [overview, totals, days, shown]);
  const { projection } = overview.month;
  const heads = projection === null ? "" : ` At its run rate it heads for ${money(projection.mid, 2, overview.currency)}.`;
  return <Chart places={days.length} tipOf={(place) => monthTip(overview, totals, days, place)} option={option} height={220} description={`Running total of the month: ${money(overview.month.cost, 2, overview.currency)} so far.${heads}`} />;
}

export function Month({ overview }: { overview: Overview }) {
  const [view] = useView();
  const { month, zone, basis, currency } = overview;
  const question = new URLSearchParams({ start: month.start, end: month.end, zone });
  for (const condition of conditions(view.where)) question.append("where", condition);
  const answer = useSpend(question, { grain: "day", basis });
  const csv = new URLSearchParams(question);
  csv.append("grain", "day");
  csv.append("basis", basis);
  const { projection } = month;
  const ahead = (amount: string) => money(amount, roundDecimals(projection?.high ?? "0"), currency);
  return (
    <section className="panel" aria-labelledby="month">
      <header>
        <div className="grow">
          <h2 id="month">{monthName(new Date(month.start), zone)}, running total</h2>
          <p>
            {projection === null
              ? "A projection appears after three whole days."
              : `Dashed: the run rate. Band: 80 % range, ${ahead(projection.low)} to ${ahead(projection.high)}.`}
          </p>
        </div>
        <CsvLink href={href("spend.csv", csv)} />
      </header>
      <div className="body">
        <Shown of={answer} outline={<Bone width="100%" height={220} />}>
          {(spend) => <Body overview={overview} answer={spend} />}
        </Shown>
      </div>
    </section>
  );
}
