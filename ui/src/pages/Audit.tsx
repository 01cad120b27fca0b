/** Who changed what, from what, to what; and whether the log is as it was written. */
import { useEffect, useMemo, useState } from "react";
import { href } from "../api/client";
import { auditParameters, useAudit, useChain } from "../api/govern";
import type { AuditEntry, Chain } from "../api/types";
import { columnHelper } from "../columns";
import { Changes } from "../components/Changes";
import { Copy } from "../components/Copy";
import { Drawer } from "../components/Drawer";
import { Header } from "../components/Header";
import { Empty, Shown } from "../components/State";
import { CsvLink, Table } from "../components/Table";
import { count, plural } from "../format";
import { useRowKeys } from "../row-keys";
import { moment } from "../time";
import { type View, write } from "../url";
import { useQuestion, useView } from "../view";
import { Link } from "wouter";

const column = columnHelper<AuditEntry>();
const WORDS = { actor: "Who", action: "Action begins with", subject: "About" } as const;

function columnsOf(view: View) {
  return [
    column.accessor("at", { header: "Time", cell: ({ row: { original: row } }) => <Link className="figure" href={write({ ...view, open: String(row.number) })} title={row.at}>{moment(new Date(row.at), view.zone).slice(0, -3)}</Link> }),
    column.accessor("actor", { header: "Who" }),
    column.accessor("action", { header: "Action", cell: (cell) => <span className="mono">{cell.getValue()}</span> }),
    column.accessor("subject", { header: "About", cell: ({ row: { original: row } }) => <About entry={row} />, meta: { from: "small" } }),
    column.accessor((row) => row.changes.length, { id: "changes", header: "Fields", cell: ({ row: { original: row } }) => <span className="soft" title={row.changes.map((each) => each.field).join(", ")}>{row.changes.map((each) => each.field).slice(0, 4).join(", ") || "–"}</span>, meta: { from: "wide" } }),
  ];
}

/** What an entry is about, by its name where the entry tells it. */
function About({ entry: { subject, changes } }: { entry: AuditEntry }) {
  const name = changes.find(({ field }) => field === "email" || field === "name");
  const text = name?.after ?? name?.before ?? "";
  return text === "" ? <span className="mono soft">{subject}</span> : <span title={subject}>{text}</span>;
}

/** A word of the question, asked once typing pauses. */
function Word({ name }: { name: keyof typeof WORDS }) {
  const [view, change] = useView();
  const [text, setText] = useState(view[name]);
  useEffect(() => setText(view[name]), [view[name]]);
  useEffect(() => {
    if (text === view[name]) return;
    const timer = setTimeout(() => change({ [name]: text, open: "" }, { replace: true }), 300);
    return () => clearTimeout(timer);
  }, [text, view, change, name]);
  return <input className="control word" type="search" aria-label={WORDS[name]} placeholder={WORDS[name]} value={text} onChange={(event) => setText(event.target.value)} />;
}

function ChainState({ chain }: { chain: Chain }) {
  if (!chain.whole) return <p className="notice bad" role="alert"><b>The log is not as it was written.</b> Entry {chain.broken}: {chain.reason}</p>;
  return (
    <p className="soft small row wrap">
      <span className="good">Whole</span> {plural(chain.entries, "entry", "entries")}, each chained to the one before. <span className="mono" title={chain.head}>{chain.head.slice(0, 12)}…</span> <Copy text={chain.head} what="the hash of the last entry" />
    </p>
  );
}

function Entry({ entry, onClose }: { entry: AuditEntry; onClose: () => void }) {
  const [view] = useView();
  return (
    <Drawer title={entry.action} note={<>{moment(new Date(entry.at), view.zone)} by {entry.actor}</>} what="this entry" onClose={onClose}>
      <div>
        <section aria-label="Changes"><Changes changes={entry.changes} /></section>
        <dl className="pairs ids">
          <dt>number</dt><dd className="figure">{count(entry.number)}</dd>
          <dt>about</dt><dd className="mono">{entry.subject}</dd>
          <dt>hash</dt><dd className="mono">{entry.hash || "none: older than the chain"}</dd>
        </dl>
      </div>
    </Drawer>
  );
}

export function Audit() {
  const [view, change] = useView();
  const { window } = useQuestion();
  const words = { actor: view.actor, action: view.action, subject: view.subject, start: window.start.toISOString(), end: window.end.toISOString() };
  const answer = useAudit(words);
  const chain = useChain();
  const rows = useMemo(() => answer.data?.pages.flatMap((page) => page.rows) ?? [], [answer.data]);
  const open = (id: string) => change({ open: id === view.open ? "" : id }, { replace: view.open !== "" });
  const close = () => change({ open: "" });
  const { cursor } = useRowKeys({ ids: rows.map((row) => String(row.number)), current: view.open, open, close });
  const columns = useMemo(() => columnsOf(view), [view]);
  const entry = rows.find((row) => String(row.number) === view.open);
  return (
    <>
      <Header title="Audit" facts="times" />
      <div className="stack">
        <div className="words">
          {(Object.keys(WORDS) as (keyof typeof WORDS)[]).map((name) => <Word key={name} name={name} />)}
          <span className="grow" />
          <CsvLink href={href("audit.csv", auditParameters(words))} />
        </div>
        {chain.data === undefined ? null : <ChainState chain={chain.data} />}
        <section className="panel" aria-label="Audit log">
          <Shown of={{ ...answer, data: answer.data?.pages[0] }}>
            {(first) =>
              first.rows.length === 0 ? (
                <Empty title="Nothing was changed"><p>In this window, by these words.</p></Empty>
              ) : (
                <>
                  <Table caption="Audit log" rows={rows} columns={columns} idOf={(row) => String(row.number)} onOpen={(row) => open(String(row.number))} current={view.open} {...(cursor === null ? {} : { cursor })} />
                  {answer.hasNextPage ? <p className="more"><button type="button" className="button" disabled={answer.isFetchingNextPage} onClick={() => void answer.fetchNextPage()}>Load more</button></p> : <p className="more faint small">That is all of them.</p>}
                </>
              )
            }
          </Shown>
        </section>
      </div>
      {entry === undefined ? null : <Entry key={entry.number} entry={entry} onClose={close} />}
    </>
  );
}
