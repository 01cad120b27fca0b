/** The one table: typed columns, sorting, a total under it, rows that open. */
import { type Column, type ColumnDef, flexRender, getCoreRowModel, getSortedRowModel, type RowData, type SortingState, useReactTable } from "@tanstack/react-table";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { type Columns, csv, save } from "../csv";
import { Icon } from "./Icon";

declare module "@tanstack/react-table" {
  interface ColumnMeta<TData extends RowData, TValue> {
    /** Numbers are set flush right in tabular figures. */
    number?: boolean;
    /** Long text breaks into lines. */
    wrap?: boolean;
    /** Takes the room that the other columns leave, and is cut before they are. */
    yields?: boolean;
    /** Hidden where the table is narrower than 860 ("wide"), 660 ("medium") or 440 pixels ("small"). */
    from?: "small" | "medium" | "wide";
    /** How the server has sorted by this column. */
    sorted?: "ascending" | "descending" | "none";
    /** The cell under the column that holds its total. */
    total?: ReactNode;
    /** Only there so that both type parameters are used, as the library's declaration wants. */
    types?: [TData, TValue];
  }
}

interface Props<Row> {
  /** What the table holds, for those who do not see it. */
  caption: string;
  rows: readonly Row[];
  // A table mixes columns of many value types, and the library's own type for that is `any`.
  columns: ColumnDef<Row, any>[];
  idOf: (row: Row) => string;
  onOpen?: (row: Row) => void;
  onPoint?: (row: Row | null) => void;
  /** The row whose detail is open. */
  current?: string;
  /** The row that the keyboard is on. */
  cursor?: string;
  /** Rows that a filter keeps. */
  chosen?: (row: Row) => boolean;
  sortable?: boolean;
}

function classOf<Row>(column: Column<Row, unknown>): string {
  const meta = column.columnDef.meta;
  return [meta?.number ? "number" : "", meta?.wrap ? "wrap" : "", meta?.yields ? "yields" : "", meta?.from === undefined ? "" : `from-${meta.from}`].join(" ").trim();
}

function Head<Row>({ column, label }: { column: Column<Row, unknown>; label: ReactNode }) {
  const sorted = column.getIsSorted();
  const order = sorted === false ? "none" : sorted === "asc" ? "ascending" : "descending";
  if (!column.getCanSort()) {
    return (
      <th scope="col" className={classOf(column)} aria-sort={column.columnDef.meta?.sorted}>
        {label}
      </th>
    );
  }
  return (
    <th scope="col" className={classOf(column)} aria-sort={order}>
      <button type="button" className="sorter" onClick={column.getToggleSortingHandler()}>
        {label}
        <span aria-hidden="true">{sorted === false ? "" : sorted === "asc" ? " ↑" : " ↓"}</span>
      </button>
    </th>
  );
}

/** The frame of a table. When the table is wider, the frame scrolls, and can be reached by keyboard to do so. */
export function Frame({ caption, children, onLeave }: { caption: string; children: ReactNode; onLeave?: () => void }) {
  const frame = useRef<HTMLDivElement>(null);
  const [scrolls, setScrolls] = useState(false);
  useEffect(() => {
    const element = frame.current;
    if (element === null) return;
    const sizes = new ResizeObserver(() => setScrolls(element.scrollWidth > element.clientWidth));
    sizes.observe(element);
    for (const child of element.children) sizes.observe(child);
    return () => sizes.disconnect();
  }, []);
  const reachable = scrolls ? { tabIndex: 0, role: "region", "aria-label": caption } : {};
  return (
    <div ref={frame} className="table-frame" onPointerLeave={onLeave} {...reachable}>
      {children}
    </div>
  );
}

export function Table<Row>(props: Props<Row>) {
  const { caption, rows, columns, idOf, onOpen, onPoint, current, cursor, chosen, sortable = false } = props;
  const [sorting, setSorting] = useState<SortingState>([]);
  const table = useReactTable({
    data: rows as Row[],
    columns,
    state: { sorting },
    onSortingChange: setSorting,
    enableSorting: sortable,
    getRowId: idOf,
    getCoreRowModel: getCoreRowModel(),
    getSortedRowModel: getSortedRowModel(),
  });
  const shown = table.getAllLeafColumns();
  const totals = shown.some((column) => column.columnDef.meta?.total !== undefined);
  return (
    <Frame caption={caption} onLeave={() => onPoint?.(null)}>
      <table>
        <caption className="hidden-text">{caption}</caption>
        <thead>
          <tr>
            {table.getFlatHeaders().map((header) => (
              <Head key={header.id} column={header.column} label={flexRender(header.column.columnDef.header, header.getContext())} />
            ))}
          </tr>
        </thead>
        <tbody>
          {table.getRowModel().rows.map((row) => (
            <tr
              key={row.id}
              data-row={row.id}
              className={onOpen === undefined ? undefined : "opens"}
              aria-current={row.id === current ? "true" : undefined}
              data-cursor={row.id === cursor ? "true" : undefined}
              data-chosen={chosen?.(row.original) === true ? "true" : undefined}
              onPointerEnter={() => onPoint?.(row.original)}
              onClick={(event) => {
                if (!(event.target instanceof Element) || event.target.closest("a, button, input") === null) onOpen?.(row.original);
              }}
            >
              {row.getVisibleCells().map((cell) => (
                <td key={cell.id} className={classOf(cell.column)}>
                  {flexRender(cell.column.columnDef.cell, cell.getContext())}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
        {totals ? (
          <tfoot>
            <tr>
              {shown.map((column) => (
                <td key={column.id} className={classOf(column)}>
                  {column.columnDef.meta?.total}
                </td>
              ))}
            </tr>
          </tfoot>
        ) : null}
      </table>
    </Frame>
  );
}

/** Downloads the whole answer, not only what is on screen. */
export function CsvLink({ href }: { href: string }) {
  return (
    <a className="button quiet small" href={href} download>
      <Icon name="download" /> CSV
      <span className="hidden-text"> download</span>
    </a>
  );
}

/** Downloads the rows that the page holds, of tables which the API has not as CSV. */
export function CsvButton<Row>({ name, columns, rows }: { name: string; columns: Columns<Row>; rows: readonly Row[] }) {
  return (
    <button type="button" className="button quiet small" onClick={() => save(csv(columns, rows), `${name}.csv`)}>
      <Icon name="download" /> CSV
      <span className="hidden-text"> download of {name}</span>
    </button>
  );
}
