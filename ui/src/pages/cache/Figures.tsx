/** What the caches are worth, number first. */
import type { ReactNode } from "react";
import type { CacheAnswer, CacheNamespace } from "../../api/types";
import { Figure } from "../../components/Figure";
import { Money } from "../../components/Money";
import { count, plural, share } from "../../format";
import { compare, decimalsFor, isZero, sum } from "../../money";
import { fine } from "./words";

interface Props {
  answer: CacheAnswer;
}

/** As many decimals for every amount, so that they can be compared. */
function decimalsOf({ total, net }: CacheAnswer): number {
  return decimalsFor([total.saved, total.checking, total.would_save, net]);
}

function Net({ answer }: Props) {
  const { net, total, judging, embedding, warming, currency } = answer;
  const spent = sum([total.checking, judging.cost, embedding.cost, warming.cost]);
  const unpriced = total.unpriced + judging.unpriced + embedding.unpriced + warming.unpriced;
  const amount = (text: string) => <Money amount={text} decimals={decimalsOf(answer)} currency={currency} />;
  if (total.requests === 0 && isZero(spent)) return <Figure label="Saved, net" note="No request in this window">–</Figure>;
  const tone = compare(net, "0") > 0 ? "good" : compare(net, "0") < 0 ? "bad" : "";
  return (
    <Figure
      label="Saved, net"
      tone={tone}
      note={
        <>
          {amount(total.saved)} saved{isZero(spent) ? "" : <>, less {amount(spent)} for checking and warming</>}
          {unpriced === 0 ? null : <span className="warn">, {plural(unpriced, "request")} unpriced</span>}
        </>
      }
    >
      {amount(net)}
    </Figure>
  );
}

/** The measured namespace that is nearest to its promise, or beyond it. */
function worst(rows: readonly CacheNamespace[]): { name: string; wrong: number; bound: number; target: number } | null {
  const measured = rows.flatMap(({ name, standing }) => (standing === null || standing.wrong === null || standing.bound === null ? [] : [{ name, wrong: standing.wrong, bound: standing.bound, target: standing.target }]));
  return measured.sort((a, b) => b.bound / b.target - a.bound / a.target)[0] ?? null;
}

function Wrong({ answer: { namespaces, semantic } }: Props) {
  const found = worst(namespaces);
  if (found === null) {
    const why: Record<typeof semantic.state, ReactNode> = { off: "Only the semantic cache can be; it is off", away: "The semantic cache does not answer", running: "Not measured yet: too few answers compared" };
    return <Figure label="Wrong answers" note={why[semantic.state]}>–</Figure>;
  }
  return (
    <Figure
      label={namespaces.length > 1 ? `Wrong answers, at worst (${found.name})` : "Wrong answers"}
      tone={found.bound > found.target ? "bad" : ""}
      note={
        <>
          of all requests; at most <b className="figure">{fine(found.bound)}</b>, promised {fine(found.target)}
        </>
      }
    >
      <span className="figure">{fine(found.wrong)}</span>
    </Figure>
  );
}

function Would({ answer }: Props) {
  const { total, currency } = answer;
  const unpriced = total.would_unpriced === 0 ? null : <span className="warn">, {count(total.would_unpriced)} unpriced</span>;
  return (
    <Figure label="Would save more" note={total.would === 0 ? "Nothing repeated in what is only measured" : <>{plural(total.would, "request")} in shadow mode{unpriced}</>}>
      {total.would === 0 ? "–" : <Money amount={total.would_unpriced === total.would ? null : total.would_save} decimals={decimalsOf(answer)} currency={currency} />}
    </Figure>
  );
}

export function Figures({ answer }: Props) {
  const { total } = answer;
  return (
    <dl className="panel figures" aria-label="What the caches are worth">
      <Net answer={answer} />
      <Figure label="Hit rate" note={total.requests === 0 ? "No request was one for a cache" : `${plural(total.hits, "hit")} of ${plural(total.requests, "request")}`}>
        <span className="figure">{share(total.hit_rate)}</span>
      </Figure>
      <Wrong answer={answer} />
      <Would answer={answer} />
    </dl>
  );
}
