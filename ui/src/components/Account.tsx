/** Who is logged in, and how to be it no more. */
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { post, remove } from "../api/client";
import type { Session } from "../api/types";
import { useEnter } from "../pages/Login";
import { tenantOf } from "../pages";
import { useSession } from "../view";
import { Dialog } from "./Dialog";
import { Field, Form } from "./Form";
import { Icon } from "./Icon";
import { Popover } from "./Popover";

/** Ends the session; everything that it has seen goes with it. */
export function useSignOut(): () => void {
  const queries = useQueryClient();
  return () =>
    void remove("session").finally(() => {
      queries.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== "session" });
      return queries.resetQueries({ queryKey: ["session"] });
    });
}

function NewPassword({ onClose }: { onClose: () => void }) {
  const enter = useEnter();
  const send = (data: FormData) => post<Session>("login/password", { old: String(data.get("old")), new: String(data.get("new")) });
  const done = (session: Session) => {
    onClose();
    enter(session);
  };
  return (
    <Dialog title="Change your password" onClose={onClose}>
      <p className="soft">All your other sessions end.</p>
      <Form label="Change your password" send="Change it" onSend={send} onDone={done} onCancel={onClose}>
        <Field name="old" label="The present one" type="password" autoComplete="current-password" required />
        <Field name="new" label="The new one" type="password" autoComplete="new-password" required />
      </Form>
    </Dialog>
  );
}

export function Account() {
  const session = useSession();
  const signOut = useSignOut();
  const [changing, setChanging] = useState(false);
  const tenant = tenantOf(session);
  const label = (
    <>
      <Icon name="person" />
      <span className="account">
        <span>{session.actor}</span>
        <span className="faint">
          {session.role}
          {tenant === "" ? "" : `, ${tenant}`}
        </span>
      </span>
    </>
  );
  return (
    <>
      <Popover className="button quiet account-button" side="left" label={label}>
        {(close) => (
          <>
            {session.person === "" || session.role === "service" ? null : (
              <button
                type="button"
                className="choice"
                onClick={() => {
                  close();
                  setChanging(true);
                }}
              >
                Change password
              </button>
            )}
            <button type="button" className="choice" onClick={signOut}>
              Sign out
            </button>
          </>
        )}
      </Popover>
      {changing ? <NewPassword onClose={() => setChanging(false)} /> : null}
    </>
  );
}
