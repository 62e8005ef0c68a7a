/** Asks the server what a change would do: not for each step of a moving slider, and only the last question counts. */
import { api, cancelled } from "../api/client";
import type { Question, WhatIf } from "../api/types";

/** Milliseconds of rest after which a question is asked. */
const REST = 90;

export class WhatIfRun {
  answer = $state.raw<WhatIf | null>(null);
  busy = $state(false);
  trouble = $state.raw<unknown>(null);

  /** Ask; returns what takes the question back. Nothing to change has no answer and asks nobody. */
  ask(id: string, question: Question, done: (answer: WhatIf) => void): () => void {
    const abort = new AbortController();
    this.trouble = null;
    if (question.edits.length === 0 && question.off.length === 0) {
      this.answer = null;
      this.busy = false;
      return () => undefined;
    }
    this.busy = true;
    const timer = setTimeout(() => {
      api.whatIf(id, question, abort.signal).then(
        (answer) => {
          this.answer = answer;
          this.busy = false;
          done(answer);
        },
        (error: unknown) => {
          if (cancelled(error)) return;
          this.answer = null;
          this.trouble = error;
          this.busy = false;
        },
      );
    }, REST);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }
}
