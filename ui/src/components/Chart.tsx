/** A chart: an ECharts option on a panel, with a sentence that says it to those who do not see it. */
import type { ECharts, EChartsCoreOption } from "echarts/core";
import { useEffect, useRef } from "react";

interface Props {
  /** The option, made from tokens of the shown theme. Make a new one only when something changed. */
  option: EChartsCoreOption;
  height: number;
  description: string;
  /** How many places its axis has, and what is said of each when pointed at. */
  places: number;
  tipOf: (place: number) => HTMLElement | null;
  /** Whether places are columns, or points on a line. */
  columns?: boolean;
  /** The series that stands out, by its name. */
  pointed?: string | null;
  onPoint?: (series: string | null) => void;
  onPick?: (series: string) => void;
}

interface SeriesEvent {
  readonly seriesName?: string;
}

/** Shows what `tipOf` says beside the pointer, and marks the place on the axis it is said of. */
function pointer(chart: ECharts, frame: HTMLElement, latest: { current: Props }): () => void {
  const mark = frame.appendChild(document.createElement("div"));
  const box = frame.appendChild(document.createElement("div"));
  const hide = () => {
    mark.hidden = true;
    box.hidden = true;
  };
  const move = ({ offsetX, offsetY }: { offsetX: number; offsetY: number }) => {
    const { places, tipOf, columns = false } = latest.current;
    const at = [offsetX, offsetY];
    const place = chart.containPixel({ gridIndex: 0 }, at) ? Math.round(chart.convertFromPixel({ gridIndex: 0 }, at)[0] ?? -1) : -1;
    const tip = place < 0 || place >= places ? null : tipOf(place);
    if (tip === null) return hide();
    const center = chart.convertToPixel({ xAxisIndex: 0 }, place);
    const width = columns ? Math.abs(chart.convertToPixel({ xAxisIndex: 0 }, place + (place === 0 ? 1 : -1)) - center) : 1;
    mark.className = columns ? "tip-mark column" : "tip-mark";
    mark.style.left = `${center - width / 2}px`;
    mark.style.width = `${places === 1 && columns ? frame.clientWidth : width}px`;
    box.className = "tip-box";
    box.replaceChildren(tip);
    mark.hidden = false;
    box.hidden = false;
    const right = center + width / 2 + 12;
    box.style.left = `${right + box.offsetWidth > frame.clientWidth ? Math.max(0, center - width / 2 - 12 - box.offsetWidth) : right}px`;
    box.style.top = `${Math.max(0, Math.min(offsetY - 20, frame.clientHeight - box.offsetHeight))}px`;
  };
  hide();
  chart.getZr().on("mousemove", move);
  chart.getZr().on("globalout", hide);
  return () => {
    mark.remove();
    box.remove();
  };
}

/** Draws into the frame once the engine has loaded; returns how to end it. */
function draw(frame: HTMLElement, chart: { current: ECharts | null }, latest: { current: Props }): () => void {
  const endings: (() => void)[] = [];
  let gone = false;
  void import("../chart-engine").then(({ init }) => {
    if (gone) return;
    const made = init(frame, null, { renderer: "svg" });
    made.on("mouseover", (event) => latest.current.onPoint?.((event as SeriesEvent).seriesName ?? null));
    made.on("mouseout", () => latest.current.onPoint?.(null));
    made.on("click", (event) => latest.current.onPick?.((event as SeriesEvent).seriesName ?? ""));
    made.setOption(latest.current.option);
    chart.current = made;
    const sizes = new ResizeObserver(() => made.resize());
    sizes.observe(frame);
    endings.push(pointer(made, frame, latest), () => sizes.disconnect(), () => made.dispose());
  });
  return () => {
    gone = true;
    for (const end of endings) end();
    chart.current = null;
  };
}

export function Chart(props: Props) {
  const { option, height, description, pointed = null } = props;
  const frame = useRef<HTMLDivElement>(null);
  const chart = useRef<ECharts | null>(null);
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => (frame.current === null ? undefined : draw(frame.current, chart, latest)), []);

  useEffect(() => {
    chart.current?.setOption(option, { notMerge: true });
  }, [option]);

  useEffect(() => {
    chart.current?.dispatchAction({ type: "downplay" });
    if (pointed !== null) chart.current?.dispatchAction({ type: "highlight", seriesName: pointed });
  }, [pointed]);

  return (
    <div role="img" aria-label={description} className="chart" style={{ height }}>
      <div ref={frame} aria-hidden="true" style={{ height }} />
    </div>
  );
}
