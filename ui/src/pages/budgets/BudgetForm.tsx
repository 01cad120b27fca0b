/** A limit, made or changed. What the API refuses stands at its field. */
import { useState } from "react";
import { post } from "../../api/client";
import type { Limit, LimitChange, LimitDraft } from "../../api/types";
import { Check, Choice, Field, Form, textOf, wordsOf } from "../../components/Form";
import { Icon } from "../../components/Icon";
import { SPANS } from "../../limits";

const MEASURES: Record<Limit["measure"], string> = { cost: "dollars", requests: "requests", tokens: "tokens", parallel: "requests at a time" };
const FIELDS = ["team", "project", "user", "customer", "feature", "key", "model", "category", "environment", "org"];

/** Percent at which somebody is told. */
function warnings(data: FormData): number[] {
  return wordsOf(data, "warn_at").map(Number);
}

function draftOf(data: FormData): LimitDraft {
  const pairs = data.getAll("field").map((field, index) => [String(field), String(data.getAll("scope")[index] ?? "").trim()] as const);
  const measure = textOf(data, "measure") as Limit["measure"];
  return {
    name: textOf(data, "name"),
    amount: textOf(data, "amount").replaceAll(",", ""),
    measure,
    per: measure === "parallel" ? "once" : (textOf(data, "per") as Limit["per"]),
    scope: Object.fromEntries(pairs.filter(([, value]) => value !== "")),
    hard: data.has("hard"),
    rolling: data.has("rolling"),
    cap_output: data.has("cap_output"),
    unpriced: wordsOf(data, "unpriced"),
    warn_at: warnings(data),
    warn_day_at: 80,
    zone: "",
  };
}

/** Whom it is about: any of these, "*" for each by itself. */
function ScopeFields() {
  const [rows, setRows] = useState([0]);
  return (
    <fieldset className="scope-fields">
      <legend>About, “*” for each by itself; empty for everybody</legend>
      {rows.map((row) => (
        <div key={row} className="row">
          <select className="control" name="field" aria-label="Part of the scope" defaultValue={FIELDS[row % FIELDS.length]}>
            {FIELDS.map((field) => (
              <option key={field}>{field}</option>
            ))}
          </select>
          <input className="control" name="scope" aria-label="Its value" maxLength={200} autoComplete="off" />
        </div>
      ))}
      <button type="button" className="button quiet small" onClick={() => setRows([...rows, rows.length])}>
        <Icon name="plus" /> And
      </button>
    </fieldset>
  );
}

function Manner({ limit }: { limit?: Limit }) {
  return (
    <div className="checks">
      <Check name="hard" label="Refuse what does not fit" checked={limit?.hard ?? true} />
      <Check name="cap_output" label="Shorten answers to what is left first" checked={limit?.cap_output ?? true} />
    </div>
  );
}

export function NewBudget({ onMade, onCancel }: { onMade: (limit: Limit) => void; onCancel: () => void }) {
  const [measure, setMeasure] = useState("cost");
  return (
    <div className="panel">
      <div className="body">
        <Form label="New limit" send="Set the limit" onSend={(data) => post<Limit>("budgets", draftOf(data))} onDone={onMade} onCancel={onCancel}>
          <div className="grid-form">
            <Field name="name" label="Name" required autoFocus />
            <Field name="amount" label="Amount" required inputMode="decimal" placeholder={measure === "cost" ? "500" : "1000"} />
            <Choice name="measure" label="Of" options={MEASURES} onChange={setMeasure} />
            {measure === "parallel" ? null : <Choice name="per" label="Per" options={SPANS} value="month" />}
            <Field name="warn_at" label="Tell at percent" defaultValue="50, 80, 90, 100" />
            {measure === "cost" ? <Field name="unpriced" label="Unpriced models that may pass" placeholder="none" /> : null}
          </div>
          <ScopeFields />
          <Manner />
          {measure === "parallel" ? null : <Check name="rolling" label="Within any such span, instead of from its beginning" />}
        </Form>
      </div>
    </div>
  );
}

/** Only what differs is sent, because a change of an amount may need somebody's yes where one of a name does not. */
function changesOf(limit: Limit, data: FormData): LimitChange {
  const next = { name: textOf(data, "name"), amount: textOf(data, "amount").replaceAll(",", ""), hard: data.has("hard"), cap_output: data.has("cap_output"), warn_at: warnings(data), unpriced: wordsOf(data, "unpriced") };
  return Object.fromEntries(Object.entries(next).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(limit[name as keyof Limit])));
}

export function ChangeBudget({ limit, onDone, onCancel }: { limit: Limit; onDone: () => void; onCancel: () => void }) {
  return (
    <Form label={`Change ${limit.name}`} send="Change it" onSend={(data) => post<Limit>(`budgets/${encodeURIComponent(limit.id)}`, changesOf(limit, data), "PATCH")} onDone={onDone} onCancel={onCancel}>
      <div className="grid-form">
        <Field name="name" label="Name" defaultValue={limit.name} required />
        <Field name="amount" label="Amount" defaultValue={limit.amount} required inputMode="decimal" autoFocus />
        <Field name="warn_at" label="Tell at percent" defaultValue={limit.warn_at.join(", ")} />
        <Field name="unpriced" label="Unpriced models that may pass" defaultValue={limit.unpriced.join(", ")} placeholder="none" />
      </div>
      <Manner limit={limit} />
    </Form>
  );
}
