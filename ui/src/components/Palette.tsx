/** The command palette: pages, filters and actions by name. Ctrl-K or ⌘K opens it anywhere. */
import { useCallback, useEffect, useId, useMemo, useRef, useState } from "react";
import { useLocation } from "wouter";
import { useDimension } from "../api/queries";
import { pagesOf } from "../pages";
import { setTheme, THEMES } from "../theme";
import { PRESETS } from "../time";
import { toggled } from "../url";
import { named, useLinkTo, useQuestion, useSession, useView } from "../view";
import { useSignOut } from "./Account";
import { useZones } from "./Header";

interface Command {
  name: string;
  /** What sort of thing it is, set small beside it. */
  kind: string;
  run: () => void;
}

export function usePalette(): { open: boolean; show: () => void; hide: () => void } {
  const [open, setOpen] = useState(false);
  const show = useCallback(() => setOpen(true), []);
  const hide = useCallback(() => setOpen(false), []);
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== "k" || !(event.metaKey || event.ctrlKey)) return;
      event.preventDefault();
      setOpen((was) => !was);
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, []);
  return { open, show, hide };
}

function usePageCommands(): Command[] {
  const [, navigate] = useLocation();
  const linkTo = useLinkTo();
  return pagesOf(useSession()).map(({ path, name }) => ({ name, kind: "page", run: () => navigate(linkTo(path)) }));
}

function useFilterCommands(): Command[] {
  const [path, navigate] = useLocation();
  const [view] = useView();
  const linkTo = useLinkTo();
  const { span } = useQuestion();
  const teams = useDimension("team", span).data;
  const models = useDimension("model", span).data;
  const here = path === "/requests" ? path : "/";
  return [teams, models].flatMap((dimension) =>
    (dimension?.values ?? []).map((value) => ({
      name: `${dimension?.name}: ${named(value)}`,
      kind: "filter",
      run: () => navigate(linkTo(here, { where: toggled(view.where, dimension?.name ?? "", value) })),
    })),
  );
}

function useActionCommands(): Command[] {
  const [view, change] = useView();
  const signOut = useSignOut();
  const windows = Object.entries(PRESETS).map(([window, name]) => ({ name, kind: "window", run: () => change({ window }) }));
  const themes = THEMES.map((theme) => ({ name: `Theme: ${theme}`, kind: "action", run: () => setTheme(theme) }));
  const zones = useZones()
    .filter((zone) => zone !== view.zone)
    .map((zone) => ({ name: `Time zone: ${zone}`, kind: "action", run: () => change({ zone }) }));
  const clear = { name: "Clear all filters", kind: "action", run: () => change({ where: {}, search: "" }) };
  const copy = { name: "Copy link to this view", kind: "action", run: () => void navigator.clipboard.writeText(location.href) };
  return [...windows, ...themes, clear, copy, { name: "Sign out", kind: "action", run: signOut }, ...zones];
}

/** The words of the query in any order, each somewhere in the command. */
function fits(command: Command, query: string): boolean {
  const text = `${command.name} ${command.kind}`.toLowerCase();
  return query
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

/** Names that begin with the query come first, then names that hold it, then kinds. */
function rank(command: Command, query: string): number {
  const at = command.name.toLowerCase().indexOf(query.toLowerCase());
  return at === 0 ? 0 : at > 0 ? 1 : 2;
}

const SHOWN = 60;

export function Palette({ onClose }: { onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  const [query, setQuery] = useState("");
  const [at, setAt] = useState(0);
  const commands = [...usePageCommands(), ...useFilterCommands(), ...useActionCommands()];
  const found = useMemo(() => commands.filter((command) => fits(command, query)).sort((a, b) => rank(a, query) - rank(b, query)).slice(0, SHOWN), [commands, query]);
  const active = Math.min(at, found.length - 1);

  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  useEffect(() => {
    dialog.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
  }, [active]);

  const run = (command: Command | undefined) => {
    onClose();
    command?.run();
  };
  const pressed = (event: React.KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) setAt((active + step + found.length) % Math.max(1, found.length));
    else if (event.key === "Enter") run(found[active]);
    else return;
    event.preventDefault();
  };
  return (
    <dialog ref={dialog} className="palette" aria-label="Commands" onClose={onClose} onClick={(event) => event.target === dialog.current && onClose()}>
      <input
        autoFocus
        role="combobox"
        aria-expanded="true"
        aria-controls={id}
        aria-activedescendant={found.length === 0 ? undefined : `${id}-${active}`}
        aria-label="Search pages, filters and actions"
        placeholder="Go to a page, filter, or do something"
        value={query}
        onChange={(event) => {
          setQuery(event.target.value);
          setAt(0);
        }}
        onKeyDown={pressed}
      />
      <div role="listbox" id={id} aria-label="Commands">
        {found.map((command, index) => (
          <div key={`${command.kind} ${command.name}`} id={`${id}-${index}`} role="option" aria-selected={index === active} className="choice" onClick={() => run(command)} onPointerMove={() => setAt(index)}>
            <span>{command.name}</span>
            <span className="soft">{command.kind}</span>
          </div>
        ))}
        {found.length === 0 ? <p className="faint" style={{ padding: "8px" }}>Nothing is called that.</p> : null}
      </div>
    </dialog>
  );
}
