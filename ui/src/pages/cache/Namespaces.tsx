/** Each kind of traffic with its own rules and its own measured error rate. */
import { useMemo } from "react";
import { href } from "../../api/client";
import type { CacheAnswer, CacheNamespace, CacheSums } from "../../api/types";
import { columnHelper } from "../../columns";
import { Money } from "../../components/Money";
import { CsvLink, Table } from "../../components/Table";
import { count, share } from "../../format";
import { compare, decimalsFor } from "../../money";
import { toggled } from "../../url";
import { named, useQuestion, useView } from "../../view";
import { fine, NAMESPACE, size } from "./words";

const column = columnHelper<CacheNamespace>();
const TONES = { on: "good", shadow: "warn", off: "" };

function Modes({ row }: { row: CacheNamespace }) {
  const modes = { exact: row.exact, semantic: row.semantic, embeddings: row.embeddings };
  const set = Object.entries(modes).filter(([, mode]) => mode !== null && mode !== "off");
  if (row.exact === null) return <span className="faint">no longer set</span>;
  if (set.length === 0) return <span className="faint">off</span>;
  return (
    <span className="tags">
      {set.map(([name, mode]) => (
        <span key={name} className={`tag ${TONES[mode ?? "off"]}`}>
          {name}: {mode}
        </span>
      ))}
      {row.policy === "cosine" ? <span className="tag warn" title="Serves by similarity alone and promises nothing; for comparison">cosine rule</span> : null}
    </span>
  );
}

function Wrong({ row: { standing, semantic } }: { row: CacheNamespace }) {
  if (standing === null) return <span className="faint">{semantic === null || semantic === "off" ? "–" : "unknown"}</span>;
  const { wrong, bound, target, threshold, closed, labels } = standing;
  const measured = wrong === null || bound === null ? null : { wrong, bound };
  const about = [labels === null ? "" : `${count(labels)} answers compared`, threshold === null ? "nothing is sure enough to be served" : `served from a probability of ${threshold.toFixed(3)} on`, closed === "" ? "" : `closed: ${closed}`].filter(Boolean).join("; ");
  return (
    <span title={about}>
      {measured === null ? (
        <span className="faint"><span className="only-small">not measured yet</span><span className="only-narrow">–</span></span>
      ) : (
        <>
          <span className={`figure ${measured.bound > target ? "bad" : ""}`}>{fine(measured.wrong)}</span>{" "}
          <span className="figure faint only-small">
            at most {fine(measured.bound)} of {fine(target)}
          </span>
        </>
      )}
      {closed === "" ? null : <> <span className="tag warn only-small">closed</span></>}
    </span>
  );
}

function columnsOf({ namespaces, total, net, currency }: CacheAnswer, pick: (row: CacheNamespace) => void) {
  const decimals = decimalsFor(namespaces.flatMap(({ net, sums }) => [net, sums.would_save]));
  const amount = (text: string | null) => <Money amount={text} decimals={decimals} currency={currency} />;
  const dash = <span className="faint">–</span>;
  const would = (sums: CacheSums) => (sums.would === 0 ? dash : amount(sums.would_unpriced === sums.would ? null : sums.would_save));
  return [
    column.accessor("name", {
      header: "Namespace",
      cell: (cell) => (
        <button type="button" className="opener" title={`Filter by ${cell.getValue()}`} onClick={() => pick(cell.row.original)}>
          {named(cell.getValue())}
        </button>
      ),
      meta: { total: "Total" },
    }),
    column.display({ id: "modes", header: "Modes", cell: ({ row }) => <Modes row={row.original} />, meta: { from: "medium" } }),
    column.accessor((row) => row.sums.requests, { id: "requests", header: "Requests", cell: (cell) => count(cell.getValue()), meta: { number: true, from: "small", total: count(total.requests) } }),
    column.accessor((row) => row.sums.hit_rate, { id: "rate", header: "Hit rate", cell: (cell) => share(cell.getValue()), meta: { number: true, total: share(total.hit_rate) } }),
    column.accessor("net", {
      header: "Saved, net",
      cell: ({ getValue, row: { original } }) => (original.sums.requests === 0 ? dash : <span className={compare(getValue(), "0") < 0 ? "bad" : ""}>{amount(getValue())}</span>),
      meta: { number: true, total: total.requests === 0 ? dash : amount(net) },
    }),
    column.accessor((row) => row.sums.would_save, { id: "would", header: "Would save", cell: ({ row: { original } }) => would(original.sums), meta: { number: true, from: "wide", total: would(total) } }),
    column.accessor((row) => row.standing?.bound ?? null, { id: "wrong", header: "Wrong", cell: ({ row }) => <Wrong row={row.original} />, meta: { number: true } }),
    column.accessor("entries", { header: "Questions", cell: (cell) => (cell.getValue() === null ? <span className="faint">–</span> : count(cell.getValue() ?? 0)), meta: { number: true, from: "wide" } }),
  ];
}

const KEPT = { answers: "Answers", questions: "Questions" };

/** "Answers kept: 1,204, 3.2 MB of 10.7 GB." */
function Kept({ stores }: Pick<CacheAnswer, "stores">) {
  if (stores.length === 0) return null;
  const words = stores.map(({ name, entries, bytes, most_entries, most_bytes }) => {
    const amount = entries === null ? "unknown" : count(entries) + (most_entries === null ? "" : ` of ${count(most_entries)}`);
    return `${KEPT[name]} kept: ${amount}${bytes === null ? "" : `, ${size(bytes)}`}${most_bytes === null ? "" : ` of ${size(most_bytes)}`}.`;
  });
  return <> {words.join(" ")}</>;
}

export function Namespaces({ answer }: { answer: CacheAnswer }) {
  const [view, change] = useView();
  const { filtered } = useQuestion();
  const pick = ({ name }: CacheNamespace) => change({ where: toggled(view.where, NAMESPACE, name) });
  const columns = useMemo(() => columnsOf(answer, pick), [answer, view]);
  const own = [answer.judging, answer.embedding, answer.warming].some(({ requests }) => requests > 0);
  return (
    <section className="panel" aria-labelledby="namespaces">
      <header>
        <div className="grow">
          <h2 id="namespaces">Namespaces</h2>
          <p>
            Kinds of traffic with rules of their own.{own ? " The total is net of the judge, the embedding model and warming, too." : ""}
            <Kept stores={answer.stores} />
          </p>
        </div>
        <CsvLink href={href("cache.csv", filtered)} />
      </header>
      <Table caption="Namespaces" rows={answer.namespaces} columns={columns} idOf={({ name }) => name} onOpen={pick} chosen={({ name }) => view.where[NAMESPACE]?.includes(name) === true} sortable />
    </section>
  );
}
