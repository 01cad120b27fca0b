import { Link } from "wouter";
import type { Budget, Pot } from "../../api/types";
import { columnHelper } from "../../columns";
import { Quantity } from "../../components/Quantity";
import { percent, quantity, STATUS, unitOf } from "../../limits";
import { approx, decimalsFor, roundDecimals } from "../../money";
import { clock, dayOf, shortDay } from "../../time";
import { type View, write } from "../../url";
import { Burn } from "./Burn";
import { ScopeChips } from "./Scope";

const column = columnHelper<Budget>();
const dash = <span className="faint">–</span>;

/** The instant, its day only where that is not today. */
export function soon(at: string | null | undefined, zone: string, now: Date): string {
  if (!at) return "–";
  const when = new Date(at);
  return dayOf(when, zone) === dayOf(now, zone) ? clock(when, zone) : shortDay(when, zone);
}

export function StatusWord({ status }: { status: Pot["status"] }) {
  const { tone, words } = STATUS[status];
  return tone === "" ? <span className="faint">{words}</span> : <span className={`tag ${tone}`}>{words}</span>;
}

/** Ahead of an even pace, or behind it, in points of the amount. */
function Pace({ pot }: { pot: Pot | undefined }) {
  if (pot === undefined || pot.elapsed === null) return dash;
  const ahead = approx(pot.percent) - approx(pot.elapsed);
  const words = Math.abs(ahead) < 0.5 ? "even" : `${Math.abs(ahead).toFixed(0)} pts ${ahead > 0 ? "ahead" : "behind"}`;
  return (
    <span className={ahead >= 0.5 ? "" : "soft"} title={`${percent(pot.percent)} used after ${percent(pot.elapsed)} of the time`}>
      {words}
    </span>
  );
}

function Heads({ limit, pot }: { limit: Budget["limit"]; pot: Pot | undefined }) {
  if (pot === undefined || pot.forecast === null) return <span className="faint" title={pot?.note}>–</span>;
  const { low, mid, high } = pot.forecast;
  const unit = unitOf(limit);
  const decimals = roundDecimals(high);
  return (
    <span className="figure" title={`80 % range ${quantity(low, unit, decimals)} to ${quantity(high, unit, decimals)}`}>
      <Quantity amount={mid} unit={unit} decimals={decimals} />
    </span>
  );
}

export function columnsOf(view: View, now: Date) {
  const { zone } = view;
  return [
    column.accessor((row) => row.limit.name, {
      id: "name",
      header: "Name",
      cell: ({ row: { original: { limit } } }) => (
        <Link href={write({ ...view, open: limit.id })} title={limit.name}>
          {limit.name}
        </Link>
      ),
    }),
    column.accessor((row) => Object.values(row.limit.scope).join(), { id: "scope", header: "About", cell: ({ row: { original } }) => <ScopeChips scope={original.limit.scope} subject={original.pots_matching > 1 ? {} : (original.pots[0]?.subject ?? {})} />, meta: { from: "wide" } }),
    column.accessor((row) => row.pots[0]?.percent ?? "0", {
      id: "used",
      header: "Share",
      cell: ({ row: { original: { limit, pots } } }) => (pots[0] === undefined ? dash : <span className="burn-cell"><Burn limit={limit} pot={pots[0]} /> <span className="figure share">{percent(pots[0].percent)}</span></span>),
    }),
    column.accessor((row) => row.pots[0]?.used ?? "0", {
      id: "amount",
      header: () => <><span className="only-small">Used of</span><span className="only-narrow">Limit</span></>,
      cell: ({ row: { original: { limit, pots } } }) => (
        <>
          <span className="only-small">
            <Quantity amount={pots[0]?.used ?? "0"} unit={unitOf(limit)} decimals={decimalsFor([limit.amount])} /> <span className="faint">/ </span>
          </span>
          <Quantity amount={limit.amount} unit={unitOf(limit)} decimals={decimalsFor([limit.amount])} />
        </>
      ),
      meta: { number: true },
    }),
    column.accessor((row) => approx(row.pots[0]?.percent ?? "0") - approx(row.pots[0]?.elapsed ?? "0"), { id: "pace", header: "Pace", cell: ({ row: { original } }) => <Pace pot={original.pots[0]} />, meta: { from: "wide" } }),
    column.accessor((row) => row.pots[0]?.forecast?.mid ?? "", { id: "heads", header: "Heads for", cell: ({ row: { original } }) => <Heads limit={original.limit} pot={original.pots[0]} />, meta: { number: true, from: "medium" } }),
    column.accessor((row) => row.pots[0]?.exhausted ?? "", { id: "until", header: "Lasts until", cell: ({ row: { original } }) => <span className="figure">{soon(original.pots[0]?.exhausted, zone, now)}</span>, meta: { from: "wide" } }),
    column.accessor((row) => row.pots[0]?.window.end ?? "", { id: "resets", header: "Resets", cell: ({ row: { original } }) => <span className="figure soft">{soon(original.pots[0]?.window.end, zone, now)}</span>, meta: { from: "medium" } }),
    column.accessor("status", { header: "State", cell: ({ row: { original } }) => <StatusWord status={original.status} />, meta: { from: "small" } }),
  ];
}
