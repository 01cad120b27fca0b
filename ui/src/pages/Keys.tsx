/** Keys with which clients call the gateway: who pays, for which models, until when. */
import { useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { post, remove } from "../api/client";
import { useKeys } from "../api/queries";
import type { KeyCreated, KeyDraft, KeyView } from "../api/types";
import { Dialog } from "../components/Dialog";
import { Field, Form, textOf, wordsOf } from "../components/Form";
import { Header } from "../components/Header";
import { Icon } from "../components/Icon";
import { PARTS, ScopeFields, wholeScopeOf } from "../components/ScopeFields";
import { Once } from "../components/Once";
import { Empty, Shown } from "../components/State";
import { CsvButton, Table } from "../components/Table";
import { columnHelper } from "../columns";
import type { Columns } from "../csv";
import { plural } from "../format";
import { longDay } from "../time";
import { useMay, useSession, useView } from "../view";

const column = columnHelper<KeyView>();
const TONES = { active: "good", expired: "warn", revoked: "" };

const FILE: Columns<KeyView> = {
  id: (key) => key.id,
  name: (key) => key.name,
  hint: (key) => key.hint,
  org: (key) => key.scope.org,
  team: (key) => key.scope.team,
  project: (key) => key.scope.project,
  environment: (key) => key.scope.environment,
  feature: (key) => key.scope.feature,
  customer: (key) => key.scope.customer,
  user: (key) => key.scope.user,
  category: (key) => key.category,
  models: (key) => key.models.join(" "),
  created: (key) => key.created,
  expires: (key) => key.expires,
  revoked: (key) => key.revoked,
  state: (key) => key.state,
};

type Act = { kind: "rotate" | "revoke"; key: KeyView };

function columnsOf(zone: string, may: boolean, act: (act: Act) => void) {
  const day = (at: string | null | undefined, otherwise: string) => (at ? longDay(new Date(at), zone) : otherwise);
  return [
    column.accessor("name", { header: "Name" }),
    column.accessor("hint", { header: "Begins with", cell: (cell) => <span className="mono soft">{cell.getValue()}…</span>, meta: { from: "medium" } }),
    column.accessor((key) => Object.values(key.scope).filter((value) => value !== "").join(" / "), { id: "scope", header: "Paid by", cell: (cell) => cell.getValue() || <span className="faint">unallocated</span>, meta: { from: "medium" } }),
    column.accessor((key) => key.models.join(", "), { id: "models", header: "Models", cell: (cell) => cell.getValue() || <span className="faint">every model</span>, meta: { from: "wide" } }),
    column.accessor("category", { header: "Category", cell: (cell) => cell.getValue() || <span className="faint">as the request says</span>, meta: { from: "wide" } }),
    column.accessor("created", { header: "Created", cell: (cell) => <span className="figure">{day(cell.getValue(), "")}</span>, meta: { from: "wide" } }),
    column.accessor("expires", { header: "Expires", cell: (cell) => <span className="figure">{day(cell.getValue(), "never")}</span>, meta: { from: "medium" } }),
    column.accessor("state", { header: "State", cell: (cell) => <span className={`tag ${TONES[cell.getValue()]}`}>{cell.getValue()}</span> }),
    column.display({
      id: "act",
      header: () => <span className="hidden-text">Actions</span>,
      cell: ({ row: { original: key } }) =>
        !may || key.state !== "active" ? null : (
          <span className="row" style={{ justifyContent: "flex-end", gap: 0 }}>
            <button type="button" className="button quiet small" aria-label={`Rotate ${key.name}`} onClick={() => act({ kind: "rotate", key })}>
              Rotate
            </button>
            <button type="button" className="button quiet small" aria-label={`Revoke ${key.name}`} onClick={() => act({ kind: "revoke", key })}>
              Revoke
            </button>
          </span>
        ),
    }),
  ];
}

function draftOf(data: FormData): KeyDraft {
  const text = (name: string) => textOf(data, name);
  return { name: text("name"), scope: wholeScopeOf(data), models: wordsOf(data, "models"), category: text("category"), expires: text("expires") === "" ? null : `${text("expires")}T00:00:00Z` };
}

function NewKey({ onCreated, onCancel }: { onCreated: (created: KeyCreated) => void; onCancel: () => void }) {
  return (
    <div className="panel">
      <div className="body">
        <Form label="New key" send="Create key" onSend={(data) => post<KeyCreated>("keys", draftOf(data))} onDone={onCreated} onCancel={onCancel}>
          <div className="grid-form">
            <Field name="name" label="Name" required autoFocus />
            <Field name="models" label="Models" placeholder="every one" help="For example gpt-5-mini, smart" />
            <Field name="category" label="Category" placeholder="as the request says" help="Training, inference, research, maintenance or your own" />
            <Field name="expires" label="Expires at the start of (UTC)" type="date" />
          </div>
          <ScopeFields label="Paid by" help="A request may name what is left out here, and no other than what is named" fields={PARTS} />
        </Form>
      </div>
    </div>
  );
}

const WARNINGS = {
  rotate: "gets a new token. The present one stops working at once.",
  revoke: "stops working at once, and for good. What it was used for stays in the ledger.",
};

function Confirm({ act, onClose, onRotated }: { act: Act; onClose: () => void; onRotated: (created: KeyCreated) => void }) {
  const path = `keys/${encodeURIComponent(act.key.id)}`;
  const send = () => (act.kind === "rotate" ? post<KeyCreated>(`${path}/rotate`) : remove(path).then(() => null));
  const done = (created: KeyCreated | null) => {
    if (created !== null) onRotated(created);
    onClose();
  };
  const verb = act.kind === "rotate" ? "Rotate" : "Revoke";
  return (
    <Dialog title={`${verb} ${act.key.name}?`} onClose={onClose}>
      <p className="soft">
        {act.key.name} {WARNINGS[act.kind]}
      </p>
      <Form label={`${verb} ${act.key.name}`} send={verb} danger onSend={send} onDone={done} onCancel={onClose}>
        {null}
      </Form>
    </Dialog>
  );
}

export function Keys() {
  const answer = useKeys();
  const queries = useQueryClient();
  const [view] = useView();
  const { gateway_url } = useSession();
  const may = useMay("key.write");
  const [drafting, setDrafting] = useState(false);
  const [created, setCreated] = useState<KeyCreated | null>(null);
  const [act, setAct] = useState<Act | null>(null);
  const columns = useMemo(() => columnsOf(view.zone, may, setAct), [view.zone, may]);
  const refresh = () => {
    void queries.invalidateQueries({ queryKey: ["keys"] });
    void queries.invalidateQueries({ queryKey: ["session"] });
  };
  const show = (fresh: KeyCreated) => {
    setCreated(fresh);
    setDrafting(false);
    refresh();
  };
  const close = () => {
    setAct(null);
    refresh();
  };
  return (
    <>
      <Header title="Keys" facts={false}>
        {may ? (
          <button type="button" className="button primary" onClick={() => setDrafting(true)}>
            <Icon name="plus" /> New key
          </button>
        ) : null}
      </Header>
      <div className="stack">
        {created === null ? null : (
          <Once secret={created.token} what="the token" help={<>Give it to an SDK as its API key, with <code>{gateway_url}</code> as its base address.</>} onDone={() => setCreated(null)}>
            The token of <b>{created.key.name}</b>.
          </Once>
        )}
        {drafting ? <NewKey onCreated={show} onCancel={() => setDrafting(false)} /> : null}
        <div className="row">
          <p className="soft grow">{answer.data === undefined ? "" : `${plural(answer.data.rows.length, "key")}, ${answer.data.rows.filter((key) => key.state === "active").length} active`}</p>
          <CsvButton name="keys" columns={FILE} rows={answer.data?.rows ?? []} />
        </div>
        <section className="panel" aria-label="Keys">
          <Shown of={answer}>
            {({ rows }) =>
              rows.length === 0 ? (
                <Empty title="No keys yet">
                  <p>A key tells the gateway who pays. Create one here, or with <code>farthing key create</code>.</p>
                </Empty>
              ) : (
                <Table caption="Keys" rows={rows} columns={columns} idOf={(key) => key.id} />
              )
            }
          </Shown>
        </section>
      </div>
      {act === null ? null : <Confirm act={act} onClose={close} onRotated={show} />}
    </>
  );
}
