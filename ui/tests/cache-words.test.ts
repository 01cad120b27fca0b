import { describe, expect, it } from "vitest";
import { compared, fine, size } from "../src/pages/cache/words";

const marked = (text: string, other: string) => compared(text, other).filter(([, differs]) => differs).map(([words]) => words);

describe("compared", () => {
  it("marks the words that only one side has", () => {
    expect(marked("How do I reset my password?", "How can I reset the password?")).toEqual(["do", "my"]);
    expect(marked("How can I reset the password?", "How do I reset my password?")).toEqual(["can", "the"]);
  });

  it("does not mind case and punctuation", () => {
    expect(marked("Where is it?", "where is it")).toEqual([]);
  });

  it("marks a number, a negation and what changed its place", () => {
    expect(marked("Pay 100 USD", "Pay 1000 USD")).toEqual(["100"]);
    expect(marked("Is it not free?", "Is it free?")).toEqual(["not"]);
    expect(marked("from Rome to Paris", "from Paris to Rome")).toEqual(["to Paris"]);
  });

  it("keeps every word in its order", () => {
    const text = "a b a c b";
    expect(compared(text, "b a b c").map(([words]) => words).join(" ")).toBe(text);
    expect(compared("?! + −", "+ other").map(([words]) => words).join(" ")).toBe("?! + −");
    expect(compared("", "x")).toEqual([]);
    expect(compared("x y", "")).toEqual([["x y", true]]);
  });

  it("copes with long texts", () => {
    const long = Array.from({ length: 2_000 }, (_, index) => `w${index}`).join(" ");
    expect(marked(long, long)).toEqual([]);
    expect(compared(long, "w0").map(([words]) => words).join(" ")).toBe(long);
  });
});

describe("figures", () => {
  it("says shares finely and sizes roughly", () => {
    expect(fine(0.0031)).toBe("0.31%");
    expect([0, 999, 1_000, 123_456, 10_737_418_240].map(size)).toEqual(["0 bytes", "999 bytes", "1.0 kB", "123 kB", "10.7 GB"]);
  });
});
