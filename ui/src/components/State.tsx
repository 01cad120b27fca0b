/** Loading, empty, forbidden and failed: states that never look like one another, nor like a zero. */
import { Component, type ReactNode, use } from "react";
import { ApiError } from "../api/client";
import { SessionContext } from "../view";
import { Icon } from "./Icon";

/** A breathing bar where something will stand. */
export function Bone({ width, height = 10 }: { width: number | string; height?: number | string }) {
  return <span className="skeleton" style={{ width, height }} />;
}

/** Says that something loads, over the outline of what will come. */
export function Outline({ children }: { children: ReactNode }) {
  return (
    <div role="status">
      <span className="hidden-text">Loading</span>
      <div aria-hidden="true">{children}</div>
    </div>
  );
}

/** The outline of a table. */
export function Rows({ rows }: { rows: number }) {
  return (
    <div className="skeleton-rows">
      {Array.from({ length: rows }, (_, index) => (
        <div key={index}>
          <Bone width={`${28 - ((index * 7) % 12)}%`} />
          <Bone width={`${22 - ((index * 5) % 9)}%`} />
          <Bone width="9%" />
          <Bone width="7%" />
        </div>
      ))}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="state">
      <strong>{title}</strong>
      {children}
    </div>
  );
}

/** Not a failure: others may, and it says who. */
function Forbidden({ detail, remedy }: { detail: string; remedy: string }) {
  const session = use(SessionContext);
  return (
    <div className="state" role="alert">
      <Icon name="lock" />
      <strong>This is not for your role</strong>
      <p>{detail}.</p>
      <p>
        {remedy}. {session === null ? null : <>You are {session.actor}, in the role {session.role}.</>}
      </p>
    </div>
  );
}

export function Failed({ error, retry }: { error: Error; retry?: () => void }) {
  const problem = error instanceof ApiError ? error.problem : null;
  if (problem?.status === 403) return <Forbidden {...problem} />;
  return (
    <div className="state" role="alert">
      <strong className="bad">{problem?.title ?? "This could not be shown"}</strong>
      <p>{problem?.detail ?? error.message}</p>
      {problem?.field ? (
        <p className="mono">
          {problem.field} = {problem.value}
        </p>
      ) : null}
      {problem?.remedy ? <p>{problem.remedy}</p> : null}
      {retry === undefined ? null : (
        <button type="button" className="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

interface Answer<Data> {
  readonly data: Data | undefined;
  readonly error: Error | null;
  readonly isPlaceholderData?: boolean;
  readonly refetch: () => unknown;
}

/** Shows what a query has: its data when there is any, even while it is asked again, else why not. */
export function Shown<Data>({ of, outline, children }: { of: Answer<Data>; outline?: ReactNode; children: (data: Data) => ReactNode }) {
  if (of.data !== undefined && of.error === null) {
    return <div className={of.isPlaceholderData ? "stale" : undefined}>{children(of.data)}</div>;
  }
  if (of.error !== null) return <Failed error={of.error} retry={() => void of.refetch()} />;
  return <Outline>{outline ?? <Rows rows={6} />}</Outline>;
}

interface FenceState {
  error: Error | null;
}

/** Keeps a defect of one page from taking the frame with it. Give it the page's address as key. */
export class Fence extends Component<{ children: ReactNode }, FenceState> {
  override state: FenceState = { error: null };

  static getDerivedStateFromError(error: unknown): FenceState {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }

  override render(): ReactNode {
    return this.state.error === null ? this.props.children : <Failed error={this.state.error} retry={() => this.setState({ error: null })} />;
  }
}
