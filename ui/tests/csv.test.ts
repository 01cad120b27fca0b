import { describe, expect, it } from "vitest";
import { type Columns, csv } from "../src/csv";

interface Row {
  name: string;
  amount: string | null;
  count: number;
}

const COLUMNS: Columns<Row> = { name: (row) => row.name, amount: (row) => row.amount, count: (row) => row.count };

function cellOf(name: string): string {
  return csv({ name: (row: Row) => row.name }, [{ name, amount: null, count: 0 }]).slice("name\r\n".length, -2);
}

describe("csv", () => {
  it("keeps every decimal and leaves out what is not known", () => {
    const rows = [
      { name: "a", amount: "9007199254740993.000000000001", count: 2 },
      { name: "b", amount: null, count: 0 },
    ];
    expect(csv(COLUMNS, rows)).toBe("name,amount,count\r\na,9007199254740993.000000000001,2\r\nb,,0\r\n");
    expect(csv(COLUMNS, [])).toBe("name,amount,count\r\n");
  });

  it("quotes what would break a line or a cell", () => {
    expect(cellOf('say "hi", then\nleave')).toBe('"say ""hi"", then\nleave"');
  });

  it.each(["=1+1", "+1 555", "-cmd", "@sum", "\tx"])("keeps a spreadsheet from running %j", (text) => {
    expect(cellOf(text)).toBe(`'${text}`);
  });

  it("leaves a negative amount a number", () => {
    expect(cellOf("-0.000000000001")).toBe("-0.000000000001");
  });
});
