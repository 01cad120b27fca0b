import { Copy } from "../../components/Copy";

/** Lines for the settings file, to be copied. */
export function SwitchOn({ lines }: { lines: string }) {
  const text = `[cache.namespaces.default]\n${lines}`;
  return (
    <>
      <div className="secret">
        <pre className="mono grow">{text}</pre>
        <Copy text={`${text}\n`} what="the settings" />
      </div>
      <p className="faint small">In farthing.toml; then start farthing up anew.</p>
    </>
  );
}
