import { expect, it } from "vitest";
import type { RequestFact } from "../src/api/types";
import { timelineOf } from "../src/pages/requests/timeline";

function attempt(number: number, total_ms: number, upstream_ms: number, more: Partial<RequestFact> = {}): RequestFact {
  return { attempt: number, total_ms, upstream_ms, ttft_ms: null, offer: `o${number}`, provider: "p", status: "ok", stream: false, ...more } as RequestFact;
}

it("tells the wait before a retry from Farthing's own time", () => {
  const { spans, paused } = timelineOf([attempt(1, 1, 0.6, { status: "error" }), attempt(2, 1_467, 466)]);
  expect(spans.map(({ kind, from, to }) => [kind, Math.round(from), Math.round(to)])).toEqual([["failed", 0, 1], ["pause", 1, 1_001], ["wait", 1_001, 1_467]]);
  expect(paused).toBe(1_000);
});

it("knows no wait between attempts that overlap, nor in the moment of a switch", () => {
  expect(timelineOf([attempt(1, 900, 900), attempt(2, 700, 300)]).paused).toBe(0);
  expect(timelineOf([attempt(1, 300, 300, { status: "error" }), attempt(2, 500, 198)]).paused).toBe(0);
});
