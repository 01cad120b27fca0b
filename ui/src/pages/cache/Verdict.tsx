/** What people say of a hit: a wrong one is forgotten, and the semantic cache learns from either. */
import { useMutation } from "@tanstack/react-query";
import { post } from "../../api/client";
import { useRefresh } from "../../api/govern";
import type { CacheDone } from "../../api/types";
import { Refusal } from "../../components/Form";
import { useMay } from "../../view";

interface Props {
  entry: string;
  /** The question that was answered with it; empty for an identical request. */
  question: string;
  said: boolean | null;
}

export function Verdict({ entry, question, said }: Props) {
  const refresh = useRefresh();
  const telling = useMutation({ mutationFn: (wrong: boolean) => post<CacheDone>("cache/feedback", { entry, question, wrong }), onSuccess: () => refresh("cache") });
  const may = useMay("cache.write");
  const told = telling.isSuccess ? telling.variables : said;
  const button = (wrong: boolean, words: string) => (
    <button type="button" className={`button small ${wrong ? "danger" : "quiet"}`} disabled={telling.isPending} onClick={() => telling.mutate(wrong)}>
      {words}
    </button>
  );
  return (
    <div className="stack" style={{ gap: 6 }}>
      <div className="row wrap" role="status">
        {told === null ? null : <span className={`tag ${told ? "bad" : "good"}`}>{told ? "said to be wrong, forgotten" : "said to be right"}</span>}
        {may && told === null ? (
          <>
            {button(true, "This hit was wrong")}
            {question === "" ? null : button(false, "It was right")}
          </>
        ) : null}
      </div>
      <Refusal error={telling.error} />
    </div>
  );
}
