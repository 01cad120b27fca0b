import { quantity } from "../limits";
import { isZero } from "../money";
import { Money } from "./Money";

/** An amount of a limit, in dollars or in pieces. Pointing at dollars shows every decimal. */
export function Quantity({ amount, unit, decimals = 2 }: { amount: string; unit: string; decimals?: number }) {
  if (unit === "USD") return <Money amount={amount} decimals={decimals} />;
  return (
    <data className="figure" value={amount} title={`${amount} ${unit}`}>
      {isZero(amount) ? "0" : quantity(amount, unit)}
    </data>
  );
}
