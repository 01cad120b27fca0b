/** Where a request's time went: its attempts on the request's clock, and the waits between them. */
import type { RequestFact } from "../../api/types";

export interface Span {
  readonly label: string;
  readonly kind: "wait" | "stream" | "failed" | "pause";
  readonly from: number;
  readonly to: number;
}

/** An attempt's stretch on the request's clock: until its first byte, then while its answer flowed. */
function spansOf(attempt: RequestFact): Span[] {
  const { total_ms, upstream_ms, ttft_ms, offer, attempt: number } = attempt;
  if (total_ms === null || upstream_ms === null) return [];
  const from = Math.max(0, total_ms - upstream_ms);
  const name = `${number}. ${offer === "" ? attempt.provider || "upstream" : offer}`;
  if (attempt.status === "error") return [{ label: name, kind: "failed", from, to: total_ms }];
  if (ttft_ms === null || ttft_ms <= from || ttft_ms >= total_ms) return [{ label: name, kind: "wait", from, to: total_ms }];
  return [
    { label: `${name}, to its first byte`, kind: "wait", from, to: ttft_ms },
    { label: attempt.stream ? "streaming" : "receiving", kind: "stream", from: ttft_ms, to: total_ms },
  ];
}

/** A gap before an attempt that is longer than this was waited, for what a provider asked for or before a retry. */
const PAUSE_MS = 5;

/** The time between attempts in which nothing was under way. */
function pausesOf(spans: readonly Span[]): Span[] {
  const pauses: Span[] = [];
  let until = 0;
  for (const { from, to } of [...spans].sort((a, b) => a.from - b.from)) {
    if (until > 0 && from - until > PAUSE_MS) pauses.push({ label: "waited before trying again", kind: "pause", from: until, to: from });
    until = Math.max(until, to);
  }
  return pauses;
}

/** What happened when, in order, and how long nothing was under way between attempts, in milliseconds. */
export function timelineOf(attempts: readonly RequestFact[]): { spans: Span[]; paused: number } {
  const busy = attempts.flatMap(spansOf);
  const pauses = pausesOf(busy);
  return { spans: [...busy, ...pauses].sort((a, b) => a.from - b.from), paused: pauses.reduce((total, { from, to }) => total + to - from, 0) };
}
