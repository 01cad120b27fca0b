import { useEffect, useState } from "react";
import { Icon } from "./Icon";

/** A button that copies, and says that it did. */
export function Copy({ text, what, label, icon = "copy" }: { text: string; what: string; label?: string; icon?: "copy" | "link" }) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), 1_500);
    return () => clearTimeout(timer);
  }, [done]);
  const copy = () => void navigator.clipboard.writeText(text).then(() => setDone(true));
  return (
    <button type="button" className={label === undefined ? "icon-button" : "button"} aria-label={label === undefined ? `Copy ${what}` : undefined} title={`Copy ${what}`} onClick={copy}>
      <Icon name={done ? "done" : icon} />
      {label}
      <span className="hidden-text" role="status">
        {done ? "Copied" : ""}
      </span>
    </button>
  );
}
