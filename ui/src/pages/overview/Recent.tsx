import { useMemo } from "react";
import { Link, useLocation } from "wouter";
import { href } from "../../api/client";
import type { Overview, RequestRow } from "../../api/types";
import { Money } from "../../components/Money";
import { StatusTag } from "../../components/Status";
import { CsvLink, Table } from "../../components/Table";
import { columnHelper } from "../../columns";
import { duration } from "../../format";
import { decimalsFor } from "../../money";
import { clock } from "../../time";
import { named, useLinkTo, useQuestion, useView } from "../../view";

const column = columnHelper<RequestRow>();

function columnsOf(rows: readonly RequestRow[], zone: string, address: (row: RequestRow) => string) {
  const costs = decimalsFor(rows.flatMap((row) => row.cost ?? []));
  return [
    column.accessor("at", { header: "Time", cell: ({ row: { original: row } }) => <Link href={address(row)}>{clock(new Date(row.at), zone)}</Link>, meta: { number: false } }),
    column.accessor((row) => row.scope.team, { id: "team", header: "Team", cell: (cell) => <span className={cell.getValue() === "" ? "faint" : undefined}>{named(cell.getValue())}</span>, meta: { from: "small" } }),
    column.accessor((row) => row.model || row.requested_model, { id: "model", header: "Model" }),
    column.accessor("status", { header: "Status", cell: ({ row: { original: row } }) => <StatusTag status={row.status} kind={row.error_kind} />, meta: { from: "small" } }),
    column.accessor("total_ms", { header: "Latency", cell: (cell) => duration(cell.getValue()), meta: { number: true, from: "medium" } }),
    column.accessor("cost", { header: "Cost", cell: ({ row: { original: row } }) => <Money amount={row.cost} decimals={costs} reason={row.unpriced} />, meta: { number: true } }),
  ];
}

export function Recent({ overview }: { overview: Overview }) {
  const [view] = useView();
  const [, navigate] = useLocation();
  const linkTo = useLinkTo();
  const { filtered } = useQuestion();
  const address = (row: RequestRow) => linkTo("/requests", { request: row.request_id });
  const rows = overview.recent.slice(0, 8);
  const columns = useMemo(() => columnsOf(rows, view.zone, address), [overview, view]);
  return (
    <section className="panel" aria-labelledby="recent">
      <header>
        <div className="grow">
          <h2 id="recent">Latest requests</h2>
        </div>
        <Link className="button quiet small" href={linkTo("/requests")}>
          All requests
        </Link>
        <CsvLink href={href("requests.csv", filtered)} />
      </header>
      <Table caption="Latest requests" rows={rows} columns={columns} idOf={(row) => row.request_id} onOpen={(row) => navigate(address(row))} />
    </section>
  );
}
