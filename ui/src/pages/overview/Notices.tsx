import { Link } from "wouter";
import type { Overview } from "../../api/types";
import { Money } from "../../components/Money";
import { count, plural, share } from "../../format";
import { decimalsFor, exact } from "../../money";
import { useLinkTo, useView } from "../../view";

/** What the totals do not hold, and what went wrong: said in words beside the figures. */
export function Notices({ overview }: { overview: Overview }) {
  const { total, other_currencies, redundancy, currency } = overview;
  const [view] = useView();
  const linkTo = useLinkTo();
  const others = Object.entries(other_currencies);
  const failed = linkTo("/requests", { where: { ...view.where, status: ["error", "truncated", "abandoned"] } });
  const unpriced = linkTo("/requests", { where: { ...view.where, cost_source: ["none"] } });
  return (
    <div className="notices">
      {total.unpriced_requests > 0 ? (
        <p className="notice">
          <span>
            <b className="figure">{plural(total.unpriced_requests, "request")}</b> {total.unpriced_requests === 1 ? "has" : "have"} no known price and {total.unpriced_requests === 1 ? "is" : "are"} in no total.
          </span>
          <Link href={unpriced}>Show them</Link>
        </p>
      ) : null}
      {total.errors > 0 ? (
        <p className="notice bad">
          <span>
            <b className="figure">{count(total.errors)}</b> of {plural(total.requests, "request")} failed ({share(total.errors / Math.max(1, total.requests))}).
          </span>
          <Link href={failed}>Show them</Link>
        </p>
      ) : null}
      {redundancy.requests > 0 ? (
        <p className="notice info">
          <span>
            Redundancy cost <Money amount={redundancy.unpriced >= redundancy.requests ? null : redundancy.cost} decimals={decimalsFor([redundancy.cost])} currency={currency} />: {redundancy.roles.map((each) => `${count(each.requests)} by ${each.role}`).join(", ")}. It is in the totals.
          </span>
        </p>
      ) : null}
      {others.length > 0 ? (
        <p className="notice info">
          Not included, because currencies are never mixed: {others.map(([currency, amount]) => exact(amount, currency)).join(", ")}.
        </p>
      ) : null}
    </div>
  );
}
