import type { RequestDetail } from "../../api/types";
import { Copy } from "../../components/Copy";
import { Money } from "../../components/Money";
import { StatusTag } from "../../components/Status";
import { Frame } from "../../components/Table";
import { count, duration } from "../../format";
import { useNames } from "../../names";
import { toggled } from "../../url";
import { useView } from "../../view";

interface Props {
  detail: RequestDetail;
}

/** Every attempt, where there was more than one. */
export function Attempts({ detail: { attempts, roles, currency } }: Props) {
  if (attempts.length < 2) return null;
  return (
    <section aria-labelledby="attempts">
      <h3 id="attempts">Attempts</h3>
      <Frame caption="Attempts">
        <table className="plain">
          <caption className="hidden-text">Attempts</caption>
          <tbody>
            {attempts.map((attempt, index) => (
              <tr key={attempt.attempt}>
                <td className="figure role">
                  {attempt.attempt}. {roles[index] ? <span className="tag">{roles[index]}</span> : null}
                </td>
                <td className="offer" title={attempt.error}>{attempt.offer || attempt.provider}</td>
                <td>
                  <StatusTag status={attempt.status} kind={attempt.error_kind} />
                </td>
                <td className="number from-small">{attempt.http_status === 0 ? "–" : attempt.http_status}</td>
                <td className="number">{duration(attempt.upstream_ms)}</td>
                <td className="number">
                  <Money amount={attempt.cost} decimals={6} currency={currency} reason={attempt.unpriced} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Frame>
      {attempts.map((attempt) =>
        attempt.error === "" ? null : (
          <p key={attempt.attempt} className="small soft">
            {attempt.attempt}. {attempt.error}
          </p>
        ),
      )}
    </section>
  );
}

/** Usage as the provider reported it: nested counts, so that they do not add up. */
export function Tokens({ detail: { attempts } }: Props) {
  const last = attempts.at(-1);
  const usage = Object.entries(last?.usage ?? {});
  if (last === undefined || usage.length === 0) return null;
  return (
    <section aria-labelledby="usage">
      <h3 id="usage">
        Usage as reported <span className="tag">{last.usage_source}</span>
      </h3>
      <dl className="pairs units">
        {usage.map(([unit, amount]) => [
          <dt key={unit} className="mono">{unit}</dt>,
          <dd key={`${unit} amount`} className="figure">
            {count(amount)}
          </dd>,
        ])}
      </dl>
    </section>
  );
}

/** Who pays, each value a filter. */
export function Belongs({ detail: { scope, tags } }: Props) {
  const [view, change] = useView();
  const nameOf = useNames();
  const named = Object.entries(scope).filter(([, value]) => value !== "");
  const labels = Object.entries(tags).map(([name, value]) => [`tag:${name}`, value] as const);
  return (
    <section aria-labelledby="belongs">
      <h3 id="belongs">Paid by</h3>
      {named.length === 0 ? <p className="soft">Unallocated: the key names no team, project or customer.</p> : null}
      <dl className="pairs">
        {[...named, ...labels].map(([name, value]) => [
          <dt key={name}>{name}</dt>,
          <dd key={`${name} value`}>
            <button type="button" className="link" title={`Filter by ${name} ${value}`} onClick={() => change({ where: toggled(view.where, name, value) })}>
              {nameOf(name, value)}
            </button>
          </dd>,
        ])}
      </dl>
    </section>
  );
}

/** Names under which others know this request. */
export function Identifiers({ detail }: Props) {
  const last = detail.attempts.at(-1);
  const all = {
    "request id": detail.request_id,
    "provider's id": last?.upstream_id ?? "",
    "key id": last?.key_id ?? "",
    "served model": detail.served_model,
    offer: detail.offer,
    dialect: detail.dialect,
    operation: detail.operation,
    worker: last?.worker ?? "",
    "finish reason": last?.finish_reason ?? "",
  };
  return (
    <section aria-labelledby="identifiers">
      <h3 id="identifiers">Identifiers</h3>
      <dl className="pairs ids">
        {Object.entries(all)
          .filter(([, value]) => value !== "")
          .map(([name, value]) => [
            <dt key={name}>{name}</dt>,
            <dd key={`${name} value`} className="row">
              <span className="mono grow">{value}</span>
              <Copy text={value} what={name} />
            </dd>,
          ])}
      </dl>
      <Copy text={JSON.stringify(detail, null, 2)} what="everything as JSON" label="Copy as JSON" />
    </section>
  );
}
