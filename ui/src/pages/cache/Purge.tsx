/** Forgetting what the caches hold: counted first, then done. */
import { useState } from "react";
import { post } from "../../api/client";
import { useRefresh } from "../../api/govern";
import type { CacheDone } from "../../api/types";
import { Dialog } from "../../components/Dialog";
import { Check, Choice, Field, Form, Labeled, textOf } from "../../components/Form";
import { PARTS, ScopeFields, scopeOf } from "../../components/ScopeFields";
import { plural } from "../../format";

function whatOf(data: FormData) {
  const entry = textOf(data, "entry");
  return { entry: entry === "" ? null : entry, namespace: textOf(data, "namespace"), epoch: textOf(data, "epoch"), scope: scopeOf(data), everything: data.has("everything") };
}

type What = ReturnType<typeof whatOf>;

export function Purge({ names, onClose }: { names: readonly string[]; onClose: () => void }) {
  const refresh = useRefresh();
  const [counted, setCounted] = useState<{ what: What; entries: number } | null>(null);
  const done = () => {
    void refresh("cache");
    onClose();
  };
  const count = async (data: FormData) => {
    const what = whatOf(data);
    return { what, entries: (await post<CacheDone>("cache/purge", { ...what, dry_run: true })).entries };
  };
  return (
    <Dialog title="Forget cached answers" onClose={onClose}>
      <div hidden={counted !== null}>
        <Form label="What to forget" send="Count them" onSend={count} onDone={setCounted} onCancel={onClose}>
          <Choice name="namespace" label="Namespace" options={{ "": "any", ...Object.fromEntries(names.map((name) => [name, name])) }} />
          <ScopeFields label="Asked first by" help="All that is said has to hold together" fields={[...PARTS, "key"]} />
          <Field name="epoch" label="Epoch" help="Of the settings, when the answer was kept" />
          <Field name="entry" label="Entry" help="Its id, as x-farthing-cache-entry says it" />
          <Labeled group name="everything" label="Or">
            <Check name="everything" label="Everything there is" />
          </Labeled>
        </Form>
      </div>
      {counted === null ? null : (
        <>
          <p>
            {counted.entries === 0 ? "Nothing that is kept fits." : <>{plural(counted.entries, "answer")} would be gone for good, from memory, disk and index. The next such requests are asked anew, and paid for.</>}
          </p>
          {counted.entries === 0 ? (
            <button type="button" className="button" onClick={() => setCounted(null)}>
              Back
            </button>
          ) : (
            <Form label="Forget" send={`Forget ${plural(counted.entries, "answer")}`} danger onSend={() => post<CacheDone>("cache/purge", { ...counted.what, dry_run: false })} onDone={done} onCancel={() => setCounted(null)}>
              {null}
            </Form>
          )}
        </>
      )}
    </Dialog>
  );
}
