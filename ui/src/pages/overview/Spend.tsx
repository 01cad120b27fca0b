/** Spend over time and its table: one object with the same groups, colors and total. */
import { useCallback, useMemo, useState } from "react";
import { requestParameters } from "../../api/queries";
import { href } from "../../api/client";
import type { Group, Overview, Totals } from "../../api/types";
import { Chart } from "../../components/Chart";
import { spoken, useDimensions } from "../../components/Filters";
import { Change, Money } from "../../components/Money";
import { CsvLink, Table } from "../../components/Table";
import { columnHelper } from "../../columns";
import { count, plural, share } from "../../format";
import { decimalsFor, isZero, money } from "../../money";
import { useNames } from "../../names";
import { pricedCost } from "../../priced";
import { seriesToken, useTheme } from "../../theme";
import { windowText } from "../../time";
import { toggled } from "../../url";
import { useQuestion, useView } from "../../view";
import { bucketName, spendOption, spendTip } from "./spend-option";

const GRAINS = { none: "Spend", hour: "Hourly spend", day: "Daily spend", week: "Weekly spend", month: "Monthly spend" };
const column = columnHelper<Group>();

function capital(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** How a group of the overview reads. */
function useNameOf(by: string): (group: Group) => string {
  const nameOf = useNames();
  return useCallback((group: Group) => (group.kind === "other" ? "all others" : nameOf(by, group.key)), [nameOf, by]);
}

function columnsOf(overview: Overview, nameOf: (group: Group) => string, pick: (group: Group) => void) {
  const { total, previous, currency } = overview;
  const costs = decimalsFor(overview.groups.map((group) => group.total.cost));
  const units = decimalsFor(overview.groups.flatMap((group) => group.total.unit_cost ?? []));
  const saved = decimalsFor(overview.groups.map((group) => group.total.saved));
  const amount = (value: string | null, decimals: number) => <Money amount={value} decimals={decimals} currency={currency} />;
  const savedCell = (sums: Totals) => (pricedCost(sums) === null || isZero(sums.saved) ? <span className="faint">–</span> : amount(sums.saved, saved));
  return [
    column.accessor(nameOf, {
      id: "name",
      header: capital(spoken(overview.by)),
      cell: ({ row: { original: group, index } }) => <Name group={group} text={nameOf(group)} index={index} pick={pick} />,
      meta: { total: "Total" },
    }),
    column.accessor((group) => pricedCost(group.total), {
      id: "cost",
      header: "Cost",
      cell: (cell) => amount(cell.getValue(), costs),
      meta: { number: true, total: amount(pricedCost(total), costs) },
    }),
    column.accessor((group) => group.cost_per_total, {
      id: "share",
      header: "Share",
      cell: (cell) => <Share fraction={pricedCost(cell.row.original.total) === null ? null : cell.getValue()} series={seriesToken(cell.row.original.kind, cell.row.index)} />,
      meta: { number: true, from: "medium" },
    }),
    column.accessor((group) => group.previous_cost, {
      id: "change",
      header: "vs before",
      cell: ({ row: { original: group } }) => (group.previous_cost === null ? <span className="faint">–</span> : <Change now={group.total.cost} before={group.previous_cost} words="" />),
      meta: { number: true, total: previous === null ? "–" : <Change now={total.cost} before={previous.cost} words="" /> },
    }),
    column.accessor((group) => group.total.requests, {
      id: "requests",
      header: "Requests",
      cell: (cell) => count(cell.getValue()),
      meta: { number: true, from: "small", total: count(total.requests) },
    }),
    column.accessor((group) => group.total.unit_cost, {
      id: "unit",
      header: "Per 1,000",
      cell: (cell) => (cell.getValue() === null ? <span className="faint">–</span> : amount(cell.getValue(), units)),
      meta: { number: true, from: "wide", total: total.unit_cost === null ? "–" : amount(total.unit_cost, units) },
    }),
    column.accessor((group) => group.total.saved, {
      id: "saved",
      header: "Saved",
      cell: ({ row: { original: group } }) => savedCell(group.total),
      meta: { number: true, from: "wide", total: savedCell(total) },
    }),
    column.accessor((group) => group.total.unpriced_requests, {
      id: "unpriced",
      header: "Unpriced",
      cell: (cell) => (cell.getValue() === 0 ? <span className="faint">–</span> : <span className="warn">{count(cell.getValue())}</span>),
      meta: { number: true, from: "wide", total: total.unpriced_requests === 0 ? "–" : count(total.unpriced_requests) },
    }),
  ];
}

function Name({ group, text, index, pick }: { group: Group; text: string; index: number; pick: (group: Group) => void }) {
  return (
    <span className="named" style={{ "--color": `var(--${seriesToken(group.kind, index)})` }}>
      <span className="swatch" />
      {group.kind === "other" ? (
        text
      ) : (
        <button type="button" className={`opener ${group.kind === "unallocated" ? "soft" : ""}`} title={`Filter by ${text}`} onClick={() => pick(group)}>
          {text}
        </button>
      )}
    </span>
  );
}

/** A part of the whole as a bar and a figure, in the color of its series. */
export function Share({ fraction, series, opacity = 1 }: { fraction: number | null; series: string; opacity?: number }) {
  return (
    <span className="nowrap" style={{ "--color": `var(--${series})` }}>
      <span className="bar" aria-hidden="true">
        <i style={{ width: `${(fraction ?? 0) * 100}%`, opacity }} />
      </span>{" "}
      <span className="figure share">{share(fraction)}</span>
    </span>
  );
}

function GroupBy() {
  const [view, change] = useView();
  const dimensions = useDimensions();
  return (
    <select className="control" aria-label="Group by" value={view.by} onChange={(event) => change({ by: event.target.value })}>
      {[...new Set([view.by, ...dimensions])].map((name) => (
        <option key={name} value={name}>
          by {spoken(name)}
        </option>
      ))}
    </select>
  );
}

function describe(overview: Overview): string {
  const costliest = overview.buckets.reduce<Overview["buckets"][number] | null>((best, each) => (best === null || Number(each.total.cost) > Number(best.total.cost) ? each : best), null);
  const most = costliest === null ? "" : ` The costliest is ${bucketName(overview, costliest)} with ${money(costliest.total.cost, 2, overview.currency)}.`;
  return `${GRAINS[overview.grain]} by ${spoken(overview.by)}: ${plural(overview.buckets.length, "column")}, ${money(overview.total.cost, 2, overview.currency)} in all.${most} The table below has the figures.`;
}

export function Spend({ overview }: { overview: Overview }) {
  const [view, change] = useView();
  const { filtered, window } = useQuestion();
  const { shown } = useTheme();
  const [pointed, setPointed] = useState<string | null>(null);
  const nameOf = useNameOf(overview.by);
  const option = useMemo(() => spendOption(overview, nameOf), [overview, nameOf, shown]);
  const pick = (group: Group | undefined) => {
    if (group !== undefined && group.kind !== "other") change({ where: toggled(view.where, overview.by, group.key) });
  };
  const columns = useMemo(() => columnsOf(overview, nameOf, pick), [overview, nameOf, view]);
  const csv = new URLSearchParams(requestParameters(filtered, "", ""));
  for (const [name, value] of Object.entries({ by: overview.by, grain: overview.grain, basis: overview.basis })) csv.append(name, value);
  return (
    <section className="panel" aria-labelledby="spend">
      <header>
        <div className="grow">
          <h2 id="spend">
            {GRAINS[overview.grain]} by {spoken(overview.by)}
          </h2>
          <p>
            {windowText(window, view.zone)}, {view.zone}. {capital(overview.basis)} cost in {overview.currency}. Chart and table hold the same total.
          </p>
        </div>
        <GroupBy />
        <CsvLink href={href("spend.csv", csv)} />
      </header>
      <div className="body">
        <Chart columns places={overview.buckets.length} tipOf={(place) => spendTip(overview, overview.buckets[place], nameOf)} option={option} height={248} description={describe(overview)} pointed={pointed} onPoint={setPointed} onPick={(name) => pick(overview.groups.find((group) => nameOf(group) === name))} />
      </div>
      <Table
        caption={`Spend by ${spoken(overview.by)}`}
        rows={overview.groups}
        columns={columns}
        idOf={(group) => `${group.kind}:${group.key}`}
        onOpen={pick}
        onPoint={(group) => setPointed(group === null ? null : nameOf(group))}
        chosen={(group) => view.where[overview.by]?.includes(group.key) === true && group.kind !== "other"}
        sortable
      />
    </section>
  );
}
