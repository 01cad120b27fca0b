/** Filters as a sentence: "where team is search or growth, and model is gpt-5". */
import { useState } from "react";
import { useDimension } from "../api/queries";
import { toggled } from "../url";
import { useNames } from "../names";
import { useQuestion, useSession, useView } from "../view";
import { Icon } from "./Icon";
import { Popover } from "./Popover";

const FIRST = ["team", "model", "provider", "feature", "status", "project", "environment", "customer", "cost_source"];

/** The dimensions of the ledger, those that are asked for most at first. */
export function useDimensions(): string[] {
  const { dimensions } = useSession();
  return [...FIRST.filter((name) => dimensions.includes(name)), ...dimensions.filter((name) => !FIRST.includes(name))];
}

export function spoken(dimension: string): string {
  return dimension.replace(/^tag:farthing\./, "").replaceAll(/[_.]/g, " ");
}

function Values({ dimension }: { dimension: string }) {
  const [view, change] = useView();
  const { span } = useQuestion();
  const [search, setSearch] = useState("");
  const nameOf = useNames();
  const answer = useDimension(dimension, span);
  const kept = view.where[dimension] ?? [];
  const values = [...new Set([...kept, ...(answer.data?.values ?? [])])].filter((value) => nameOf(dimension, value).toLowerCase().includes(search.toLowerCase()));
  return (
    <>
      <input className="control" aria-label={`Search values of ${spoken(dimension)}`} placeholder="Search values" value={search} onChange={(event) => setSearch(event.target.value)} />
      <div className="values" role="group" aria-label={`Values of ${spoken(dimension)}`}>
        {values.slice(0, 200).map((value) => (
          <label key={value} className="choice">
            <input type="checkbox" checked={kept.includes(value)} onChange={() => change({ where: toggled(view.where, dimension, value), request: "" }, { replace: true })} />
            <span className={value === "" ? "faint" : undefined} title={value}>{nameOf(dimension, value)}</span>
          </label>
        ))}
        {values.length === 0 ? <p className="faint small" style={{ padding: 8 }}>{answer.isPending ? "Loading…" : "No such value in this window."}</p> : null}
      </div>
    </>
  );
}

function AddFilter() {
  const dimensions = useDimensions();
  const [dimension, setDimension] = useState(dimensions[0] ?? "team");
  return (
    <Popover
      side="left"
      className="button quiet"
      label={
        <>
          <Icon name="plus" /> Filter
        </>
      }
    >
      {() => (
        <div className="stack" style={{ gap: 6, width: 240 }}>
          <select className="control" aria-label="Dimension" value={dimension} onChange={(event) => setDimension(event.target.value)}>
            {dimensions.map((name) => (
              <option key={name} value={name}>
                {spoken(name)}
              </option>
            ))}
          </select>
          <Values key={dimension} dimension={dimension} />
        </div>
      )}
    </Popover>
  );
}

/** `lead` begins the sentence, as in "1,204 requests". */
export function Filters({ lead }: { lead?: string }) {
  const [view, change] = useView();
  const nameOf = useNames();
  const entries = Object.entries(view.where).map(([dimension, values]) => [dimension, values.map((value) => nameOf(dimension, value)).join(" or ")] as const);
  return (
    <div className="sentence" role="group" aria-label="Filters">
      {lead === undefined ? null : <span className="figure">{lead} </span>}
      {entries.map(([dimension, words], index) => (
        <span key={dimension} className="row" style={{ gap: 6 }}>
          <span className="faint">{index === 0 ? "where" : "and"} </span>
          <span className="chip">
            <Popover side="left" className="chip-words" name={`${spoken(dimension)} is ${words}; change`} label={<><span className="faint">{spoken(dimension)} is</span> {words}</>}>
              {() => (
                <div className="stack" style={{ gap: 6, width: 240 }}>
                  <Values dimension={dimension} />
                </div>
              )}
            </Popover>
            <button
              type="button"
              className="chip-close"
              aria-label={`Remove the filter on ${spoken(dimension)}`}
              onClick={() => {
                const { [dimension]: _, ...others } = view.where;
                change({ where: others, request: "" });
              }}
            >
              <Icon name="close" />
            </button>
          </span>
        </span>
      ))}
      <AddFilter />
      {entries.length > 1 ? (
        <button type="button" className="button quiet" onClick={() => change({ where: {}, request: "" })}>
          Clear
        </button>
      ) : null}
    </div>
  );
}
