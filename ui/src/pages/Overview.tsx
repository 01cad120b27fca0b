/** What was spent, by whom, where the month is heading, and what was saved. */
import { useOverview } from "../api/queries";
import type { Overview as Answer } from "../api/types";
import { Filters } from "../components/Filters";
import { Header } from "../components/Header";
import { Empty, Shown } from "../components/State";
import { longDay } from "../time";
import { useQuestion, useSession, useView } from "../view";
import { Figures } from "./overview/Figures";
import { Models } from "./overview/Models";
import { Month } from "./overview/Month";
import { OverviewOutline } from "./overview/Outline";
import { Notices } from "./overview/Notices";
import { Recent } from "./overview/Recent";
import { Spend } from "./overview/Spend";
import { UnitCost } from "./overview/UnitCost";

export function Overview() {
  const [view] = useView();
  const { filtered } = useQuestion();
  const answer = useOverview(filtered, view.by, view.basis);
  return (
    <>
      <Header title="Overview" />
      <div className="stack">
        <Filters lead={Object.keys(view.where).length === 0 ? "All spend" : "Spend"} />
        <Shown of={answer} outline={<OverviewOutline />}>
          {(overview) => (overview.empty ? <Nothing overview={overview} /> : <Body overview={overview} />)}
        </Shown>
      </div>
    </>
  );
}

function Body({ overview }: { overview: Answer }) {
  return (
    <div className="stack">
      <Figures overview={overview} />
      <Notices overview={overview} />
      <Spend overview={overview} />
      <div className="pair">
        <Month overview={overview} />
        <UnitCost overview={overview} />
      </div>
      <div className="pair">
        <Models overview={overview} />
        <Recent overview={overview} />
      </div>
    </div>
  );
}

/** No fact at all is not a spend of nothing, and the page says what would change it. */
function Nothing({ overview }: { overview: Answer }) {
  const { hints } = useSession();
  const [view, change] = useView();
  const filtered = Object.keys(view.where).length > 0;
  const through = overview.through;
  return (
    <section className="panel">
      <Empty title={filtered ? "Nothing in this window fits these filters" : "No requests or bills in this window"}>
        {through === null ? <p>The ledger is empty. Costs appear here seconds after the first request.</p> : <p>The latest fact is of {longDay(new Date(through), view.zone)}.</p>}
        {hints.map((hint) => (
          <p key={hint.text}>
            {hint.text} {hint.command === "" ? null : <code>{hint.command}</code>}
          </p>
        ))}
        {filtered ? (
          <button type="button" className="button" onClick={() => change({ where: {} })}>
            Clear the filters
          </button>
        ) : view.window === "90d" ? null : (
          <button type="button" className="button" onClick={() => change({ window: "90d" })}>
            Show the last 90 days
          </button>
        )}
      </Empty>
    </section>
  );
}
