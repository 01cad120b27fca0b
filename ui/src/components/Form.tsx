/** Forms: what the API refuses stands at the field it is about, and what needs somebody's yes says where it is now. */
import { useMutation } from "@tanstack/react-query";
import { createContext, type InputHTMLAttributes, type ReactNode, use, useId, useRef } from "react";
import { Link } from "wouter";
import { ApiError } from "../api/client";
import type { Problem } from "../api/types";

const Refused = createContext<Problem | null>(null);

function problemOf(error: Error | null): Problem | null {
  return error instanceof ApiError ? error.problem : null;
}

function sentence(text: string): string {
  return text === "" || /[.!?]$/.test(text) ? text : `${text}.`;
}

/** Why something was refused, or whose yes it waits for. */
export function Refusal({ error }: { error: Error | null }) {
  if (error === null) return null;
  const problem = problemOf(error);
  if (problem !== null && problem.approval !== "") {
    return (
      <p role="status" className="notice info">
        <span>
          <b>Nothing is changed yet: somebody has to agree first.</b> {sentence(problem.detail)}
        </span>
        <Link href={`/approvals/${encodeURIComponent(problem.approval)}`}>See where it is</Link>
      </p>
    );
  }
  return (
    <p role="alert" className="notice bad">
      <span>
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
  children: ReactNode;
}

export function Form<Answer>({ label, send, onSend, onDone, onCancel, danger = false, children }: FormProps<Answer>) {
  const form = useRef<HTMLFormElement>(null);
  const sending = useMutation({ mutationFn: onSend, onSuccess: onDone });
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
        <button type="submit" className={danger ? "button danger" : "button primary"} disabled={sending.isPending}>
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

/** What stands around a control: its name above, what is wrong with it, or else how it is meant, below. */
function Labeled({ id, name, label, help = "", children }: { id: string; name: string; label: string; help?: string; children: ReactNode }) {
  const problem = use(Refused);
  const wrong = problem !== null && problem.field.split(".")[0] === name;
  return (
    <label className="field">
      <span>{label}</span>
      {children}
      {wrong ? (
        <small id={id} role="alert" className="bad">
          {sentence(problem.detail)} {sentence(problem.remedy)}
        </small>
      ) : help === "" ? null : (
        <small id={id} className="faint">
          {help}
        </small>
      )}
    </label>
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

/** A field's text without the spaces around it. */
export function textOf(data: FormData, name: string): string {
  return String(data.get(name) ?? "").trim();
}

/** The words of a field that takes several. */
export function wordsOf(data: FormData, name: string): string[] {
  return textOf(data, name).split(/[\s,]+/).filter((word) => word !== "");
}
