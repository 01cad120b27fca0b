import { useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { Link, Redirect, Route, Switch, useLocation } from "wouter";
import { ApiError } from "./api/client";
import { useSessionQuery } from "./api/queries";
import { Header } from "./components/Header";
import { Shell } from "./components/Shell";
import { Empty, Failed } from "./components/State";
import { Approval } from "./pages/Approval";
import { Approvals } from "./pages/Approvals";
import { Ask } from "./pages/Ask";
import { Audit } from "./pages/Audit";
import { Budgets } from "./pages/Budgets";
import { Cache } from "./pages/Cache";
import { Keys } from "./pages/Keys";
import { Door, Login, Welcome } from "./pages/Login";
import { Overview } from "./pages/Overview";
import { People } from "./pages/People";
import { Prices } from "./pages/Prices";
import { Providers } from "./pages/Providers";
import { Requests } from "./pages/Requests";
import { SessionContext } from "./view";

function NoPage() {
  return (
    <>
      <Header title="No such page" facts={false} />
      <Empty title="There is no page at this address">
        <Link href="/">Go to the Overview</Link>
      </Empty>
    </>
  );
}

/** Nobody can be let in: most often because the control process is not there, and then it is asked again. */
function Closed(failed: { error: Error; retry: () => void }) {
  return (
    <Door>
      <Failed {...failed} />
    </Door>
  );
}

/** Any answer of 401 means that the session ended, and the login comes back. */
function useSessionEnds(): void {
  const queries = useQueryClient();
  useEffect(
    () =>
      queries.getQueryCache().subscribe(({ query }) => {
        const { error } = query.state;
        if (query.queryKey[0] !== "session" && error instanceof ApiError && error.status === 401) {
          void queries.resetQueries({ queryKey: ["session"] });
        }
      }),
    [queries],
  );
}

export function App() {
  const session = useSessionQuery();
  const queries = useQueryClient();
  useSessionEnds();
  const [path, navigate] = useLocation();
  if (path === "/welcome") return <Welcome onIn={() => navigate("/", { replace: true })} />;
  if (session.error instanceof ApiError && session.error.status === 401) return <Login />;
  if (session.data === undefined) return session.failureReason === null ? null : <Closed error={session.failureReason} retry={() => void queries.resetQueries({ queryKey: ["session"] })} />;
  return (
    <SessionContext value={session.data}>
      <Shell>
        <Switch>
          <Route path="/" component={Overview} />
          <Route path="/requests" component={Requests} />
          <Route path="/cache" component={Cache} />
          <Route path="/budgets" component={Budgets} />
          <Route path="/approvals" component={Approvals} />
          <Route path="/approvals/new" component={Ask} />
          <Route path="/approvals/:id">{({ id }) => <Approval key={id} id={id} />}</Route>
          <Route path="/keys" component={Keys} />
          <Route path="/providers" component={Providers} />
          <Route path="/prices" component={Prices} />
          <Route path="/audit" component={Audit} />
          <Route path="/people" component={People} />
          <Route path="/login">
            <Redirect to="/" replace />
          </Route>
          <Route component={NoPage} />
        </Switch>
      </Shell>
    </SessionContext>
  );
}
