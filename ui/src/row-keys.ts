import { useEffect, useRef, useState } from "react";

interface Rows {
  /** Names of the rows, in their order. */
  ids: readonly string[];
  /** The open row, or "". */
  current: string;
  open: (id: string) => void;
  close: () => void;
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.closest("input, select, textarea, dialog, .sheet") !== null || target.isContentEditable);
}

/** j and k move, Enter opens, Escape closes, "/" searches. With a row open, moving opens its neighbor. */
export function useRowKeys(latest: Rows): { cursor: string | null } {
  const [cursor, setCursor] = useState<string | null>(null);
  const state = useRef({ ...latest, cursor });
  state.current = { ...latest, cursor };
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const { ids, current, cursor: at, open, close } = state.current;
      if (event.key === "Escape" && current !== "" && document.querySelector("dialog[open]") === null) return close();
      if (isTyping(event.target) || event.metaKey || event.ctrlKey || event.altKey) return;
      const index = ids.indexOf(current || (at ?? ""));
      const step = { j: 1, k: -1 }[event.key];
      if (step !== undefined) {
        const id = ids[Math.max(0, Math.min(ids.length - 1, index + step))];
        if (id === undefined) return;
        setCursor(id);
        if (current !== "" && id !== current) open(id);
        document.querySelector(`[data-row="${CSS.escape(id)}"]`)?.scrollIntoView({ block: "nearest" });
      } else if (event.key === "Enter" && current === "" && index >= 0 && event.target === document.body) {
        const id = ids[index];
        if (id !== undefined) open(id);
      } else if (event.key === "/") {
        event.preventDefault();
        document.querySelector<HTMLInputElement>('input[type="search"]')?.focus();
      }
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, []);
  return { cursor };
}
