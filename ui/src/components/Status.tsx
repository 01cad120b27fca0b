/** How a request ended. Only what is not well stands out. */
const WORDS: Record<string, [string, string]> = {
  ok: ["", "ok"],
  cache_hit: ["good", "cache hit"],
  cancelled: ["warn", "cancelled"],
  truncated: ["warn", "truncated"],
  abandoned: ["bad", "abandoned"],
  error: ["bad", "error"],
};

export function StatusTag({ status, kind = "" }: { status: string; kind?: string }) {
  const [tone, words] = WORDS[status] ?? ["", status];
  if (status === "ok") return <span className="faint">ok</span>;
  return <span className={`tag ${tone}`}>{kind === "" ? words : kind.replaceAll("_", " ")}</span>;
}
