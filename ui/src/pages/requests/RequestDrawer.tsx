/** One request, explained, beside the list it was picked from. */
import { Link } from "wouter";
import { useRequest } from "../../api/queries";
import type { RequestDetail } from "../../api/types";
import { Drawer } from "../../components/Drawer";
import { Money } from "../../components/Money";
import { Shown } from "../../components/State";
import { StatusTag } from "../../components/Status";
import { duration, share } from "../../format";
import { approx, compare, isZero } from "../../money";
import { moment } from "../../time";
import { useLinkTo, useView } from "../../view";
import { Attempts, Belongs, Identifiers, Tokens } from "./Facts";
import { Formula } from "./Formula";
import { Reused } from "./Reused";
import { Routing } from "./Routing";
import { Waterfall } from "./Waterfall";

function Summary({ detail }: { detail: RequestDetail }) {
  const { cost, baseline_cost, saved, timing, currency } = detail;
  const fraction = saved === null || baseline_cost === null || isZero(baseline_cost) ? null : approx(saved) / approx(baseline_cost);
  return (
    <dl className="figures small-figures">
      <div className="figure-cell">
        <dt>Cost</dt>
        <dd className="big">
          <Money amount={cost} decimals={6} currency={currency} reason={detail.unpriced.join("; ")} />
        </dd>
      </div>
      <div className="figure-cell">
        <dt>Saved</dt>
        <dd className={`big ${saved !== null && compare(saved, "0") > 0 ? "good" : ""}`}>{saved === null || fraction === null ? "–" : <Money amount={saved} decimals={6} currency={currency} />}</dd>
        <dd className="note">{fraction === null ? "no baseline" : fraction === 0 ? "the same as the baseline" : `${share(fraction)} of the baseline`}</dd>
      </div>
      <div className="figure-cell">
        <dt>Took</dt>
        <dd className="big figure">{duration(timing.total_ms)}</dd>
        <dd className="note">{timing.ttft_ms === null ? "" : `first byte after ${duration(timing.ttft_ms)}`}</dd>
      </div>
    </dl>
  );
}

function Body({ detail }: { detail: RequestDetail }) {
  const linkTo = useLinkTo();
  const limit = detail.tags["farthing.limit"];
  return (
    <>
      <Summary detail={detail} />
      {detail.error === "" ? null : (
        <p className="notice bad">
          <b>{detail.error_kind.replaceAll("_", " ")}</b> {detail.error}
          {limit === undefined ? null : <Link href={linkTo("/budgets", { open: limit })}>The limit that refused it</Link>}
        </p>
      )}
      <Reused detail={detail} />
      <Formula detail={detail} />
      <Waterfall detail={detail} />
      <Routing detail={detail} />
      <Attempts detail={detail} />
      <Tokens detail={detail} />
      <Belongs detail={detail} />
      <Identifiers detail={detail} />
    </>
  );
}

export function RequestDrawer({ id, onClose }: { id: string; onClose: () => void }) {
  const answer = useRequest(id);
  const [view] = useView();
  const detail = answer.data;
  const note = detail === undefined ? <span className="mono">{id}</span> : <>{moment(new Date(detail.at), view.zone)} <StatusTag status={detail.status} kind={detail.error_kind} /></>;
  return (
    <Drawer title={detail === undefined ? "Request" : detail.model || detail.requested_model} note={note} what="this request" onClose={onClose}>
      <Shown of={answer}>{(shown) => <Body detail={shown} />}</Shown>
    </Drawer>
  );
}
