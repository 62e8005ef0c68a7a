/** One polite live region for the whole app: what a sighted reader sees change, a screen reader says. */
class Announcer {
  text = $state("");

  say(text: string): void {
    this.text = text;
  }
}

export const announcer = new Announcer();
