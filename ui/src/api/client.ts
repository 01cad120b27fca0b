/** Fetching from the control API, with its problems as errors. */
import type { Problem } from "./types";

const ROOT = "/api/v1/";

/** What the API refused, in its own words (RFC 9457), or why it could not be reached. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem,
  ) {
    super(problem.detail);
    this.name = "ApiError";
  }
}

function unreachable(): Problem {
  return {
    type: "unavailable",
    title: "The control process does not answer",
    status: 0,
    detail: "No answer came from the control process.",
    field: "",
    value: "",
    remedy: "Check that “farthing up” is running; this page tries again by itself.",
    nearest: [],
    approval: "",
    url: "",
  };
}

/** What a form refuses by itself, in the shape of the API's refusals, so that it stands at its field as theirs do. */
export function refusal(field: string, value: string, detail: string, remedy: string): ApiError {
  return new ApiError(400, { ...unreachable(), type: "input", title: "This cannot be used", status: 400, detail, field, value, remedy });
}

async function problemOf(response: Response): Promise<Problem> {
  const fallback = { ...unreachable(), title: response.statusText, status: response.status, detail: `The answer was ${response.status}.`, remedy: "" };
  if (response.headers.get("content-type")?.includes("json") !== true) return fallback;
  return { ...fallback, ...((await response.json()) as Partial<Problem>) };
}

async function send(path: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(ROOT + path, { credentials: "same-origin", ...init });
  } catch (reason) {
    if (reason instanceof DOMException && reason.name === "AbortError") throw reason;
    throw new ApiError(0, unreachable());
  }
  if (!response.ok) throw new ApiError(response.status, await problemOf(response));
  return response;
}

export async function get<Answer>(path: string, query?: URLSearchParams, signal?: AbortSignal): Promise<Answer> {
  const response = await send(address(path, query), signal === undefined ? {} : { signal });
  return (await response.json()) as Answer;
}

export async function post<Answer>(path: string, body?: unknown, method: "POST" | "PATCH" = "POST"): Promise<Answer> {
  const init: RequestInit = { method };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "content-type": "application/json" };
  }
  return (await (await send(path, init)).json()) as Answer;
}

export async function remove(path: string): Promise<void> {
  await send(path, { method: "DELETE" });
}

export function address(path: string, query?: URLSearchParams): string {
  const text = query?.toString() ?? "";
  return text === "" ? path : `${path}?${text}`;
}

/** The address of an endpoint for a download link. */
export function href(path: string, query?: URLSearchParams): string {
  return ROOT + address(path, query);
}
