/** Who was told what, and whether it arrived. */
import type { Notice, NoticesAnswer } from "../../api/types";
import { moment } from "../../time";
import { useView } from "../../view";

const TONES: Record<string, string> = { critical: "bad", warning: "warn" };
const STATES: Record<string, string> = { delivered: "", waiting: "warn", "given up": "bad" };

export function Notices({ rows }: { rows: readonly Notice[] }) {
  const [view] = useView();
  return (
    <ol className="entries">
      {rows.map((notice) => (
        <li key={notice.id}>
          <p>
            <b className={TONES[notice.severity] ?? ""}>{notice.title}</b> <span className="faint small figure">{moment(new Date(notice.raised), view.zone).slice(0, -3)}</span>
          </p>
          <p className="soft small">{notice.text}</p>
          {notice.deliveries.length === 0 ? null : (
            <p className="tags">
              {notice.deliveries.map((way) => (
                <span key={way.target} className={`tag ${STATES[way.state] ?? ""}`} title={way.error || `${way.attempts} attempts`}>
                  {way.target}: {way.state}
                </span>
              ))}
            </p>
          )}
        </li>
      ))}
    </ol>
  );
}

export function Told({ answer: { rows, targets } }: { answer: NoticesAnswer }) {
  return (
    <section className="panel" aria-labelledby="told">
      <header>
        <div className="grow">
          <h2 id="told">Notices</h2>
          <p>
            {targets.length === 0 ? (
              <>
                Shown here only: to have them sent, name targets under <code>[[alerts.targets]]</code> in <code>farthing.toml</code>.
              </>
            ) : (
              `Sent to ${targets.map((target) => target.name).join(", ")}.`
            )}
          </p>
        </div>
      </header>
      <div className="body">{rows.length === 0 ? <p className="soft">Nothing happened that anybody would have to know.</p> : <Notices rows={rows.slice(0, 8)} />}</div>
    </section>
  );
}
