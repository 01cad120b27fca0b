import { useState } from "react";
import { Icon } from "./Icon";
import { Labeled } from "./Form";

interface Props {
  /** What the parts together say. */
  label: string;
  help: string;
  /** The parts that there are, those first that are asked for most. */
  fields: readonly string[];
  scope?: Readonly<Record<string, string>>;
}

/** Some of the parts of a scope, each with its value. */
export function ScopeFields({ label, help, fields, scope = {} }: Props) {
  const given = Object.entries(scope).filter(([, value]) => value !== "");
  const [rows, setRows] = useState(given.length === 0 ? [[fields[0], ""]] : given);
  const next = fields.find((field) => !rows.some(([name]) => name === field));
  return (
    <Labeled group name="scope" label={label} help={help}>
      {rows.map(([name, value], row) => (
        <div key={row} className="row">
          <select className="control" name="scope-field" aria-label={`${label}: part ${row + 1}`} defaultValue={name}>
            {fields.map((field) => (
              <option key={field}>{field}</option>
            ))}
          </select>
          <input className="control" name="scope" aria-label={`${label}: value ${row + 1}`} defaultValue={value} maxLength={200} autoComplete="off" />
        </div>
      ))}
      {next === undefined ? null : (
        <button type="button" className="button quiet small" onClick={() => setRows([...rows, [next, ""]])}>
          <Icon name="plus" /> And
        </button>
      )}
    </Labeled>
  );
}

/** The scope that such fields hold; parts without a value are left out. */
export function scopeOf(data: FormData): Record<string, string> {
  const values = data.getAll("scope").map((value) => String(value).trim());
  const pairs = data.getAll("scope-field").map((field, row) => [String(field), values[row] ?? ""] as const);
  return Object.fromEntries(pairs.filter(([, value]) => value !== ""));
}

/** Who pays, or what somebody is confined to, as keys, people and approvals take it: every part, empty or not. */
export function wholeScopeOf(data: FormData) {
  const { org = "", team = "", project = "", environment = "", feature = "", customer = "", user = "" } = scopeOf(data);
  return { org, team, project, environment, feature, customer, user };
}

export const PARTS = ["team", "project", "customer", "feature", "user", "environment", "org"] as const;
