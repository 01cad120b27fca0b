import { Fragment } from "react";
import type { CostLine, RequestDetail } from "../../api/types";
import { Money } from "../../components/Money";
import { Frame } from "../../components/Table";
import { count, per } from "../../format";
import { exact, exactDecimals, sum } from "../../money";

function quantityOf(line: CostLine): string {
  const amount = Number(line.quantity);
  return Number.isSafeInteger(amount) ? count(amount) : line.quantity;
}

/** A unit's name may break after its dots. */
function Unit({ name }: { name: string }) {
  const parts = name.split(".");
  return parts.map((part, index) => (
    <Fragment key={index}>
      {part}
      {index < parts.length - 1 ? "." : ""}
      <wbr />
    </Fragment>
  ));
}

function Line({ line, several, decimals, currency }: { line: CostLine; several: boolean; decimals: number; currency: string }) {
  return (
    <tr>
      <td className="wrap">
        {line.kind === "unit" ? <Unit name={line.unit} /> : line.note || "adjustment"}
        {several ? <span className="faint"> · attempt {line.attempt}</span> : null}
      </td>
      <td className="number wrap">
        {line.rate === null ? null : (
          <>
            {quantityOf(line)} <span className="faint">× {exact(line.rate, currency)} / {per(line.per)}</span>
          </>
        )}
      </td>
      <td className="number">
        <Money amount={line.amount} decimals={decimals} currency={currency} />
      </td>
    </tr>
  );
}

/** How the cost came about: quantity × rate, line by line, and their sum. */
export function Formula({ detail }: { detail: RequestDetail }) {
  const { formula, cost, currency, unpriced, attempts } = detail;
  const decimals = Math.max(6, exactDecimals(formula.map((line) => line.amount)));
  const sources = [...new Set(attempts.map((attempt) => attempt.cost_source).filter((source) => source !== "none"))];
  return (
    <section aria-labelledby="formula">
      <h3 id="formula">Cost, line by line</h3>
      {unpriced.map((reason) => (
        <p key={reason} className="notice">
          Unpriced: {reason}
        </p>
      ))}
      {formula.length === 0 ? (
        cost === null || unpriced.length > 0 ? null : <p className="soft">Nothing was billed.</p>
      ) : (
        <Frame caption="Cost, line by line">
          <table className="plain">
            <caption className="hidden-text">Cost, line by line</caption>
            <thead>
              <tr>
                <th scope="col">Unit</th>
                <th scope="col" className="number">
                  Quantity × rate
                </th>
                <th scope="col" className="number">
                  Amount
                </th>
              </tr>
            </thead>
            <tbody>
              {formula.map((line, index) => (
                <Line key={`${line.attempt} ${line.unit} ${index}`} line={line} several={attempts.length > 1} decimals={decimals} currency={currency} />
              ))}
            </tbody>
            <tfoot>
              <tr>
                <td>Sum</td>
                <td className="number faint">{sources.length === 0 ? "" : `priced by ${sources.join(" and ")}`}</td>
                <td className="number">
                  <Money amount={sum(formula.map((line) => line.amount))} decimals={decimals} currency={currency} />
                </td>
              </tr>
            </tfoot>
          </table>
        </Frame>
      )}
    </section>
  );
}
