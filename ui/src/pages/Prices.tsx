/** The price book: what every offer of the catalogue costs now, since when, and who says so. */
import { useEffect, useState } from "react";
import { usePrices } from "../api/queries";
import type { PriceView, PricesAnswer } from "../api/types";
import { Header } from "../components/Header";
import { Icon } from "../components/Icon";
import { Empty, Rows, Shown } from "../components/State";
import { CsvButton, Table } from "../components/Table";
import { columnHelper } from "../columns";
import type { Columns } from "../csv";
import { count, per, plural } from "../format";
import { exact } from "../money";
import { useView } from "../view";

const column = columnHelper<PriceView>();

function Lines({ price }: { price: PriceView }) {
  return (
    <span className="price-lines">
      {price.prices.map((line) => (
        <span key={`${line.unit} ${line.above}`} className="price-line">
          <span className="figure">{exact(line.amount, line.currency)}</span>{" "}
          <span className="faint">
            / {line.per === 1 ? "" : `${per(line.per)} `}
            {line.unit}
            {line.above === 0 ? "" : ` over ${count(line.above)} tokens`}
          </span>
        </span>
      ))}
    </span>
  );
}

type PriceLine = { price: PriceView; line: PriceView["prices"][number] };

/** A file has a row for every unit that an offer has a price for. */
function linesOf(prices: PricesAnswer): PriceLine[] {
  return prices.rows.flatMap((price) => price.prices.map((line) => ({ price, line })));
}

const FILE: Columns<PriceLine> = {
  offer: ({ price }) => price.offer,
  provider: ({ price }) => price.provider,
  product: ({ price }) => price.product,
  kind: ({ price }) => price.kind,
  region: ({ price }) => price.region,
  terms: ({ price }) => price.terms,
  unit: ({ line }) => line.unit,
  above: ({ line }) => line.above,
  per: ({ line }) => line.per,
  amount: ({ line }) => line.amount,
  currency: ({ line }) => line.currency,
  from: ({ price }) => price.effective.start ?? null,
  to: ({ price }) => price.effective.end ?? null,
  checked: ({ price }) => price.checked,
  stale: ({ price }) => price.stale,
  source: ({ price }) => price.source,
};

const COLUMNS = [
  column.accessor("offer", { header: "Offer", cell: (cell) => <span className="mono">{cell.getValue()}</span>, meta: { wrap: true } }),
  column.accessor("kind", { header: "Kind", meta: { from: "wide" } }),
  column.accessor("region", { header: "Region", cell: (cell) => cell.getValue() || <span className="faint">any</span>, meta: { from: "wide" } }),
  column.accessor("terms", { header: "Terms", cell: (cell) => cell.getValue().replaceAll("_", " "), meta: { from: "wide" } }),
  column.display({ id: "price", header: "Price", cell: ({ row }) => <Lines price={row.original} />, meta: { wrap: true } }),
  column.accessor("checked", {
    header: "Checked",
    cell: ({ row: { original: price } }) =>
      price.stale ? <span className="figure warn" title="Not confirmed for 30 days or more">{price.checked ?? "never"}</span> : <span className="figure soft">{price.checked}</span>,
    meta: { from: "medium" },
  }),
  column.accessor("source", { header: "Source", cell: (cell) => <Source text={cell.getValue()} />, meta: { from: "wide" } }),
];

function Source({ text }: { text: string }) {
  if (!text.startsWith("https://")) return <span className="soft" title={text}>{text}</span>;
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
          <p className="soft grow nowrap">{answer.data === undefined ? "" : plural(answer.data.matching, "offer")}</p>
          <label className="search">
            <Icon name="search" />
            <input className="control" type="search" aria-label="Search provider or model" placeholder="Search provider or model" value={text} onChange={(event) => setText(event.target.value)} />
          </label>
          <CsvButton name="prices" columns={FILE} rows={answer.data === undefined ? [] : linesOf(answer.data)} />
        </div>
        <section className="panel" aria-label="Prices">
          <Shown of={answer} outline={<Rows rows={16} />}>
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
