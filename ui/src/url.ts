/** What is looked at, as the address says it. Two people with one address see one thing. */
import { isWindow, isZone } from "./time";

export const BASES = ["effective", "billed", "list", "contracted"] as const;
export const ORDERS = ["newest", "cost", "latency"] as const;

export type Basis = (typeof BASES)[number];
export type Order = (typeof ORDERS)[number];

export interface View {
  /** A preset's name or "2026-11-01..2026-11-08", the last day included. */
  readonly window: string;
  readonly zone: string;
  readonly basis: Basis;
  /** The dimension that groups. */
  readonly by: string;
  /** Kept values by dimension, in the order in which they were chosen. */
  readonly where: Readonly<Record<string, readonly string[]>>;
  readonly search: string;
  readonly order: Order;
  /** The request whose drawer is open. */
  readonly request: string;
  /** The row of another page's table whose drawer is open. */
  readonly open: string;
  /** The part of a page that is shown, where it has several. */
  readonly show: string;
  /** Whose entries of the audit log, of which action, about what. */
  readonly actor: string;
  readonly action: string;
  readonly subject: string;
}

/** Words that stand in the address as they are, and belong to one page. */
const OWN = ["open", "show", "actor", "action", "subject"] as const;

/** A view without what belongs to one page only. */
export const ELSEWHERE = { search: "", order: "newest", request: "", open: "", show: "", actor: "", action: "", subject: "" } as const;

export const DEFAULTS: View = {
  window: "7d",
  zone: "UTC",
  basis: "effective",
  by: "team",
  where: {},
  ...ELSEWHERE,
};

function oneOf<Word extends string>(words: readonly Word[], text: string | null, otherwise: Word): Word {
  return words.find((word) => word === text) ?? otherwise;
}

/** Reads an address leniently: what it does not say, or says wrongly, is the default. */
export function read(search: string, defaults: View = DEFAULTS): View {
  const query = new URLSearchParams(search);
  const window = query.get("window") ?? "";
  const zone = query.get("zone") ?? "";
  return {
    window: isWindow(window) ? window : defaults.window,
    zone: zone !== "" && isZone(zone) ? zone : defaults.zone,
    basis: oneOf(BASES, query.get("basis"), defaults.basis),
    by: query.get("by") ?? defaults.by,
    where: readWhere(query.getAll("where")),
    search: query.get("q") ?? defaults.search,
    order: oneOf(ORDERS, query.get("order"), defaults.order),
    request: query.get("request") ?? defaults.request,
    open: query.get("open") ?? "",
    show: query.get("show") ?? "",
    actor: query.get("actor") ?? "",
    action: query.get("action") ?? "",
    subject: query.get("subject") ?? "",
  };
}

function readWhere(conditions: readonly string[]): Record<string, string[]> {
  const where: Record<string, string[]> = {};
  for (const condition of conditions) {
    const tag = condition.startsWith("tag:") ? 4 : 0;
    const colon = condition.indexOf(":", tag);
    if (colon <= tag) continue;
    const values = (where[condition.slice(0, colon)] ??= []);
    const value = condition.slice(colon + 1);
    if (!values.includes(value)) values.push(value);
  }
  return where;
}

/** The address of a view, without what is the default anyway. */
export function write(view: View, defaults: View = DEFAULTS): string {
  const query = new URLSearchParams();
  const put = (name: string, value: string, otherwise: string) => {
    if (value !== otherwise) query.set(name, value);
  };
  put("window", view.window, defaults.window);
  put("zone", view.zone, defaults.zone);
  put("basis", view.basis, defaults.basis);
  put("by", view.by, defaults.by);
  for (const condition of conditions(view.where)) query.append("where", condition);
  put("q", view.search, defaults.search);
  put("order", view.order, defaults.order);
  put("request", view.request, defaults.request);
  for (const name of OWN) put(name, view[name], "");
  const text = query.toString().replaceAll("%3A", ":").replaceAll("%2F", "/");
  return text === "" ? "" : `?${text}`;
}

/** Filters as the API takes them: "team:search". */
export function conditions(where: View["where"]): string[] {
  return Object.entries(where).flatMap(([name, values]) => values.map((value) => `${name}:${value}`));
}

/** The filters with one value of a dimension switched on or off. */
export function toggled(where: View["where"], name: string, value: string): View["where"] {
  const { [name]: values = [], ...others } = where;
  const next = values.includes(value) ? values.filter((each) => each !== value) : [...values, value];
  return next.length === 0 ? others : { ...others, [name]: next };
}
