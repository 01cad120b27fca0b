import type { Limit } from "../../api/types";

/** Whom a limit is about, as chips; with a pot's subject in the place of "each". */
export function ScopeChips({ scope, subject = {} }: { scope: Limit["scope"]; subject?: Readonly<Record<string, string>> }) {
  const entries = Object.entries(scope);
  if (entries.length === 0) return <span className="faint">everybody</span>;
  return (
    <span className="tags">
      {entries.map(([field, value]) => (
        <span key={field} className="tag">
          {value === "*" && subject[field] === undefined ? `each ${field}` : `${field} ${subject[field] ?? value}`}
        </span>
      ))}
    </span>
  );
}
