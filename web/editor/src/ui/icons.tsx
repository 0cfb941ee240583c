/** The drawings of the page: 16 by 16, one stroke, in the colour of the text. They never carry a meaning alone. */

const PATHS = {
  file: "M4 1.8h5l3.2 3.2v9.2H4zM9 1.8V5h3.2",
  image: "M2.5 3h11v10h-11zM2.5 11l3.2-3.2 2.6 2.6 2-2 3.2 3M10.2 6.1h.01",
  binary: "M4 1.8h5l3.2 3.2v9.2H4zM6.3 8h1.2v3.5M9.5 8v3.5",
  link: "M6.8 9.2l2.4-2.4M7.4 4.9l1.3-1.3a2.6 2.6 0 0 1 3.7 3.7l-1.3 1.3M8.6 11.1l-1.3 1.3a2.6 2.6 0 0 1-3.7-3.7l1.3-1.3",
  folder: "M1.8 12.8v-9.3h4.2l1.5 1.8h6.7v7.5z",
  folderOpen: "M1.8 12.8v-9.3h4.2l1.5 1.8h5.3v1.9M1.8 12.8l2-5.6h11l-2 5.6z",
  chevron: "M6 3.5l4.5 4.5L6 12.5",
  down: "M3.5 6L8 10.5 12.5 6",
  up: "M3.5 10L8 5.5 12.5 10",
  close: "M4 4l8 8M12 4l-8 8",
  newFile: "M12.2 7.5V5L9 1.8H4v12.4h4M9 1.8V5h3.2M11.8 9.8v4.4M9.6 12h4.4",
  newFolder: "M8 12.8H1.8v-9.3h4.2l1.5 1.8h6.7v3M12 9.6v4.4M9.8 11.8h4.4",
  rename: "M10.4 3.2l2.4 2.4M3 13l.6-3 7.6-7.6 2.4 2.4L6 12.4z",
  trash: "M2.8 4.2h10.4M6 4.2V2.5h4v1.7M4.3 4.2l.6 9.6h6.2l.6-9.6M6.7 6.8v4.5M9.3 6.8v4.5",
  upload: "M8 10.5V2.5M4.8 5.6L8 2.4l3.2 3.2M2.5 10v3.5h11V10",
  download: "M8 2.5v8M4.8 7.4L8 10.6l3.2-3.2M2.5 10.5v3h11v-3",
  collapse: "M4.8 6.2L8 3l3.2 3.2M4.8 9.8L8 13l3.2-3.2",
  search: "M7 2.5a4.5 4.5 0 1 1 0 9a4.5 4.5 0 1 1 0-9M10.3 10.3l3.5 3.5",
  sun: "M8 5a3 3 0 1 1 0 6a3 3 0 1 1 0-6M8 1.2v1.5M8 13.3v1.5M1.2 8h1.5M13.3 8h1.5M3.2 3.2l1 1M11.8 11.8l1 1M12.8 3.2l-1 1M4.2 11.8l-1 1",
  moon: "M13.5 9.6A5.8 5.8 0 1 1 6.4 2.5a4.6 4.6 0 0 0 7.1 7.1z",
  people:
    "M6 2.8a2.4 2.4 0 1 1 0 4.8a2.4 2.4 0 1 1 0-4.8M1.8 13.5c.2-2.8 1.9-4.2 4.2-4.2s4 1.4 4.2 4.2M10.3 3.2a2.2 2.2 0 0 1 0 4.1M11.8 9.7c1.5.5 2.3 1.8 2.4 3.8",
  invite:
    "M6.5 2.8a2.4 2.4 0 1 1 0 4.8a2.4 2.4 0 1 1 0-4.8M2 13.5c.2-2.8 2-4.2 4.5-4.2 1 0 1.9.2 2.6.7M12 9v5M9.5 11.5h5",
  more: "M3.5 8h.01M8 8h.01M12.5 8h.01",
  settings: "M2 4.5h7M12.5 4.5H14M10.750 2.8v3.4M2 11.5h1.5M7 11.5h7M5.250 9.8v3.4",
  history: "M2.6 8a5.4 5.4 0 1 0 1.7-3.9L2.6 5.7M2.6 2.6v3.1h3.1M8 5v3.3l2.2 1.3",
  commit: "M8 5.5a2.5 2.5 0 1 1 0 5a2.5 2.5 0 1 1 0-5M1.5 8h4M10.5 8h4",
  copy: "M5.5 5.5h8v8h-8zM3 10.5h-.5v-8h8V3",
  diff: "M8 2.5v6M5 5.5h6M5 12.5h6",
  check: "M3 8.5l3.2 3.2L13 4.8",
  warn: "M8 2.2l6.3 11.3H1.7zM8 6.5v3.2M8 11.6h.01",
  undo: "M5.5 3L2.6 5.9l2.9 2.9M2.6 5.9H9.5a3.6 3.6 0 0 1 0 7.2H6",
  plus: "M8 3v10M3 8h10",
  git: "M4.5 5.8v4.4M4.5 2.6a1.6 1.6 0 1 1 0 3.2a1.6 1.6 0 1 1 0-3.2M4.5 10.2a1.6 1.6 0 1 1 0 3.2a1.6 1.6 0 1 1 0-3.2M11.5 2.6a1.6 1.6 0 1 1 0 3.2a1.6 1.6 0 1 1 0-3.2M11.5 5.8c0 2.6-3.5 2-6 3.2",
  cloud: "M4.5 12.5a2.9 2.9 0 0 1-.3-5.8 4 4 0 0 1 7.7.6 2.6 2.6 0 0 1-.2 5.2z",
  offline: "M4.5 12.5a2.9 2.9 0 0 1-.3-5.8 4 4 0 0 1 7.7.6 2.6 2.6 0 0 1-.2 5.2zM2 2l12 12",
  sidebar: "M2 3h12v10H2zM6 3v10",
  keyboard: "M1.5 4h13v8h-13zM4 6.8h.01M6.7 6.8h.01M9.4 6.8h.01M12 6.8h.01M4.5 9.5h7",
  out: "M9.5 3h-6v10h6M7 8h7M11.2 5.2L14 8l-2.8 2.8",
  eye: "M1.5 8S4 3.8 8 3.8 14.5 8 14.5 8 12 12.2 8 12.2 1.5 8 1.5 8zM8 6.2a1.8 1.8 0 1 1 0 3.6a1.8 1.8 0 1 1 0-3.6",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The mark of Quire: an open gathering of sheets. */
export function Mark({ size = 20 }: { size?: number }) {
  return (
    <svg class="mark" width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <rect class="mark-ground" width="32" height="32" rx="7" />
      <path
        class="mark-sheet"
        d="M8 9.2c3-.9 5.6-.3 8 1.5 2.4-1.8 5-2.4 8-1.5v13.3c-3-.8-5.6-.2-8 1.6-2.4-1.8-5-2.4-8-1.6z"
      />
      <path class="mark-fold" d="M16 10.7v13.4" />
      <path
        class="mark-lines"
        d="M10.6 13.4c1.2-.2 2.2 0 3.2.5M10.6 16.7c1.2-.2 2.2 0 3.2.5M21.4 13.4c-1.2-.2-2.2 0-3.2.5M21.4 16.7c-1.2-.2-2.2 0-3.2.5"
      />
    </svg>
  );
}
