import { type ReactNode, useEffect, useId, useRef, useState } from "react";

interface Props {
  /** What the button shows. */
  label: ReactNode;
  /** What it is called, when the label alone does not say. */
  name?: string;
  className?: string;
  side?: "left" | "right";
  children: (close: () => void) => ReactNode;
}

/** A button and the sheet that hangs from it. Escape and a click elsewhere close it. */
export function Popover({ label, name, className = "control", side = "right", children }: Props) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  const close = () => {
    setOpen(false);
    button.current?.focus();
  };
  useEffect(() => {
    if (!open) return;
    const outside = (event: PointerEvent) => {
      if (event.target instanceof Node && root.current?.contains(event.target) === false) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);
  return (
    <div
      ref={root}
      className={`popover ${side}`}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !open) return;
        event.stopPropagation();
        close();
      }}
    >
      <button ref={button} type="button" className={className} aria-expanded={open} aria-controls={id} aria-label={name} onClick={() => setOpen(!open)}>
        {label}
      </button>
      <div id={id} className="sheet" hidden={!open}>
        {open ? children(close) : null}
      </div>
    </div>
  );
}
