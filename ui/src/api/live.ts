/** Live figures: the control process says when facts landed, and what was asked of them is asked again. */
import { type QueryClient, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { Landed } from "./types";

export type Pulse = "connecting" | "live" | "lost";

/** At most this often is everything on screen asked again. */
const PAUSE_MS = 2_000;

function refresher(queries: QueryClient): { landed: () => void; stop: () => void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let last = 0;
  const refresh = () => {
    timer = undefined;
    last = Date.now();
    void queries.invalidateQueries({ queryKey: ["facts"] });
    void queries.invalidateQueries({ queryKey: ["session"] });
  };
  return {
    landed: () => (timer ??= setTimeout(refresh, Math.max(0, last + PAUSE_MS - Date.now()))),
    stop: () => clearTimeout(timer),
  };
}

/** Listens for as long as the component stands. The browser reconnects by itself; what failed meanwhile is asked again. */
export function useLive(known: number): Pulse {
  const queries = useQueryClient();
  const [pulse, setPulse] = useState<Pulse>("connecting");
  useEffect(() => {
    const events = new EventSource("/api/v1/events");
    const { landed, stop } = refresher(queries);
    let version = known;
    events.onopen = () => {
      setPulse("live");
      void queries.refetchQueries({ predicate: ({ state }) => state.status === "error" });
    };
    events.onerror = () => setPulse("lost");
    events.addEventListener("landed", (event: MessageEvent<string>) => {
      const news = JSON.parse(event.data) as Landed;
      if (news.version !== version) landed();
      version = news.version;
    });
    return () => {
      stop();
      events.close();
    };
    // `known` only spares the first refresh.
  }, [queries]);
  return pulse;
}
