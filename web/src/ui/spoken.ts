/** A message of the server in parts: what stands between backticks is a command or a name to be typed. */
export interface Part {
  readonly text: string;
  readonly code: boolean;
}

export function spoken(message: string): Part[] {
  const pieces = message.split("`");
  // A backtick without its partner is only a backtick.
  if (pieces.length % 2 === 0) return [{ text: message, code: false }];
  return pieces.map((text, i) => ({ text, code: i % 2 === 1 })).filter((part) => part.text !== "");
}
