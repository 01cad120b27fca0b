import type { Overview, Totals } from "../../api/types";
import { Figure } from "../../components/Figure";
import { Change, Money } from "../../components/Money";
import { plural, share } from "../../format";
import { approx, compare, decimalsFor, isZero, money, roundDecimals } from "../../money";
import { pricedCost } from "../../priced";
import { monthName } from "../../time";
import { Link } from "wouter";
import { useLinkTo } from "../../view";

interface Props {
  overview: Overview;
}

function SpendFigure({ overview }: Props) {
  const { total, previous, currency } = overview;
  return (
    <Figure label="Spend in this window" note={<Change now={total.cost} before={previous?.cost ?? null} words="vs the window before" />}>
      <Money amount={pricedCost(total)} decimals={decimalsFor([total.cost])} currency={currency} />
    </Figure>
  );
}

function MonthFigure({ overview: { month, zone, currency } }: Props) {
  const { projection } = month;
  const name = monthName(new Date(month.start), zone);
  const decimals = decimalsFor([month.cost]);
  const ahead = (amount: string) => money(amount, roundDecimals(projection?.high ?? "0"), currency);
  const note =
    projection === null ? (
      <Change now={month.cost} before={month.previous_cost} words="vs the same days before" />
    ) : (
      <span title={projection.note}>
        heads for <b className="figure">{ahead(projection.mid)}</b>{" "}
        <span className="figure faint">
          ({ahead(projection.low)} – {ahead(projection.high)})
        </span>
      </span>
    );
  return (
    <Figure label={`${name} to date`} note={note}>
      <Money amount={month.cost} decimals={decimals} currency={currency} />
    </Figure>
  );
}

function UnitFigure({ overview: { total, previous, currency } }: Props) {
  if (total.unit_cost === null) return <Figure label="Per 1,000 requests" note="No request in this window has a price">–</Figure>;
  return (
    <Figure label="Per 1,000 requests" note={<Change now={total.unit_cost} before={previous?.unit_cost ?? null} words="vs the window before" />}>
      <Money amount={total.unit_cost} decimals={decimalsFor([total.unit_cost])} currency={currency} />
    </Figure>
  );
}

function savedNote(total: Totals): string {
  const measured = total.baseline_cost;
  if (isZero(measured)) return "No request has a baseline yet";
  return `${share(approx(total.saved) / approx(measured))} below the offers asked for`;
}

function SavedFigure({ overview: { total, currency } }: Props) {
  const linkTo = useLinkTo();
  const tone = compare(total.saved, "0") > 0 ? "good" : compare(total.saved, "0") < 0 ? "bad" : "";
  return (
    <Figure label="Saved" tone={tone} note={<>{savedNote(total)} · <Link href={linkTo("/cache")}>by caches</Link></>}>
      {isZero(total.baseline_cost) ? "–" : <Money amount={total.saved} decimals={decimalsFor([total.saved])} currency={currency} />}
    </Figure>
  );
}

export function Figures({ overview }: Props) {
  return (
    <dl className="panel figures" aria-label={`Key figures over ${plural(overview.total.requests, "request")}`}>
      <SpendFigure overview={overview} />
      <MonthFigure overview={overview} />
      <UnitFigure overview={overview} />
      <SavedFigure overview={overview} />
    </dl>
  );
}
