/** Light or dark: the system's choice until the reader makes one, which this browser then remembers. */

export type ThemeChoice = "system" | "light" | "dark";

const KEY = "morelli.theme";

function stored(): ThemeChoice {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    return "system"; // storage may be forbidden; the system's choice is then the only one
  }
}

class Theme {
  choice = $state<ThemeChoice>("system");
  #systemDark = $state(false);
  /** What is on the screen now; canvases redraw when it changes. */
  readonly dark = $derived(this.choice === "system" ? this.#systemDark : this.choice === "dark");

  start(): void {
    const query = matchMedia("(prefers-color-scheme: dark)");
    this.#systemDark = query.matches;
    query.addEventListener("change", (event) => (this.#systemDark = event.matches));
    this.choose(stored());
  }

  /** Show this choice, and do not remember it. */
  show(choice: ThemeChoice): void {
    this.choice = choice;
    if (choice === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = choice;
  }

  choose(choice: ThemeChoice): void {
    this.show(choice);
    try {
      localStorage.setItem(KEY, choice);
    } catch {
      // see stored()
    }
  }
}

export const theme = new Theme();
