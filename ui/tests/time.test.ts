import { describe, expect, it } from "vitest";
import { lastDay, midnight, resolve, windowText } from "../src/time";

const NOW = new Date("2026-11-21T14:20:00Z");

describe("windows", () => {
  it("begin at midnight of the reporting zone, whatever its clocks did", () => {
    expect(midnight("2026-11-21", "UTC").toISOString()).toBe("2026-11-21T00:00:00.000Z");
    expect(midnight("2026-10-25", "Europe/Berlin").toISOString()).toBe("2026-10-24T22:00:00.000Z");
    expect(midnight("2026-10-26", "Europe/Berlin").toISOString()).toBe("2026-10-25T23:00:00.000Z");
    expect(midnight("2026-11-21", "Asia/Kolkata").toISOString()).toBe("2026-11-20T18:30:00.000Z");
    expect(midnight("2026-09-06", "America/Santiago").toISOString()).toBe("2026-09-06T04:00:00.000Z");
  });

  it("that end now end with the running hour", () => {
    expect(resolve("7d", NOW, "UTC")).toEqual({ start: new Date("2026-11-15T00:00:00Z"), end: new Date("2026-11-21T15:00:00Z") });
    expect(resolve("24h", NOW, "UTC").start).toEqual(new Date("2026-11-20T15:00:00Z"));
  });

  it("of a month are the zone's month", () => {
    const turn = new Date("2026-11-30T23:30:00Z");
    expect(resolve("month", turn, "Asia/Tokyo").start).toEqual(new Date("2026-11-30T15:00:00Z"));
    expect(resolve("last-month", turn, "UTC")).toEqual({ start: new Date("2026-10-01T00:00:00Z"), end: new Date("2026-11-01T00:00:00Z") });
  });

  it("of chosen days hold the last one, and not a day more", () => {
    const chosen = resolve("2026-11-01..2026-11-08", NOW, "America/New_York");
    expect(chosen.end.toISOString()).toBe("2026-11-09T05:00:00.000Z");
    expect(lastDay(chosen, "America/New_York")).toBe("2026-11-08");
    expect(windowText(chosen, "America/New_York")).toBe("Nov 1 – Nov 8, 2026");
  });
});
