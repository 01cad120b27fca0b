import type { ReactNode } from "react";
import type { RequestsAnswer } from "../../api/types";
import { Money } from "../../components/Money";
import { count, short } from "../../format";
import { decimalsFor, isZero } from "../../money";
import { pricedCost } from "../../priced";

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
          <dd className={isZero(total.baseline_cost) ? "faint" : "good"}>{isZero(total.baseline_cost) ? "–" : <Money amount={total.saved} decimals={Math.max(2, decimalsFor([total.saved]))} />}</dd>
        </div>
        <div>
          <dt>Tokens in → out</dt>
          <dd className="figure">
            {short(input)} <span className="faint">→</span> {short(total.output_tokens + total.reasoning_tokens)}
          </dd>
        </div>
        <div>
          <dt>Failed</dt>
          <dd className={`figure ${total.errors > 0 ? "bad" : "faint"}`}>{count(total.errors)}</dd>
        </div>
        <div>
          <dt>Unpriced</dt>
          <dd className={`figure ${total.unpriced_requests > 0 ? "warn" : "faint"}`}>{count(total.unpriced_requests)}</dd>
        </div>
      </dl>
      {children}
    </div>
  );
}
