/** A sample control API for `npm run dev`: the real shapes over invented requests. Never part of a build. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Plugin } from "vite";
import type { Bucket, Group, KeyView, Overview, PriceView, ProviderView, RequestDetail, RequestRow, RequestsAnswer, Session, Totals } from "../src/api/types";
import { addDays, dayOf, midnight } from "../src/time.ts";
import { dollars, OFFERS, pico, sample } from "./sample-data.ts";

const DIMENSIONS = ["team", "model", "provider", "feature", "project", "environment", "customer", "operation", "status", "requested_model", "offer", "cost_source"];
const SCOPE = { org: "", team: "", project: "", environment: "", feature: "", customer: "", user: "", key: "" };

function valueOf(row: RequestRow, dimension: string): string {
  if (dimension in row.scope) return row.scope[dimension as keyof typeof row.scope] ?? "";
  if (dimension === "cost_source") return row.cost === null ? "none" : "catalog";
  return String(row[dimension as keyof RequestRow] ?? "");
}

function totals(rows: RequestRow[]): Totals {
  const add = (amounts: (string | null)[]) => amounts.reduce((sum, each) => sum + (each === null ? 0n : pico(each)), 0n);
  const count = (read: (row: RequestRow) => number) => rows.reduce((sum, row) => sum + read(row), 0);
  const priced = rows.filter((row) => row.cost !== null);
  const cost = add(priced.map((row) => row.cost));
  const measured = rows.filter((row) => row.cost !== null && row.baseline_cost !== null);
  const baseline = add(measured.map((row) => row.baseline_cost));
  const per = (amount: bigint) => (priced.length === 0 ? null : dollars((amount * 1000n) / BigInt(priced.length)));
  return {
    cost: dollars(cost), request_cost: dollars(cost), baseline_cost: dollars(baseline),
    saved: dollars(baseline - add(measured.map((row) => row.cost))),
    requests: rows.length, priced_requests: priced.length, unpriced_requests: rows.length - priced.length,
    errors: rows.filter((row) => row.status === "error").length, charges: 0,
    unit_cost: per(cost), baseline_unit_cost: per(baseline),
    input_tokens: count((row) => row.input_tokens), cache_read_tokens: count((row) => row.cache_read_tokens),
    cache_write_tokens: 0, output_tokens: count((row) => row.output_tokens), reasoning_tokens: 0,
  };
}

function inside(rows: RequestRow[], start: number, end: number): RequestRow[] {
  return rows.filter((row) => Date.parse(row.at) >= start && Date.parse(row.at) < end);
}

function matching(rows: RequestRow[], query: URLSearchParams): RequestRow[] {
  const wanted = new Map<string, Set<string>>();
  for (const filter of query.getAll("where")) {
    const at = filter.indexOf(":");
    const name = filter.slice(0, at);
    wanted.set(name, (wanted.get(name) ?? new Set()).add(filter.slice(at + 1)));
  }
  return rows.filter((row) => [...wanted].every(([name, values]) => values.has(valueOf(row, name))));
}

function groups(rows: RequestRow[], before: RequestRow[], by: string, limit = 8): { groups: Group[]; index: (row: RequestRow) => number } {
  const byKey = new Map<string, RequestRow[]>();
  for (const row of rows) byKey.set(valueOf(row, by), [...(byKey.get(valueOf(row, by)) ?? []), row]);
  const cost = (key: string) => Number(totals(byKey.get(key) ?? []).cost);
  const keys = [...byKey.keys()].sort((a, b) => cost(b) - cost(a));
  const shown = keys.slice(0, limit);
  const all = Number(totals(rows).cost);
  const group = (key: string, kind: Group["kind"], mine: RequestRow[], old: RequestRow[]): Group => {
    const total = totals(mine);
    return { key, kind, total, previous_cost: before.length === 0 ? null : totals(old).cost, cost_per_total: all === 0 ? null : Number(total.cost) / all };
  };
  const made = shown.map((key) => group(key, key === "" ? "unallocated" : "value", byKey.get(key) ?? [], before.filter((row) => valueOf(row, by) === key)));
  const rest = (row: RequestRow) => !shown.includes(valueOf(row, by));
  if (keys.length > limit) made.push(group("other", "other", rows.filter(rest), before.filter(rest)));
  return { groups: made, index: (row) => (rest(row) ? limit : shown.indexOf(valueOf(row, by))) };
}

function edges(start: number, end: number, grain: string, zone: string): number[] {
  const found = [start];
  if (grain === "hour") while ((found.at(-1) ?? end) < end) found.push((found.at(-1) ?? end) + 3_600_000);
  else while ((found.at(-1) ?? end) < end) found.push(midnight(addDays(dayOf(new Date(found.at(-1) ?? end), zone), 1), zone).getTime());
  return found;
}

function overview(all: RequestRow[], query: URLSearchParams, now: Date): Overview {
  const zone = query.get("zone") ?? "UTC";
  const by = query.get("by") ?? "team";
  const start = Date.parse(query.get("start") ?? "");
  const end = Date.parse(query.get("end") ?? "");
  const kept = matching(all, query);
  const rows = inside(kept, start, end);
  const before = inside(kept, 2 * start - end, start);
  const grouped = groups(rows, before, by);
  const grain = end - start <= 72 * 3_600_000 ? "hour" : "day";
  const at = edges(start, end, grain, zone);
  const buckets: Bucket[] = at.slice(0, -1).map((from, index) => {
    const mine = inside(rows, from, at[index + 1] ?? end);
    const parts = grouped.groups.map((_, position) => totals(mine.filter((row) => grouped.index(row) === position)));
    return { at: new Date(from).toISOString(), total: totals(mine), costs: parts.map((part) => part.cost), requests: parts.map((part) => part.requests) };
  });
  const month = dayOf(now, zone).slice(0, 8);
  const monthStart = midnight(`${month}01`, zone);
  const monthEnd = midnight(`${addDays(`${month}01`, 31).slice(0, 8)}01`, zone);
  const soFar = totals(inside(kept, monthStart.getTime(), now.getTime())).cost;
  const project = (per: bigint) => dollars((pico(soFar) * per) / 100n);
  return {
    window: { start: new Date(start).toISOString(), end: new Date(end).toISOString() },
    previous_window: { start: new Date(2 * start - end).toISOString(), end: new Date(start).toISOString() },
    zone, basis: "effective", by, grain, currency: "USD", other_currencies: {}, through: now.toISOString(), empty: rows.length === 0,
    redundancy: { requests: 0, cost: "0", unpriced: 0, roles: [] },
    total: totals(rows), previous: before.length === 0 ? null : totals(before),
    month: {
      start: monthStart.toISOString(), end: monthEnd.toISOString(), cost: soFar, previous_cost: project(91n),
      projection: { method: "run rate", low: project(132n), mid: project(141n), high: project(150n), days_observed: 20, days_in_month: 30, note: "20 whole days; 80 % range from their variation" },
    },
    groups: grouped.groups, buckets, models: groups(rows, before, "model", 6).groups,
    recent: rows.slice(0, 8), recent_errors: rows.filter((row) => row.status === "error").slice(0, 5),
  };
}

function spend(all: RequestRow[], query: URLSearchParams, now: Date): unknown {
  const zone = query.get("zone") ?? "UTC";
  const start = Date.parse(query.get("start") ?? "");
  const end = Date.parse(query.get("end") ?? "");
  const kept = inside(matching(all, query), start, end);
  const at = query.get("grain") === "day" ? edges(start, end, "day", zone) : [start, end];
  const rows = at.slice(0, -1).map((from, index) => ({ ...totals(inside(kept, from, at[index + 1] ?? end)), keys: {}, at: new Date(from).toISOString() }));
  return { question: {}, rows, total: { ...totals(kept), keys: {}, at: null }, currency: "USD", other_currencies: {}, through: now.toISOString(), empty: kept.length === 0 };
}

function requests(all: RequestRow[], query: URLSearchParams, now: Date): RequestsAnswer {
  const text = (query.get("search") ?? "").toLowerCase();
  const kept = matching(inside(all, Date.parse(query.get("start") ?? ""), Date.parse(query.get("end") ?? "")), query)
    .filter((row) => text === "" || `${row.request_id} ${row.model} ${row.scope.feature}`.toLowerCase().includes(text));
  const order = query.get("order") ?? "newest";
  if (order === "cost") kept.sort((a, b) => Number(b.cost ?? -1) - Number(a.cost ?? -1));
  if (order === "latency") kept.sort((a, b) => (b.total_ms ?? 0) - (a.total_ms ?? 0));
  const from = Number(query.get("after") ?? 0);
  const limit = Number(query.get("limit") ?? 100);
  const sum = totals(kept);
  return {
    rows: kept.slice(from, from + limit), matching: kept.length, next: from + limit < kept.length ? String(from + limit) : "", through: now.toISOString(),
    total: { ...sum, keys: {}, at: null, previous_cost: null, previous_requests: null },
  };
}

function detail(row: RequestRow): RequestDetail {
  const offer = OFFERS.find((each) => each.model === row.model);
  const amounts: [string, number, bigint][] = offer === undefined || row.cost === null ? [] : [
    ["token.input.text", row.input_tokens, offer.input],
    ["token.input.text.cache_read", row.cache_read_tokens, offer.input / 10n],
    ["token.output.text", row.output_tokens, offer.output],
  ];
  const formula = amounts.filter(([, quantity]) => quantity > 0).map(([unit, quantity, rate]) => ({
    attempt: row.attempts, kind: "unit" as const, unit, quantity: String(quantity), rate: dollars(rate * 1_000_000n), per: 1_000_000, amount: dollars(rate * BigInt(quantity)), note: "",
  }));
  const cost = row.cost === null ? null : dollars(formula.reduce((sum, line) => sum + pico(line.amount), 0n));
  const base = { ...row, dialect: "openai", worker: "w0", key_id: "key_7f3a", served_model: `${row.model}-2026-08-07`, upstream_id: "chatcmpl-B9x2", error: "", finish_reason: "stop", upstream_ms: (row.total_ms ?? 0) * 0.97, request_bytes: 1_834, response_bytes: 4_210, usage: { "token.input": row.input_tokens + row.cache_read_tokens, "token.input.cache_read": row.cache_read_tokens, "token.output": row.output_tokens }, usage_source: "provider" as const, cost_source: "catalog" as const, lines: [], baseline_offer: "anthropic/claude-sonnet-4-5", decision: "", tags: {} };
  const last = { ...base, attempt: row.attempts, cost } as RequestDetail["attempts"][number];
  const first = { ...last, attempt: 1, status: "error" as const, error_kind: "rate_limit" as const, error: "429: requests per minute exceeded", http_status: 429, provider: "azure", offer: "azure/gpt-5-mini", cost: "0.000000000000", total_ms: 210, upstream_ms: 205, ttft_ms: null };
  return {
    ...row, dialect: "openai", served_model: base.served_model, error: row.status === "error" ? "429: requests per minute exceeded" : "", currency: "USD", cost,
    unpriced: row.unpriced === "" ? [] : [row.unpriced], baseline_offer: "anthropic/claude-sonnet-4-5",
    saved: cost === null || row.baseline_cost === null ? null : dollars(pico(row.baseline_cost) - pico(cost)), formula,
    timing: { total_ms: row.total_ms, ttft_ms: row.ttft_ms, upstream_ms: base.upstream_ms, overhead_ms: row.total_ms === null ? null : row.total_ms - base.upstream_ms },
    decision: {
      asked: row.requested_model, chosen: row.offer, reason: "cheapest of the 2 offers that meet p95 ≤ 4,000 ms", baseline: "anthropic/claude-sonnet-4-5", baseline_cost: row.baseline_cost, baseline_unpriced: "",
      rejected: [
        { offer: "anthropic/claude-sonnet-4-5", stage: "cost", reason: "expected $0.0142, chosen is expected at $0.0031" },
        { offer: "bedrock/nova-pro", stage: "latency", reason: "p95 of 5,210 ms is over the promised 4,000 ms" },
        { offer: "local/gemma3-270m", stage: "context", reason: "needs 9,120 tokens, offers 2,048" },
      ],
      expected_cost: row.cost, expected_unpriced: row.unpriced, expected_ms: 1_850,
    },
    attempts: row.attempts > 1 ? [first, last] : [last], roles: row.attempts > 1 ? ["", "failover"] : [""], tags: {},
  };
}

const KEYS: KeyView[] = ["search", "support-bot", "code-assist"].map((team, index) => ({
  id: `key_${index}f3a`, name: `${team} production`, scope: { ...SCOPE, team }, models: index === 1 ? ["smart", "gpt-5-mini"] : [], created: "2026-09-02T08:00:00Z",
  state: index === 2 ? "revoked" : "active", expires: index === 0 ? "2027-01-01T00:00:00Z" : null, revoked: index === 2 ? "2026-11-01T10:00:00Z" : null, hint: `fk_${index}Qx7`, category: "",
}));

const PROVIDERS: ProviderView[] = [...new Set(OFFERS.map((offer) => offer.provider))].map((name) => ({
  name, vendor: name, base_url: `https://api.${name}.example/v1`, api_key: `environment ${name.toUpperCase()}_API_KEY`, region: "", tags: name === "local" ? ["eu", "onprem"] : [],
  models: OFFERS.filter((offer) => offer.provider === name).map((offer) => offer.model), enabled: name !== "bedrock", origin: "farthing.toml",
}));

const PRICES: PriceView[] = OFFERS.filter((offer) => offer.input > 0n).map((offer, index) => ({
  offer: `${offer.provider}/${offer.model}`, kind: "tokens", provider: offer.provider, product: offer.model, region: "", terms: "on_demand",
  prices: [["token.input", offer.input], ["token.input.cache_read", offer.input / 10n], ["token.output", offer.output]].map(([unit, rate]) => ({ unit: String(unit), amount: dollars((rate as bigint) * 1_000_000n), per: 1_000_000, currency: "USD", above: 0 })),
  effective: { start: "2026-08-07T00:00:00Z", end: null }, source: "https://example.com/pricing", checked: "2026-11-18", stale: index === 3,
}));

function answer(path: string, query: URLSearchParams, rows: RequestRow[], now: Date): unknown {
  const session: Session = {
    version: "0.1.0", zone: "UTC", currency: "USD", basis: "effective", now: now.toISOString(), through: rows[0]?.at ?? null, ledger_version: 12,
    gateway_url: "http://127.0.0.1:4180", providers: PROVIDERS.length, keys: KEYS.length, dimensions: DIMENSIONS, hints: [],
    actor: "admin token", person: "", role: "admin", scope: SCOPE, duties: [], may: ["approval.ask", "approval.give", "key.write", "limit.write", "read"],
  };
  if (path === "session") return session;
  if (path === "overview") return overview(rows, query, now);
  if (path === "spend") return spend(rows, query, now);
  if (path === "requests") return requests(rows, query, now);
  if (path === "keys") return { rows: KEYS };
  if (path === "providers") return { rows: PROVIDERS };
  if (path === "prices") {
    const found = PRICES.filter((price) => price.offer.includes(query.get("q") ?? ""));
    return { rows: found, matching: found.length };
  }
  if (path === "health") return { state: "ok", checks: [] };
  const [noun, name] = path.split("/");
  if (noun === "dimensions" && name !== undefined) return { name, values: [...new Set(rows.map((row) => valueOf(row, name)))].sort() };
  const row = rows.find((each) => noun === "requests" && each.request_id === name);
  return row === undefined ? undefined : detail(row);
}

function respond(request: IncomingMessage, response: ServerResponse, rows: RequestRow[], now: Date): void {
  const url = new URL(request.url ?? "/", "http://sample");
  const path = url.pathname.replace("/api/v1/", "");
  if (path === "events") {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(`event: landed\ndata: ${JSON.stringify({ through: now.toISOString(), version: 12 })}\n\n`);
    return;
  }
  const found = answer(path, url.searchParams, rows, now);
  response.writeHead(found === undefined ? 404 : 200, { "content-type": "application/json" });
  response.end(JSON.stringify(found ?? { type: "not_found", title: "Not found", status: 404, detail: "No such thing.", field: "", value: "", remedy: "", nearest: [] }));
}

export function sampleApi(): Plugin {
  const now = new Date();
  const rows = sample(now);
  return {
    name: "sample-api",
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        if (request.url?.startsWith("/api/v1/") === true) respond(request, response, rows, now);
        else next();
      });
    },
  };
}
