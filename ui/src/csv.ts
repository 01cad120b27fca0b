/** Rows as CSV, as the API writes it: RFC 4180, exact decimals, no text that a spreadsheet would run. */

export type Cell = string | number | boolean | null;

/** The columns of a file: what each is called, and what a row has there. */
export type Columns<Row> = Readonly<Record<string, (row: Row) => Cell>>;

const NUMBER = /^-?\d+(\.\d+)?$/;

/** Text that begins like a formula gets a quote before it; a negative amount is a number and stays one. */
function disarmed(text: string): string {
  return /^[=+\-@\t\r]/.test(text) && !NUMBER.test(text) ? `'${text}` : text;
}

function cell(value: Cell): string {
  const text = disarmed(value === null ? "" : String(value));
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

export function csv<Row>(columns: Columns<Row>, rows: readonly Row[]): string {
  const lines = [Object.keys(columns), ...rows.map((row) => Object.values(columns).map((read) => read(row)))];
  return lines.map((line) => `${line.map(cell).join(",")}\r\n`).join("");
}

/** Hands a text to the browser as a file. */
export function save(text: string, name: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1_000);
}
