/** What the caches save, how often they are wrong, and what they answered with what. */
import { useCache } from "../api/govern";
import type { CacheAnswer } from "../api/types";
import { Filters } from "../components/Filters";
import { Header } from "../components/Header";
import { Empty, Shown } from "../components/State";
import { plural } from "../format";
import { useMay, useQuestion, useView } from "../view";
import { Figures } from "./cache/Figures";
import { Hits } from "./cache/Hits";
import { Kinds } from "./cache/Kinds";
import { Namespaces } from "./cache/Namespaces";
import { Purge } from "./cache/Purge";
import { SwitchOn } from "./cache/SwitchOn";
import { OverviewOutline } from "./overview/Outline";

function Nothing() {
  const [view, change] = useView();
  const narrowed = Object.keys(view.where).length > 0;
  return (
    <section className="panel">
      <Empty title={narrowed ? "No cache looked at a request that fits" : "No cache looked at a request in this window"}>
        {narrowed ? (
          <button type="button" className="button" onClick={() => change({ where: {} })}>
            Clear filters
          </button>
        ) : (
          <>
            <p>Repeated requests are counted here as soon as there are any. To answer them without paying again:</p>
            <SwitchOn lines={'exact = "on"'} />
          </>
        )}
      </Empty>
    </section>
  );
}

/** Only measured so far: how to have it answer. */
function Shadow({ answer: { namespaces, total } }: { answer: CacheAnswer }) {
  if (total.would === 0 || namespaces.some(({ exact, semantic, embeddings }) => [exact, semantic, embeddings].includes("on"))) return null;
  return (
    <div className="notice info">
      <span>
        <b>The caches only measure so far.</b> To answer repeated requests from them:
      </span>
      <SwitchOn lines={'exact = "on"'} />
    </div>
  );
}

function Body({ answer }: { answer: CacheAnswer }) {
  const { semantic } = answer;
  return (
    <div className="stack">
      {semantic.state === "away" ? (
        <p className="notice" role="alert">
          <b>{semantic.problem}.</b> Requests go on without it. {semantic.remedy}.
        </p>
      ) : null}
      <Shadow answer={answer} />
      <Figures answer={answer} />
      {answer.empty ? <Nothing /> : <Kinds answer={answer} />}
      <Namespaces answer={answer} />
    </div>
  );
}

export function Cache() {
  const { filtered } = useQuestion();
  const answer = useCache(filtered);
  const [view, change] = useView();
  const may = useMay("cache.write");
  const { data } = answer;
  return (
    <>
      <Header title="Cache" />
      <div className="stack">
        <div className="row wrap">
          <div className="grow">
            <Filters {...(data === undefined ? {} : { lead: plural(data.total.requests, "request") })} />
          </div>
          {may ? (
            <button type="button" className="button" onClick={() => change({ show: "purge" })}>
              Forget answers…
            </button>
          ) : null}
        </div>
        <Shown of={answer} outline={<OverviewOutline />}>
          {(shown) => <Body answer={shown} />}
        </Shown>
        <Hits />
      </div>
      {may && view.show === "purge" ? <Purge names={data?.namespaces.map(({ name }) => name) ?? []} onClose={() => change({ show: "" }, { replace: true })} /> : null}
    </>
  );
}
