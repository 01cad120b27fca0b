/** The view of the address bar as React state, and what every page derives from it. */
import { createContext, use, useCallback, useEffect, useMemo, useState } from "react";
import { useLocation, useSearch } from "wouter";
import type { Session } from "./api/types";
import { resolve, type Window } from "./time";
import { conditions, DEFAULTS, ELSEWHERE, read, type View, write } from "./url";

export const SessionContext = createContext<Session | null>(null);

/** The session of a page inside the shell, which renders pages only once it has one. */
export function useSession(): Session {
  const session = use(SessionContext);
  if (session === null) throw new Error("a page outside of the shell");
  return session;
}

/** Whether the role of who is logged in may do this; see `ACTIONS` of the control process. */
export function useMay(action: string): boolean {
  return useSession().may.includes(action);
}

/** What an address without parameters means here: the reporting zone and basis are settings. */
export function useDefaults(): View {
  const { zone, basis } = useSession();
  return useMemo(() => ({ ...DEFAULTS, zone, basis }), [zone, basis]);
}

export type Change = (patch: Partial<View>, how?: { replace?: boolean }) => void;

export function useView(): [View, Change] {
  const defaults = useDefaults();
  const search = useSearch();
  const [path, navigate] = useLocation();
  const view = useMemo(() => read(search, defaults), [search, defaults]);
  const change = useCallback<Change>(
    (patch, how = {}) => navigate(path + write({ ...view, ...patch }, defaults), how),
    [navigate, path, view, defaults],
  );
  return [view, change];
}

/** The same question asked of another page: its address keeps window, zone, basis and filters. */
export function useLinkTo(): (path: string, patch?: Partial<View>) => string {
  const defaults = useDefaults();
  const [view] = useView();
  return (path, patch = {}) => path + write({ ...view, ...ELSEWHERE, ...patch }, defaults);
}

/** The time, to the minute. */
export function useNow(): Date {
  const [now, setNow] = useState(() => new Date());
  useEffect(() => {
    const timer = setInterval(() => setNow(new Date()), 60_000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

export interface Question {
  readonly window: Window;
  /** Query parameters that every endpoint of facts takes: window and zone. */
  readonly span: URLSearchParams;
  /** The same with the filters. */
  readonly filtered: URLSearchParams;
}

export function useQuestion(): Question {
  const [view] = useView();
  const now = useNow();
  return useMemo(() => {
    const window = resolve(view.window, now, view.zone);
    const span = new URLSearchParams({ start: window.start.toISOString(), end: window.end.toISOString(), zone: view.zone });
    const filtered = new URLSearchParams(span);
    for (const condition of conditions(view.where)) filtered.append("where", condition);
    return { window, span, filtered };
  }, [view, now]);
}

/** How the empty value of a dimension reads. */
export function named(value: string): string {
  return value === "" ? "unallocated" : value;
}
