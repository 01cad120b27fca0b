/** The few icons there are, drawn with one stroke in the text's color. */
const PATHS = {
  close: "M4 4l8 8M12 4l-8 8",
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10zM11 11l3 3",
  menu: "M2 4h12M2 8h12M2 12h12",
  down: "M4 6l4 4 4-4",
  download: "M8 2v8M5 7l3 3 3-3M3 13h10",
  copy: "M6 5V3h7v7h-2M3 6h7v7H3z",
  done: "M3 8.5l3.5 3.5L13 5",
  link: "M6.5 9.5l3-3M7 4.5l1.5-1.5a3 3 0 0 1 4.5 4L11.5 8.5M9 11.5L7.5 13A3 3 0 0 1 3 9l1.5-1.5",
  plus: "M8 3v10M3 8h10",
  lock: "M4 7h8v6H4zM6 7V5a2 2 0 0 1 4 0v2",
  person: "M8 8a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM2.5 14a5.5 5.5 0 0 1 11 0",
  coin: "M8 15A7 7 0 1 0 8 1a7 7 0 0 0 0 14zM8 1v14M8 8h7",
} as const;

export function Icon({ name }: { name: keyof typeof PATHS }) {
  return (
    <svg width="16" height="16" viewBox="0 0 16 16" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
