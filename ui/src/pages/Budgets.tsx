/** Budgets and quotas: how much is used, what will not last, who was told. */
import { useMemo, useState } from "react";
import { href } from "../api/client";
import { useBudgets, useNotices, useRefresh } from "../api/govern";
import type { Budget, BudgetsAnswer, Limit } from "../api/types";
import { Header } from "../components/Header";
import { Icon } from "../components/Icon";
import { Bone, Empty, Rows, Shown } from "../components/State";
import { CsvLink, Table } from "../components/Table";
import { plural } from "../format";
import { useRowKeys } from "../row-keys";
import { useMay, useNow, useView } from "../view";
import { BudgetDrawer } from "./budgets/BudgetDrawer";
import { NewBudget } from "./budgets/BudgetForm";
import { columnsOf } from "./budgets/columns";
import { Split } from "./budgets/Split";
import { Summary } from "./budgets/Summary";
import { Told } from "./budgets/Told";

interface ListProps {
  id: string;
  title: string;
  note: string;
  rows: readonly Budget[];
  open: (id: string) => void;
  cursor: string | null;
}

function List({ id, title, note, rows, open, cursor }: ListProps) {
  const [view] = useView();
  const now = useNow();
  const columns = useMemo(() => columnsOf(view, now), [view, now]);
  if (rows.length === 0) return null;
  return (
    <section className="panel" aria-labelledby={id}>
      <header>
        <div className="grow">
          <h2 id={id}>{title}</h2>
          <p>{note}</p>
        </div>
        <CsvLink href={href("budgets.csv")} />
      </header>
      <Table caption={title} rows={rows} columns={columns} idOf={(row) => row.limit.id} onOpen={(row) => open(row.limit.id)} current={view.open} sortable {...(cursor === null ? {} : { cursor })} />
    </section>
  );
}

function Nothing() {
  return (
    <section className="panel">
      <Empty title="Nothing is limited yet">
        <p>A budget bounds what a team, a user or a key may spend; a quota bounds requests or tokens. Set one here, or with <code>farthing budget set</code>.</p>
      </Empty>
    </section>
  );
}

function Lists({ answer }: { answer: BudgetsAnswer }) {
  const [view, change] = useView();
  const open = (id: string) => change({ open: id === view.open ? "" : id }, { replace: view.open !== "" });
  const close = () => change({ open: "" });
  const budgets = answer.rows.filter((row) => row.limit.measure === "cost");
  const quotas = answer.rows.filter((row) => row.limit.measure !== "cost");
  const { cursor } = useRowKeys({ ids: [...budgets, ...quotas].map((row) => row.limit.id), current: view.open, open, close });
  if (answer.rows.length === 0) return <Nothing />;
  return (
    <>
      <Summary answer={answer} />
      <List id="budgets" title="Budgets" note={`${plural(budgets.length, "budget")} in dollars. Marks on the bars: where a notice is sent.`} rows={budgets} open={open} cursor={cursor} />
      <List id="quotas" title="Quotas" note="Requests, tokens, and requests at a time." rows={quotas} open={open} cursor={cursor} />
    </>
  );
}

function BudgetsOutline() {
  return (
    <div className="stack outline">
      <div className="panel figures">
        {[0, 1, 2, 3].map((cell) => (
          <div key={cell} className="figure-cell">
            <Bone width={110} />
            <Bone width={90} height={22} />
          </div>
        ))}
      </div>
      <div className="panel">
        <Rows rows={8} />
      </div>
    </div>
  );
}

export function Budgets() {
  const answer = useBudgets();
  const notices = useNotices();
  const refresh = useRefresh();
  const [view, change] = useView();
  const [drafting, setDrafting] = useState(false);
  const may = useMay("limit.write");
  const made = (limit: Limit) => {
    setDrafting(false);
    refresh("budgets");
    change({ open: limit.id });
  };
  return (
    <>
      <Header title="Budgets" facts={false}>
        {may ? (
          <button type="button" className="button primary" onClick={() => setDrafting(true)}>
            <Icon name="plus" /> New limit
          </button>
        ) : null}
      </Header>
      <div className="stack">
        {drafting ? <NewBudget onMade={made} onCancel={() => setDrafting(false)} /> : null}
        <Shown of={answer} outline={<BudgetsOutline />}>
          {(shown) => (
            <div className="stack">
              <Lists answer={shown} />
              <div className="pair">
                <Split rows={shown.rows} onMade={() => refresh("budgets")} />
                <Shown of={notices}>{(told) => <Told answer={told} />}</Shown>
              </div>
            </div>
          )}
        </Shown>
      </div>
      {view.open === "" ? null : <BudgetDrawer key={view.open} id={view.open} onClose={() => change({ open: "" })} />}
    </>
  );
}
