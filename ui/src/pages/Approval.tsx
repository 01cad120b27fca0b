/** One question: what is asked, what would change, who has said what, and what the reader may do. */
import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { Link } from "wouter";
import { post } from "../api/client";
import { useApproval, useRefresh } from "../api/govern";
import type { Approval as Answer, Collected } from "../api/types";
import { Changes } from "../components/Changes";
import { Field, Refusal } from "../components/Form";
import { Header } from "../components/Header";
import { Money } from "../components/Money";
import { Once } from "../components/Once";
import { Shown } from "../components/State";
import { moment } from "../time";
import { useLinkTo, useNow, useView } from "../view";
import { leftOf, StateTag } from "./approvals/words";

function Facts({ approval }: { approval: Answer }) {
  const [{ zone }] = useView();
  const now = useNow();
  const when = (at: string) => moment(new Date(at), zone).slice(0, -3);
  const left = leftOf(approval, now);
  return (
    <dl className="figures panel" aria-label="In short">
      <div className="figure-cell">
        <dt>Amount</dt>
        <dd className="big">{approval.amount === null ? "–" : <Money amount={approval.amount} />}</dd>
        <dd className="note">{approval.category || "any category"}</dd>
      </div>
      <div className="figure-cell">
        <dt>Agreed</dt>
        <dd className="big figure">{approval.yes} of {approval.wanted}</dd>
        <dd className="note">{approval.duties.length === 0 ? "nobody has to" : approval.duties.join(" or ")}</dd>
      </div>
      <div className="figure-cell">
        <dt>State</dt>
        <dd className="big">{approval.state}</dd>
        <dd className="note">{approval.closed === null ? "" : when(approval.closed)}</dd>
      </div>
      <div className="figure-cell">
        <dt>Expires</dt>
        <dd className="big figure">{left || "–"}</dd>
        <dd className="note">{left === "" ? "" : when(approval.expires)}</dd>
      </div>
    </dl>
  );
}

function Votes({ approval }: { approval: Answer }) {
  const [{ zone }] = useView();
  return (
    <section className="panel" aria-labelledby="votes">
      <header><h2 id="votes">Who said what</h2></header>
      <div className="body">
        <ol className="entries">
          <li>
            <p><b>{approval.asked_by}</b> asked <span className="faint small figure">{moment(new Date(approval.asked), zone).slice(0, -3)}</span></p>
            <p className="soft small">{approval.reason}</p>
          </li>
          {approval.votes.map((vote) => (
            <li key={vote.name}>
              <p><b>{vote.name}</b> <span className={vote.verdict === "approve" ? "good" : "bad"}>{vote.verdict === "approve" ? "agreed" : "said no"}</span> <span className="faint small figure">{moment(new Date(vote.at), zone).slice(0, -3)}</span></p>
              {vote.comment === "" ? null : <p className="soft">{vote.comment}</p>}
            </li>
          ))}
        </ol>
      </div>
    </section>
  );
}

function Result({ collected }: { collected: Collected }) {
  const { token, ...rest } = collected.result;
  if (typeof token === "string") return <Once secret={token} what="the token">It is done: the token of <b>{collected.approval.subject}</b>.</Once>;
  return <p className="notice info">It is done. <span className="mono">{JSON.stringify(rest)}</span></p>;
}

function Actions({ approval }: { approval: Answer }) {
  const [comment, setComment] = useState("");
  const refresh = useRefresh();
  const path = `approvals/${encodeURIComponent(approval.id)}`;
  const done = () => refresh("approvals", "budgets", "keys");
  const vote = useMutation({ mutationFn: (verdict: "approve" | "deny") => post<Answer>(`${path}/vote`, { verdict, comment }), onSuccess: done });
  const withdraw = useMutation({ mutationFn: () => post<Answer>(`${path}/withdraw`), onSuccess: done });
  const collect = useMutation({ mutationFn: () => post<Collected>(`${path}/collect`), onSuccess: done });
  const can = (what: Answer["can"][number]) => approval.can.includes(what);
  const pending = vote.isPending || withdraw.isPending || collect.isPending;
  return (
    <>
      {collect.data === undefined ? null : <Result collected={collect.data} />}
      {approval.can.length === 0 ? (approval.state === "pending" && approval.why_not !== "" ? <p className="soft">{approval.why_not}</p> : null) : (
        <div className="panel">
          <div className="body stack" style={{ gap: 10 }}>
            {can("vote") ? <Field name="comment" label="Comment" maxLength={2000} value={comment} onChange={(event) => setComment(event.target.value)} /> : null}
            <Refusal error={vote.error ?? withdraw.error ?? collect.error} />
            <div className="row wrap">
              {can("vote") ? (
                <>
                  <button type="button" className="button primary" disabled={pending} onClick={() => vote.mutate("approve")}>Agree</button>
                  <button type="button" className="button danger" disabled={pending} onClick={() => vote.mutate("deny")}>Say no</button>
                </>
              ) : null}
              {can("collect") ? <button type="button" className="button primary" disabled={pending} onClick={() => collect.mutate()}>Have it done and pick it up</button> : null}
              {can("withdraw") ? <button type="button" className="button quiet" disabled={pending} onClick={() => withdraw.mutate()}>Withdraw</button> : null}
            </div>
          </div>
        </div>
      )}
    </>
  );
}

export function Approval({ id }: { id: string }) {
  const answer = useApproval(id);
  const linkTo = useLinkTo();
  return (
    <>
      <Header title="Approval" facts={false}>
        <Link className="button" href={linkTo("/approvals")}>All approvals</Link>
      </Header>
      <Shown of={answer}>
        {(approval) => (
          <div className="stack">
            <p className="row wrap"><b className="lead">{approval.summary}</b> <StateTag state={approval.state} /> {approval.action.startsWith("limit.") ? <Link href={linkTo("/budgets", { open: approval.subject })}>How this limit stands</Link> : null}</p>
            <Facts approval={approval} />
            <Actions approval={approval} />
            <div className="pair">
              <section className="panel" aria-labelledby="changes">
                <header><h2 id="changes">Before and after</h2></header>
                <div className="body"><Changes changes={approval.changes} /></div>
              </section>
              <Votes approval={approval} />
            </div>
          </div>
        )}
      </Shown>
    </>
  );
}
