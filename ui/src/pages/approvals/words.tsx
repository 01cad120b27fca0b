import type { Approval } from "../../api/types";
import { plural } from "../../format";

const TONES: Record<Approval["state"], string> = { pending: "warn", approved: "good", running: "", done: "good", failed: "bad", denied: "bad", expired: "", withdrawn: "" };

export function StateTag({ state }: { state: Approval["state"] }) {
  return <span className={`tag ${TONES[state]}`}>{state}</span>;
}

/** "in 2 days", "in 5 hours": how long something waits yet; empty where it waits no more. */
export function leftOf({ state, expires }: Approval, now: Date): string {
  if (state !== "pending" && state !== "approved") return "";
  const hours = Math.max(0, Date.parse(expires) - now.getTime()) / 3_600_000;
  if (hours >= 48) return `in ${plural(Math.floor(hours / 24), "day")}`;
  return hours >= 1 ? `in ${plural(Math.floor(hours), "hour")}` : `in ${plural(Math.ceil(hours * 60), "minute")}`;
}
