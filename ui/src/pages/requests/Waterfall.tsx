import type { RequestDetail, RequestFact } from "../../api/types";
import { duration } from "../../format";

interface Span {
  readonly label: string;
  readonly kind: "own" | "wait" | "stream" | "failed";
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

/** Where the time went. The scale ends with the request. */
export function Waterfall({ detail: { timing, attempts } }: { detail: RequestDetail }) {
  const all = timing.total_ms ?? Math.max(0, ...attempts.map((attempt) => attempt.total_ms ?? 0));
  const spans = attempts.flatMap(spansOf);
  if (all === 0 || spans.length === 0) return null;
  return (
    <section aria-labelledby="timing">
      <h3 id="timing">Time</h3>
      <ol className="waterfall">
        {spans.map((span) => (
          <li key={`${span.label} ${span.from}`}>
            <span className="label">{span.label}</span>
            <span className="track" aria-hidden="true">
              <i className={span.kind} style={{ left: `${(span.from / all) * 100}%`, width: `max(2px, ${((span.to - span.from) / all) * 100}%)` }} />
            </span>
            <span className="figure">{duration(span.to - span.from)}</span>
          </li>
        ))}
        <li className="soft">
          <span className="label">in Farthing itself</span>
          <span className="track none" />
          <span className="figure">{timing.overhead_ms === null ? "not measured" : duration(timing.overhead_ms)}</span>
        </li>
      </ol>
    </section>
  );
}
