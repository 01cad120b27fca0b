import { Link } from "wouter";
import type { RequestDetail } from "../../api/types";
import { Copy } from "../../components/Copy";
import { useLinkTo } from "../../view";
import { Verdict } from "../cache/Verdict";
import { KIND, KINDS, NAMESPACE } from "../cache/words";

const tagOf = ({ tags }: RequestDetail, dimension: string) => tags[dimension.slice("tag:".length)] ?? "";

/** What a cache did for a request, or would have done. */
export function Reused({ detail }: { detail: RequestDetail }) {
  const linkTo = useLinkTo();
  const [kind, namespace, entry] = [tagOf(detail, KIND), tagOf(detail, NAMESPACE), tagOf(detail, "tag:farthing.cache.entry")];
  if (kind === "") return null;
  return (
    <section aria-labelledby="reused">
      <h3 id="reused">Cache</h3>
      <dl className="pairs ids">
        <dt>was</dt>
        <dd>{KINDS[kind as keyof typeof KINDS]?.one ?? kind}</dd>
        <dt>namespace</dt>
        <dd>
          <Link href={linkTo("/cache", { where: { [NAMESPACE]: [namespace] } })}>{namespace}</Link>
        </dd>
        {entry === "" ? null : (
          <>
            <dt>entry</dt>
            <dd className="row">
              <span className="mono grow">{entry}</span>
              <Copy text={entry} what="the entry" />
            </dd>
          </>
        )}
      </dl>
      {entry === "" ? null : <Verdict entry={entry} question="" said={null} />}
    </section>
  );
}
