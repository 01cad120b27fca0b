/** The frame around every page: navigation with live figures, the palette, the content. */
import { type ReactNode, useState } from "react";
import { Link, useLocation } from "wouter";
import { useSpend } from "../api/queries";
import { count, short } from "../format";
import { money } from "../money";
import { pricedCost } from "../priced";
import { useLinkTo, useQuestion, useSession, useView } from "../view";
import { Icon } from "./Icon";
import { Fence } from "./State";
import { Palette, usePalette } from "./Palette";

interface Entry {
  path: string;
  name: string;
  figure: string;
  /** What the figure counts. */
  of: string;
}

function Entries({ entries }: { entries: Entry[] }) {
  const [path] = useLocation();
  const linkTo = useLinkTo();
  return (
    <ul>
      {entries.map((entry) => (
        <li key={entry.path}>
          <Link href={linkTo(entry.path)} className="nav-entry" aria-current={path === entry.path ? "page" : undefined}>
            {entry.name}
            <span className="figure" title={entry.of}>
              {entry.figure}
              <span className="hidden-text"> {entry.of}</span>
            </span>
          </Link>
        </li>
      ))}
    </ul>
  );
}

function useEntries(): { look: Entry[]; govern: Entry[] } {
  const session = useSession();
  const [view] = useView();
  const { filtered } = useQuestion();
  const spent = useSpend(filtered, { basis: view.basis }).data;
  const total = spent?.total;
  const cost = total === undefined ? null : pricedCost(total);
  return {
    look: [
      { path: "/", name: "Overview", figure: cost === null ? "" : money(cost, 2, spent?.currency), of: "spent in this window" },
      { path: "/requests", name: "Requests", figure: total === undefined ? "" : short(total.requests), of: "in this window" },
    ],
    govern: [
      { path: "/keys", name: "Keys", figure: count(session.keys), of: "keys" },
      { path: "/providers", name: "Providers", figure: count(session.providers), of: "configured" },
      { path: "/prices", name: "Prices", figure: "", of: "" },
    ],
  };
}

function Navigation({ onSearch }: { onSearch: () => void }) {
  const [open, setOpen] = useState(false);
  const { version } = useSession();
  const { look, govern } = useEntries();
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
        <Entries entries={look} />
        <p className="nav-heading" id="govern">
          Govern
        </p>
        <Entries entries={govern} />
        <div className="nav-foot">
          <button type="button" className="control nav-search" onClick={onSearch}>
            <span className="row">
              <Icon name="search" /> Search
            </span>
            <kbd>{navigator.platform.startsWith("Mac") ? "⌘K" : "Ctrl K"}</kbd>
          </button>
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
