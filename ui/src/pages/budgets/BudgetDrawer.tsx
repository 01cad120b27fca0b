/** One limit: how it stands, where it leads, who used it, what it refused, and who changed it. */
import { type ReactNode, useState } from "react";
import { Link } from "wouter";
import { remove } from "../../api/client";
import { useAudit, useBudget, useRefresh } from "../../api/govern";
import type { BudgetDetail, Limit, Pot } from "../../api/types";
import { Changes } from "../../components/Changes";
import { Dialog } from "../../components/Dialog";
import { Drawer } from "../../components/Drawer";
import { Form } from "../../components/Form";
import { Quantity } from "../../components/Quantity";
import { Shown } from "../../components/State";
import { count, plural } from "../../format";
import { hasDays, percent, quantity, refusedOf, requestsOf, said, unitOf } from "../../limits";
import { decimalsFor, isZero, roundDecimals } from "../../money";
import { useNames } from "../../names";
import { longDay, moment } from "../../time";
import { useLinkTo, useMay, useNow, useView } from "../../view";
import { Burn } from "./Burn";
import { BurnUp } from "./BurnUp";
import { ChangeBudget } from "./BudgetForm";
import { soon, StatusWord } from "./columns";
import { ScopeChips } from "./Scope";
import { Notices } from "./Told";

function Figures({ limit, pot }: { limit: Limit; pot: Pot }) {
  const unit = unitOf(limit);
  const [{ zone }] = useView();
  const now = useNow();
  const decimals = decimalsFor([pot.amount]);
  const round = roundDecimals(pot.forecast?.high ?? pot.amount);
  return (
    <>
      <dl className="figures small-figures">
        <div className="figure-cell">
          <dt>Used</dt>
          <dd className="big"><Quantity amount={pot.used} unit={unit} decimals={decimals} /></dd>
          <dd className="note">{percent(pot.percent)}{pot.elapsed === null ? "" : ` after ${percent(pot.elapsed)} of the time`}</dd>
        </div>
        <div className="figure-cell">
          <dt>Left</dt>
          <dd className="big"><Quantity amount={pot.left} unit={unit} decimals={decimals} /></dd>
          <dd className="note">{pot.exhausted === null ? (pot.window.end === null || pot.window.end === undefined ? "" : `until ${soon(pot.window.end, zone, now)}`) : `${pot.status === "over" ? "used up since" : "lasts until"} ${soon(pot.exhausted, zone, now)}`}</dd>
        </div>
        <div className="figure-cell">
          <dt>Heads for</dt>
          <dd className="big">{pot.forecast === null ? "–" : <Quantity amount={pot.forecast.mid} unit={unit} decimals={round} />}</dd>
          <dd className="note">{pot.forecast === null ? pot.note : `${quantity(pot.forecast.low, unit, round)} – ${quantity(pot.forecast.high, unit, round)}, 80 % range`}</dd>
        </div>
      </dl>
      <Burn limit={limit} pot={pot} />
    </>
  );
}

/** What the limit counted, beside what the ledger says of the same requests. */
function Books({ limit, pot }: { limit: Limit; pot: Pot }) {
  const unit = unitOf(limit);
  const shown = (amount: string) => <Quantity amount={amount} unit={unit} decimals={decimalsFor([pot.amount])} />;
  const pairs: [string, ReactNode][] = [["Counted", shown(pot.used)]];
  if (!isZero(pot.seeded)) pairs.push(["of it before it was set", shown(pot.seeded)]);
  if (!isZero(pot.doubt)) pairs.push(["of it in doubt", <span title="Charged at the worst case: nobody knows what the provider billed">{shown(pot.doubt)}</span>]);
  if (!isZero(pot.held)) pairs.push(["Held for requests", shown(pot.held)]);
  if (pot.ledger !== null) {
    const { amount, drift, reconciled, requests, unpriced_requests } = pot.ledger;
    pairs.push(["In the ledger", <>{shown(amount)} <span className="soft">of {plural(requests, "request")}</span></>]);
    if (unpriced_requests > 0) pairs.push(["Unpriced", <span className="warn">{plural(unpriced_requests, "request")}, in no amount</span>]);
    if (drift !== null) pairs.push(["Difference", reconciled ? <span className="good">none</span> : <><Quantity amount={drift} unit={unit} decimals={6} /> <span className="soft">facts land a second or two later</span></>]);
  }
  return (
    <section aria-labelledby="books">
      <h3 id="books">Counted and booked</h3>
      <dl className="pairs wider">
        {pairs.map(([name, value]) => [<dt key={name}>{name}</dt>, <dd key={`${name} value`}>{value}</dd>])}
      </dl>
    </section>
  );
}

