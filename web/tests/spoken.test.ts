import { describe, expect, it } from "vitest";

import { spoken } from "../src/ui/spoken";

describe("a message of the server", () => {
  it("tells commands from words", () => {
    expect(spoken("Fetch them: `morelli encoders pull clip`.")).toEqual([
      { text: "Fetch them: ", code: false },
      { text: "morelli encoders pull clip", code: true },
      { text: ".", code: false },
    ]);
  });

  it("keeps every character where backticks come in pairs", () => {
    for (const text of ["", "plain", "`a``b`", "a `b` c `d`\n  - e"]) {
      expect(spoken(text).map((part) => part.text).join("")).toBe(text.replaceAll("`", ""));
    }
  });

  it("leaves a single backtick alone", () => {
    expect(spoken("5` wide")).toEqual([{ text: "5` wide", code: false }]);
  });
});
