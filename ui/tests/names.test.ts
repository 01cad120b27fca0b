import { expect, it } from "vitest";
import { namesOf } from "../src/names";

it("tells keys that share a name apart", () => {
  const names = namesOf([{ id: "key_0001", name: "ci" }, { id: "key_0002", name: "ci" }, { id: "key_0003", name: "nightly" }]);
  expect([...names.values()]).toEqual(["ci …0001", "ci …0002", "nightly"]);
});
