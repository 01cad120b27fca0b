import { describe, expect, it } from "vitest";
import type { Budget, Limit } from "../src/api/types";
import { monthly, quantity, refusedOf, requestsOf, said } from "../src/limits";

function budget(name: string, amount: string, scope: Record<string, string>, more: Partial<Limit> = {}): Budget {
  const limit = { id: name, name, amount, scope, measure: "cost", per: "month", rolling: false, ...more } as Limit;
  const pot = { used: "1", amount, subject: {}, window: { start: "2026-11-01T00:00:00Z", end: "2026-12-01T00:00:00Z" } };
  return { limit, unit: "USD", status: "ok", pots: [pot], pots_matching: 1 } as unknown as Budget;
}

describe("this month's budgets", () => {
  it("are the one of everybody, where there is one, and not those within it as well", () => {
    const cover = monthly([budget("search", "900", { team: "search" }), budget("all", "500", {})]);
    expect(cover?.budgets.map(({ limit }) => limit.name)).toEqual(["all"]);
  });

  it("are otherwise those that name different values of one field, each counted once by its smallest", () => {
    const cover = monthly([budget("a", "10", { team: "a" }), budget("a tight", "5", { team: "a" }), budget("b", "7", { team: "b" }), budget("c", "3", { feature: "c" })]);
    expect(cover?.by).toBe("team");
    expect(cover?.budgets.map(({ limit }) => limit.name)).toEqual(["a tight", "b"]);
  });

  it("are no quotas, no other spans and none that split by value", () => {
    expect(monthly([budget("q", "5", {}, { measure: "requests" }), budget("d", "5", {}, { per: "day" }), budget("e", "5", { user: "*" })])).toBeNull();
  });
});

describe("a limit's requests", () => {
  const { limit, pots } = budget("x", "5", { model: "smart", category: "training", user: "*" });
  const now = new Date("2026-11-21T12:00:00Z");

  it("are those of its scope in its span, by the ledger's dimensions", () => {
    const pot = { ...pots[0]!, subject: { user: "ana" } };
    expect(requestsOf(limit, pot, "UTC", now)).toEqual({ window: "2026-11-01..2026-11-21", where: { requested_model: ["smart"], "tag:category": ["training"], user: ["ana"] } });
  });

  it("name the limit where it refused them", () => {
    expect(refusedOf(limit, pots[0], "UTC", now).where).toMatchObject({ "tag:farthing.limit": ["x"], status: ["error"] });
  });
});

it("reads amounts in their measure", () => {
  expect(quantity("1200.5", "USD")).toBe("$1,201");
  expect(quantity("12.5", "USD")).toBe("$12.50");
  expect(quantity("30000000", "tokens")).toBe("30,000,000");
});

it("says what was set, exactly", () => {
  const words = (amount: string, more: Partial<Limit> = {}) => said(budget("x", amount, {}, more).limit);
  expect(words("0.0005", { per: "hour" })).toBe("$0.0005 an hour");
  expect(words("91.50")).toBe("$91.50 a month");
  expect(words("2500")).toBe("$2,500 a month");
  expect(words("600", { measure: "requests", per: "minute", rolling: true })).toBe("600 requests in any minute");
});
