/** The usual split of spend by what it is for, beside the budgets there are. */
import { useState } from "react";
import { Link } from "wouter";
import { ApiError, post } from "../../api/client";
import type { Budget, Limit, Problem } from "../../api/types";
import { Field, Form, Refusal, textOf } from "../../components/Form";
import { Money } from "../../components/Money";
import { Frame } from "../../components/Table";
import { plural, share } from "../../format";
import { approx, isZero, money, portion, roundDecimals, sum } from "../../money";
import { useLinkTo, useMay } from "../../view";
import { Burn } from "./Burn";

/** Percent of the whole: a published rule of thumb for what AI budgets are spent on (early 2026). */
const TEMPLATE: Record<string, number> = { training: 30, inference: 45, research: 15, maintenance: 10 };

/** What became of one of the budgets that were asked for: `problem` says why it is not there, or whose yes it waits for. */
interface Outcome {
  readonly category: string;
  readonly problem: Problem | null;
}

function isAbout(category: string, { limit }: Budget): boolean {
  return limit.measure === "cost" && limit.per === "month" && Object.keys(limit.scope).length === 1 && limit.scope.category === category;
}

function partOf(amount: string, category: string): string {
  return portion(amount, TEMPLATE[category] ?? 0);
}

async function made(category: string, amount: string): Promise<Outcome> {
  const name = `${category.charAt(0).toUpperCase()}${category.slice(1)}`;
  try {
    await post<Limit>("budgets", { name, amount: partOf(amount, category), scope: { category } });
    return { category, problem: null };
  } catch (reason) {
    if (reason instanceof ApiError) return { category, problem: reason.problem };
    throw reason;
  }
}

/** Each by itself: what one is refused for does not keep the others from being made. */
async function madeAll(categories: readonly string[], amount: string): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const category of categories) outcomes.push(await made(category, amount));
  return outcomes;
}

function Planner({ missing, onMade, onDone }: { missing: readonly string[]; onMade: () => Promise<unknown>; onDone: (outcomes: Outcome[]) => void }) {
  const [amount, setAmount] = useState("");
  const whole = /^\d+(\.\d{1,2})?$/.test(amount) ? amount : null;
  const send = async (data: FormData) => {
    const outcomes = await madeAll(missing, textOf(data, "amount"));
    await onMade();
    return outcomes;
  };
  return (
    <Form label="Split a month's amount" send={`Make ${plural(missing.length, "budget")}`} onSend={send} onDone={onDone}>
      <Field name="amount" label="Dollars a month in all" inputMode="decimal" required pattern="\d+(\.\d{1,2})?" title="Dollars, with up to two decimals" value={amount} onChange={(event) => setAmount(event.target.value)} help={whole === null ? "" : missing.map((category) => `${category} ${money(partOf(whole, category), 2)}`).join(", ")} />
    </Form>
  );
}

/** What was made, and, one by one, what was not and why. */
function Outcomes({ outcomes }: { outcomes: readonly Outcome[] }) {
  const there = outcomes.filter(({ problem }) => problem === null).map(({ category }) => category);
  return (
    <>
      {there.length === 0 ? null : (
        <p role="status" className="notice info">
          Made: {there.join(", ")}.
        </p>
      )}
      {outcomes.map(({ category, problem }) =>
        problem === null ? null : (
          <Refusal key={category} about={category} error={new ApiError(problem.status, problem)} />
        ),
      )}
    </>
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

export function Split({ rows, onMade }: { rows: readonly Budget[]; onMade: () => Promise<unknown> }) {
  const may = useMay("limit.write");
  const [outcomes, setOutcomes] = useState<Outcome[]>([]);
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
        {may && missing.length > 0 ? <Planner missing={missing} onMade={onMade} onDone={setOutcomes} /> : null}
        <Outcomes outcomes={outcomes} />
      </div>
    </section>
  );
}
