/** People and programs that may use this control plane: their roles, tenants, duties and sessions. */
import { useMutation } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Link } from "wouter";
import { post, remove } from "../api/client";
import { usePeople, useRefresh, useSessionsOf } from "../api/govern";
import type { Person, PersonCreated, PersonDraft, PersonSession, TokenCreated } from "../api/types";
import { columnHelper } from "../columns";
import { Drawer } from "../components/Drawer";
import { Choice, Field, Form, Refusal, textOf, wordsOf } from "../components/Form";
import { Header } from "../components/Header";
import { Icon } from "../components/Icon";
import { Once } from "../components/Once";
import { PARTS, ScopeFields, wholeScopeOf } from "../components/ScopeFields";
import { Shown } from "../components/State";
import { CsvButton, Table } from "../components/Table";
import type { Columns } from "../csv";
import { plural } from "../format";
import { tenantOf } from "../pages";
import { useRowKeys } from "../row-keys";
import { longDay, moment } from "../time";
import { type View, write } from "../url";
import { useView } from "../view";

const column = columnHelper<Person>();
const ROLES: Record<Person["role"], string> = { viewer: "viewer: sees", engineer: "engineer: makes keys", finance: "finance: sets budgets", admin: "admin: everything", service: "service: a program" };

const FILE: Columns<Person> = {
  id: (person) => person.id,
  email: (person) => person.email,
  name: (person) => person.name,
  role: (person) => person.role,
  tenant: (person) => tenantOf(person),
  duties: (person) => person.duties.join(" "),
  state: (person) => person.state,
  created: (person) => person.created,
  last_seen: (person) => person.last_seen ?? null,
};

function columnsOf(view: View) {
  return [
    column.accessor("email", { header: "Who", cell: ({ row: { original: person } }) => <Link href={write({ ...view, open: person.id })}>{person.name || person.email}</Link> }),
    column.accessor((person) => person.email, { id: "address", header: "E-mail", cell: (cell) => <span className="soft">{cell.getValue()}</span>, meta: { from: "medium" } }),
    column.accessor("role", { header: "Role" }),
    column.accessor((person) => tenantOf(person), { id: "tenant", header: "Confined to", cell: (cell) => cell.getValue() || <span className="faint">not confined</span>, meta: { from: "wide" } }),
    column.accessor((person) => person.duties.join(", "), { id: "duties", header: "Duties", cell: (cell) => cell.getValue() || <span className="faint">none</span>, meta: { from: "wide" } }),
    column.accessor("last_seen", { header: "Last seen", cell: ({ row: { original: person } }) => <span className="figure">{person.last_seen ? moment(new Date(person.last_seen), view.zone).slice(0, -3) : "never"}</span>, meta: { from: "medium" } }),
    column.accessor("state", { header: "State", cell: (cell) => <span className={`tag ${cell.getValue() === "active" ? "good" : ""}`}>{cell.getValue()}</span>, meta: { from: "small" } }),
  ];
}

function Fields({ person }: { person?: Person }) {
  return (
    <>
      <Field name="name" label="Name" defaultValue={person?.name} />
      {person?.role === "service" ? null : <Choice name="role" label="Role" options={ROLES} value={person?.role ?? "viewer"} />}
      <Field name="duties" label="Duties" defaultValue={person?.duties.join(", ")} placeholder="engineering-manager, cto" help="The approvals they may give" />
    </>
  );
}

function Tenant({ person }: { person?: Person }) {
  return <ScopeFields label="Confined to" help="They see and change nothing else; empty for all of it" fields={PARTS} {...(person === undefined ? {} : { scope: onlyParts(person.scope) })} />;
}

/** Parts of a scope that somebody can be confined to. */
function onlyParts(scope: Person["scope"]): Record<string, string> {
  return Object.fromEntries(PARTS.map((part) => [part, scope[part] ?? ""]));
}

function Invited({ created, onDone }: { created: PersonCreated; onDone: () => void }) {
  return (
    <Once secret={new URL(created.link, location.origin).href} what="the link" onDone={onDone}>
      With this link <b>{created.person.email}</b> chooses a password, within three days.
    </Once>
  );
}

function NewPerson({ onMade, onCancel }: { onMade: (created: PersonCreated) => void; onCancel: () => void }) {
  const send = (data: FormData) => {
    const draft: PersonDraft = { email: textOf(data, "email"), name: textOf(data, "name"), role: textOf(data, "role") as Person["role"], duties: wordsOf(data, "duties"), scope: wholeScopeOf(data) };
    return post<PersonCreated>("people", draft);
  };
  return (
    <div className="panel">
      <div className="body">
        <Form label="New person" send="Let them in" onSend={send} onDone={onMade} onCancel={onCancel}>
          <div className="grid-form">
            <Field name="email" label="E-mail, or a service’s name" required autoFocus />
            <Fields />
          </div>
          <Tenant />
        </Form>
      </div>
    </div>
  );
}

