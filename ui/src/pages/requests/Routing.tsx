import type { Decision, RequestDetail } from "../../api/types";
import { Money } from "../../components/Money";
import { plural } from "../../format";

function Rejected({ decision }: { decision: Decision }) {
  if (decision.rejected.length === 0) return <p className="soft">No other offer could have served it.</p>;
  return (
    <>
      <p className="soft">{plural(decision.rejected.length, "offer")} lost:</p>
      <ul className="rejected">
        {decision.rejected.map((rejection) => (
          <li key={`${rejection.offer} ${rejection.stage}`}>
            <span className="mono">{rejection.offer}</span>
            <span className="tag">{rejection.stage}</span>
            <span className="soft">{rejection.reason}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

/** Which offer served the request, why, why every other one did not, and what it would have cost without choice. */
export function Routing({ detail }: { detail: RequestDetail }) {
  const { decision, currency } = detail;
  if (decision === null) return null;
  return (
    <section aria-labelledby="routing">
      <h3 id="routing">Routing</h3>
      <dl className="pairs">
        <dt>Asked for</dt>
        <dd className="mono">{decision.asked}</dd>
        <dt>Chosen</dt>
        <dd>
          <span className="mono">{decision.chosen}</span> <span className="soft">{decision.reason}</span>
        </dd>
        <dt>Expected</dt>
        <dd>
          {decision.expected_cost === null ? <span className="soft">{decision.expected_unpriced}</span> : <Money amount={decision.expected_cost} decimals={6} currency={currency} />}
          {decision.expected_ms === null ? null : <span className="soft figure"> in {Math.round(decision.expected_ms)} ms</span>}
        </dd>
        <dt>Baseline</dt>
        <dd>
          <span className="mono">{detail.baseline_offer || decision.baseline || "none"}</span>{" "}
          {detail.baseline_offer === "" && decision.baseline === "" ? null : <Money amount={detail.baseline_cost ?? decision.baseline_cost} decimals={6} currency={currency} reason={decision.baseline_unpriced} />}
        </dd>
      </dl>
      <Rejected decision={decision} />
    </section>
  );
}
