import { Fragment } from "react";
import type { FieldChange } from "../api/types";

/** The name of a field, which breaks after its points and underscores. */
function FieldName({ field }: { field: string }) {
  const parts = field.split(/(?<=[._])/);
  return parts.map((part, index) => <Fragment key={index}>{part}<wbr /></Fragment>);
}

/** Before and after, field by field. */
export function Changes({ changes }: { changes: readonly FieldChange[] }) {
  if (changes.length === 0) return <p className="soft">No field differs.</p>;
  return (
    <dl className="changes">
      {changes.map(({ field, before, after }) => (
        <div key={field}>
          <dt className="mono"><FieldName field={field} /></dt>
          <dd>
            {before === null ? null : <del>{before}</del>} {before === null || after === null ? null : <span className="faint">→</span>} {after === null ? <span className="faint">removed</span> : <ins>{after}</ins>}
          </dd>
        </div>
      ))}
    </dl>
  );
}
