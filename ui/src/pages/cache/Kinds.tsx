/** What became of the requests, over time and in all: chart and table are one object. */
import { useMemo, useState } from "react";
import { useLocation } from "wouter";
import type { CacheAnswer, CacheKind } from "../../api/types";
import { stacked, tip } from "../../chart-style";
import { columnHelper } from "../../columns";
import { Chart } from "../../components/Chart";
import { Money } from "../../components/Money";
import { Table } from "../../components/Table";
import { count, plural, short } from "../../format";
import { decimalsFor, isZero, money } from "../../money";
import { token, useTheme } from "../../theme";
import { windowText } from "../../time";
import { useLinkTo, useQuestion, useView } from "../../view";
import { bucketLabel, bucketName, runningOf } from "../overview/spend-option";
import { Share } from "../overview/Spend";
import { KIND, KINDS } from "./words";

const column = columnHelper<CacheKind>();

function columnsOf({ kinds, total, currency }: CacheAnswer, open: (row: CacheKind) => void) {
  const decimals = decimalsFor(kinds.map(({ worth }) => worth ?? "0"));
  return [
    column.accessor((row) => KINDS[row.kind].name, {
      id: "kind",
      header: "What became of them",
      cell: ({ getValue, row: { original } }) => (
        <span className="named" style={{ "--color": `var(--${KINDS[original.kind].series})` }}>
          <span className="swatch" style={{ opacity: KINDS[original.kind].opacity }} />
          <button type="button" className="opener" title="See these requests" onClick={() => open(original)}>
            {getValue()}
          </button>
        </span>
      ),
      meta: { total: "Total" },
    }),
    column.accessor("requests", { header: "Requests", cell: (cell) => count(cell.getValue()), meta: { number: true, total: count(total.requests) } }),
    column.accessor("per_request", {
      header: "Share",
      cell: ({ getValue, row: { original } }) => <Share fraction={getValue()} series={KINDS[original.kind].series} opacity={KINDS[original.kind].opacity} />,
      meta: { number: true, from: "small" },
    }),
    column.accessor("worth", {
      header: "Worth",
      cell: ({ getValue, row: { original } }) =>
        KINDS[original.kind].worth === "" ? (
          <span className="faint">–</span>
        ) : (
          <>
            <span className={KINDS[original.kind].worth === "saved" && !isZero(getValue() ?? "0") ? "good" : ""}>
              <Money amount={getValue()} decimals={decimals} currency={currency} />
            </span>{" "}
            <span className="faint only-small">{KINDS[original.kind].worth}</span>
          </>
        ),
      meta: { number: true, total: <><Money amount={total.saved} decimals={decimals} currency={currency} /> <span className="faint only-small">saved</span></> },
    }),
  ];
}

function option(answer: CacheAnswer) {
  const layers = answer.kinds.map(({ kind }, index) => ({
    name: KINDS[kind].name,
    color: token(KINDS[kind].series),
    opacity: KINDS[kind].opacity,
    values: answer.buckets.map(({ requests }) => requests[index] ?? 0),
  }));
  return stacked(answer.buckets.map((bucket) => bucketLabel(answer, bucket)), layers, { running: runningOf(answer), axis: short });
}

function tipOf(answer: CacheAnswer, place: number): HTMLElement | null {
  const bucket = answer.buckets[place];
  if (bucket === undefined) return null;
  const rows = answer.kinds
    .map(({ kind }, index) => ({ name: KINDS[kind].name, color: token(KINDS[kind].series), requests: bucket.requests[index] ?? 0 }))
    .filter(({ requests }) => requests > 0)
    .reverse()
    .map(({ name, color, requests }) => ({ name, color, value: count(requests) }));
  const all = { name: "Total", value: count(bucket.requests.reduce((sum, each) => sum + each, 0)), strong: true };
  const saved = { name: "Saved", value: money(bucket.saved, decimalsFor([bucket.saved]), answer.currency) };
  return tip(bucketName(answer, bucket) + (place === runningOf(answer) ? " so far" : ""), [...rows, all, saved]);
}

function described({ total, kinds, buckets }: CacheAnswer): string {
  const parts = kinds.map(({ kind, requests }) => `${KINDS[kind].name.toLowerCase()} ${count(requests)}`);
  return `What became of ${plural(total.requests, "request")} in ${plural(buckets.length, "column")}: ${parts.join(", ")}. The table below has the figures.`;
}

export function Kinds({ answer }: { answer: CacheAnswer }) {
  const [view] = useView();
  const { window } = useQuestion();
  const { shown } = useTheme();
  const [, navigate] = useLocation();
  const linkTo = useLinkTo();
  const [pointed, setPointed] = useState<string | null>(null);
  const chart = useMemo(() => option(answer), [answer, shown]);
  const open = (row: CacheKind | undefined) => row && navigate(linkTo("/requests", { where: { ...view.where, [KIND]: [row.kind] } }));
  const columns = useMemo(() => columnsOf(answer, open), [answer, view]);
  return (
    <section className="panel" aria-labelledby="kinds">
      <header>
        <div className="grow">
          <h2 id="kinds">What became of the requests</h2>
          <p>
            {windowText(window, view.zone)}, {view.zone}. Those that a cache looked at; fainter is what would be answered in mode “on”.
          </p>
        </div>
      </header>
      <div className="body">
        <Chart columns places={answer.buckets.length} tipOf={(place) => tipOf(answer, place)} option={chart} height={220} description={described(answer)} pointed={pointed} onPoint={setPointed} onPick={(name) => open(answer.kinds.find(({ kind }) => KINDS[kind].name === name))} />
      </div>
      <Table caption="What became of the requests" rows={answer.kinds} columns={columns} idOf={({ kind }) => kind} onOpen={open} onPoint={(row) => setPointed(row === null ? null : KINDS[row.kind].name)} sortable />
    </section>
  );
}
