import { useEffect, useRef, useState } from "react";
import type { RequestRow } from "../../api/types";

interface Rows {
  rows: readonly RequestRow[];
  /** The open request, or "". */
  current: string;
  open: (row: RequestRow) => void;
  close: () => void;
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.closest("input, select, textarea, dialog, .sheet") !== null || target.isContentEditable);
}

/** j and k move, Enter opens, Escape closes, "/" searches. With a request open, moving opens its neighbor. */
export function useRowKeys(latest: Rows): { cursor: string | null } {
  const [cursor, setCursor] = useState<string | null>(null);
  const state = useRef({ ...latest, cursor });
  state.current = { ...latest, cursor };
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const { rows, current, cursor: at, open, close } = state.current;
      if (event.key === "Escape" && current !== "" && document.querySelector("dialog[open]") === null) return close();
      if (isTyping(event.target) || event.metaKey || event.ctrlKey || event.altKey) return;
      const index = rows.findIndex((row) => row.request_id === (current || at));
      const step = { j: 1, k: -1 }[event.key];
      if (step !== undefined) {
        const row = rows[Math.max(0, Math.min(rows.length - 1, index + step))];
        if (row === undefined) return;
        setCursor(row.request_id);
        if (current !== "" && row.request_id !== current) open(row);
        document.querySelector(`[data-row="${CSS.escape(row.request_id)}"]`)?.scrollIntoView({ block: "nearest" });
      } else if (event.key === "Enter" && current === "" && index >= 0 && event.target === document.body) {
        const row = rows[index];
        if (row !== undefined) open(row);
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
