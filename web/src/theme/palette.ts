/** Written by `python scripts/app_palette.py`; change src/morelli/palette.py instead. */
export const PALETTE = {
  "light": {
    "real": "#1b87ab",
    "generated": "#d06f14",
    "unsure": "#8a8f93",
    "categories": [
      "#2a5fc4",
      "#9a7d00",
      "#8a3fb5",
      "#13805a",
      "#c22f52",
      "#5c6b23",
      "#0f7d86",
      "#96553a",
      "#5560c8",
      "#b5478c"
    ]
  },
  "dark": {
    "real": "#3aa3c6",
    "generated": "#e58a34",
    "unsure": "#7c8389",
    "categories": [
      "#8ab4ff",
      "#e0c341",
      "#c893e8",
      "#5fcf9e",
      "#ff8fa3",
      "#9aa86a",
      "#6fd3d8",
      "#d9a38a",
      "#b0b7ff",
      "#f5a3d7"
    ]
  }
} as const;
