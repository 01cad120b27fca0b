import type { ReactNode } from "react";

/** A key figure: the number first, what it means small beneath it. Stands in a `dl`. */
export function Figure({ label, children, note, tone = "" }: { label: string; children: ReactNode; note: ReactNode; tone?: string }) {
  return (
    <div className="figure-cell">
      <dt>{label}</dt>
      <dd className={`big ${tone}`}>{children}</dd>
      <dd className="note">{note}</dd>
    </div>
  );
}
