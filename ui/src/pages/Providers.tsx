/** The upstream accounts that the gateway may call. */
import { useProviders } from "../api/queries";
import type { ProviderView } from "../api/types";
import { Header } from "../components/Header";
import { Empty, Shown } from "../components/State";
import { CsvButton, Table } from "../components/Table";
import { columnHelper } from "../columns";
import type { Columns } from "../csv";
import { plural } from "../format";

const column = columnHelper<ProviderView>();

const COLUMNS = [
  column.accessor("name", { header: "Name", cell: ({ row: { original: provider } }) => <>{provider.name} {provider.enabled ? null : <span className="tag">off</span>}</> }),
  column.accessor("vendor", { header: "Vendor", meta: { from: "medium" } }),
  column.accessor("base_url", { header: "Address", cell: (cell) => <span className="mono">{cell.getValue()}</span> }),
  column.accessor((provider) => provider.models.join(", "), { id: "models", header: "Models", cell: (cell) => (cell.getValue() === "" ? <span className="faint">any</span> : <span title={cell.getValue()}>{cell.getValue()}</span>), meta: { from: "medium" } }),
  column.accessor("api_key", { header: "Key from", cell: (cell) => cell.getValue() || <span className="faint">none</span>, meta: { from: "wide" } }),
  column.accessor((provider) => [provider.region, ...provider.tags].filter((word) => word !== ""), {
    id: "tags",
    header: "Region and tags",
    cell: (cell) =>
      cell.getValue().length === 0 ? (
        <span className="faint">–</span>
      ) : (
        <span className="row" style={{ gap: 4 }}>
          {cell.getValue().map((word) => (
            <span key={word} className="tag">
              {word}
            </span>
          ))}
        </span>
      ),
    meta: { from: "wide" },
  }),
  column.accessor("origin", { header: "Set in", cell: (cell) => <span className="soft">{cell.getValue()}</span>, meta: { from: "wide" } }),
];

const FILE: Columns<ProviderView> = {
  name: (provider) => provider.name,
  vendor: (provider) => provider.vendor,
  base_url: (provider) => provider.base_url,
  models: (provider) => provider.models.join(" "),
  api_key: (provider) => provider.api_key,
  region: (provider) => provider.region,
  tags: (provider) => provider.tags.join(" "),
  enabled: (provider) => provider.enabled,
  origin: (provider) => provider.origin,
};

export function Providers() {
  const answer = useProviders();
  return (
    <>
      <Header title="Providers" facts={false} />
      <div className="stack">
        <div className="row">
          <p className="soft grow">{answer.data === undefined ? "" : plural(answer.data.rows.length, "provider")}</p>
          <CsvButton name="providers" columns={FILE} rows={answer.data?.rows ?? []} />
        </div>
        <section className="panel" aria-label="Providers">
          <Shown of={answer}>
            {({ rows }) =>
              rows.length === 0 ? (
                <Empty title="No provider is configured">
                  <p>
                    <code>farthing provider add</code> adds one, or a <code>[providers.NAME]</code> section in <code>farthing.toml</code>.
                  </p>
                </Empty>
              ) : (
                <Table caption="Providers" rows={rows} columns={COLUMNS} idOf={(provider) => provider.name} />
              )
            }
          </Shown>
        </section>
      </div>
    </>
  );
}
