import { describe, expect, it } from "vitest";
import { change, compare, decimalsFor, exact, exactDecimals, money, round, roundDecimals, subtract, sum } from "../src/money";

describe("money", () => {
  it("shows no more decimals than exactness takes, and an estimate in whole units", () => {
    expect(exactDecimals(["0.001057280000", "0.5", "3"])).toBe(8);
    expect(exactDecimals(["7", "0.000000000000"])).toBe(0);
    expect(roundDecimals("1087.9")).toBe(0);
    expect(roundDecimals("87.9")).toBe(2);
  });

  it("adds what doubles cannot", () => {
    expect(sum(["0.1", "0.2"])).toBe("0.3");
    expect(sum(["9007199254740993.000000000001", "0.000000000001"])).toBe("9007199254740993.000000000002");
    expect(sum([])).toBe("0");
    expect(subtract("0.5", "-0.25")).toBe("0.75");
  });

  it("rounds half away from zero", () => {
    expect(round("2.345", 2)).toBe("2.35");
    expect(round("-2.345", 2)).toBe("-2.35");
    expect(round("0.004999999999", 2)).toBe("0.00");
    expect(round("12", 2)).toBe("12.00");
  });

  it("reads as money, and never shows something as nothing", () => {
    expect(money("24174.305", 2)).toBe("$24,174.31");
    expect(money("-1234567.8", 2)).toBe("−$1,234,567.80");
    expect(money("0.000000000001", 2)).toBe("<$0.01");
    expect(money("-0.001", 2)).toBe(">−$0.01");
    expect(money("0.000000000000", 2)).toBe("$0.00");
    expect(money("3", 2, "CHF")).toBe("3.00 CHF");
    expect(exact("0.044496000000")).toBe("$0.044496");
  });

  it("compares by value, not by text", () => {
    expect(compare("10", "9.999")).toBe(1);
    expect(compare("1.0", "1.00")).toBe(0);
    expect(change("15", "10")).toBeCloseTo(0.5);
    expect(change("1", "0.00")).toBeNull();
  });

  it("chooses decimals for a column by its largest amount", () => {
    expect(decimalsFor(["0.001", "250"])).toBe(2);
    expect(decimalsFor(["0.02"])).toBe(4);
    expect(decimalsFor(["0.000312"])).toBe(6);
  });

  it("refuses what is no decimal", () => {
    for (const text of ["", "1e-7", "NaN", "1,000"]) expect(() => sum([text])).toThrow(RangeError);
  });
});
