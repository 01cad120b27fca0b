/** The Overview before its figures are known: the same panels, of the same size. */
import { Bone, Rows } from "../../components/State";

const FIGURES = 4;
const HEIGHTS = [42, 58, 37, 66, 80, 61, 90];

function FigureOutline() {
  return (
    <div className="figure-cell">
      <Bone width={110} />
      <Bone width={130} height={24} />
      <Bone width="72%" />
    </div>
  );
}

function PanelOutline({ height, rows = 0 }: { height: number; rows?: number }) {
  return (
    <div className="panel">
      <div className="body stack">
        <Bone width={140} height={12} />
        <div className="skeleton-columns" style={{ height }}>
          {HEIGHTS.map((percent) => (
            <Bone key={percent} width="4.5%" height={`${percent}%`} />
          ))}
        </div>
      </div>
      {rows === 0 ? null : <Rows rows={rows} />}
    </div>
  );
}

export function OverviewOutline() {
  return (
    <div className="stack outline">
      <div className="panel figures">
        {Array.from({ length: FIGURES }, (_, index) => (
          <FigureOutline key={index} />
        ))}
      </div>
      <PanelOutline height={248} rows={5} />
      <div className="pair">
        <PanelOutline height={190} />
        <PanelOutline height={190} />
      </div>
    </div>
  );
}
