/** The frame around every page: navigation with live figures, the palette, the content. */
import { type ReactNode, useState } from "react";
import { Link, useLocation } from "wouter";
import { GLANCED_MS, useApprovals, useBudgets, useCache } from "../api/govern";
import { useSpend } from "../api/queries";
import { count, share, short } from "../format";
import { isPressed } from "../limits";
import { isZero, money } from "../money";
import { type Page, pagesOf } from "../pages";
import { pricedCost } from "../priced";
import { useLinkTo, useQuestion, useSession, useView } from "../view";
import { Account } from "./Account";
import { Icon } from "./Icon";
import { Fence } from "./State";
import { Palette, usePalette } from "./Palette";

interface Entry {
  path: string;
  name: string;
  figure: string;
  /** What the figure counts. */
  of: string;
  /** Whether a figure at all means that something is to be done. */
  warns: boolean;
}

function Entries({ entries }: { entries: Entry[] }) {
  const [path] = useLocation();
  const linkTo = useLinkTo();
  return (
    <ul>
      {entries.map((entry) => (
        <li key={entry.path}>
          <Link href={linkTo(entry.path)} className="nav-entry" aria-current={path === entry.path || (entry.path !== "/" && path.startsWith(`${entry.path}/`)) ? "page" : undefined}>
            {entry.name}
            {entry.figure === "" ? null : (
              <span className={`figure ${entry.warns ? "warn" : ""}`} title={entry.of}>
                {entry.figure}
                <span className="hidden-text"> {entry.of}</span>
              </span>
            )}
          </Link>
        </li>
      ))}
    </ul>
  );
}

/** What stands beside the names of the pages. */
function useFigures(): Record<string, [figure: string, of: string]> {
  const session = useSession();
  const [view] = useView();
  const { filtered } = useQuestion();
  const spent = useSpend(filtered, { basis: view.basis }).data;
  const pressed = useBudgets(GLANCED_MS).data?.rows.filter(isPressed).length ?? 0;
  const waiting = useApprovals("", GLANCED_MS).data?.waiting ?? 0;
  const reused = useCache(filtered, GLANCED_MS).data?.total.hit_rate ?? null;
  const total = spent?.total;
  const cost = total === undefined || (total.requests === 0 && isZero(total.cost)) ? null : pricedCost(total);
  return {
    "/": [cost === null ? "" : money(cost, 2, spent?.currency), "spent in this window"],
    "/requests": [total === undefined ? "" : short(total.requests), "in this window"],
    "/cache": [reused === null ? "" : share(reused), "answered from a cache"],
    "/budgets": [pressed === 0 ? "" : count(pressed), "at risk or over"],
    "/approvals": [waiting === 0 ? "" : count(waiting), "waiting for you"],
    "/keys": [count(session.keys), "keys"],
    "/providers": [count(session.providers), "configured"],
  };
}

/** The pages that the reader may enter, by section, each with what stands beside its name. */
function useEntries(): (section: Page["section"]) => Entry[] {
  const figures = useFigures();
  const pages = pagesOf(useSession());
  return (section) =>
    pages
      .filter((page) => page.section === section)
      .map(({ path, name }) => ({ path, name, figure: figures[path]?.[0] ?? "", of: figures[path]?.[1] ?? "", warns: path === "/budgets" || path === "/approvals" }));
}

function Navigation({ onSearch }: { onSearch: () => void }) {
  const [open, setOpen] = useState(false);
  const { version } = useSession();
  const entriesOf = useEntries();
  const linkTo = useLinkTo();
  return (
    <nav className="nav" aria-label="Pages">
      <div className="nav-bar">
        <Link href={linkTo("/")} className="brand">
          <Icon name="coin" /> Farthing
        </Link>
        <button type="button" className="icon-button nav-toggle" aria-expanded={open} aria-label="Pages" onClick={() => setOpen(!open)}>
          <Icon name={open ? "close" : "menu"} />
        </button>
      </div>
      <div className="nav-body" data-open={open} onClick={(event) => event.target instanceof HTMLAnchorElement && setOpen(false)}>
        <Entries entries={entriesOf("look")} />
        <p className="nav-heading" id="govern">
          Govern
        </p>
        <Entries entries={entriesOf("govern")} />
        <div className="nav-foot">
          <button type="button" className="control nav-search" onClick={onSearch}>
            <span className="row">
              <Icon name="search" /> Search
            </span>
            <kbd>{navigator.platform.startsWith("Mac") ? "⌘K" : "Ctrl K"}</kbd>
          </button>
          <Account />
          <p className="nav-version">Farthing {version}</p>
        </div>
      </div>
    </nav>
  );
}

export function Shell({ children }: { children: ReactNode }) {
  const palette = usePalette();
  const [path] = useLocation();
  return (
    <div className="shell">
      <a className="button skip" href="#main">
        Skip to content
      </a>
      <Navigation onSearch={palette.show} />
      <main id="main" className="main" tabIndex={-1}>
        <Fence key={path}>{children}</Fence>
      </main>
      {palette.open ? <Palette onClose={palette.hide} /> : null}
    </div>
  );
}
