/** The one table: typed columns, sorting, a total under it, rows that open. */
import { type ReactNode, useEffect, useMemo, useRef, useState } from "react";
import { type Column, ordered } from "../columns";
import { type Columns, csv, save } from "../csv";
import { Icon } from "./Icon";

interface Props<Row> {
  /** What the table holds, for those who do not see it. */
  caption: string;
  rows: readonly Row[];
  columns: readonly Column<Row>[];
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

/** The column that sorts, and whether the largest comes first. */
interface Sorting {
  readonly id: string;
  readonly down: boolean;
}

function classOf<Row>({ meta }: Column<Row>): string {
  return [meta.number ? "number" : "", meta.wrap ? "wrap" : "", meta.yields ? "yields" : "", meta.from === undefined ? "" : `from-${meta.from}`].join(" ").trim();
}

function Head<Row>({ column, sorting, sort }: { column: Column<Row>; sorting: Sorting | null; sort: ((next: Sorting | null) => void) | null }) {
  const mine = sorting?.id === column.id ? sorting : null;
  if (sort === null || column.value === undefined) {
    return (
      <th scope="col" className={classOf(column)} aria-sort={column.meta.sorted}>
        {column.header}
      </th>
    );
  }
  const next = mine === null ? { id: column.id, down: true } : mine.down ? { id: column.id, down: false } : null;
  return (
    <th scope="col" className={classOf(column)} aria-sort={mine === null ? "none" : mine.down ? "descending" : "ascending"}>
      <button type="button" className="sorter" onClick={() => sort(next)}>
        {column.header}
        <span aria-hidden="true">{mine === null ? "" : mine.down ? " ↓" : " ↑"}</span>
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

/** Rows with the places they came in, sorted by a column's values. */
function useSorted<Row>(rows: readonly Row[], columns: readonly Column<Row>[], sorting: Sorting | null): { row: Row; index: number }[] {
  return useMemo(() => {
    const placed = rows.map((row, index) => ({ row, index }));
    const value = columns.find((column) => column.id === sorting?.id)?.value;
    if (value === undefined || sorting === null) return placed;
    const sign = sorting.down ? -1 : 1;
    return placed.sort((a, b) => sign * ordered(value(a.row), value(b.row)));
  }, [rows, columns, sorting]);
}

export function Table<Row>(props: Props<Row>) {
  const { caption, rows, columns, idOf, onOpen, onPoint, current, cursor, chosen, sortable = false } = props;
  const [sorting, setSorting] = useState<Sorting | null>(null);
  const sorted = useSorted(rows, columns, sorting);
  const totals = columns.some((column) => column.meta.total !== undefined);
  return (
    <Frame caption={caption} onLeave={() => onPoint?.(null)}>
      <table>
        <caption className="hidden-text">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <Head key={column.id} column={column} sorting={sorting} sort={sortable ? setSorting : null} />
            ))}
          </tr>
        </thead>
        <tbody>
          {sorted.map(({ row, index }) => (
            <tr
              key={idOf(row)}
              data-row={idOf(row)}
              className={onOpen === undefined ? undefined : "opens"}
              aria-current={idOf(row) === current ? "true" : undefined}
              data-cursor={idOf(row) === cursor ? "true" : undefined}
              data-chosen={chosen?.(row) === true ? "true" : undefined}
              onPointerEnter={() => onPoint?.(row)}
              onClick={(event) => {
                if (!(event.target instanceof Element) || event.target.closest("a, button, input") === null) onOpen?.(row);
              }}
            >
              {columns.map((column) => (
                <td key={column.id} className={classOf(column)}>
                  {column.show(row, index)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
        {totals ? (
          <tfoot>
            <tr>
              {columns.map((column) => (
                <td key={column.id} className={classOf(column)}>
                  {column.meta.total}
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
