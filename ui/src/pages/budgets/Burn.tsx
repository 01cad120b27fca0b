import type { Limit, Pot } from "../../api/types";
import { percent, quantity, unitOf } from "../../limits";
import { approx, compare, isZero, subtract } from "../../money";

/** How much of a pot is used: solid what is, hatched what is in doubt, light what is held for requests under way. */
export function Burn({ limit, pot }: { limit: Limit; pot: Pot }) {
  const amount = approx(pot.amount);
  const of = (part: string) => (amount === 0 ? 0 : (approx(part) / amount) * 100);
  const certain = of(subtract(pot.used, pot.doubt));
  const used = of(pot.used);
  const held = of(pot.held);
  const scale = Math.max(100, used + held) / 100;
  const place = (from: number, to: number) => ({ left: `${from / scale}%`, width: `${Math.max(0, to - from) / scale}%` });
  const unit = unitOf(limit);
  const parts = [
    `${percent(pot.percent)} used`,
    isZero(pot.doubt) ? "" : `${quantity(pot.doubt, unit)} of it in doubt`,
    isZero(pot.held) ? "" : `${quantity(pot.held, unit)} held for requests under way`,
  ].filter((part) => part !== "");
  const tone = pot.status === "over" ? "over" : pot.status === "ok" ? "" : "pressed";
  return (
    <span className={`burn ${tone}`} role="img" aria-label={parts.join(", ")} title={parts.join(", ")}>
      <i style={place(0, certain)} />
      {compare(pot.doubt, "0") > 0 ? <i className="doubt" style={place(certain, used)} /> : null}
      {held > 0 ? <i className="held" style={place(used, used + held)} /> : null}
      {limit.warn_at
        .filter((at) => at < 100 * scale)
        .map((at) => (
          <b key={at} style={{ left: `${at / scale}%` }} />
        ))}
    </span>
  );
}