function Sessions({ person }: { person: Person }) {
  const answer = useSessionsOf(person.id);
  const [{ zone }] = useView();
  const refresh = useRefresh();
  const end = useMutation({ mutationFn: (session: PersonSession) => remove(`people/${encodeURIComponent(person.id)}/sessions/${encodeURIComponent(session.id)}`), onSuccess: () => refresh("people") });
  return (
    <section aria-labelledby="sessions">
      <h3 id="sessions">{person.role === "service" ? "Tokens" : "Sessions"}</h3>
      <Refusal error={end.error} />
      <Shown of={answer}>
        {({ rows }) =>
          rows.length === 0 ? <p className="soft">None.</p> : (
            <table className="plain">
              <caption className="hidden-text">Sessions</caption>
              <tbody>
                {rows.map((session) => (
                  <tr key={session.id}>
                    <td>{session.name || session.kind}</td>
                    <td className="soft">{session.state === "active" ? `until ${longDay(new Date(session.expires), zone)}` : session.state}</td>
                    <td className="number">{session.state !== "active" ? null : <button type="button" className="button quiet small" aria-label={`End ${session.name || session.kind}`} onClick={() => end.mutate(session)}>End</button>}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          )
        }
      </Shown>
    </section>
  );
}

function Tokens({ person }: { person: Person }) {
  const [made, setMade] = useState<TokenCreated | null>(null);
  const refresh = useRefresh();
  const send = (data: FormData) => post<TokenCreated>(`people/${encodeURIComponent(person.id)}/tokens`, { name: textOf(data, "name"), days: Number(data.get("days")) });
  const done = (created: TokenCreated) => {
    setMade(created);
    refresh("people");
  };
  if (made !== null) return <Once secret={made.token} what="the token" help={<>Sent as <code>Authorization: Bearer</code>.</>} onDone={() => setMade(null)}>The token <b>{made.session.name}</b>.</Once>;
  return (
    <section aria-labelledby="token">
      <h3 id="token">New token</h3>
      <Form label="New token" send="Make a token" onSend={send} onDone={done}>
        <div className="grid-form">
          <Field name="name" label="Name" required />
          <Field name="days" label="For days" type="number" min={1} max={366} defaultValue={90} required />
        </div>
      </Form>
    </section>
  );
}

function Access({ person }: { person: Person }) {
  const refresh = useRefresh();
  const path = `people/${encodeURIComponent(person.id)}`;
  const [invited, setInvited] = useState<PersonCreated | null>(null);
  const active = person.state === "active";
  const toggle = useMutation({ mutationFn: () => post<Person>(`${path}/${active ? "disable" : "enable"}`), onSuccess: () => refresh("people") });
  const invite = useMutation({ mutationFn: () => post<PersonCreated>(`${path}/invite`), onSuccess: setInvited });
  return (
    <>
      {invited === null ? null : <Invited created={invited} onDone={() => setInvited(null)} />}
      <Refusal error={toggle.error ?? invite.error} />
      <div className="row wrap">
        {person.role === "service" || !active ? null : <button type="button" className="button" onClick={() => invite.mutate()}>Link to set a password</button>}
        <button type="button" className={active ? "button danger" : "button"} onClick={() => toggle.mutate()}>{active ? "Disable" : "Let in again"}</button>
      </div>
    </>
  );
}

function Change({ person }: { person: Person }) {
  const refresh = useRefresh();
  const send = (data: FormData) => {
    const role = textOf(data, "role") || person.role;
    return post<Person>(`people/${encodeURIComponent(person.id)}`, { name: textOf(data, "name"), role, duties: wordsOf(data, "duties"), scope: wholeScopeOf(data) }, "PATCH");
  };
  return (
    <section aria-label="Change">
      <Form label={`Change ${person.email}`} send="Change" onSend={send} onDone={() => refresh("people")}>
        <div className="grid-form"><Fields person={person} /></div>
        <Tenant person={person} />
      </Form>
    </section>
  );
}

function PersonDrawer({ person, onClose }: { person: Person; onClose: () => void }) {
  return (
    <Drawer title={person.name || person.email} note={<>{person.email} <span className={`tag ${person.state === "active" ? "good" : ""}`}>{person.state}</span>{person.single_sign_on ? <span className="tag">single sign-on</span> : null}</>} what="this person" onClose={onClose}>
      <div>
        <Access person={person} />
        <Change person={person} />
        {person.role === "service" && person.state === "active" ? <Tokens person={person} /> : null}
        <Sessions person={person} />
      </div>
    </Drawer>
  );
}

export function People() {
  const answer = usePeople();
  const refresh = useRefresh();
  const [view, change] = useView();
  const [drafting, setDrafting] = useState(false);
  const [created, setCreated] = useState<PersonCreated | null>(null);
  const rows = answer.data?.rows ?? [];
  const open = (id: string) => change({ open: id === view.open ? "" : id }, { replace: view.open !== "" });
  const close = () => change({ open: "" });
  const { cursor } = useRowKeys({ ids: rows.map((person) => person.id), current: view.open, open, close });
  const columns = useMemo(() => columnsOf(view), [view]);
  const made = (fresh: PersonCreated) => {
    setDrafting(false);
    setCreated(fresh.link === "" ? null : fresh);
    refresh("people");
    if (fresh.link === "") change({ open: fresh.person.id });
  };
  const person = rows.find((each) => each.id === view.open);
  return (
    <>
      <Header title="People" facts={false}>
        <button type="button" className="button primary" onClick={() => setDrafting(true)}>
          <Icon name="plus" /> New person
        </button>
      </Header>
      <div className="stack">
        {created === null ? null : <Invited created={created} onDone={() => setCreated(null)} />}
        {drafting ? <NewPerson onMade={made} onCancel={() => setDrafting(false)} /> : null}
        <div className="row">
          <p className="soft grow">{answer.data === undefined ? "" : `${plural(rows.length, "person", "people")} and programs`}</p>
          <CsvButton name="people" columns={FILE} rows={rows} />
        </div>
        <section className="panel" aria-label="People">
          <Shown of={answer}>
            {(shown) =>
              shown.rows.length === 0 ? <p className="state">Only the holder of the admin token is let in yet.</p> : <Table caption="People" rows={shown.rows} columns={columns} idOf={(each) => each.id} onOpen={(each) => open(each.id)} current={view.open} sortable {...(cursor === null ? {} : { cursor })} />
            }
          </Shown>
        </section>
      </div>
      {person === undefined ? null : <PersonDrawer key={person.id} person={person} onClose={close} />}
    </>
  );
}
