import type { ReactNode } from "react";
import { Copy } from "./Copy";

interface Props {
  secret: string;
  /** What is copied, as in "the token". */
  what: string;
  /** What it is, and of whom. */
  children: ReactNode;
  /** How to use it. */
  help?: ReactNode;
  onDone?: () => void;
}

/** A secret that is shown this once. */
export function Once({ secret, what, children, help, onDone }: Props) {
  return (
    <div className="panel" role="status">
      <div className="body stack" style={{ gap: 8 }}>
        <p>{children} It is shown this once and cannot be read again.</p>
        <div className="secret">
          <span className="mono grow">{secret}</span>
          <Copy text={secret} what={what} />
        </div>
        {help === undefined ? null : <p className="soft small">{help}</p>}
        {onDone === undefined ? null : (
          <button type="button" className="button" style={{ justifySelf: "start" }} onClick={onDone}>
            I have kept it
          </button>
        )}
      </div>
    </div>
  );
}
