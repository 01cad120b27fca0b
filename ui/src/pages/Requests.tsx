/** Every request: filtered by a sentence, searched, sorted, and opened down to its last decimal. */
import { useEffect, useMemo, useRef, useState } from "react";
import { href } from "../api/client";
import { requestParameters, useRequests } from "../api/queries";
import type { RequestsAnswer } from "../api/types";
import { Filters } from "../components/Filters";
import { Header } from "../components/Header";
import { Icon } from "../components/Icon";
import { Bone, Empty, Rows, Shown } from "../components/State";
import { CsvLink, Table } from "../components/Table";
import { plural } from "../format";
import { useRowKeys } from "../row-keys";
import type { Order } from "../url";
import { useQuestion, useSession, useView } from "../view";
import { columnsOf } from "./requests/columns";
import { RequestDrawer } from "./requests/RequestDrawer";
import { RequestTotals } from "./requests/RequestTotals";

const ORDERS: Record<Order, string> = { newest: "newest first", cost: "costliest first", latency: "slowest first" };

function Search() {
  const [view, change] = useView();
  const [text, setText] = useState(view.search);
  useEffect(() => setText(view.search), [view.search]);
  useEffect(() => {
    if (text === view.search) return;
    const timer = setTimeout(() => change({ search: text, request: "" }, { replace: true }), 250);
    return () => clearTimeout(timer);
  }, [text, view.search, change]);
  return (
    <label className="search">
      <Icon name="search" />
      <input className="control" type="search" aria-label="Search id, model, feature or error" placeholder="Search id, model, feature, error" value={text} onChange={(event) => setText(event.target.value)} />
    </label>
  );
}

function OrderPicker() {
  const [view, change] = useView();
  return (
    <select className="control" aria-label="Order" value={view.order} onChange={(event) => change({ order: event.target.value as Order })}>
      {Object.entries(ORDERS).map(([order, words]) => (
        <option key={order} value={order}>
          {words}
        </option>
      ))}
    </select>
  );
}

/** Asks for the next page when its button comes near the screen; the button works without that too. */
function More({ pending, load }: { pending: boolean; load: () => void }) {
  const button = useRef<HTMLButtonElement>(null);
  const latest = useRef(load);
  latest.current = load;
  useEffect(() => {
    if (button.current === null || pending) return;
    const near = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && latest.current(), { rootMargin: "400px" });
    near.observe(button.current);
    return () => near.disconnect();
  }, [pending]);
  return (
    <p className="more">
      <button ref={button} type="button" className="button quiet" disabled={pending} onClick={load}>
        {pending ? "Loading…" : "Load more"}
      </button>
    </p>
  );
}

function NoRequests() {
  const [view, change] = useView();
  const { hints, gateway_url } = useSession();
  const narrowed = Object.keys(view.where).length > 0 || view.search !== "";
  return (
    <Empty title={narrowed ? "No request in this window fits" : "No requests in this window"}>
      {narrowed ? (
        <button type="button" className="button" onClick={() => change({ where: {}, search: "" })}>
          Clear filters and search
        </button>
      ) : (
        <p>
          Send requests to <code>{gateway_url}</code>; they appear here seconds later. {hints[0]?.text}
        </p>
      )}
    </Empty>
  );
}

function RequestsOutline() {
  return (
    <>
      <div className="totals">
        <Bone width={260} height={32} />
      </div>
      <Rows rows={16} />
    </>
  );
}

export function Requests() {
  const [view, change] = useView();
  const { filtered } = useQuestion();
  const answer = useRequests(filtered, view.search, view.order);
  const pages = answer.data?.pages;
  const rows = useMemo(() => pages?.flatMap((page) => page.rows) ?? [], [pages]);
  const open = (id: string) => change({ request: id === view.request ? "" : id }, { replace: view.request !== "" });
  const close = () => change({ request: "" });
  const { cursor } = useRowKeys({ ids: rows.map((row) => row.request_id), current: view.request, open, close });
  const columns = useMemo(() => columnsOf(rows, view, (order) => change({ order })), [rows, view, change]);
  const first: RequestsAnswer | undefined = pages?.[0];
  return (
    <>
      <Header title="Requests" />
      <div className="stack">
        <div className="row wrap">
          <div className="grow">
            <Filters {...(first === undefined ? {} : { lead: plural(first.matching, "request") })} />
          </div>
          <Search />
          <OrderPicker />
        </div>
        <section className="panel" aria-label="Requests">
          <Shown of={{ ...answer, data: first }} outline={<RequestsOutline />}>
            {(page) =>
              page.matching === 0 ? (
                <NoRequests />
              ) : (
                <>
                  <RequestTotals answer={page}>
                    <CsvLink href={href("requests.csv", requestParameters(filtered, view.search, view.order))} />
                  </RequestTotals>
                  <Table caption="Requests" rows={rows} columns={columns} idOf={(row) => row.request_id} onOpen={(row) => open(row.request_id)} current={view.request} {...(cursor === null ? {} : { cursor })} />
                  {answer.hasNextPage ? <More pending={answer.isFetchingNextPage} load={() => void answer.fetchNextPage()} /> : <p className="more faint small">That is all of them.</p>}
                </>
              )
            }
          </Shown>
        </section>
        <p className="faint small keys-help">
          <kbd>j</kbd> <kbd>k</kbd> move · <kbd>Enter</kbd> open · <kbd>Esc</kbd> close · <kbd>/</kbd> search
        </p>
      </div>
      {view.request === "" ? null : <RequestDrawer key={view.request} id={view.request} onClose={close} />}
    </>
  );
}
