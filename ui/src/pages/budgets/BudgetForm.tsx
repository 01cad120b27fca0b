/** A limit, made or changed. What the API refuses stands at its field. */
import { useState } from "react";
import { post, refusal } from "../../api/client";
import type { Limit, LimitChange, LimitDraft } from "../../api/types";
import { amountOf, Check, Choice, Field, Form, numbersOf, textOf, wordsOf } from "../../components/Form";
import { useZones } from "../../components/Header";
import { scopeOf, ScopeFields } from "../../components/ScopeFields";
import { hasDays, SPANS } from "../../limits";
import { addDays, midnight } from "../../time";
import { useSession } from "../../view";

const MEASURES: Record<Limit["measure"], string> = { cost: "dollars", requests: "requests", tokens: "tokens", parallel: "requests at a time" };
const FIELDS = ["team", "project", "user", "customer", "feature", "key", "model", "category", "environment", "org"];

/** The days between which a limit that exists once counts, both included; open where none is named. */
function windowOf(data: FormData, zone: string) {
  const [first, last] = [textOf(data, "window"), textOf(data, "until")];
  if (last !== "" && last < first) throw refusal("until", last, "It ends before it begins", "Choose a later day");
  return { start: first === "" ? null : midnight(first, zone).toISOString(), end: last === "" ? null : midnight(addDays(last, 1), zone).toISOString() };
}

/** Fields that a choice took off the form are those of the API's defaults. */
function draftOf(data: FormData, zone: string): LimitDraft {
  const measure = textOf(data, "measure") as Limit["measure"];
  const per = measure === "parallel" ? "once" : (textOf(data, "per") as Limit["per"]);
  return {
    name: textOf(data, "name"),
    amount: amountOf(data),
    measure,
    per,
    scope: scopeOf(data),
    hard: data.has("hard"),
    rolling: data.has("rolling"),
    cap_output: data.has("cap_output"),
    unpriced: wordsOf(data, "unpriced"),
    warn_at: numbersOf(data, "warn_at"),
    warn_day_at: Number(textOf(data, "warn_day_at") || 80),
    zone: textOf(data, "zone"),
    ...(per === "once" ? { window: windowOf(data, textOf(data, "zone") || zone) } : {}),
  };
}

function Warnings({ measure, per, limit }: { measure: Limit["measure"]; per: Limit["per"]; limit?: Limit }) {
  return (
    <>
      <Field name="warn_at" label="Tell at %" defaultValue={limit?.warn_at.join(", ") ?? "50, 80, 90, 100"} />
      {hasDays(per) && per !== "day" ? <Field name="warn_day_at" label="Tell at % of a day’s share" type="number" min={1} max={1000} defaultValue={limit?.warn_day_at ?? 80} /> : null}
      {measure === "cost" ? <Field name="unpriced" label="Unpriced models let pass" defaultValue={limit?.unpriced.join(", ")} placeholder="none" /> : null}
    </>
  );
}

/** Whose days count, and between which, where it exists once. */
function Days({ per }: { per: Limit["per"] }) {
  const { zone } = useSession();
  const zones = useZones().filter((each) => each !== zone);
  const options = { "": `${zone}, as set`, ...Object.fromEntries(zones.map((each) => [each, each])) };
  return (
    <>
      {per !== "once" ? null : (
        <>
          <Field name="window" label="From" type="date" help="Empty: from the beginning" />
          <Field name="until" label="Until, this day included" type="date" help="Empty: without end" />
        </>
      )}
      {hasDays(per) ? <Choice name="zone" label="Days begin in" options={options} /> : null}
    </>
  );
}

function Manner({ limit }: { limit?: Limit }) {
  return (
    <>
      <Check name="hard" label="Refuse what does not fit" checked={limit?.hard ?? true} />
      <Check name="cap_output" label="Shorten answers to what is left first" checked={limit?.cap_output ?? true} />
    </>
  );
}

export function NewBudget({ onMade, onCancel }: { onMade: (limit: Limit) => void; onCancel: () => void }) {
  const { zone } = useSession();
  const [measure, setMeasure] = useState<Limit["measure"]>("cost");
  const [per, setPer] = useState<Limit["per"]>("month");
  const parallel = measure === "parallel";
  return (
    <div className="panel">
      <div className="body">
        <Form label="New limit" send="Set the limit" onSend={(data) => post<Limit>("budgets", draftOf(data, zone))} onDone={onMade} onCancel={onCancel}>
          <div className="grid-form">
            <Field name="name" label="Name" required autoFocus />
            <Field name="amount" label="Amount" required inputMode="decimal" placeholder={measure === "cost" ? "500" : "1000"} />
            <Choice name="measure" label="Of" options={MEASURES} onChange={(next) => setMeasure(next as Limit["measure"])} />
            {parallel ? null : <Choice name="per" label="Per" options={SPANS} value={per} onChange={(next) => setPer(next as Limit["per"])} />}
            {parallel ? null : <Days per={per} />}
            <Warnings measure={measure} per={parallel ? "minute" : per} />
          </div>
          <ScopeFields label="About" help="Empty for everybody, * for each by itself" fields={FIELDS} />
          <div className="checks">
            <Manner />
            {parallel || per === "once" ? null : <Check name="rolling" label={`Within any ${per}, wherever it begins`} />}
          </div>
        </Form>
      </div>
    </div>
  );
}

/** Only what differs is sent, because a change of an amount may need somebody's yes where one of a name does not. */
function changesOf(limit: Limit, data: FormData): LimitChange {
  const next: LimitChange = { name: textOf(data, "name"), amount: amountOf(data), hard: data.has("hard"), cap_output: data.has("cap_output"), warn_at: numbersOf(data, "warn_at") };
  if (data.has("unpriced")) next.unpriced = wordsOf(data, "unpriced");
  if (data.has("warn_day_at")) next.warn_day_at = Number(data.get("warn_day_at"));
  return Object.fromEntries(Object.entries(next).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(limit[name as keyof Limit])));
}

export function ChangeBudget({ limit, onDone, onCancel }: { limit: Limit; onDone: () => void; onCancel: () => void }) {
  return (
    <Form label={`Change ${limit.name}`} send="Change it" onSend={(data) => post<Limit>(`budgets/${encodeURIComponent(limit.id)}`, changesOf(limit, data), "PATCH")} onDone={onDone} onCancel={onCancel}>
      <div className="grid-form">
        <Field name="name" label="Name" defaultValue={limit.name} required />
        <Field name="amount" label="Amount" defaultValue={limit.amount} required inputMode="decimal" autoFocus />
        <Warnings measure={limit.measure} per={limit.per} limit={limit} />
      </div>
      <div className="checks">
        <Manner limit={limit} />
      </div>
    </Form>
  );
}
