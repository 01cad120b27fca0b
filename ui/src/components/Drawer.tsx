/** A row's detail, beside the table it was picked from. It lies over the page's edge and leaves the table usable. */
import { type ReactNode, useEffect, useRef } from "react";
import { Copy } from "./Copy";
import { Icon } from "./Icon";

interface Props {
  title: string;
  note: ReactNode;
  /** What its address leads to, as in "link to this request". */
  what: string;
  onClose: () => void;
  children: ReactNode;
}

export function Drawer({ title, note, what, onClose, children }: Props) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    heading.current?.focus({ preventScroll: true });
  }, []);
  return (
    <aside className="drawer" role="dialog" aria-modal="false" aria-labelledby="drawer-title">
      <header>
        <div className="grow">
          <h2 id="drawer-title" ref={heading} tabIndex={-1}>
            {title}
          </h2>
          <p className="faint small row wrap" style={{ gap: 6 }}>
            {note}
          </p>
        </div>
        <Copy text={location.href} what={`link to ${what}`} icon="link" />
        <button type="button" className="icon-button" aria-label="Close" onClick={onClose}>
          <Icon name="close" />
        </button>
      </header>
      <div className="drawer-body" tabIndex={0} role="region" aria-label={title}>
        {children}
      </div>
    </aside>
  );
}
