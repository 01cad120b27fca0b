/** The door: the admin token, typed in where no link brought it. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { ApiError, post } from "../api/client";
import type { Session } from "../api/types";
import { Icon } from "../components/Icon";
import { useTitle } from "../theme";

export function Login() {
  useTitle("Sign in");
  const queries = useQueryClient();
  const login = useMutation({
    mutationFn: (token: string) => post<Session>("session", { token }),
    onSuccess: (session) => {
      queries.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== "session" });
      queries.setQueryData(["session"], session);
    },
  });
  const { mutate } = login;
  const problem = login.error instanceof ApiError ? login.error.problem : null;
  return (
    <main className="login">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          mutate(String(new FormData(event.currentTarget).get("token")).trim());
        }}
      >
        <h1 className="brand">
          <Icon name="coin" /> Farthing
        </h1>
        <label className="field">
          <span>Admin token</span>
          <input className="control mono" name="token" type="password" autoComplete="current-password" required autoFocus spellCheck={false} aria-describedby="token-help" />
        </label>
        {problem === null ? null : (
          <p role="alert" className="notice bad">
            {problem.detail}. {problem.remedy}
          </p>
        )}
        <button type="submit" className="button primary" style={{ justifyContent: "center" }} disabled={login.isPending}>
          Sign in
        </button>
        <p id="token-help" className="faint small">
          Open the link that <code>farthing up</code> printed, or paste the token that stands in <code>admin.token</code> in the data folder.
        </p>
      </form>
    </main>
  );
}
