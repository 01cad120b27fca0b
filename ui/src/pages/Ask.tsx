/** Asking first: leave to spend or to begin a plan, or more of a limit. */
import { useLocation, useSearch } from "wouter";
import { post } from "../api/client";
import { useBudget, useRefresh } from "../api/govern";
import type { Approval, ApprovalDraft, Limit } from "../api/types";
import { amountOf, Choice, Field, Form, textOf } from "../components/Form";
import { Header } from "../components/Header";
import { PARTS, ScopeFields, wholeScopeOf } from "../components/ScopeFields";
import { Shown } from "../components/State";
import { said } from "../limits";
import { useLinkTo } from "../view";

const CATEGORIES = { "": "any", training: "training", inference: "inference", research: "research", maintenance: "maintenance", hardware: "hardware" };

function Raise({ limit }: { limit: Limit }) {
  const [, navigate] = useLocation();
  const linkTo = useLinkTo();
  const refresh = useRefresh();
  const send = (data: FormData) => post<Limit>(`budgets/${encodeURIComponent(limit.id)}`, { amount: amountOf(data) }, "PATCH");
  const done = () => {
    refresh("budgets");
    navigate(linkTo("/budgets", { open: limit.id }));
  };
  return (
    <Form label="Ask for more" send="Ask" onSend={send} onDone={done} onCancel={() => navigate(linkTo("/budgets", { open: limit.id }))}>
      <p>
        <b>{limit.name}</b> is {said(limit)}. Where nobody has to agree, it is changed at once.
      </p>
      <Field name="amount" label="New amount" defaultValue={limit.amount} inputMode="decimal" required autoFocus />
    </Form>
  );
}

function draftOf(data: FormData): ApprovalDraft {
  return { action: textOf(data, "action") as "spend" | "plan", subject: textOf(data, "subject"), summary: textOf(data, "summary"), amount: amountOf(data), category: textOf(data, "category"), scope: wholeScopeOf(data) };
}

function Leave() {
  const [, navigate] = useLocation();
  const linkTo = useLinkTo();
  const refresh = useRefresh();
  const done = (approval: Approval) => {
    refresh("approvals");
    navigate(linkTo(`/approvals/${approval.id}`));
  };
  return (
    <Form label="Ask for leave" send="Ask" onSend={(data) => post<Approval>("approvals", draftOf(data))} onDone={done} onCancel={() => navigate(linkTo("/approvals"))}>
      <div className="grid-form">
        <Choice name="action" label="To" options={{ spend: "spend something", plan: "begin a plan" }} />
        <Field name="subject" label="Its name" required autoFocus help="A later check names it by this" />
        <Field name="amount" label="Dollars" inputMode="decimal" required help="A month’s, where it recurs" />
        <Choice name="category" label="For" options={CATEGORIES} />
      </div>
      <ScopeFields label="Paid by" help="Empty where nobody in particular" fields={PARTS} />
      <Field name="summary" label="What it is, and why" maxLength={500} required />
    </Form>
  );
}

export function Ask() {
  const id = new URLSearchParams(useSearch()).get("limit") ?? "";
  const answer = useBudget(id, id !== "");
  return (
    <>
      <Header title={id === "" ? "Ask for leave" : "Ask for more"} facts={false} />
      <div className="panel narrow">
        <div className="body">{id === "" ? <Leave /> : <Shown of={answer}>{({ budget }) => <Raise limit={budget.limit} />}</Shown>}</div>
      </div>
    </>
  );
}
