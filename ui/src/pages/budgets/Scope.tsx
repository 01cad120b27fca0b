import type { Limit } from "../../api/types";
import { useNames } from "../../names";

/** Whom a limit is about, as chips; with a pot's subject in the place of "each". */
export function ScopeChips({ scope, subject = {} }: { scope: Limit["scope"]; subject?: Readonly<Record<string, string>> }) {
  const nameOf = useNames();
  const entries = Object.entries(scope);
  if (entries.length === 0) return <span className="faint">everybody</span>;
  return (
    <span className="tags">
      {entries.map(([field, value]) => {
        const meant = subject[field] ?? value;
        return (
          <span key={field} className="tag" title={`${field}=${meant}`}>
            {meant === "*" ? `each ${field}` : `${field} ${nameOf(field, meant)}`}
          </span>
        );
      })}
    </span>
  );
}