function Pots({ limit, pots, matching, chosen, choose }: { limit: Limit; pots: readonly Pot[]; matching: number; chosen: Pot; choose: (pot: Pot) => void }) {
  const nameOf = useNames();
  return (
    <section aria-labelledby="pots">
      <h3 id="pots">{plural(matching, "share")}, the fullest first</h3>
      <table className="plain">
        <caption className="hidden-text">Shares of this limit</caption>
        <tbody>
          {pots.map((pot) => (
            <tr key={Object.values(pot.subject).join(" ")} className="opens" data-chosen={pot === chosen} onClick={() => choose(pot)}>
              <td>
                <button type="button" className="opener" aria-pressed={pot === chosen} title={Object.values(pot.subject).join(", ")}>
                  {Object.entries(pot.subject).map(([field, value]) => nameOf(field, value)).join(", ") || "everybody"}
                </button>
              </td>
              <td><Burn limit={limit} pot={pot} /></td>
              <td className="number">{percent(pot.percent)}</td>
              <td className="number"><Quantity amount={pot.used} unit={unitOf(limit)} decimals={decimalsFor([pot.amount])} /></td>
              <td><StatusWord status={pot.status} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Spenders({ detail: { breakdowns, budget } }: { detail: BudgetDetail }) {
  const [by, setBy] = useState(breakdowns[0]?.by ?? "");
  const shown = breakdowns.find((breakdown) => breakdown.by === by) ?? breakdowns[0];
  const nameOf = useNames();
  const unit = unitOf(budget.limit);
  if (shown === undefined || shown.rows.length === 0) return null;
  return (
    <section aria-labelledby="spenders">
      <h3 id="spenders" className="row">
        <span className="grow">Used by</span>
        <select className="control small" aria-label="Used by" value={shown.by} onChange={(event) => setBy(event.target.value)}>
          {breakdowns.map((breakdown) => (
            <option key={breakdown.by}>{breakdown.by}</option>
          ))}
        </select>
      </h3>
      <table className="plain">
        <caption className="hidden-text">Used by {shown.by}</caption>
        <thead>
          <tr>
            <th scope="col">{shown.by}</th>
            <th scope="col" className="number" colSpan={2}>Share</th>
            {unit === "requests" ? null : <th scope="col" className="number">Requests</th>}
            <th scope="col" className="number">{unit === "USD" ? "Cost" : unit}</th>
          </tr>
        </thead>
        <tbody>
          {shown.rows.map((row) => (
            <tr key={row.key}>
              <td className={row.key === "" ? "soft" : ""} title={row.key}>{nameOf(shown.by, row.key)}</td>
              <td><span className="bar" aria-hidden="true"><i style={{ width: `${Math.min(100, Number(row.percent))}%` }} /></span></td>
              <td className="number soft">{percent(row.percent)}</td>
              {unit === "requests" ? null : <td className="number">{count(row.requests)}</td>}
              <td className="number"><Quantity amount={row.amount} unit={unit} decimals={decimalsFor(shown.rows.map((each) => each.amount))} /></td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** Between which days a limit that exists once counts. */
function betweenOf({ window: { start, end }, zone }: Limit): string {
  const words = [];
  if (start) words.push(`from ${longDay(new Date(start), zone)}`);
  if (end) words.push(`until ${longDay(new Date(Date.parse(end) - 1), zone)}, this day included`);
  return words.join(" ");
}

function Settings({ limit, pot }: { limit: Limit; pot: Pot | undefined }) {
  const [{ zone }] = useView();
  const linkTo = useLinkTo();
  const now = useNow();
  return (
    <section aria-labelledby="settings">
      <h3 id="settings">How it works</h3>
      <dl className="pairs wider">
        <dt>About</dt>
        <dd><ScopeChips scope={limit.scope} subject={pot?.subject ?? {}} /></dd>
        {limit.per !== "once" || (limit.window.start === null && limit.window.end === null) ? null : [<dt key="window">Counts</dt>, <dd key="window of">{betweenOf(limit)}</dd>]}
        <dt>What does not fit</dt>
        <dd>{!limit.hard ? "passes, and is counted" : limit.cap_output && limit.measure !== "requests" ? "is shortened to what is left, then refused" : "is refused"}</dd>
        <dt>Unpriced models</dt>
        <dd>{limit.unpriced.length > 0 ? <span className="mono">{limit.unpriced.join(", ")}</span> : limit.hard && limit.measure === "cost" ? "are refused" : "pass"}</dd>
        <dt>Tells at</dt>
        <dd className="figure">{[...limit.warn_at.map((at) => `${at} %`), ...(pot?.day ? [`${limit.warn_day_at} % of a day’s share`] : [])].join(", ")}</dd>
        {limit.rolling || !hasDays(limit.per) ? null : [<dt key="zone">Days begin in</dt>, <dd key="zone of">{limit.zone}</dd>]}
        <dt>Requests</dt>
        <dd>
          <Link href={linkTo("/requests", requestsOf(limit, pot, zone, now))}>Those it is about</Link>
          {pot === undefined || pot.refused === 0 ? <span className="soft">, none refused</span> : <>, <Link href={linkTo("/requests", refusedOf(limit, pot, zone, now))}>{plural(pot.refused, "refused", "refused")}</Link></>}
        </dd>
      </dl>
    </section>
  );
}

function History({ id }: { id: string }) {
  const may = useMay("audit.read");
  const [{ zone }] = useView();
  const answer = useAudit({ subject: id, action: "limit." }, may);
  const rows = answer.data?.pages[0]?.rows ?? [];
  if (rows.length === 0) return null;
  return (
    <section aria-labelledby="history">
      <h3 id="history">Changes</h3>
      <ol className="entries">
        {rows.slice(0, 10).map((entry) => (
          <li key={entry.number}>
            <p className="small">
              <b>{entry.action}</b> by {entry.actor} <span className="faint figure">{moment(new Date(entry.at), zone).slice(0, -3)}</span>
            </p>
            {entry.before === null ? null : <Changes changes={entry.changes} />}
          </li>
        ))}
      </ol>
    </section>
  );
}

function Removal({ limit, onClose, onDone }: { limit: Limit; onClose: () => void; onDone: () => void }) {
  return (
    <Dialog title={`Remove ${limit.name}?`} onClose={onClose}>
      <p className="soft">What it held back may then be spent. What was counted stays in the ledger.</p>
      <Form label={`Remove ${limit.name}`} send="Remove" danger onSend={() => remove(`budgets/${encodeURIComponent(limit.id)}`)} onDone={onDone} onCancel={onClose}>
        {null}
      </Form>
    </Dialog>
  );
}

function Actions({ limit, onGone }: { limit: Limit; onGone: () => void }) {
  const [act, setAct] = useState<"" | "change" | "remove">("");
  const refresh = useRefresh();
  const linkTo = useLinkTo();
  const may = useMay("limit.write");
  const done = () => {
    setAct("");
    refresh("budgets");
  };
  if (!may) return null;
  if (act === "change") return <ChangeBudget limit={limit} onDone={done} onCancel={() => setAct("")} />;
  return (
    <div className="row wrap">
      <button type="button" className="button" onClick={() => setAct("change")}>
        Change
      </button>
      <Link className="button" href={`${linkTo("/approvals/new")}${linkTo("").includes("?") ? "&" : "?"}limit=${encodeURIComponent(limit.id)}`}>
        Ask for more
      </Link>
      <button type="button" className="button quiet danger" onClick={() => setAct("remove")}>
        Remove
      </button>
      {act === "remove" ? (
        <Removal
          limit={limit}
          onClose={() => setAct("")}
          onDone={() => {
            onGone();
            refresh("budgets");
          }}
        />
      ) : null}
    </div>
  );
}

function Body({ detail, onGone }: { detail: BudgetDetail; onGone: () => void }) {
  const { limit, pots, pots_matching } = detail.budget;
  const [subject, setSubject] = useState("");
  const pot = pots.find((each) => JSON.stringify(each.subject) === subject) ?? pots[0];
  return (
    <>
      <Actions limit={limit} onGone={onGone} />
      {pot === undefined ? <p className="soft">Nobody has used it in this span.</p> : <Figures limit={limit} pot={pot} />}
      {pots.length > 1 && pot !== undefined ? <Pots limit={limit} pots={pots} matching={pots_matching} chosen={pot} choose={(next) => setSubject(JSON.stringify(next.subject))} /> : null}
      {pot === undefined ? null : <BurnUp key={JSON.stringify(pot.subject)} limit={limit} pot={pot} />}
      <Spenders detail={detail} />
      {pot === undefined ? null : <Books limit={limit} pot={pot} />}
      <Settings limit={limit} pot={pot} />
      {detail.notices.length === 0 ? null : (
        <section aria-labelledby="notices">
          <h3 id="notices">Notices</h3>
          <Notices rows={detail.notices} />
        </section>
      )}
      <History id={limit.id} />
    </>
  );
}

export function BudgetDrawer({ id, onClose }: { id: string; onClose: () => void }) {
  const answer = useBudget(id);
  const budget = answer.data?.budget;
  const note = budget === undefined ? null : <>{said(budget.limit)} {budget.limit.hard ? null : <span className="tag">soft</span>} <StatusWord status={budget.status} /></>;
  return (
    <Drawer title={budget?.limit.name ?? "Limit"} note={note} what="this limit" onClose={onClose}>
      <Shown of={answer}>{(detail) => <Body detail={detail} onGone={onClose} />}</Shown>
    </Drawer>
  );
}
