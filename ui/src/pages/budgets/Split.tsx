/** The usual split of spend by what it is for, beside the budgets there are. */
import { useState } from "react";
import { Link } from "wouter";
import { post } from "../../api/client";
import type { Budget, Limit } from "../../api/types";
import { Field, Form, textOf } from "../../components/Form";
import { Money } from "../../components/Money";
import { Frame } from "../../components/Table";
import { share } from "../../format";
import { approx, isZero, money, portion, roundDecimals, sum } from "../../money";
import { useLinkTo, useMay } from "../../view";
import { Burn } from "./Burn";

/** Percent of the whole: a published rule of thumb for what AI budgets are spent on (early 2026). */
const TEMPLATE: Record<string, number> = { training: 30, inference: 45, research: 15, maintenance: 10 };

function isAbout(category: string, { limit }: Budget): boolean {
  return limit.measure === "cost" && limit.per === "month" && Object.keys(limit.scope).length === 1 && limit.scope.category === category;
}

function Planner({ missing, onMade }: { missing: readonly string[]; onMade: () => void }) {
  const [amount, setAmount] = useState("");
  const whole = /^\d+(\.\d{1,2})?$/.test(amount) ? amount : null;
  const make = async (data: FormData) => {
    for (const category of missing) {
      const part = portion(textOf(data, "amount"), TEMPLATE[category] ?? 0);
      await post<Limit>("budgets", { name: `${category.charAt(0).toUpperCase()}${category.slice(1)}`, amount: part, scope: { category } });
    }
  };
  return (
    <Form label="Split a month's amount" send={`Make ${missing.length} budgets`} onSend={make} onDone={onMade}>
      <Field name="amount" label="Dollars a month in all" inputMode="decimal" required pattern="\d+(\.\d{1,2})?" value={amount} onChange={(event) => setAmount(event.target.value)} help={whole === null ? "" : missing.map((category) => `${category} ${money(portion(whole, TEMPLATE[category] ?? 0), 2)}`).join(", ")} />
    </Form>
  );
}

function Line({ category, budget, whole }: { category: string; budget: Budget | undefined; whole: string }) {
  const linkTo = useLinkTo();
  const pot = budget?.pots[0];
  return (
    <tr>
      <td>{budget === undefined ? <span className="soft">{category}</span> : <Link href={linkTo("/budgets", { open: budget.limit.id })}>{category}</Link>}</td>
      <td className="number soft">{TEMPLATE[category]}%</td>
      <td className="number">{budget === undefined || isZero(whole) ? <span className="faint">–</span> : share(approx(budget.limit.amount) / approx(whole))}</td>
      <td className="number">{budget === undefined ? <span className="faint">no budget</span> : <Money amount={budget.limit.amount} decimals={roundDecimals(budget.limit.amount)} />}</td>
      <td>{budget === undefined || pot === undefined ? null : <Burn limit={budget.limit} pot={pot} />}</td>
    </tr>
  );
}

export function Split({ rows, onMade }: { rows: readonly Budget[]; onMade: () => void }) {
  const may = useMay("limit.write");
  const categories = Object.keys(TEMPLATE);
  const found = Object.fromEntries(categories.map((category) => [category, rows.find((row) => isAbout(category, row))]));
  const missing = categories.filter((category) => found[category] === undefined);
  const whole = sum(categories.flatMap((category) => found[category]?.limit.amount ?? []));
  return (
    <section className="panel" aria-labelledby="split">
      <header>
        <div className="grow">
          <h2 id="split">Split by what it is for</h2>
          <p>The template’s share beside that of this month’s budgets by category.</p>
        </div>
      </header>
      <div className="body stack" style={{ gap: 12 }}>
        <Frame caption="Split by category">
          <table className="plain">
            <caption className="hidden-text">Split by category</caption>
            <thead>
              <tr>
                <th scope="col">Category</th>
                <th scope="col" className="number">Template</th>
                <th scope="col" className="number">Here</th>
                <th scope="col" className="number">Budget</th>
                <th scope="col">Used</th>
              </tr>
            </thead>
            <tbody>
              {categories.map((category) => (
                <Line key={category} category={category} budget={found[category]} whole={whole} />
              ))}
            </tbody>
          </table>
        </Frame>
        {may && missing.length > 0 ? <Planner missing={missing} onMade={onMade} /> : null}
      </div>
    </section>
  );
}
