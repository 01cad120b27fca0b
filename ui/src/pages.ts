/** The pages there are, in their order, and what a role must allow to enter them. */
import type { Session } from "./api/types";

export interface Page {
  readonly path: string;
  readonly name: string;
  readonly section: "look" | "govern";
  readonly may?: string;
  /** Only for who is not confined to a tenant. */
  readonly everybody?: true;
}

const PAGES: readonly Page[] = [
  { path: "/", name: "Overview", section: "look" },
  { path: "/requests", name: "Requests", section: "look" },
  { path: "/cache", name: "Cache", section: "look" },
  { path: "/budgets", name: "Budgets", section: "look" },
  { path: "/approvals", name: "Approvals", section: "govern" },
  { path: "/keys", name: "Keys", section: "govern" },
  { path: "/providers", name: "Providers", section: "govern" },
  { path: "/prices", name: "Prices", section: "govern" },
  { path: "/audit", name: "Audit", section: "govern", may: "audit.read", everybody: true },
  { path: "/people", name: "People", section: "govern", may: "people.write" },
];

/** The tenant that a session is confined to, in words; empty when it is not. */
export function tenantOf({ scope }: Pick<Session, "scope">): string {
  return Object.entries(scope)
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `${name} ${value}`)
    .join(", ");
}

/** Those that somebody may enter. */
export function pagesOf(session: Session): Page[] {
  return PAGES.filter((page) => (page.may === undefined || session.may.includes(page.may)) && (page.everybody === undefined || tenantOf(session) === ""));
}
