/** Invented requests for developing pages without a control process. Deterministic but for the clock. */
import type { RequestRow } from "../src/api/types";

export interface Offer {
  provider: string;
  model: string;
  /** Micro-dollars per million tokens would be dollars per token times 10^12: picodollars per token. */
  input: bigint;
  output: bigint;
  share: number;
}

export const OFFERS: Offer[] = [
  { provider: "openai", model: "gpt-5", input: 1_250_000n, output: 10_000_000n, share: 0.16 },
  { provider: "openai", model: "gpt-5-mini", input: 250_000n, output: 2_000_000n, share: 0.34 },
  { provider: "anthropic", model: "claude-sonnet-4-5", input: 3_000_000n, output: 15_000_000n, share: 0.14 },
  { provider: "gemini", model: "gemini-2.5-flash", input: 300_000n, output: 2_500_000n, share: 0.22 },
  { provider: "bedrock", model: "nova-pro", input: 800_000n, output: 3_200_000n, share: 0.08 },
  { provider: "local", model: "gemma3-270m", input: 0n, output: 0n, share: 0.06 },
];

const TEAMS = ["search", "support-bot", "code-assist", "growth", "data-eng", ""];
const FEATURES = ["answer", "summarize-ticket", "review", "draft-email", "extract", ""];
const ERRORS = ["rate_limit", "timeout", "overloaded"];

function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

export function dollars(pico: bigint): string {
  const digits = (pico < 0n ? -pico : pico).toString().padStart(13, "0");
  return `${pico < 0n ? "-" : ""}${digits.slice(0, -12)}.${digits.slice(-12)}`;
}

export function pico(text: string): bigint {
  const [whole = "0", fraction = ""] = text.replace("-", "").split(".");
  const value = BigInt(whole) * 10n ** 12n + BigInt(fraction.padEnd(12, "0").slice(0, 12));
  return text.startsWith("-") ? -value : value;
}

function pick<T>(from: readonly T[], at: number): T {
  return from[Math.min(from.length - 1, Math.floor(at * from.length))] as T;
}

function offerAt(at: number): Offer {
  let left = at;
  for (const offer of OFFERS) {
    left -= offer.share;
    if (left < 0) return offer;
  }
  return OFFERS[1] as Offer;
}

function request(next: () => number, at: Date, index: number): RequestRow {
  const team = pick(TEAMS, next() ** 1.6);
  const offer = offerAt((next() + TEAMS.indexOf(team) * 0.11) % 1);
  const failed = next() < 0.035;
  const unpriced = offer.provider === "local";
  const input = Math.round(200 + next() ** 3 * 9_000);
  const cached = next() < 0.4 ? Math.round(input * 0.7) : 0;
  const output = failed ? 0 : Math.round(30 + next() ** 2 * 1_400);
  const cost = (offer.input * BigInt((input - cached) * 10 + cached)) / 10n + offer.output * BigInt(output);
  const total = failed && next() < 0.5 ? 30_000 : 300 + output * 6 + next() * 700;
  return {
    request_id: `req_${(index + 4_096).toString(16).padStart(6, "0")}${Math.floor(next() * 2 ** 31).toString(16).padStart(8, "0")}`,
    at: at.toISOString(),
    attempts: next() < 0.06 ? 2 : 1,
    operation: next() < 0.8 ? "chat" : "messages",
    requested_model: next() < 0.4 ? "smart" : offer.model,
    provider: offer.provider,
    model: offer.model,
    offer: `${offer.provider}/${offer.model}`,
    scope: { org: "acme", team, project: "", environment: "production", feature: pick(FEATURES, next()), customer: "", user: "", key: "" },
    status: failed ? "error" : "ok",
    stream: next() < 0.6,
    http_status: failed ? 429 : 200,
    error_kind: failed ? pick(ERRORS, next()) : "",
    total_ms: total,
    ttft_ms: failed ? null : total * 0.2,
    input_tokens: input - cached,
    cache_read_tokens: cached,
    cache_write_tokens: 0,
    output_tokens: output,
    reasoning_tokens: 0,
    cost: unpriced ? null : failed ? "0.000000000000" : dollars(cost),
    unpriced: unpriced ? "no price is known for local/gemma3-270m" : "",
    baseline_cost: unpriced || failed ? null : dollars((cost * 131n) / 100n),
  };
}

/** Newest first, quieter at night and on weekends. */
export function sample(now: Date, count = 9_000, days = 45): RequestRow[] {
  const next = random(20_261_121);
  const rows: RequestRow[] = [];
  for (let index = 0; index < count; index += 1) {
    const at = new Date(now.getTime() - (index / count) * days * 86_400_000 - next() * 60_000);
    const weekend = [0, 6].includes(at.getUTCDay());
    const asleep = Math.abs(at.getUTCHours() - 14) > 7;
    const row = request(next, at, index);
    if (next() >= (weekend ? 0.45 : 0) + (asleep ? 0.4 : 0)) rows.push(row);
  }
  return rows;
}
