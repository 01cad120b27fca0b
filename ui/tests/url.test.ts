import { describe, expect, it } from "vitest";
import { conditions, DEFAULTS, read, toggled, write, type View } from "../src/url";

const VIEW: View = {
  window: "2026-10-01..2026-10-31",
  zone: "Europe/Berlin",
  basis: "billed",
  by: "tag:cost center",
  where: { team: ["search", ""], "tag:env": ["a:b&c"] },
  search: "50% = half?",
  order: "cost",
  request: "req/1",
  open: "lim_1",
  show: "mine",
  actor: "fay@example.com",
  action: "key.",
  subject: "lim_1",
};

describe("address", () => {
  it("says everything, and says it back", () => {
    expect(read(write(VIEW))).toEqual(VIEW);
  });

  it("leaves out what is the default anyway", () => {
    expect(write(DEFAULTS)).toBe("");
    expect(write({ ...DEFAULTS, zone: "Asia/Tokyo" }, { ...DEFAULTS, zone: "Asia/Tokyo" })).toBe("");
  });

  it("takes the default for what makes no sense", () => {
    expect(read("?window=2026-02-31..2026-03-01&zone=Nowhere/Else&basis=guess&order=up&where=nonsense")).toEqual(DEFAULTS);
    expect(read("?window=2026-03-02..2026-03-01").window).toBe(DEFAULTS.window);
  });

  it("switches a value of a filter on and off", () => {
    const on = toggled(toggled({}, "team", "search"), "team", "");
    expect(conditions(on)).toEqual(["team:search", "team:"]);
    expect(toggled(toggled(on, "team", "search"), "team", "")).toEqual({});
  });
});
