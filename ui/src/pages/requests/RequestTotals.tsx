import type { ReactNode } from "react";
import { Link } from "wouter";
import type { RequestsAnswer } from "../../api/types";
import { Money } from "../../components/Money";
import { count, short } from "../../format";
import { decimalsFor, isZero } from "../../money";
import { pricedCost } from "../../priced";
import { useLinkTo, useView } from "../../view";

/** A count of requests that leads to them. */
function Counted({ number, tone, where }: { number: number; tone: string; where: Record<string, readonly string[]> }) {
  const [view] = useView();
  const linkTo = useLinkTo();
  if (number === 0) return <dd className="figure faint">0</dd>;
  return (
    <dd className="figure">
      <Link className={tone} href={linkTo("/requests", { search: view.search, order: view.order, where: { ...view.where, ...where } })}>
        {count(number)}
      </Link>
    </dd>
  );
}

/** Totals over all that match, not only over what has been loaded. */
export function RequestTotals({ answer, children }: { answer: RequestsAnswer; children: ReactNode }) {
  const { total, matching } = answer;
  const input = total.input_tokens + total.cache_read_tokens + total.cache_write_tokens;
  return (
    <div className="totals">
      <dl>
        <div>
          <dt>Cost of all {count(matching)}</dt>
          <dd>
            <Money amount={pricedCost(total)} decimals={Math.max(2, decimalsFor([total.cost]))} />
          </dd>
        </div>
        <div>
          <dt>Saved</dt>
          <dd className={isZero(total.saved) ? "faint" : total.saved.startsWith("-") ? "bad" : "good"}>{isZero(total.saved) ? "–" : <Money amount={total.saved} decimals={Math.max(2, decimalsFor([total.saved]))} />}</dd>
        </div>
        <div>
          <dt>Tokens in → out</dt>
          <dd className="figure">
            {short(input)} <span className="faint">→</span> {short(total.output_tokens + total.reasoning_tokens)}
          </dd>
        </div>
        <div>
          <dt>Failed</dt>
          <Counted number={total.errors} tone="bad" where={{ status: ["error", "truncated", "abandoned"] }} />
        </div>
        <div>
          <dt>Unpriced</dt>
          <Counted number={total.unpriced_requests} tone="warn" where={{ cost_source: ["none"] }} />
        </div>
      </dl>
      {children}
    </div>
  );
}
