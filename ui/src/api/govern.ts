/** What the pages about limits, approvals and people ask. */
import { keepPreviousData, useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { get } from "./client";
import type {
  Approval,
  ApprovalsAnswer,
  AuditAnswer,
  BudgetDetail,
  BudgetsAnswer,
  CacheAnswer,
  CacheHits,
  Chain,
  LoginWays,
  NoticesAnswer,
  PeopleAnswer,
  RulesAnswer,
  SessionsAnswer,
} from "./types";

/** Limits are used while one looks at them, and people answer. */
const WATCHED_MS = 15_000;

/** The figures beside the names of pages may be a minute old: standing of every limit takes the ledger a while. */
export const GLANCED_MS = 60_000;

function useAnswer<Answer>(path: string, more: { enabled?: boolean; refetchInterval?: number } = {}) {
  return useQuery({ queryKey: path.split("/"), queryFn: ({ signal }) => get<Answer>(path, undefined, signal), placeholderData: keepPreviousData, ...more });
}

export function useBudgets(refetchInterval = WATCHED_MS) {
  return useAnswer<BudgetsAnswer>("budgets", { refetchInterval });
}

export function useBudget(id: string, enabled = true) {
  return useAnswer<BudgetDetail>(`budgets/${encodeURIComponent(id)}`, { enabled, refetchInterval: WATCHED_MS });
}

function useCaches<Answer>(path: string, query: URLSearchParams, refetchInterval: number) {
  return useQuery({
    queryKey: ["cache", path, query.toString()],
    queryFn: ({ signal }) => get<Answer>(path, query, signal),
    placeholderData: keepPreviousData,
    refetchInterval,
  });
}

/** What the caches did. The ledger reads facts for it, so it is asked now and then, and not with all that lands. */
export function useCache(question: URLSearchParams, refetchInterval = WATCHED_MS) {
  return useCaches<CacheAnswer>("cache", question, refetchInterval);
}

/** The latest semantic hits, of one namespace or ("") of all. */
export function useCacheHits(namespace: string) {
  return useCaches<CacheHits>("cache/hits", new URLSearchParams({ namespace, limit: "20" }), WATCHED_MS);
}

export function useNotices() {
  return useAnswer<NoticesAnswer>("notices", { refetchInterval: WATCHED_MS });
}

/** Approvals: those that wait for the reader (""), those they asked for ("mine"), or all. */
export function useApprovals(show = "", refetchInterval = WATCHED_MS) {
  const query = show === "all" ? "" : show === "mine" ? "?mine=true" : "?for_me=true";
  return useQuery({
    queryKey: ["approvals", "list", show],
    queryFn: ({ signal }) => get<ApprovalsAnswer>(`approvals${query}`, undefined, signal),
    placeholderData: keepPreviousData,
    refetchInterval,
  });
}

export function useApproval(id: string) {
  return useAnswer<Approval>(`approvals/${encodeURIComponent(id)}`, { refetchInterval: WATCHED_MS });
}

export function useRules() {
  return useAnswer<RulesAnswer>("approvals/rules");
}

/** The audit log, newest first. Empty words do not narrow. */
export function useAudit(words: Readonly<Record<string, string>>, enabled = true) {
  const query = auditParameters(words);
  return useInfiniteQuery({
    queryKey: ["audit", query.toString()],
    queryFn: ({ pageParam, signal }) => {
      const page = new URLSearchParams(query);
      if (pageParam !== null) page.set("below", String(pageParam));
      return get<AuditAnswer>("audit", page, signal);
    },
    initialPageParam: null as number | null,
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
    enabled,
  });
}

export function auditParameters(words: Readonly<Record<string, string>>): URLSearchParams {
  return new URLSearchParams(Object.entries(words).filter(([, value]) => value !== ""));
}

export function useChain() {
  return useAnswer<Chain>("audit/chain");
}

export function usePeople() {
  return useAnswer<PeopleAnswer>("people");
}

export function useSessionsOf(person: string) {
  return useAnswer<SessionsAnswer>(`people/${encodeURIComponent(person)}/sessions`);
}

export function useLoginWays() {
  return useAnswer<LoginWays>("login");
}

/** Has everything asked again that a change of these may have moved; done once the answers are there. */
export function useRefresh(): (...names: string[]) => Promise<unknown> {
  const queries = useQueryClient();
  return (...names) => Promise.all([...names, "session", "audit"].map((name) => queries.invalidateQueries({ queryKey: [name] })));
}
