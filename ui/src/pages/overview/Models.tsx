import { useMemo } from "react";
import { useLocation } from "wouter";
import { href } from "../../api/client";
import type { Group, Overview } from "../../api/types";
import { Money } from "../../components/Money";
import { CsvLink, Table } from "../../components/Table";
import { columnHelper } from "../../columns";
import { count, share } from "../../format";
import { decimalsFor } from "../../money";
import { type NameOf, useNames } from "../../names";
import { pricedCost } from "../../priced";
import { useLinkTo, useQuestion, useView } from "../../view";

const column = columnHelper<Group>();

function columnsOf(models: readonly Group[], currency: string, nameOf: NameOf) {
  const costs = decimalsFor(models.map((model) => model.total.cost));
  const units = decimalsFor(models.flatMap((model) => model.total.unit_cost ?? []));
  return [
    column.accessor((model) => (model.kind === "other" ? "all others" : nameOf("model", model.key)), {
      id: "model",
      header: "Model",
      cell: (cell) => <span className={cell.row.original.kind === "unallocated" ? "soft" : undefined}>{cell.getValue()}</span>,
    }),
    column.accessor((model) => pricedCost(model.total), {
      id: "cost",
      header: "Cost",
      cell: (cell) => <Money amount={cell.getValue()} decimals={costs} currency={currency} />,
      meta: { number: true },
    }),
    column.accessor((model) => model.cost_per_total, { id: "share", header: "Share", cell: (cell) => share(pricedCost(cell.row.original.total) === null ? null : cell.getValue()), meta: { number: true, from: "small" } }),
    column.accessor((model) => model.total.requests, { id: "requests", header: "Requests", cell: (cell) => count(cell.getValue()), meta: { number: true } }),
    column.accessor((model) => model.total.unit_cost, {
      id: "unit",
      header: "Per 1,000",
      cell: (cell) => (cell.getValue() === null ? <span className="faint">–</span> : <Money amount={cell.getValue()} decimals={units} currency={currency} />),
      meta: { number: true, from: "small" },
    }),
  ];
}

export function Models({ overview }: { overview: Overview }) {
  const [view] = useView();
  const [, navigate] = useLocation();
  const linkTo = useLinkTo();
  const { filtered } = useQuestion();
  const nameOf = useNames();
  const columns = useMemo(() => columnsOf(overview.models, overview.currency, nameOf), [overview, nameOf]);
  const csv = new URLSearchParams(filtered);
  csv.append("by", "model");
  csv.append("basis", overview.basis);
  return (
    <section className="panel" aria-labelledby="models">
      <header>
        <div className="grow">
          <h2 id="models">Models by cost</h2>
        </div>
        <CsvLink href={href("spend.csv", csv)} />
      </header>
      <Table
        caption="Models by cost"
        rows={overview.models}
        columns={columns}
        idOf={(model) => `${model.kind}:${model.key}`}
        onOpen={(model) => model.kind !== "other" && navigate(linkTo("/requests", { where: { ...view.where, model: [model.key] } }))}
      />
    </section>
  );
}
