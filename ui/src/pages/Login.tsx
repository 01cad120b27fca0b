/** The door: single sign-on where there is one, e-mail and password, or the installation's admin token. */
import { useQueryClient } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { post, refusal } from "../api/client";
import { useLoginWays } from "../api/govern";
import type { LoginWays, Session } from "../api/types";
import { Field, Form, textOf } from "../components/Form";
import { Icon } from "../components/Icon";
import { Bone, Shown } from "../components/State";
import { useTitle } from "../theme";

/** Takes a new session in, and forgets what another one has seen. */
export function useEnter(): (session: Session) => void {
  const queries = useQueryClient();
  return (session) => {
    queries.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== "session" });
    queries.setQueryData(["session"], session);
  };
}

/** What stands where nobody is in yet. */
export function Door({ children }: { children: ReactNode }) {
  return (
    <main className="login">
      <div>
        <h1 className="brand">
          <Icon name="coin" /> Farthing
        </h1>
        {children}
      </div>
    </main>
  );
}

function ByToken({ plain = false }: { plain?: boolean }) {
  const enter = useEnter();
  return (
    <Form label="Sign in" send="Sign in" plain={plain} onSend={(data) => post<Session>("session", { token: textOf(data, "token") })} onDone={enter}>
      <Field name="token" label="Admin token" type="password" className="mono" autoComplete="current-password" required spellCheck={false} />
      <p className="faint small">
        Open the link that <code>farthing up</code> printed, or paste the token that stands in <code>admin.token</code> in the data folder.
      </p>
    </Form>
  );
}

function ByPassword({ plain }: { plain: boolean }) {
  const enter = useEnter();
  const send = (data: FormData) => post<Session>("login", { email: textOf(data, "email"), password: String(data.get("password")) });
  return (
    <Form label="Sign in with a password" send="Sign in" plain={plain} onSend={send} onDone={enter}>
      <Field name="email" label="E-mail" type="email" autoComplete="username" required autoFocus />
      <Field name="password" label="Password" type="password" autoComplete="current-password" required />
    </Form>
  );
}

function Ways({ ways }: { ways: LoginWays }) {
  const next = encodeURIComponent(location.pathname === "/login" ? "/" : location.pathname + location.search);
  const others = ways.password || ways.single_sign_on !== "";
  return (
    <div className="stack" style={{ gap: 18 }}>
      {ways.single_sign_on === "" ? null : (
        <a className="button primary" style={{ justifyContent: "center" }} href={`/api/v1/login/oidc?next=${next}`}>
          {ways.single_sign_on}
        </a>
      )}
      {ways.password ? <ByPassword plain={ways.single_sign_on !== ""} /> : null}
      {!ways.admin_token ? null : others ? (
        <details>
          <summary className="soft small">With the admin token</summary>
          <ByToken plain />
        </details>
      ) : (
        <ByToken />
      )}
    </div>
  );
}

export function Login() {
  useTitle("Sign in");
  return (
    <Door>
      <Shown of={useLoginWays()} outline={<Bone width={360} height={140} />}>
        {(ways) => <Ways ways={ways} />}
      </Shown>
    </Door>
  );
}

/** Where the link of an invitation leads: a password is chosen, and one is in. */
export function Welcome({ onIn }: { onIn: () => void }) {
  useTitle("Choose a password");
  const enter = useEnter();
  const token = location.hash.slice(1);
  const send = (data: FormData) => {
    if (data.get("password") !== data.get("again")) throw refusal("again", "", "The two passwords are not the same", "Type the same one twice");
    return post<Session>("login/invite", { token, password: String(data.get("password")) });
  };
  const done = (session: Session) => {
    enter(session);
    onIn();
  };
  return (
    <Door>
      <Form label="Choose a password" send="Choose it and sign in" onSend={send} onDone={done}>
        <p className="soft">You were let in. Choose the password that you will sign in with.</p>
        <Field name="password" label="Password" type="password" autoComplete="new-password" required autoFocus />
        <Field name="again" label="The same again" type="password" autoComplete="new-password" required />
      </Form>
    </Door>
  );
}

