/** Forms: what the API refuses stands at the field it is about, and what needs somebody's yes says where it is now. */
import { useMutation } from "@tanstack/react-query";
import { createContext, type InputHTMLAttributes, type ReactNode, use, useId, useRef } from "react";
import { Link } from "wouter";
import { ApiError, refusal } from "../api/client";
import type { Problem } from "../api/types";

const Refused = createContext<Problem | null>(null);

function problemOf(error: Error | null): Problem | null {
  return error instanceof ApiError ? error.problem : null;
}

function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return begun === "" || /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

/** Why something was refused, or whose yes it waits for. `about` tells it from others. */
export function Refusal({ error, about = "" }: { error: Error | null; about?: string }) {
  if (error === null) return null;
  const lead = about === "" ? null : <b>{about}: </b>;
  const problem = problemOf(error);
  if (problem !== null && problem.approval !== "") {
    return (
      <p role="status" className="notice info">
        <span>
          {lead}
          <b>Nothing is changed yet: somebody has to agree first.</b> {sentence(problem.detail)}
        </span>
        <Link href={`/approvals/${encodeURIComponent(problem.approval)}`}>See where it is</Link>
      </p>
    );
  }
  return (
    <p role="alert" className="notice bad">
      <span>
        {lead}
        {sentence(error.message)} {sentence(problem?.remedy ?? "")}
      </span>
    </p>
  );
}

interface FormProps<Answer> {
  /** What the form is called. */
  label: string;
  /** What its button says. */
  send: string;
  onSend: (data: FormData) => Promise<Answer>;
  onDone: (answer: Answer) => void;
  onCancel?: () => void;
  danger?: boolean;
  /** Its button is not the first that one would press. */
  plain?: boolean;
  children: ReactNode;
}

export function Form<Answer>({ label, send, onSend, onDone, onCancel, danger = false, plain = false, children }: FormProps<Answer>) {
  const form = useRef<HTMLFormElement>(null);
  const sending = useMutation({ mutationFn: async (data: FormData) => onSend(data), onSuccess: onDone });
  const problem = problemOf(sending.error);
  const atField = problem !== null && problem.field !== "" && form.current?.elements.namedItem(problem.field.split(".")[0] ?? "") !== null;
  return (
    <form
      ref={form}
      className="stack"
      style={{ gap: 10 }}
      aria-label={label}
      onSubmit={(event) => {
        event.preventDefault();
        sending.mutate(new FormData(event.currentTarget));
      }}
    >
      <Refused value={problem}>{children}</Refused>
      {atField ? null : <Refusal error={sending.error} />}
      <div className="row">
        <button type="submit" className={danger ? "button danger" : plain ? "button" : "button primary"} disabled={sending.isPending}>
          {send}
        </button>
        {onCancel === undefined ? null : (
          <button type="button" className="button quiet" onClick={onCancel}>
            Cancel
          </button>
        )}
      </div>
    </form>
  );
}

/** What stands around a control, or a `group` of some: the name above, what is wrong, or else how it is meant, below. */
export function Labeled({ id, name, label, help = "", group = false, children }: { id?: string; name: string; label: string; help?: string; group?: boolean; children: ReactNode }) {
  const problem = use(Refused);
  const wrong = problem !== null && problem.field.split(".")[0] === name;
  const Around = group ? "fieldset" : "label";
  const Name = group ? "legend" : "span";
  return (
    <Around className="field">
      <Name>{label}</Name>
      {group && !wrong && help !== "" ? <small className="faint">{help}</small> : null}
      {children}
      {wrong ? (
        <small id={id} role="alert" className="bad">
          {sentence(problem.detail)} {sentence(problem.remedy)}
        </small>
      ) : help === "" || group ? null : (
        <small id={id} className="faint">
          {help}
        </small>
      )}
    </Around>
  );
}

interface FieldProps extends Omit<InputHTMLAttributes<HTMLInputElement>, "name"> {
  name: string;
  label: string;
  help?: string;
}

export function Field({ label, help, className = "", ...input }: FieldProps) {
  const id = useId();
  return (
    <Labeled id={id} name={input.name} label={label} {...(help === undefined ? {} : { help })}>
      <input className={`control ${className}`} maxLength={200} aria-describedby={id} autoComplete="off" {...input} />
    </Labeled>
  );
}

/** One of a few. `options` are values and their words. */
export function Choice({ name, label, help, options, value, onChange }: { name: string; label: string; help?: string; options: Readonly<Record<string, string>>; value?: string; onChange?: (value: string) => void }) {
  const id = useId();
  return (
    <Labeled id={id} name={name} label={label} {...(help === undefined ? {} : { help })}>
      <select className="control" name={name} defaultValue={value} aria-describedby={id} onChange={(event) => onChange?.(event.target.value)}>
        {Object.entries(options).map(([option, words]) => (
          <option key={option} value={option}>
            {words}
          </option>
        ))}
      </select>
    </Labeled>
  );
}

export function Check({ name, label, checked = false, value }: { name: string; label: string; checked?: boolean; value?: string }) {
  return (
    <label className="check">
      <input type="checkbox" name={name} value={value} defaultChecked={checked} /> {label}
    </label>
  );
}

/** An amount as the API takes it; thousands may be set off by commas. */
export function amountOf(data: FormData, name = "amount"): string {
  const text = textOf(data, name);
  const amount = text.replaceAll(",", "");
  if (!/^\d{1,19}(\.\d{1,9})?$/.test(amount)) throw refusal(name, text, "This is no amount", "Write a number with up to nine decimals, for example 500 or 0.25");
  return amount;
}

/** Whole numbers of a field that takes several. */
export function numbersOf(data: FormData, name: string): number[] {
  const words = wordsOf(data, name);
  const wrong = words.find((word) => !/^\d{1,9}$/.test(word));
  if (wrong !== undefined) throw refusal(name, wrong, `“${wrong}” is no whole number`, "Write for example 50, 80, 100");
  return words.map(Number);
}

/** A field's text without the spaces around it. */
export function textOf(data: FormData, name: string): string {
  return String(data.get(name) ?? "").trim();
}

/** The words of a field that takes several. */
export function wordsOf(data: FormData, name: string): string[] {
  return textOf(data, name).split(/[\s,]+/).filter((word) => word !== "");
}
