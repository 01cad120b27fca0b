import { Link } from "wouter";
import type { RequestRow } from "../../api/types";
import { Money } from "../../components/Money";
import { StatusTag } from "../../components/Status";
import { columnHelper } from "../../columns";
import { count, duration } from "../../format";
import { isZero, subtract } from "../../money";
import { dayOf, moment, shortDay } from "../../time";
import { type Order, type View, write } from "../../url";
import { named } from "../../view";

const column = columnHelper<RequestRow>();

/** Single requests cost fractions of a cent, and rows keep their form when a costly one comes in. */
const DECIMALS = 6;

function Sorter({ order, active, label, sort }: { order: Order; active: Order; label: string; sort: (order: Order) => void }) {
  return (
    <button type="button" className="sorter" onClick={() => sort(order)}>
      {label}
      <span aria-hidden="true">{order === active ? " ↓" : ""}</span>
    </button>
  );
}

/** The model that answered, and, where it differs, the name that was asked for. */
function Model({ row }: { row: RequestRow }) {
  const served = row.model || row.requested_model;
  return (
    <span className="model" title={row.requested_model === served ? row.offer : `${row.requested_model} → ${row.offer}`}>
      {row.requested_model === served || row.requested_model === "" ? null : <span className="asked faint only-small">{row.requested_model} →</span>}
      <span className="served">{served}</span>
    </span>
  );
}

function Tokens({ row }: { row: RequestRow }) {
  const cached = row.cache_read_tokens + row.cache_write_tokens;
  const input = row.input_tokens + cached;
  const output = row.output_tokens + row.reasoning_tokens;
  return (
    <span title={`${count(input)} in, of which ${count(cached)} by the provider's cache; ${count(output)} out, of which ${count(row.reasoning_tokens)} reasoning`}>
      {count(input)} <span className="faint">→</span> {count(output)}
    </span>
  );
}

function saved(row: RequestRow): string | null {
  return row.cost === null || row.baseline_cost === null ? null : subtract(row.baseline_cost, row.cost);
}

/** A dash where nothing was saved, and where that is not known. */
function Saved({ amount }: { amount: string | null }) {
  return amount === null || isZero(amount) ? <span className="faint">–</span> : <Money amount={amount} decimals={DECIMALS} />;
}

/** A time names its day only where that is not the newest row's. */
function when(row: RequestRow, zone: string, newest: string): string {
  const at = new Date(row.at);
  const text = moment(at, zone);
  return dayOf(at, zone) === newest ? text.slice(shortDay(at, zone).length + 2) : text;
}

export function columnsOf(rows: readonly RequestRow[], view: View, sort: (order: Order) => void) {
  const { zone, order: active } = view;
  const newest = rows[0] === undefined || active !== "newest" ? "" : dayOf(new Date(rows[0].at), zone);
  const sorted = (order: Order) => (order === active ? "descending" : "none");
  return [
    column.accessor("at", {
      header: () => <Sorter order="newest" active={active} label="Time" sort={sort} />,
      cell: ({ row: { original: row } }) => (
        <Link className="figure" href={write({ ...view, request: row.request_id })} title={moment(new Date(row.at), zone)}>
          {when(row, zone, newest)}
        </Link>
      ),
      meta: { sorted: sorted("newest") },
    }),
    column.accessor((row) => row.scope.team, {
      id: "team",
      header: "Team",
      cell: (cell) => <span className={cell.getValue() === "" ? "faint" : undefined}>{named(cell.getValue())}</span>,
      meta: { from: "small" },
    }),
    column.accessor((row) => row.scope.feature, {
      id: "feature",
      header: "Feature",
      cell: (cell) => (cell.getValue() === "" ? <span className="faint">–</span> : cell.getValue()),
      meta: { from: "wide" },
    }),
    column.accessor("model", { header: "Model", cell: ({ row: { original: row } }) => <Model row={row} />, meta: { yields: true } }),
    column.accessor("provider", { header: "Provider", meta: { from: "wide" } }),
    column.accessor("status", {
      header: "Status",
      cell: ({ row: { original: row } }) => (
        <span className="row" style={{ gap: 4 }}>
          <StatusTag status={row.status} kind={row.error_kind} />
          {row.attempts > 1 ? <span className="faint">×{row.attempts}</span> : null}
        </span>
      ),
      meta: { from: "medium" },
    }),
    column.display({ id: "tokens", header: "Tokens in → out", cell: ({ row: { original: row } }) => <Tokens row={row} />, meta: { number: true, from: "medium" } }),
    column.accessor("ttft_ms", { header: "First byte", cell: (cell) => duration(cell.getValue()), meta: { number: true, from: "wide" } }),
    column.accessor("total_ms", {
      header: () => <Sorter order="latency" active={active} label="Latency" sort={sort} />,
      cell: (cell) => duration(cell.getValue()),
      meta: { number: true, from: active === "latency" ? "small" : "medium", sorted: sorted("latency") },
    }),
    column.display({
      id: "saved",
      header: "Saved",
      cell: ({ row: { original: row } }) => <Saved amount={saved(row)} />,
      meta: { number: true, from: "wide" },
    }),
    column.accessor("cost", {
      header: () => <Sorter order="cost" active={active} label="Cost" sort={sort} />,
      cell: ({ row: { original: row } }) => <Money amount={row.cost} decimals={DECIMALS} reason={row.unpriced} />,
      meta: { number: true, sorted: sorted("cost") },
    }),
  ];
}
