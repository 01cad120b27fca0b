import type { FieldChange } from "../api/types";

/** Before and after, field by field. */
export function Changes({ changes }: { changes: readonly FieldChange[] }) {
  if (changes.length === 0) return <p className="soft">No field differs.</p>;
  return (
    <dl className="changes">
      {changes.map(({ field, before, after }) => (
        <div key={field}>
          <dt className="mono">{field}</dt>
          <dd>
            {before === null ? null : <del>{before}</del>} {before === null || after === null ? null : <span className="faint">→</span>} {after === null ? <span className="faint">removed</span> : <ins>{after}</ins>}
          </dd>
        </div>
      ))}
    </dl>
  );
}
