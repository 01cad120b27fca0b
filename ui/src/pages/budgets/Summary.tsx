/** How this month's budgets stand, number first. */
import { Link } from "wouter";
import type { Budget, BudgetsAnswer } from "../../api/types";
import { Figure } from "../../components/Figure";
import { Money } from "../../components/Money";
import { count, plural, share } from "../../format";
import { type Cover, monthly } from "../../limits";
import { approx, decimalsFor, isZero, money, roundDecimals, sum } from "../../money";
import { shortDay, monthName } from "../../time";
import { useLinkTo, useView } from "../../view";

function totalOf({ budgets }: Cover, read: "used" | "amount"): string {
  return sum(budgets.map(({ pots }) => pots[0]?.[read] ?? "0"));
}

/** What covers the month, in words: "all spend", "3 budgets by team". */
function covers({ by, budgets }: Cover): string {
  return by === "" ? "all spend" : `${plural(budgets.length, "budget")} by ${by}`;
}

function Used({ cover, now }: { cover: Cover | null; now: string }) {
  const [view] = useView();
  const month = monthName(new Date(now), view.zone);
  if (cover === null) return <Figure label={`${month}’s budgets`} note="No budget of money for a month">–</Figure>;
  const [used, amount] = [totalOf(cover, "used"), totalOf(cover, "amount")];
  return (
    <Figure
      label={`${month}’s budget, ${covers(cover)}`}
      note={
        <>
          <Money amount={used} decimals={decimalsFor([amount])} /> of <Money amount={amount} decimals={decimalsFor([amount])} />
        </>
      }
    >
      <span className="figure">{share(isZero(amount) ? 1 : approx(used) / approx(amount))}</span> <small>used</small>
    </Figure>
  );
}

function Heads({ cover }: { cover: Cover | null }) {
  const only = cover?.budgets.length === 1 ? cover.budgets[0]?.pots[0] : undefined;
  const forecast = only?.forecast ?? null;
  if (forecast === null || only === undefined) return <Figure label="Heads for" note={only?.note || "A forecast stands with each budget below"}>–</Figure>;
  const decimals = roundDecimals(forecast.high);
  const over = approx(forecast.mid) > approx(only.amount);
  return (
    <Figure label="Heads for" tone={over ? "warn" : ""} note={<span className="figure">{money(forecast.low, decimals)} – {money(forecast.high, decimals)}, 80 % range</span>}>
      <Money amount={forecast.mid} decimals={decimals} />
    </Figure>
  );
}

/** The names of limits, each a way into it; the most pressing three. */
function Names({ rows, ends }: { rows: readonly Budget[]; ends: boolean }) {
  const linkTo = useLinkTo();
  const [view] = useView();
  return (
    <>
      {rows.slice(0, 3).map(({ limit, pots }, index) => (
        <span key={limit.id}>
          {index === 0 ? "" : ", "}
          <Link href={linkTo("/budgets", { open: limit.id })}>{limit.name}</Link>
          {ends && index === 0 && pots[0]?.exhausted ? ` until ${shortDay(new Date(pots[0].exhausted), view.zone)}` : ""}
        </span>
      ))}
      {rows.length > 3 ? ` and ${rows.length - 3} more` : ""}
    </>
  );
}

export function Summary({ answer: { rows, now } }: { answer: BudgetsAnswer }) {
  const cover = monthly(rows);
  const risky = rows.filter(({ status }) => status === "at risk");
  const over = rows.filter(({ status }) => status === "over");
  const refused = rows.reduce((total, { pots }) => total + pots.reduce((all, pot) => all + pot.refused, 0), 0);
  const told = refused === 0 ? "no request refused" : `${plural(refused, "request")} refused`;
  return (
    <dl className="panel figures" aria-label="How budgets stand">
      <Used cover={cover} now={now} />
      <Heads cover={cover} />
      <Figure label="At risk" tone={risky.length > 0 ? "warn" : ""} note={risky.length === 0 ? "Every limit will last" : <Names rows={risky} ends />}>
        {count(risky.length)}
      </Figure>
      <Figure label="Used up" tone={over.length > 0 ? "bad" : ""} note={over.length === 0 ? `Nothing is, ${told}` : <><Names rows={over} ends={false} />; {told}</>}>
        {count(over.length)}
      </Figure>
    </dl>
  );
}
