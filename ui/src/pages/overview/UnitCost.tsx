/** What a thousand requests cost, against the same requests unoptimized. */
import type { EChartsCoreOption } from "echarts/core";
import { useMemo } from "react";
import type { Overview } from "../../api/types";
import { axisMoney, ground, tip } from "../../chart-style";
import { Chart } from "../../components/Chart";
import { Empty } from "../../components/State";
import { approx, decimalsFor, money } from "../../money";
import { token, useTheme } from "../../theme";
import { bucketLabel, bucketName } from "./spend-option";

function unitTip(overview: Overview, place: number): HTMLElement | null {
  const bucket = overview.buckets[place];
  if (bucket === undefined) return null;
  const { unit_cost, baseline_unit_cost } = bucket.total;
  const decimals = decimalsFor(overview.buckets.flatMap(({ total }) => total.unit_cost ?? []));
  const say = (amount: string | null) => (amount === null ? "–" : money(amount, decimals, overview.currency));
  return tip(bucketName(overview, bucket), [
    { name: "unoptimized", value: say(baseline_unit_cost), color: token("ink-faint") },
    { name: "actual", value: say(unit_cost), color: token("series-3") },
  ]);
}

function unitOption(overview: Overview): EChartsCoreOption {
  const { yAxis, category, ...rest } = ground(axisMoney);
  const { buckets } = overview;
  const read = (amount: string | null) => (amount === null ? null : approx(amount));
  const [good, soft] = [token("series-3"), token("ink-faint")];
  const line = { type: "line", symbol: "circle", symbolSize: 4, showSymbol: buckets.filter(({ total }) => total.unit_cost !== null).length < 3, emphasis: { disabled: true } };
  return {
    ...rest,
    xAxis: { ...category, data: buckets.map((bucket) => bucketLabel(overview, bucket)) },
    yAxis,
    series: [
      { ...line, data: buckets.map(({ total }) => read(total.baseline_unit_cost)), lineStyle: { color: soft, width: 1.5, type: [2, 3] }, itemStyle: { color: soft } },
      { ...line, data: buckets.map(({ total }) => read(total.unit_cost)), lineStyle: { color: good, width: 2 }, itemStyle: { color: good } },
    ],
  };
}

export function UnitCost({ overview }: { overview: Overview }) {
  const { shown } = useTheme();
  const option = useMemo(() => unitOption(overview), [overview, shown]);
  const { unit_cost, baseline_unit_cost } = overview.total;
  const words = unit_cost === null ? "" : `${money(unit_cost, decimalsFor([unit_cost]), overview.currency)}`;
  const against = baseline_unit_cost === null ? "" : `, ${money(baseline_unit_cost, decimalsFor([baseline_unit_cost]), overview.currency)} unoptimized`;
  return (
    <section className="panel" aria-labelledby="unit">
      <header>
        <div>
          <h2 id="unit">Cost per 1,000 requests</h2>
          <p>Solid: actual. Dotted: the same requests without optimization.</p>
        </div>
      </header>
      <div className="body">
        {unit_cost === null ? <Empty title="No request in this window has a price" /> : <Chart places={overview.buckets.length} tipOf={(place) => unitTip(overview, place)} option={option} height={220} description={`Cost per 1,000 requests: ${words}${against} over this window.`} />}
      </div>
    </section>
  );
}
