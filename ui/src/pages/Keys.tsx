/** Keys with which clients call the gateway: who pays, for which models, until when. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { createColumnHelper } from "@tanstack/react-table";
import { type FormEvent, useEffect, useMemo, useRef, useState } from "react";
import { ApiError, post, remove } from "../api/client";
import { useKeys } from "../api/queries";
import type { KeyCreated, KeyDraft, KeyView } from "../api/types";
import { Copy } from "../components/Copy";
import { Header } from "../components/Header";
import { Icon } from "../components/Icon";
import { Empty, Shown } from "../components/State";
import { CsvButton, Table } from "../components/Table";
import type { Columns } from "../csv";
import { plural } from "../format";
import { longDay } from "../time";
import { useSession, useView } from "../view";

const column = createColumnHelper<KeyView>();
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
  models: (key) => key.models.join(" "),
  created: (key) => key.created,
  expires: (key) => key.expires,
  revoked: (key) => key.revoked,
  state: (key) => key.state,
};

type Act = { kind: "rotate" | "revoke"; key: KeyView };

function columnsOf(zone: string, act: (act: Act) => void) {
  const day = (at: string | null | undefined, otherwise: string) => (at ? longDay(new Date(at), zone) : otherwise);
  return [
    column.accessor("name", { header: "Name" }),
    column.accessor("hint", { header: "Begins with", cell: (cell) => <span className="mono soft">{cell.getValue()}…</span>, meta: { from: "medium" } }),
    column.accessor((key) => Object.values(key.scope).filter((value) => value !== "").join(" / "), { id: "scope", header: "Paid by", cell: (cell) => cell.getValue() || <span className="faint">unallocated</span>, meta: { from: "medium" } }),
    column.accessor((key) => key.models.join(", "), { id: "models", header: "Models", cell: (cell) => cell.getValue() || <span className="faint">every model</span>, meta: { from: "wide" } }),
    column.accessor("created", { header: "Created", cell: (cell) => <span className="figure">{day(cell.getValue(), "")}</span>, meta: { from: "wide" } }),
    column.accessor("expires", { header: "Expires", cell: (cell) => <span className="figure">{day(cell.getValue(), "never")}</span>, meta: { from: "medium" } }),
    column.accessor("state", { header: "State", cell: (cell) => <span className={`tag ${TONES[cell.getValue()]}`}>{cell.getValue()}</span> }),
    column.display({
      id: "act",
      header: () => <span className="hidden-text">Actions</span>,
      cell: ({ row: { original: key } }) =>
        key.state !== "active" ? null : (
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

function Problem({ error }: { error: Error | null }) {
  if (error === null) return null;
  const remedy = error instanceof ApiError ? error.problem.remedy : "";
  return (
    <p role="alert" className="notice bad">
      {error.message} {remedy}
    </p>
  );
}

/** A token is shown this once. */
function Token({ created, onDone }: { created: KeyCreated; onDone: () => void }) {
  const { gateway_url } = useSession();
  return (
    <div className="panel" role="status">
      <div className="body stack" style={{ gap: 8 }}>
        <p>
          The token of <b>{created.key.name}</b>. It is shown this once and cannot be read again.
        </p>
        <div className="secret">
          <span className="mono grow">{created.token}</span>
          <Copy text={created.token} what="the token" />
        </div>
        <p className="soft small">
          Give it to an SDK as its API key, with <code>{gateway_url}</code> as its base address.
        </p>
        <button type="button" className="button" style={{ justifySelf: "start" }} onClick={onDone}>
          I have kept it
        </button>
      </div>
    </div>
  );
}

function draftOf(form: HTMLFormElement): KeyDraft {
  const data = new FormData(form);
  const text = (name: string) => String(data.get(name) ?? "").trim();
  const scope = { org: "", team: text("team"), project: text("project"), environment: "", feature: "", customer: "", user: "" };
  const models = text("models").split(/[\s,]+/).filter((model) => model !== "");
  return { name: text("name"), scope, models, expires: text("expires") === "" ? null : `${text("expires")}T00:00:00Z` };
}

function NewKey({ onCreated, onCancel }: { onCreated: (created: KeyCreated) => void; onCancel: () => void }) {
  const create = useMutation({ mutationFn: (draft: KeyDraft) => post<KeyCreated>("keys", draft), onSuccess: onCreated });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    create.mutate(draftOf(event.currentTarget));
  };
  return (
    <form className="panel" aria-label="New key" onSubmit={submit}>
      <div className="body stack" style={{ gap: 10 }}>
        <div className="grid-form">
          <label className="field">
            <span>Name</span>
            <input className="control" name="name" required maxLength={200} autoFocus />
          </label>
          <label className="field">
            <span>Team that pays</span>
            <input className="control" name="team" maxLength={200} />
          </label>
          <label className="field">
            <span>Project</span>
            <input className="control" name="project" maxLength={200} />
          </label>
          <label className="field">
            <span>Models, empty for every one</span>
            <input className="control" name="models" placeholder="gpt-5-mini, smart" />
          </label>
          <label className="field">
            <span>Expires at the start of (UTC)</span>
            <input className="control" name="expires" type="date" />
          </label>
        </div>
        <Problem error={create.error} />
        <div className="row">
          <button type="submit" className="button primary" disabled={create.isPending}>
            Create key
          </button>
          <button type="button" className="button quiet" onClick={onCancel}>
            Cancel
          </button>
        </div>
      </div>
    </form>
  );
}

const WARNINGS = {
  rotate: "gets a new token. The present one stops working at once.",
  revoke: "stops working at once, and for good. What it was used for stays in the ledger.",
};

function Confirm({ act, onClose, onRotated }: { act: Act; onClose: () => void; onRotated: (created: KeyCreated) => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  const path = `keys/${encodeURIComponent(act.key.id)}`;
  const change = useMutation({
    mutationFn: () => (act.kind === "rotate" ? post<KeyCreated>(`${path}/rotate`) : remove(path).then(() => null)),
    onSuccess: (created) => {
      if (created !== null) onRotated(created);
      onClose();
    },
  });
  const verb = act.kind === "rotate" ? "Rotate" : "Revoke";
  return (
    <dialog ref={dialog} className="confirm" aria-labelledby="confirm-title" onClose={onClose}>
      <div>
        <h2 id="confirm-title">
          {verb} {act.key.name}?
        </h2>
        <p className="soft">
          {act.key.name} {WARNINGS[act.kind]}
        </p>
        <Problem error={change.error} />
        <menu>
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button type="button" className="button danger" disabled={change.isPending} onClick={() => change.mutate()}>
            {verb}
          </button>
        </menu>
      </div>
    </dialog>
  );
}

export function Keys() {
  const answer = useKeys();
  const queries = useQueryClient();
  const [view] = useView();
  const [drafting, setDrafting] = useState(false);
  const [created, setCreated] = useState<KeyCreated | null>(null);
  const [act, setAct] = useState<Act | null>(null);
  const columns = useMemo(() => columnsOf(view.zone, setAct), [view.zone]);
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
        <button type="button" className="button primary" onClick={() => setDrafting(true)}>
          <Icon name="plus" /> New key
        </button>
      </Header>
      <div className="stack">
        {created === null ? null : <Token created={created} onDone={() => setCreated(null)} />}
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
