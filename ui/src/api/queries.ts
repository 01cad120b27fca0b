/** Every question the pages ask, as TanStack queries. Keys that begin with "facts" go stale when facts land. */
import { keepPreviousData, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { ApiError, get, post } from "./client";
import type {
  DimensionValues,
  KeysAnswer,
  Overview,
  PricesAnswer,
  ProvidersAnswer,
  RequestDetail,
  RequestsAnswer,
  Session,
  SpendAnswer,
} from "./types";

const PAGE = "100";

function withParameters(query: URLSearchParams, more: Record<string, string>): URLSearchParams {
  const all = new URLSearchParams(query);
  for (const [name, value] of Object.entries(more)) if (value !== "") all.append(name, value);
  return all;
}

function useFacts<Answer>(path: string, query: URLSearchParams, enabled = true) {
  return useQuery({
    queryKey: ["facts", path, query.toString()],
    queryFn: ({ signal }) => get<Answer>(path, query, signal),
    placeholderData: keepPreviousData,
    enabled,
  });
}

/** Logs in with the token of the link that `farthing up` prints. It leaves the address, and so the history, once it is answered. */
async function enter(token: string): Promise<Session> {
  const forget = () => history.replaceState(null, "", location.pathname + location.search);
  try {
    const session = await post<Session>("session", { token });
    forget();
    return session;
  } catch (reason) {
    if (!isAway(reason)) forget();
    throw reason;
  }
}

function isAway(reason: unknown): boolean {
  return reason instanceof ApiError && reason.status === 0;
}

/** How often a control process that does not answer is asked whether it is back. */
const AWAY_MS = 3_000;

/** Who comes with a token in the address logs in with it; the others may have a session already. */
export function useSessionQuery() {
  return useQuery({
    queryKey: ["session"],
    queryFn: ({ signal }) => {
      const token = new URLSearchParams(location.hash.slice(1)).get("token") ?? "";
      return token === "" ? get<Session>("session", undefined, signal) : enter(token);
    },
    retry: (_, error) => isAway(error),
    retryDelay: AWAY_MS,
  });
}

export function useOverview(question: URLSearchParams, by: string, basis: string) {
  return useFacts<Overview>("overview", withParameters(question, { by, basis }));
}

export function useSpend(question: URLSearchParams, more: Record<string, string>, enabled = true) {
  return useFacts<SpendAnswer>("spend", withParameters(question, more), enabled);
}

export function requestParameters(question: URLSearchParams, search: string, order: string): URLSearchParams {
  return withParameters(question, { search, order });
}

export function useRequests(question: URLSearchParams, search: string, order: string) {
  const query = requestParameters(question, search, order);
  return useInfiniteQuery({
    queryKey: ["facts", "requests", query.toString()],
    queryFn: ({ pageParam, signal }) =>
      get<RequestsAnswer>("requests", withParameters(query, { limit: PAGE, after: pageParam }), signal),
    initialPageParam: "",
    getNextPageParam: (page) => (page.next === "" ? undefined : page.next),
    placeholderData: keepPreviousData,
  });
}

/** A request does not change once it has landed, so it is not asked for again. */
export function useRequest(id: string) {
  return useQuery({
    queryKey: ["request", id],
    queryFn: ({ signal }) => get<RequestDetail>(`requests/${encodeURIComponent(id)}`, undefined, signal),
    enabled: id !== "",
    staleTime: Infinity,
  });
}

export function useDimension(name: string, question: URLSearchParams, enabled = true) {
  return useFacts<DimensionValues>(`dimensions/${encodeURIComponent(name)}`, question, enabled);
}

export function useKeys() {
  return useQuery({ queryKey: ["keys"], queryFn: ({ signal }) => get<KeysAnswer>("keys", undefined, signal) });
}

export function useProviders() {
  return useQuery({ queryKey: ["providers"], queryFn: ({ signal }) => get<ProvidersAnswer>("providers", undefined, signal) });
}

export function usePrices(text: string) {
  return useQuery({
    queryKey: ["prices", text],
    queryFn: ({ signal }) => get<PricesAnswer>("prices", new URLSearchParams(text === "" ? {} : { q: text }), signal),
    placeholderData: keepPreviousData,
  });
}
