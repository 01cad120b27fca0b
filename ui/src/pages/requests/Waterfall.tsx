import type { RequestDetail } from "../../api/types";
import { duration } from "../../format";
import { timelineOf } from "./timeline";

/** Where the time went. The scale ends with the request. */
export function Waterfall({ detail: { timing, attempts } }: { detail: RequestDetail }) {
  const all = timing.total_ms ?? Math.max(0, ...attempts.map((attempt) => attempt.total_ms ?? 0));
  const { spans, paused } = timelineOf(attempts);
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
          <span className="figure">{timing.overhead_ms === null ? "not measured" : duration(Math.max(0, timing.overhead_ms - paused))}</span>
        </li>
      </ol>
    </section>
  );
}
