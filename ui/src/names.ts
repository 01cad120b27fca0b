/** How values of dimensions read: keys by the names people gave them, what is empty as unallocated. */
import { useMemo } from "react";
import { useKeys } from "./api/queries";
import { named } from "./view";

export type NameOf = (dimension: string, value: string) => string;

/** Names of keys by their ids. Keys that share a name keep the end of their ids. */
export function namesOf(keys: readonly { readonly id: string; readonly name: string }[]): Map<string, string> {
  const shared = (name: string) => keys.filter((key) => key.name === name).length > 1;
  return new Map(keys.map(({ id, name }) => [id, shared(name) ? `${name} …${id.slice(-4)}` : name]));
}

/** Where nothing of a dimension took part, as in a request that was refused before a model was asked. */
const NONE: Readonly<Record<string, string>> = { model: "no model", provider: "no provider", offer: "no offer" };

export function useNames(): NameOf {
  const keys = useKeys().data?.rows;
  return useMemo(() => {
    const names = namesOf(keys ?? []);
    return (dimension, value) => (value === "" ? NONE[dimension] : dimension === "key" ? names.get(value) : undefined) ?? named(value);
  }, [keys]);
}
