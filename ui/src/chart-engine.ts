/** Apache ECharts with what the charts here need and nothing else; loaded when the first chart is shown. */
import { BarChart, LineChart } from "echarts/charts";
import { GridSimpleComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";

use([BarChart, LineChart, GridSimpleComponent, SVGRenderer]);

export { init };
