/** The one chart style: hairlines, small quiet labels, no animation, a tip that is built, not written as HTML. */
import { token } from "./theme";

export interface TipRow {
  readonly name: string;
  readonly value: string;
  readonly color?: string;
  readonly strong?: boolean;
}

/** What a chart says of the place that is pointed at. Text stays text. */
export function tip(title: string, rows: readonly TipRow[]): HTMLElement {
  const box = document.createElement("div");
  box.className = "tip";
  const head = box.appendChild(document.createElement("strong"));
  head.textContent = title;
  for (const row of rows) {
    const line = box.appendChild(document.createElement("div"));
    if (row.strong === true) line.className = "strong";
    const swatch = line.appendChild(document.createElement("span"));
    swatch.className = row.color === undefined ? "swatch none" : "swatch";
    if (row.color !== undefined) swatch.style.background = row.color;
    line.appendChild(document.createElement("span")).textContent = row.name;
    const value = line.appendChild(document.createElement("span"));
    value.className = "figure";
    value.textContent = row.value;
  }
  return box;
}

const label = () => ({ color: token("ink-faint"), fontSize: 11, fontFamily: token("font") });

/** Axes and grid; charts add their series. */
export function ground(money: (value: number) => string) {
  return {
    animation: false,
    grid: { left: 4, right: 8, top: 10, bottom: 2, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    yAxis: {
      type: "value",
      splitNumber: 4,
      axisLabel: { ...label(), formatter: money },
      splitLine: { lineStyle: { color: token("hairline"), width: 1 } },
    },
    category: {
      type: "category",
      axisTick: { show: false },
      axisLine: { lineStyle: { color: token("hairline-strong") } },
      axisLabel: { ...label(), hideOverlap: true, margin: 10 },
    },
  };
}

export interface Layer {
  readonly name: string;
  readonly color: string;
  /** One value for each label. */
  readonly values: readonly number[];
  readonly opacity?: number;
  /** Whether a click on it does something. */
  readonly picks?: boolean;
}

/** Stacked columns, the first layer at the bottom, each split from the next by a line of the panel's color. The column at `running` still fills up. */
export function stacked(labels: readonly string[], layers: readonly Layer[], { running = -1, axis }: { running?: number; axis: (value: number) => string }) {
  const { yAxis, category, ...rest } = ground(axis);
  return {
    ...rest,
    xAxis: { ...category, data: labels },
    yAxis,
    series: layers.map(({ name, color, values, opacity = 1, picks = true }) => ({
      type: "bar",
      name,
      stack: "all",
      barCategoryGap: "24%",
      barMaxWidth: 44,
      cursor: picks ? "pointer" : "default",
      data: values.map((value, place) => ({ value: value === 0 ? null : value, itemStyle: { opacity: opacity * (place === running ? 0.55 : 1) } })),
      itemStyle: { color, borderColor: token("panel"), borderWidth: 0.5 },
      emphasis: { focus: "series", itemStyle: { color: "inherit" } },
      blur: { itemStyle: { opacity: 0.25 } },
    })),
  };
}

type Data = readonly (number | null)[] | readonly (readonly [number, number])[];

/** A line that is there to be seen, not pointed at. */
export function quiet(data: Data, style: object) {
  return { type: "line", symbol: "none", silent: true, data, lineStyle: style };
}

/** A course and where it leads: solid so far, dashed from there on, within a band whose `width` lies on `low`. */
export function course({ soFar, low, width, mid }: { soFar: Data; low: Data; width: Data; mid: Data }) {
  const accent = token("accent");
  const band = { stack: "band", stackStrategy: "all" };
  return [
    { ...quiet(low, { opacity: 0 }), ...band },
    { ...quiet(width, { opacity: 0 }), ...band, areaStyle: { color: accent, opacity: 0.13 } },
    quiet(mid, { color: accent, width: 1.5, type: [4, 4], opacity: 0.7 }),
    { ...quiet(soFar, { color: accent, width: 2 }), silent: false, itemStyle: { color: accent }, emphasis: { disabled: true } },
  ];
}

/** Axis labels are for orientation, so they may be made from doubles: "$1,200", "$0.04". */
export function axisMoney(value: number): string {
  if (value === 0) return "$0";
  const digits = Math.max(0, Math.min(8, 1 - Math.floor(Math.log10(Math.abs(value)))));
  return `$${value.toLocaleString("en-US", { maximumFractionDigits: digits })}`;
}
