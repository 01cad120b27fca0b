import { change, exact, isZero, money } from "../money";
import { share } from "../format";

interface Props {
  /** An exact decimal; `null` is unpriced, which is never zero. */
  amount: string | null;
  decimals?: number;
  currency?: string;
  /** Why there is no price. */
  reason?: string;
}

/** An amount. Pointing at it shows every decimal the ledger holds. A true zero is "$0", whatever stands around it. */
export function Money({ amount, decimals = 2, currency = "USD", reason = "No price is known" }: Props) {
  if (amount === null) {
    return (
      <span className="tag warn" title={reason}>
        unpriced
      </span>
    );
  }
  return (
    <data className="figure" value={amount} title={exact(amount, currency)}>
      {money(amount, isZero(amount) ? 0 : decimals, currency)}
    </data>
  );
}

/** How an amount moved against the one before: more spend is red, less is green, figures before colors. */
export function Change({ now, before, words }: { now: string; before: string | null; words: string }) {
  if (before === null) return <span className="faint">no data to compare with</span>;
  const moved = change(now, before);
  if (moved === null) return <span className="faint">{isZero(now) ? "nothing then, either" : "nothing to compare with"}</span>;
  const tone = Math.abs(moved) < 0.0005 ? "soft" : moved > 0 ? "bad" : "good";
  const sign = tone === "soft" ? "±" : moved > 0 ? "▲" : "▼";
  return (
    <span>
      <span className={`figure nowrap ${tone}`}>
        <span aria-hidden="true">{sign}</span>
        <span className="hidden-text">{moved > 0 ? "up" : "down"} </span> {share(Math.abs(moved))}
      </span>
      {words === "" ? null : <span className="faint"> {words}</span>}
    </span>
  );
}
