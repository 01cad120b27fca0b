/** What waits for somebody's yes, and what became of it. */
import { useMemo } from "react";
import { Link, useLocation } from "wouter";
import { useApprovals, useRules } from "../api/govern";
import type { Approval, RulesAnswer } from "../api/types";
import { columnHelper } from "../columns";
import { Header } from "../components/Header";
import { Icon } from "../components/Icon";
import { Money } from "../components/Money";
import { Empty, Shown } from "../components/State";
import { CsvButton, Frame, Table } from "../components/Table";
import type { Columns } from "../csv";
import { money } from "../money";
import { useRowKeys } from "../row-keys";
import { useLinkTo, useMay, useNow, useView } from "../view";
import { leftOf, StateTag } from "./approvals/words";

const column = columnHelper<Approval>();
const ACTS: Readonly<Record<string, string>> = { spend: "spend", plan: "begin a plan", "key.create": "make a key", "limit.change": "change a limit", "limit.raise": "raise a limit", "limit.remove": "remove a limit" };
const SHOWS = { "": "Waiting for me", mine: "Asked by me", all: "All" };

const FILE: Columns<Approval> = {
  id: (row) => row.id,
  action: (row) => row.action,
  subject: (row) => row.subject,
  summary: (row) => row.summary,
  category: (row) => row.category,
  amount: (row) => row.amount,
  state: (row) => row.state,
  duties: (row) => row.duties.join(" "),
  yes: (row) => row.yes,
  wanted: (row) => row.wanted,
  asked_by: (row) => row.asked_by,
  asked: (row) => row.asked,
  expires: (row) => row.expires,
};

function columnsOf(now: Date, address: (row: Approval) => string) {
  return [
    column.accessor("summary", { header: "What", cell: ({ row: { original: row } }) => <Link href={address(row)} title={row.summary}>{row.summary}</Link>, meta: { wrap: true } }),
    column.accessor("amount", { header: "Amount", cell: ({ row: { original: row } }) => (row.amount === null ? <span className="faint">–</span> : <Money amount={row.amount} />), meta: { number: true } }),
    column.accessor("asked_by", { header: "Asked by", meta: { from: "medium" } }),
    column.accessor((row) => row.duties.join(" or "), { id: "duties", header: "Who agrees", cell: (cell) => cell.getValue() || <span className="faint">nobody has to</span>, meta: { from: "wide" } }),
    column.accessor("yes", { header: "Yes", cell: ({ row: { original: row } }) => <span className="figure">{row.yes} of {row.wanted}</span>, meta: { from: "small" } }),
    column.accessor("expires", { header: "Expires", cell: ({ row: { original: row } }) => <span className="figure soft">{leftOf(row, now) || "–"}</span>, meta: { from: "medium" } }),
    column.accessor("state", { header: "State", cell: (cell) => <StateTag state={cell.getValue()} /> }),
  ];
}

/** Who has to agree to what. */
function Rules({ rules }: { rules: RulesAnswer }) {
  return (
    <section className="panel" aria-labelledby="rules">
      <header>
        <div className="grow">
          <h2 id="rules">Who has to agree</h2>
          <p>
            To {rules.acts.map((act) => ACTS[act] ?? act).join(", ")}. A question waits {rules.expire_hours} hours. {rules.four_eyes ? `Somebody else always agrees; from ${money(rules.four_eyes_from, 0)} two people.` : "Whoever holds the duty need not ask."}
          </p>
        </div>
      </header>
      <div className="body">
        <Frame caption="Who has to agree to what">
          <table className="plain rules">
            <caption className="hidden-text">Who has to agree to what</caption>
            <tbody>
              {rules.rules.map((rule) => (
                <tr key={`${rule.category} ${rule.duty}`}>
                  <td>{rule.category === "*" ? "anything else" : rule.category}</td>
                  <td className="number">from {money(rule.least, 0)} a month</td>
                  <td className="offer">{rule.duty}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Frame>
      </div>
    </section>
  );
}

export function Approvals() {
  const [view, change] = useView();
  const [, navigate] = useLocation();
  const linkTo = useLinkTo();
  const now = useNow();
  const answer = useApprovals(view.show);
  const may = useMay("approval.ask");
  const rows = answer.data?.rows ?? [];
  const address = (row: Approval) => linkTo(`/approvals/${row.id}`);
  const { cursor } = useRowKeys({ ids: rows.map((row) => row.id), current: "", open: (id) => navigate(linkTo(`/approvals/${id}`)), close: () => undefined });
  const columns = useMemo(() => columnsOf(now, address), [now, view]);
  return (
    <>
      <Header title="Approvals" facts={false}>
        {may ? (
          <Link className="button primary" href={linkTo("/approvals/new")}>
            <Icon name="plus" /> Ask
          </Link>
        ) : null}
      </Header>
      <div className="stack">
        <div className="row wrap">
          <div className="tabs grow" role="group" aria-label="Which">
            {Object.entries(SHOWS).map(([show, words]) => (
              <button key={show} type="button" className="button quiet" aria-pressed={show === view.show} onClick={() => change({ show })}>
                {words}
                {show === "" && answer.data !== undefined && answer.data.waiting > 0 ? <span className="figure warn">{answer.data.waiting}</span> : null}
              </button>
            ))}
          </div>
          <CsvButton name="approvals" columns={FILE} rows={rows} />
        </div>
        <section className="panel" aria-label="Approvals">
          <Shown of={answer}>
            {(shown) =>
              shown.rows.length === 0 ? (
                <Empty title={view.show === "" ? "Nothing waits for you" : view.show === "mine" ? "You have asked for nothing" : "Nobody has asked for anything"}>
                  <p>What costs more than the rules below let pass comes here first.</p>
                </Empty>
              ) : (
                <Table caption="Approvals" rows={shown.rows} columns={columns} idOf={(row) => row.id} onOpen={(row) => navigate(address(row))} {...(cursor === null ? {} : { cursor })} />
              )
            }
          </Shown>
        </section>
        <Shown of={useRules()}>{(rules) => <Rules rules={rules} />}</Shown>
      </div>
    </>
  );
}
