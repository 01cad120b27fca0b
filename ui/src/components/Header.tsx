/** A page's head: its title, and what every figure below depends on: window, time zone, currency, basis, freshness. */
import type { ReactNode } from "react";
import { type Pulse, useLive } from "../api/live";
import { addDays, clock, dayOf, isPreset, lastDay, longDay, midnight, PRESETS, shortDay, windowText } from "../time";
import { useTitle } from "../theme";
import { BASES, type Basis } from "../url";
import { useNow, useQuestion, useSession, useView } from "../view";
import { Popover } from "./Popover";

const ZONES = ["UTC", "Europe/London", "Europe/Berlin", "America/New_York", "America/Chicago", "America/Los_Angeles", "Asia/Kolkata", "Asia/Singapore", "Asia/Tokyo", "Australia/Sydney"];

/** The settings' zone, the reader's own and a few of the world's, and whichever is chosen. */
export function useZones(): string[] {
  const [view] = useView();
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return [...new Set([useSession().zone, own, view.zone, ...ZONES])];
}

const PULSES: Record<Pulse, string> = { connecting: "connecting", live: "live", lost: "not live" };

function Freshness() {
  const { through, ledger_version } = useSession();
  const [view] = useView();
  const now = useNow();
  const pulse = useLive(ledger_version);
  const at = through === null ? null : new Date(through);
  const today = at !== null && dayOf(at, view.zone) === dayOf(now, view.zone);
  const text = at === null ? "no facts yet" : `facts through ${today ? "" : `${shortDay(at, view.zone)}, `}${clock(at, view.zone)}`;
  return (
    <span className="stamp" title={`Facts up to then are in the ledger (${view.zone}). ${PULSES[pulse]}.`}>
      <span className={`pulse ${pulse}`} aria-hidden="true" />
      {text}
      <span className="hidden-text">, {PULSES[pulse]}</span>
    </span>
  );
}

function CustomWindow({ onPick }: { onPick: (window: string) => void }) {
  const [view] = useView();
  const { window } = useQuestion();
  return (
    <form
      className="stack"
      style={{ gap: 8, padding: "4px 8px 8px" }}
      onSubmit={(event) => {
        event.preventDefault();
        const data = new FormData(event.currentTarget);
        const days = [String(data.get("from")), String(data.get("to"))].sort();
        if (days.every((day) => day !== "")) onPick(days.join(".."));
      }}
    >
      <label className="field">
        <span>From</span>
        <input className="control" type="date" name="from" defaultValue={dayOf(window.start, view.zone)} required />
      </label>
      <label className="field">
        <span>To, this day included</span>
        <input className="control" type="date" name="to" defaultValue={lastDay(window, view.zone)} required />
      </label>
      <button type="submit" className="button" style={{ justifyContent: "center" }}>
        Show these days
      </button>
    </form>
  );
}

function WindowPicker() {
  const [view, change] = useView();
  const { window } = useQuestion();
  const [from, to] = view.window.split("..");
  const name = isPreset(view.window) ? PRESETS[view.window] : windowText(window, view.zone);
  const spoken = from === undefined || to === undefined ? windowText(window, view.zone) : `${longDay(midnight(from, view.zone), view.zone)} to ${longDay(midnight(addDays(to, 0), view.zone), view.zone)}`;
  return (
    <Popover className="control picks" label={name} name={`Window: ${name}, ${spoken}`}>
      {(close) => (
        <>
          {Object.entries(PRESETS).map(([preset, words]) => (
            <button
              key={preset}
              type="button"
              className="choice"
              aria-pressed={preset === view.window}
              onClick={() => {
                change({ window: preset });
                close();
              }}
            >
              {words}
            </button>
          ))}
          <hr className="divide" />
          <CustomWindow
            onPick={(picked) => {
              change({ window: picked });
              close();
            }}
          />
        </>
      )}
    </Popover>
  );
}

/** `facts` is what the page shows: facts of cost, `"times"` for what only happened at some, or neither. */
export function Header({ title, children, facts = true }: { title: string; children?: ReactNode; facts?: boolean | "times" }) {
  useTitle(title);
  const [view, change] = useView();
  const { currency } = useSession();
  const zones = useZones();
  return (
    <header className="head">
      <h1>{title}</h1>
      <Freshness />
      {children}
      {facts !== false ? (
        <>
          <WindowPicker />
          <select className="control" aria-label="Time zone" value={view.zone} onChange={(event) => change({ zone: event.target.value })}>
            {zones.map((zone) => (
              <option key={zone}>{zone}</option>
            ))}
          </select>
          {facts === "times" ? null : (
            <select className="control" aria-label="Cost basis" value={view.basis} onChange={(event) => change({ basis: event.target.value as Basis })}>
              {BASES.map((basis) => (
                <option key={basis} value={basis}>
                  {currency} · {basis}
                </option>
              ))}
            </select>
          )}
        </>
      ) : null}
    </header>
  );
}
