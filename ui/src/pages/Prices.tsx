/** The price book: what every offer of the catalogue costs now, since when, and who says so. */
import { createColumnHelper } from "@tanstack/react-table";
import { useEffect, useState } from "react";
import { usePrices } from "../api/queries";
import type { PriceView } from "../api/types";
import { Header } from "../components/Header";
import { Icon } from "../components/Icon";
import { Empty, Shown } from "../components/State";
import { Table } from "../components/Table";
import { count, plural } from "../format";
import { exact } from "../money";
import { useView } from "../view";

const column = createColumnHelper<PriceView>();

function Lines({ price }: { price: PriceView }) {
  return (
    <span className="price-lines">
      {price.prices.map((line) => (
        <span key={`${line.unit} ${line.above}`} className="nowrap">
          <span className="figure">{exact(line.amount, line.currency)}</span>{" "}
          <span className="faint">
            / {line.per === 1 ? "" : `${line.per === 1_000_000 ? "1M" : count(line.per)} `}
            {line.unit}
            {line.above === 0 ? "" : ` over ${count(line.above)} tokens`}
          </span>
        </span>
      ))}
    </span>
  );
}

const COLUMNS = [
  column.accessor("offer", { header: "Offer", cell: (cell) => <span className="mono">{cell.getValue()}</span>, meta: { wrap: true } }),
  column.accessor("kind", { header: "Kind", meta: { from: "wide" } }),
  column.accessor("region", { header: "Region", cell: (cell) => cell.getValue() || <span className="faint">any</span>, meta: { from: "wide" } }),
  column.accessor("terms", { header: "Terms", cell: (cell) => cell.getValue().replaceAll("_", " "), meta: { from: "wide" } }),
  column.display({ id: "price", header: "Price", cell: ({ row }) => <Lines price={row.original} />, meta: { wrap: true } }),
  column.accessor("checked", {
    header: "Checked",
    cell: ({ row: { original: price } }) =>
      price.stale ? <span className="tag warn" title="Not confirmed for 30 days or more">{price.checked ?? "never"}</span> : <span className="figure soft">{price.checked}</span>,
    meta: { from: "medium" },
  }),
  column.accessor("source", { header: "Source", cell: (cell) => <Source text={cell.getValue()} />, meta: { from: "wide" } }),
];

function Source({ text }: { text: string }) {
  if (!text.startsWith("https://")) return <span className="soft">{text}</span>;
  return (
    <a href={text} target="_blank" rel="noreferrer">
      {new URL(text).hostname}
    </a>
  );
}

export function Prices() {
  const [view, change] = useView();
  const [text, setText] = useState(view.search);
  useEffect(() => {
    const timer = setTimeout(() => text !== view.search && change({ search: text }, { replace: true }), 250);
    return () => clearTimeout(timer);
  }, [text, view.search, change]);
  const answer = usePrices(view.search);
  return (
    <>
      <Header title="Prices" facts={false} />
      <div className="stack">
        <div className="row wrap">
          <p className="soft grow">{answer.data === undefined ? "" : plural(answer.data.matching, "offer")}</p>
          <label className="search">
            <Icon name="search" />
            <input className="control" type="search" aria-label="Search provider or model" placeholder="Search provider or model" value={text} onChange={(event) => setText(event.target.value)} />
          </label>
        </div>
        <section className="panel" aria-label="Prices">
          <Shown of={answer} rows={12}>
            {(prices) =>
              prices.rows.length === 0 ? (
                <Empty title="No offer is called that">
                  <p>A request to a model without a price passes, and is shown as unpriced.</p>
                </Empty>
              ) : (
                <>
                  <Table caption="Prices" rows={prices.rows} columns={COLUMNS} idOf={(price) => `${price.offer} ${price.region} ${price.terms} ${price.effective.start ?? ""}`} />
                  {prices.matching > prices.rows.length ? <p className="more faint small">The best {count(prices.rows.length)} of {count(prices.matching)}. Search to narrow them down.</p> : null}
                </>
              )
            }
          </Shown>
        </section>
      </div>
    </>
  );
}
