/** The latest semantic hits, each question beside the one whose answer it got. */
import { useCacheHits } from "../../api/govern";
import type { CacheHit, CacheHits } from "../../api/types";
import { Money } from "../../components/Money";
import { Empty, Shown } from "../../components/State";
import { decimalsFor } from "../../money";
import { moment } from "../../time";
import { useSession, useView } from "../../view";
import { SwitchOn } from "./SwitchOn";
import { Verdict } from "./Verdict";
import { compared, NAMESPACE } from "./words";

function Words({ text, other }: { text: string; other: string }) {
  return (
    <p>
      {compared(text, other).map(([words, differs], place) => (
        <span key={place}>
          {place === 0 ? "" : " "}
          {differs ? <mark>{words}</mark> : words}
        </span>
      ))}
    </p>
  );
}

function Pair({ hit }: { hit: CacheHit }) {
  const [view] = useView();
  const { currency } = useSession();
  const who = Object.entries(hit.who).map(([name, value]) => `${name} ${value}`).join(", ");
  return (
    <li>
      <div className="sides">
        <div>
          <h3>Asked</h3>
          <Words text={hit.question} other={hit.matched} />
        </div>
        <div>
          <h3>Answered as</h3>
          <Words text={hit.matched} other={hit.question} />
        </div>
      </div>
      <div className="row wrap">
        <p className="small faint figure grow">
          {moment(new Date(hit.at), view.zone)} · {hit.namespace}
          {who === "" ? "" : ` · ${who}`} · right with {(hit.probability * 100).toFixed(1)}% · similarity {hit.similarity.toFixed(3)} · saved{" "}
          <Money amount={hit.saved} decimals={decimalsFor(hit.saved === null ? [] : [hit.saved])} currency={currency} />
        </p>
        <Verdict entry={hit.entry} question={hit.question} said={hit.wrong} />
      </div>
    </li>
  );
}

function Listed({ rows, semantic }: CacheHits) {
  if (semantic.state === "off")
    return (
      <Empty title="The semantic cache is off">
        <p>It answers questions that mean the same as earlier ones. In shadow mode it answers nothing and measures how often it would be right.</p>
        <SwitchOn lines={'semantic = "shadow"'} />
      </Empty>
    );
  if (semantic.state === "away")
    return (
      <Empty title="The semantic cache does not answer">
        <p>{semantic.problem}. Requests go on without it.</p>
        <p>{semantic.remedy}.</p>
      </Empty>
    );
  if (rows.length === 0)
    return (
      <Empty title="No semantic hits yet">
        <p>The first come once enough answers were compared to keep what was promised.</p>
      </Empty>
    );
  return (
    <ol className="entries hits">
      {rows.map((hit) => (
        <Pair key={`${hit.at} ${hit.entry}`} hit={hit} />
      ))}
    </ol>
  );
}

export function Hits() {
  const [view] = useView();
  const chosen = view.where[NAMESPACE] ?? [];
  const answer = useCacheHits(chosen.length === 1 ? (chosen[0] ?? "") : "");
  return (
    <section className="panel" aria-labelledby="hits">
      <header>
        <div className="grow">
          <h2 id="hits">Recent semantic hits</h2>
          <p>Each question beside the one whose answer it got, newest first{chosen.length === 1 ? `, of ${chosen[0]}` : ""}. Marked words are only on one side.</p>
        </div>
      </header>
      <div className="body">
        <Shown of={answer}>{(shown) => <Listed {...shown} />}</Shown>
      </div>
    </section>
  );
}
