/** Light, dark or as the system has it; and the tokens as values, for the charts. */
import { useEffect, useSyncExternalStore } from "react";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const KEPT_AS = "farthing.theme";
const dark = matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

export function theme(): Theme {
  const kept = localStorage.getItem(KEPT_AS);
  return THEMES.find((each) => each === kept) ?? "system";
}

function shown(): "light" | "dark" {
  const wanted = theme();
  return wanted === "system" ? (dark.matches ? "dark" : "light") : wanted;
}

function apply(): void {
  document.documentElement.dataset.theme = shown();
  for (const listener of listeners) listener();
}

export function setTheme(wanted: Theme): void {
  localStorage.setItem(KEPT_AS, wanted);
  apply();
}

/** Called once, before the first paint. */
export function startTheme(): void {
  dark.addEventListener("change", apply);
  apply();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function useTheme(): { theme: Theme; shown: "light" | "dark" } {
  return { theme: useSyncExternalStore(subscribe, theme), shown: useSyncExternalStore(subscribe, shown) };
}

/** A color token's value in the theme that is shown. */
export function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** The token of a group: eight colors by rank, grey for what is nobody's and for the rest. */
export function seriesToken(kind: "value" | "unallocated" | "other", rank: number): string {
  if (kind !== "value") return `series-${kind}`;
  return rank < 8 ? `series-${rank + 1}` : "series-other";
}

/** The document's title, while a page stands. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Farthing`;
  }, [title]);
}
