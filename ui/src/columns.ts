/** What a table shows, column by column: what a row has there, and how that reads. */
import type { ReactNode } from "react";

interface Meta {
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
}

interface Cell<Row, Value> {
  readonly getValue: () => Value;
  readonly row: { readonly original: Row; readonly index: number };
}

interface Definition<Row, Value> {
  header: string | (() => ReactNode);
  /** Shows the value itself when left out. */
  cell?: (cell: Cell<Row, Value>) => ReactNode;
  meta?: Meta;
}

export interface Column<Row> {
  readonly id: string;
  readonly header: ReactNode;
  readonly meta: Meta;
  /** What rows are sorted by; absent where a column only shows. */
  readonly value?: (row: Row) => unknown;
  readonly show: (row: Row, index: number) => ReactNode;
}

interface Builder<Row> {
  accessor<Key extends keyof Row & string>(key: Key, definition: Definition<Row, Row[Key]>): Column<Row>;
  accessor<Value>(read: (row: Row) => Value, definition: Definition<Row, Value> & { id: string }): Column<Row>;
  display(definition: Definition<Row, undefined> & { id: string }): Column<Row>;
}

function made<Row, Value>(id: string, read: (row: Row) => Value, { header, cell, meta = {} }: Definition<Row, Value>): Column<Row> {
  return {
    id,
    header: typeof header === "string" ? header : header(),
    meta,
    value: read,
    show: (original, index) => (cell === undefined ? String(read(original) ?? "") : cell({ getValue: () => read(original), row: { original, index } })),
  };
}

/** Begins the columns of a table: `accessor` for what a row holds, `display` for what it only shows. */
export function columnHelper<Row>(): Builder<Row> {
  return {
    accessor: <Value,>(read: string | ((row: Row) => Value), definition: Definition<Row, Value> & { id?: string }) =>
      typeof read === "string" ? made(read, (row: Row) => row[read as keyof Row] as Value, definition) : made(definition.id ?? "", read, definition),
    display: (definition) => {
      const { value: _, ...shown } = made(definition.id, (): undefined => undefined, definition);
      return shown;
    },
  };
}

/** Orders two values of a column: numbers and exact amounts by size, text by the alphabet, what is missing first. */
export function ordered(left: unknown, right: unknown): number {
  if (left === right) return 0;
  if (left === null || left === undefined || left === "") return -1;
  if (right === null || right === undefined || right === "") return 1;
  const difference = Number(left) - Number(right);
  return Number.isNaN(difference) ? String(left).localeCompare(String(right)) : difference;
}
